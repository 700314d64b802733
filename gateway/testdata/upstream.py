"""A service that knows nothing of tokens, and reads paths as WSGI has them."""
import os
import signal
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    def get_environ(self):
        return {**super().get_environ(), "RAW": self.path, "SOCKET": self.connection}

    def log_message(self, *_):
        pass


def service(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/die/late":
        start_response("200 OK", [("Content-Length", str(1 << 30))])

        def late():
            yield bytes(1 << 20)
            os.kill(os.getpid(), signal.SIGKILL)

        return late()
    if path == "/upload":  # says what has come as soon as it has
        body, write = environ["wsgi.input"], start_response("200 OK", [])
        while size := int(body.readline(), 16):
            write(b"%d\n" % len(body.read(size)))
            body.readline()
        return [b"end\n"]
    if path == "/download":
        left = int(environ["QUERY_STRING"].split("=")[1])
        start_response("200 OK", [("Content-Length", str(left))])
        return (bytes(min(1 << 20, left - at)) for at in range(0, left, 1 << 20))
    if environ.get("HTTP_UPGRADE") == "websocket":  # of which WSGI knows nothing
        socket = environ["SOCKET"]
        socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        for line in environ["wsgi.input"]:
            socket.sendall(line)
        os._exit(0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    read = path.encode("latin-1").decode("utf-8", "replace")
    return ["\n".join([environ["RAW"], read, environ.get("HTTP_X_SENDERLOCK_SUBJECT", "")]).encode()]


with make_server("127.0.0.1", 0, service, handler_class=Quiet) as server:
    print("listening on", server.server_port, flush=True)
    server.serve_forever()
