// The page holds what its reader edits and shows what the server says of it. It decides nothing, and keeps nothing.

import { element } from "./look/shown.js";

const find = (id) => document.getElementById(id);
const fields = ["method", "url", "scheme", "token", "proof", "fields", "certificate", "scope"];
const switches = ["nonce", "again", "takenBack", "named"];

let base = Date.now(); // when the request was made; the clock is told from here
let round = 0; // of what the page waits for, so that an answer that comes too late is not shown
let handed = ""; // the nonce of the last refusal

/** Asks this page's own server. */
async function ask(path, question) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question), credentials: "omit",
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

/** Does something to the inputs, and then has the request judged. Whatever is begun later wins. */
async function then(change) {
  const mine = ++round;
  document.body.dataset.state = "working";
  try {
    const current = () => mine === round;
    await change?.(current);
    if (!current()) return;
    const judgement = await ask("judge", inputs());
    if (current()) show(judgement);
  } catch (trouble) {
    if (mine === round) showTrouble(trouble.message);
  }
  if (mine === round) document.body.dataset.state = "ready";
}

function inputs() {
  const all = { now: new Date(clock()).toISOString() };
  for (const name of fields) all[name] = find(name).value.trim();
  for (const name of switches) all[name] = find(name).checked;
  return all;
}

function fill(all) {
  for (const name of fields) find(name).value = all[name];
  for (const name of switches) find(name).checked = all[name];
  decode("token");
  decode("proof");
  const made = claims("proof").iat * 1000;
  base = Number.isSafeInteger(made) ? made : Date.parse(all.now);
  setClock((Date.parse(all.now) - base) / 1000);
}

// The clock.

const clock = () => base + Math.max(-1e9, Math.min(1e9, Number(find("seconds").value))) * 1000;

function setClock(seconds) {
  find("offset").value = seconds;
  find("seconds").value = seconds;
  find("clock").value = new Date(clock()).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
}

// JWTs: what is sent, and what it says.

/** Shows what a JWT says, if it is one. */
function decode(name) {
  const parts = find(name).value.trim().split(".");
  ["header", "claims"].forEach((part, i) => {
    const box = find(`${name}-${part}`);
    box.value = pretty(text(parts[i] ?? ""));
    fit(box);
  });
}

