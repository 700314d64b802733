// The verifier of the OAuth provider of AT Protocol behind the HTTP server of Node. Its keys are those of the issuer at
// the start: it looks for no others.
import http from "node:http";
import { Keyset } from "@atproto/jwk";
import { JoseKey } from "@atproto/jwk-jose";
import { OAuthVerifier } from "@atproto/oauth-provider/verifier";

const { PORT, ISSUER, ORIGIN } = process.env;
const { keys } = await (await fetch(ISSUER + "/jwks")).json();
const verifier = new OAuthVerifier({
  issuer: ISSUER,
  keyset: new Keyset(await Promise.all(keys.map((jwk) => JoseKey.fromImportable(jwk)))),
  dpopSecret: false,
});

http
  .createServer(async (req, res) => {
    try {
      await verifier.authenticateRequest(req.method, new URL(req.url, ORIGIN), req.headers, { audience: [ORIGIN] });
      res.end("ok\n");
    } catch (error) {
      res.statusCode = error.status ?? 500;
      if (error.wwwAuthenticateHeader) res.setHeader("WWW-Authenticate", error.wwwAuthenticateHeader);
      res.end();
    }
  })
  .listen(Number(PORT), "127.0.0.1");
