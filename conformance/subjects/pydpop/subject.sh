needs=(python3)
lacks=,strict-typ # PyJWT leaves typ to its caller
fetch() { python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt; }
start() { exec .venv/bin/python server.py; }