function text(segment) {
  try {
    const octets = Uint8Array.from(atob(segment.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(octets);
  } catch {
    return "";
  }
}

function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** JSON with line breaks, unless that would change it: a member may be there twice, or a number be too exact. */
function pretty(json) {
  const value = parsed(json);
  return value !== undefined && JSON.stringify(value) === json ? JSON.stringify(value, null, 2) : json;
}

/** What is signed of a box: as short as it can be, if that changes nothing. */
function compact(json) {
  const value = parsed(json);
  return value !== undefined && JSON.stringify(value, null, 2) === json.trim() ? JSON.stringify(value) : json;
}

const claims = (name) => parsed(find(`${name}-claims`).value) ?? {};

function fit(box) {
  box.setAttribute("aria-invalid", String(box.value !== "" && parsed(box.value) === undefined));
}

async function sign(name, current) {
  const question = { by: find(`${name}-by`).value };
  for (const part of ["header", "claims"]) {
    fit(find(`${name}-${part}`));
    question[part] = compact(find(`${name}-${part}`).value);
  }
  const signed = await ask("sign", question);
  if (current()) find(name).value = signed.text;
}

async function newProof(by, current, nonce = "") {
  const { method, url, token, now } = inputs();
  const proof = await ask("proof", { method, url, token, now, nonce, by });
  if (!current()) return;
  find("proof").value = proof.text;
  find("proof-by").value = by;
  find("scheme").value = "DPoP";
  decode("proof");
}

// What came of it.

function headline(v) {
  if (v.accepted) return v.not_judged ? `Accepted, if this holds: ${v.not_judged.join("; ")}` : "Accepted";
  return `Refused: ${v.status} ${v.code ?? ""}`.trim();
}

function show({ steps, verdict, nonce }) {
  conclude(headline(verdict), verdict.accepted ? "accepted" : "refused", verdict.reason);
  const rows = [["Reason", verdict.reason], ["Cause", verdict.cause?.replace(/: (expected|received) ".*/s, "")], ["Expected", verdict.expected], ["Received", verdict.received],
    ["Difference", verdict.difference], ["DPoP-Nonce", nonce]];
  find("why").replaceChildren(...rows.filter(([, value]) => value)
    .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, element("code", {}, value))]));
  handed = nonce ?? "";
  find("offer").hidden = !handed;
  find("steps").replaceChildren(...steps.map(item));
  // Where the steps have a scroll bar of their own, the refused one is brought into its view.
  const refused = document.querySelector("#steps .refused");
  find("steps").scrollTop = refused ? refused.offsetTop - find("steps").clientHeight / 2 : 0;
}

const marks = { ok: "✓", refused: "✗", "not judged": "?", "not reached": "–" };

function item({ source, text, result, why }) {
  return element("li", { className: result.replace(" ", "-") },
    element("span", { className: "mark", ariaHidden: "true" }, marks[result]),
    element("span", {}, text, element("span", { className: "unseen" }, `: ${result}`)),
    element("span", { className: "source" }, source),
    ...(why ? [element("span", { className: "why" }, why)] : []));
}

function showTrouble(message) {
  conclude(message, "", "");
  find("why").replaceChildren();
  find("steps").replaceChildren();
  find("offer").hidden = true;
}

function conclude(sentence, kind, reason) {
  find("decision").textContent = sentence;
  find("verdict").className = `card ${kind}`;
  find("bar").textContent = reason ? `${sentence} · ${reason}` : sentence;
  find("bar").className = kind;
}

/** Says where the request came from, and which part of it was changed for that. */
function tell(story, part, pressed) {
  find("story").textContent = story;
  for (const card of document.querySelectorAll(".inputs > details")) {
    card.classList.toggle("changed", card.id === `part-${part}`);
  }
  for (const chip of document.querySelectorAll("[data-scene]")) chip.setAttribute("aria-pressed", String(chip === pressed));
}

// What the reader does.

function play(chip) {
  return then(async (current) => {
    const all = await ask("scene", { name: chip.dataset.scene });
    if (!current()) return;
    fill(all);
    find("token-by").value = chip.dataset.scene === "strangers" ? "stranger" : "issuer";
    find("proof-by").value = ["thief", "forged"].includes(chip.dataset.scene) ? "thief" : "owner";
    tell(chip.dataset.story, chip.dataset.part, chip);
  });
}

for (const chip of document.querySelectorAll("[data-scene]")) {
  chip.addEventListener("click", async () => {
    await play(chip);
    if (getComputedStyle(find("bar")).display !== "none") find("result").scrollIntoView();
  });
}

/** Edited by hand, it is no scene any more. */
function edited(id, change) {
  find(id).addEventListener("input", () => {
    tell("Changed by you.", "", null);
    then((current) => change?.(current));
  });
}

for (const id of ["method", "url", "scheme", "fields", "certificate", "scope", ...switches]) edited(id);
for (const name of ["token", "proof"]) {
  edited(name, () => decode(name));
  for (const part of ["header", "claims", "by"]) edited(`${name}-${part}`, (current) => sign(name, current));
}
edited("offset", () => setClock(find("offset").value));
edited("seconds", () => setClock(find("seconds").value));

for (const button of document.querySelectorAll("[data-proof]")) {
  button.addEventListener("click", () => {
    tell("Changed by you.", "proof", null);
    then((current) => newProof(button.dataset.proof, current));
  });
}

find("takeNonce").addEventListener("click", () => {
  tell("The client has sent it again, with the nonce that came with the refusal.", "proof", null);
  then((current) => newProof("owner", current, handed));
});

find("read").addEventListener("click", () => then(async (current) => {
  const all = await ask("read", { text: find("pasted").value });
  if (!current()) return;
  fill(all);
  tell("Read from what you pasted, at the time of its proof.", "", null);
}));

document.querySelector("form").addEventListener("submit", (e) => e.preventDefault());
await play(document.querySelector("[data-scene]"));
