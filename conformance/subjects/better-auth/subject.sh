needs=(node npm)
fetch() { npm ci --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps; } # its peers exclude one another
start() { exec node server.js; }
