// validateJwtAccessToken of oauth4webapi behind the HTTP server of Node.
import http from "node:http";
import * as oauth from "oauth4webapi";

const { PORT, ISSUER, ORIGIN } = process.env;
const as = { issuer: ISSUER, jwks_uri: ISSUER + "/jwks" };

http
  .createServer(async (req, res) => {
    try {
      const headers = new Headers();
      for (let i = 0; i < req.rawHeaders.length; i += 2) headers.append(req.rawHeaders[i], req.rawHeaders[i + 1]);
      const request = new Request(new URL(req.url, ORIGIN), { method: req.method, headers });
      await oauth.validateJwtAccessToken(as, request, ORIGIN, {
        requireDPoP: true,
        signingAlgorithms: ["ES256"],
        [oauth.allowInsecureRequests]: true,
      });
      res.end("ok\n");
    } catch (error) {
      const challenge = error instanceof oauth.WWWAuthenticateChallengeError ? error.response.status : 401;
      res.writeHead(challenge, { "WWW-Authenticate": 'DPoP error="invalid_token", algs="ES256"' }).end();
    }
  })
  .listen(Number(PORT), "127.0.0.1");
