needs=(python3)
fetch() { python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt; }
start() { exec .venv/bin/python server.py; }
