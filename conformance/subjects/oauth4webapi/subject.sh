needs=(node npm)
lacks=,replay # by its documentation the part of its caller
fetch() { npm ci --silent --no-audit --no-fund --ignore-scripts; }
start() { exec node server.js; }
