// The login of a public client: authorization code with PKCE (RFC 6749 §4.1, RFC 7636), by leaving the page and coming
// back to it.

import { base64url, sha256 } from "./dpop.js";

const begun = "login"; // where the session storage holds what the answer is compared with

/** The authorization server's endpoints (RFC 8414), if it is the one that was meant. */
export async function discover(issuer) {
  const response = await fetch(`${issuer}/.well-known/oauth-authorization-server`);
  const metadata = await response.json();
  if (metadata.issuer !== issuer) throw new Error("the metadata is of another authorization server.");
  return metadata;
}

/** Leaves the page for the login, with these parameters and those of PKCE. */
export async function leaveForLogin(server, parameters) {
  const state = random();
  const verifier = random();
  sessionStorage.setItem(begun, JSON.stringify({ state, verifier }));
  const query = new URLSearchParams({
    ...parameters,
    response_type: "code",
    state,
    code_challenge: await sha256(verifier),
    code_challenge_method: "S256",
  });
  location.assign(`${server.authorization_endpoint}?${query}`);
}

/**
 * Takes the answer of the login out of the address bar: what the code is redeemed with, or null when there is no
 * answer. An answer to a login that did not begin in this tab, or from another server, is an error.
 */
export function takeAnswer(issuer) {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("code") && !answer.has("error")) return null;
  const login = JSON.parse(sessionStorage.getItem(begun));
  sessionStorage.removeItem(begun); // one login, one answer
  history.replaceState(null, "", location.pathname);

  if (!login || answer.get("state") !== login.state) {
    throw new Error("the answer belongs to no login that began in this tab (state).");
  }
  if (answer.get("iss") !== issuer) { // RFC 9207 §2.4
    throw new Error("the answer comes from another authorization server (iss).");
  }
  if (answer.has("error")) {
    throw new Error(`the login was refused: ${answer.get("error")}. ${answer.get("error_description") ?? ""}`);
  }
  return { code: answer.get("code"), verifier: login.verifier };
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}
