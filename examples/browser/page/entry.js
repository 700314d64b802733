// Shows what was sent and what came back. All text goes into the page as text, never as markup.

import { challenge } from "./dpop.js";
import { code, element, exchangeItem, row, text } from "./look/shown.js";

/** One request and its answer, as they are shown: without a whole token. */
export async function describe(request, response) {
  const body = parsed(await response.clone().text()) ?? {}; // our servers answer in JSON
  return {
    method: request.method,
    url: request.url,
    authorization: shortened(request.headers.get("Authorization")),
    proof: decoded(request.headers.get("DPoP")),
    status: response.status,
    code: challenge(response, "error") || body.error || "",
    description: challenge(response, "error_description") || body.error_description || "",
    nonce: response.headers.get("DPoP-Nonce"),
    body: oneLine(body),
  };
}

/** An entry of the list: what was tried, whether it ended as it should, and what was sent and came back for it. */
export function entry(title, exchanges, verdict) {
  return element("li", { className: `entry card ${verdict.good ? "good" : "bad"}` },
    element("h3", {}, title),
    element("p", { className: "verdict" }, verdict.text),
    element("ol", { className: "exchanges" }, ...exchanges.map(item)));
}

function item(exchange) {
  const { decision } = exchange;
  const reason = decision?.reason || decision?.outcome;
  return exchangeItem(exchange, [
    ...row("Authorization", exchange.authorization && code("authorization", exchange.authorization)),
    ...row("Client is told", exchange.code && code("code", exchange.code), text("description", exchange.description)),
    ...row("Nonce", exchange.nonce && "One came with the answer, for the next proof."),
    ...row("Answer", exchange.body && code("body", exchange.body)),
    ...row("API’s log", reason && code("reason", reason), text("cause", decision?.cause)),
  ]);
}

function decoded(proof) {
  if (!proof) return null;
  const [header, payload] = proof.split(".").map(segment);
  return { header, payload };
}

function segment(text) {
  return parsed(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function shortened(authorization) {
  const [scheme, token] = (authorization ?? "").split(" ");
  return token ? `${scheme} ${ends(token)}` : "";
}

/** JSON that can be broken into lines at its spaces. */
function oneLine(value) {
  const short = (name, member) => (/^(access|refresh)_token$/.test(name) ? ends(member) : member);
  return JSON.stringify(value, short, 1).replace(/\n */g, " ");
}

function ends(token) {
  return `${token.slice(0, 6)}…${token.slice(-6)}`;
}
