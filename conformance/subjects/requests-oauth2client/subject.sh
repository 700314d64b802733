needs=(python3)
lacks=,replay # checks one proof; what was used is the part of its caller
fetch() { python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt; }
start() { exec .venv/bin/python server.py; }
