"""The validator of axa-fr-oidc behind the HTTP server of Python."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from axa_fr_oidc import OidcValidator

ORIGIN, ISSUER = os.environ["ORIGIN"], os.environ["ISSUER"]
validator = OidcValidator(issuer=ISSUER, audience=ORIGIN, algorithms=["ES256"])


def accepts(request):
    fields, proofs = request.headers.get_all("Authorization", []), request.headers.get_all("DPoP", [])
    if len(fields) != 1 or len(proofs) != 1:
        return False
    scheme, _, token = fields[0].partition(" ")
    if scheme.lower() != "dpop":
        return False
    path = ORIGIN + request.path.partition("?")[0]
    return validator.validate_token(
        token=token.strip(" "), dpop=proofs[0], path=path, http_method=request.command
    ).success


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = (200, b"ok\n") if accepts(self) else (401, b"")
        self.send_response(status)
        if status != 200:
            self.send_header("WWW-Authenticate", 'DPoP algs="ES256"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
