// The buttons of the page. Each press sends something and adds an entry that shows it.

import { bearer, otherKey, replay, takeKey } from "./attacks.js";
import { Client } from "./client.js";
import { thumbprint } from "./dpop.js";
import { describe, entry } from "./entry.js";
import { takeAnswer } from "./login.js";

const settings = await (await fetch("/settings.json")).json();
const client = new Client(settings);

/** What each button does, and what should come of it: the status, the client's code, the reason in the API's log. */
const actions = {
  call: { expected: accepted(), run: (seen) => client.call(seen) },
  replay: { expected: refused("invalid_dpop_proof", "proof_replayed"), run: (seen) => replay(client, seen) },
  otherKey: { expected: refused("invalid_token", "key_mismatch"), run: (seen) => otherKey(client, seen) },
  bearer: { expected: refused("invalid_token", "bound_token_as_bearer"), run: (seen) => bearer(client, seen) },
  takeKey: { expected: { error: "InvalidAccessError" }, run: () => takeKey(client) },
  watch: { expected: accepted(), run: (seen) => client.watch(seen) },
  connect: { expected: accepted(), run: (seen) => client.connect(seen, showSocket) },
  renew: { expected: accepted(), run: (seen) => client.renew(seen) },
  logOut: { expected: {}, run: () => client.logOut() },
};

function accepted() {
  return { status: 200 };
}

function refused(code, reason) {
  return { status: 401, code, reason };
}

/** Does what a button stands for, and shows it. */
async function perform(title, { expected, run }) {
  const exchanges = [];
  const seen = (request, response) => exchanges.push(observed(request, response));
  let error = null;
  try {
    await run(seen);
  } catch (caught) {
    error = caught;
  }
  const shown = await Promise.all(exchanges);
  const verdict = judge(expected, shown.at(-1), error);
  const item = entry(title, shown, verdict);
  element("entries").prepend(item);
  item.scrollIntoView({ block: "nearest" });
  element("status").textContent = `${title}: ${verdict.text}`;
  await showSession();
}

async function observed(request, response) {
  const exchange = await describe(request, response);
  return { ...exchange, decision: await decisionOn(response) };
}

/** What the API's log says of a request: for this demo alone, from the page's own server. */
async function decisionOn(response) {
  const name = response.headers.get("X-Request-Id");
  if (!name) return null; // the authorization server's
  const found = await fetch(`/log?${new URLSearchParams({ request: name })}`);
  return found.ok ? found.json() : null;
}

/** Whether it ended as it should, in words. */
function judge(expected, last, error) {
  if (error && error.name !== expected.error) return bad(error.message);
  const got = { error: error?.name, status: last?.status, code: last?.code, reason: last?.decision?.reason };
  if (got.reason === "token_expired") return bad("the token has expired. Renew it and try again.");
  if (inWords(got) !== inWords(expected)) return bad(`expected ${inWords(expected)}, got ${inWords(got)}.`);
  if (error) return good(`Refused by the browser, as it should be (${error.name}).`);
  if (!last) return good("Done.");
  return good(last.status < 300 ? "Accepted, as it should be." : "Refused, as it should be.");
}

function good(text) {
  return { good: true, text };
}

function bad(text) {
  return { good: false, text: `This should not happen: ${text}` };
}

function inWords({ error, status, code, reason }) {
  return [error, status, code, reason].filter(Boolean).join(" ") || "nothing";
}

async function showSession() {
  const { session } = client;
  element("state").textContent = session
    ? `Logged in; the token is good until ${session.expires.toLocaleTimeString()}.`
    : "Not logged in.";
  element("thumbprint").textContent = session ? await thumbprint(session.sender.key) : "none";
  element("login").disabled = Boolean(session);
  for (const name in actions) element(name).disabled = !session;
}

function showSocket(text) {
  element("socket").textContent = text;
}

function element(id) {
  return document.getElementById(id);
}

/** One thing after the other, however fast the buttons are pressed. */
let last = Promise.resolve();
function enqueue(name, action) {
  const title = element(name).textContent;
  last = last.then(() => perform(title, action));
}

/** The login leaves the page. What comes of it is an entry of the page that is loaded then. */
function enqueueLogin(run) {
  enqueue("login", { expected: accepted(), run });
}

element("login").addEventListener("click", () => {
  client.leave().catch((error) => enqueueLogin(() => { throw error; }));
});
for (const name in actions) {
  element(name).addEventListener("click", () => enqueue(name, actions[name]));
}
await showSession();
try {
  const answer = takeAnswer(settings.issuer);
  if (answer) enqueueLogin((seen) => client.redeem(answer, seen));
} catch (error) {
  enqueueLogin(() => { throw error; });
}
