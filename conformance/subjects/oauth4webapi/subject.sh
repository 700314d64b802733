needs=(node npm)
lacks=,replay # leaves what was used to its caller
fetch() { npm install --silent --no-audit --no-fund --ignore-scripts; }
start() { exec node server.js; }
