needs=(node npm)
https=1
fetch() { npm ci --silent --no-audit --no-fund --ignore-scripts; }
start() { NODE_EXTRA_CA_CERTS=$CA exec node server.js; }
