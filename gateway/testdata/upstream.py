"""A service that knows nothing of tokens, and reads paths as WSGI has them."""
import os
import signal
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    def get_environ(self):
        return {**super().get_environ(), "RAW": self.path}

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
    start_response("200 OK", [("Content-Type", "text/plain")])
    read = path.encode("latin-1").decode("utf-8", "replace")
    return ["\n".join([environ["RAW"], read, environ.get("HTTP_X_SENDERLOCK_SUBJECT", "")]).encode()]


with make_server("127.0.0.1", 0, service, handler_class=Quiet) as server:
    print("listening on", server.server_port, flush=True)
    server.serve_forever()
