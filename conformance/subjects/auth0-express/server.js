// Auth0's middleware for Express.
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";

const { PORT, ISSUER, ORIGIN } = process.env;
const app = express();
app.set("case sensitive routing", true);
app.set("query parser", "simple");
const protect = auth({
  issuerBaseURL: ISSUER,
  audience: ORIGIN,
  tokenSigningAlg: "ES256",
  strict: true,
  dpop: { required: true },
});
app.use("/resource", protect, (_req, res) => res.send("ok\n"));
app.listen(Number(PORT), "127.0.0.1");
