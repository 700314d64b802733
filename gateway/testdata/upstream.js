// A service that knows nothing of tokens, and reads paths by Node's URL.
const http = require('node:http');

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://service');
  switch (url.pathname) {
    case '/upload': { // says what has come as soon as it has
      request.on('data', (part) => response.write(part.length + '\n'));
      request.on('end', () => response.end('end\n'));
      return;
    }
    case '/download': {
      const part = Buffer.alloc(1 << 20);
      let left = Number(url.searchParams.get('size'));
      response.setHeader('Content-Length', left);
      const send = () => {
        while (left > 0) {
          const some = part.subarray(0, Math.min(left, part.length));
          left -= some.length;
          if (!response.write(some)) return response.once('drain', send);
        }
        response.end();
      };
      return send();
    }
    case '/die':
      process.kill(process.pid, 'SIGKILL');
      return;
    case '/die/late':
      response.setHeader('Content-Length', 1 << 30);
      return response.write(Buffer.alloc(1 << 20), () => process.kill(process.pid, 'SIGKILL'));
  }
  response.end([request.url, url.pathname, request.headers['x-senderlock-subject'] ?? ''].join('\n'));
});

server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  socket.pipe(socket);
});

server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
