"""pydpop for the proof and PyJWT for the token, behind the HTTP server of Python."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from pydpop import DPoPError, MemoryJtiStore, verify_proof

ORIGIN, ISSUER = os.environ["ORIGIN"], os.environ["ISSUER"]
keys, seen = jwt.PyJWKClient(ISSUER + "/jwks"), MemoryJtiStore()


class Refused(Exception):
    pass


def check(request):
    fields, proofs = request.headers.get_all("Authorization", []), request.headers.get_all("DPoP", [])
    if not fields:
        raise Refused("")
    if len(fields) != 1:
        raise Refused("invalid_request")
    if len(proofs) != 1:
        raise Refused("invalid_dpop_proof")
    scheme, _, token = fields[0].partition(" ")
    if scheme.lower() != "dpop":
        raise Refused("invalid_token")
    token = token.strip(" ")
    try:
        claims = jwt.decode(
            token, keys.get_signing_key_from_jwt(token).key, algorithms=["ES256"], audience=ORIGIN, issuer=ISSUER,
            options={"require": ["exp", "iat", "sub"]},
        )
        bound = claims["cnf"]["jkt"]
    except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
        raise Refused("invalid_token") from error
    try:
        proof = verify_proof(
            proof=proofs[0], htm=request.command, htu=ORIGIN + request.path.partition("?")[0], access_token=token,
            jti_store=seen,
        )
    except DPoPError as error:
        raise Refused("invalid_dpop_proof") from error
    if proof["jwk_thumbprint"] != bound:
        raise Refused("invalid_token")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        try:
            check(self)
            status, body = 200, b"ok\n"
        except Refused as error:
            error_code = str(error)
            status, body = (400 if error_code == "invalid_request" else 401), b""
        self.send_response(status)
        if status != 200:
            error_code = f'error="{error_code}", ' if error_code else ""
            self.send_header("WWW-Authenticate", f'DPoP {error_code}algs="ES256"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
