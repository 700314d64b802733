// The client's side of DPoP (RFC 9449): a key, a proof for each request, and the nonces of the servers.

/** A new key pair for ES256. No script can read the private key, this one included; it can only sign with it. */
export function newKey() {
  const extractable = false; // of the private key; a public key always is
  return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, extractable, ["sign", "verify"]);
}

/** The SHA-256 thumbprint of the public key (RFC 7638): its members in this order, without white space. */
export async function thumbprint(key) {
  const { crv, kty, x, y } = await publicJWK(key);
  return sha256(JSON.stringify({ crv, kty, x, y }));
}

/** A proof for one request (RFC 9449 §4.2). Token and nonce may be missing. */
export async function prove(key, { method, url, token, nonce }) {
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: await publicJWK(key) };
  const { origin, pathname } = new URL(url);
  const claims = {
    jti: crypto.randomUUID(),
    htm: method,
    htu: origin + pathname, // without query and fragment
    iat: Math.floor(Date.now() / 1000),
  };
  if (token) claims.ath = await sha256(token);
  if (nonce) claims.nonce = nonce;

  const signed = `${base64url(utf8(JSON.stringify(header)))}.${base64url(utf8(JSON.stringify(claims)))}`;
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const signature = await crypto.subtle.sign(algorithm, key.privateKey, utf8(signed)); // r and s, as JWS wants them
  return `${signed}.${base64url(signature)}`;
}

/** Sends requests that are signed with one key, and remembers the newest nonce of each server. */
export class Sender {
  #nonces = new Map(); // by origin (RFC 9449 §8.2)

  constructor(key) {
    this.key = key;
  }

  /**
   * Sends a request with a proof. If the server wants its nonce in it, it is sent once more, and only once; a nonce
   * that comes with any other answer is for the next request. The option token is the access token; seen is called with
   * each request and its answer. The other options are those of fetch.
   */
  async send(url, { method = "GET", headers, token, seen = () => {}, ...rest } = {}) {
    for (let attempt = 1; ; attempt++) {
      const request = new Request(url, { method, headers, ...strict, ...rest }); // "post" is sent as POST, "/a" to this origin
      const { origin } = new URL(request.url);
      const nonce = this.#nonces.get(origin);
      request.headers.set("DPoP", await prove(this.key, { method: request.method, url: request.url, token, nonce }));
      if (token) request.headers.set("Authorization", `DPoP ${token}`);
      const response = await fetch(request);
      seen(request, response);
      if (response.headers.has("DPoP-Nonce")) this.#nonces.set(origin, response.headers.get("DPoP-Nonce"));
      if (attempt === 2 || !(await wantsNonce(response))) return response;
    }
  }
}

/** For requests with credentials in their fields: no cookies, no cache, and no redirect to somebody else. */
export const strict = { credentials: "omit", cache: "no-store", redirect: "error" };

/** What a parameter of the challenge says, such as error (RFC 9110 §11.6.1). */
export function challenge(response, parameter) {
  const field = response.headers.get("WWW-Authenticate") ?? "";
  return field.match(new RegExp(`[ ,]${parameter}="([^"]*)"`))?.[1] ?? "";
}

/** A resource server says it in a challenge (§9), an authorization server in the body (§8). */
async function wantsNonce(response) {
  if (!response.headers.has("DPoP-Nonce")) return false;
  if (response.status === 401) return challenge(response, "error") === "use_dpop_nonce";
  if (response.status !== 400) return false;
  const body = await response.clone().json().catch(() => ({}));
  return body.error === "use_dpop_nonce";
}

async function publicJWK(key) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", key.publicKey);
  return { kty, crv, x, y };
}

export async function sha256(text) {
  return base64url(await crypto.subtle.digest("SHA-256", utf8(text)));
}

export function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function utf8(text) {
  return new TextEncoder().encode(text);
}
