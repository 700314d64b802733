// verifyAccessTokenRequest of better-auth behind the HTTP server of Node.
import http from "node:http";
import { requestToResourceInput, verifyAccessTokenRequest } from "better-auth/oauth2";

const { PORT, ISSUER, ORIGIN } = process.env;
const settings = {
  jwksUrl: ISSUER + "/jwks",
  verifyOptions: { issuer: ISSUER, audience: ORIGIN, typ: "at+jwt", algorithms: ["ES256"] },
  dpop: { proofMaxAgeSeconds: 60 },
};

http
  .createServer(async (req, res) => {
    try {
      const headers = new Headers();
      for (let i = 0; i < req.rawHeaders.length; i += 2) headers.append(req.rawHeaders[i], req.rawHeaders[i + 1]);
      const request = new Request(new URL(req.url, ORIGIN), { method: req.method, headers });
      await verifyAccessTokenRequest(requestToResourceInput(request), settings);
      res.end("ok\n");
    } catch (error) {
      const code = error.body?.error ? `error="${error.body.error}", ` : "";
      res.writeHead(error.statusCode ?? 401, { "WWW-Authenticate": `DPoP ${code}algs="EdDSA ES256 ES512 PS256 RS256"` }).end();
    }
  })
  .listen(Number(PORT), "127.0.0.1");
