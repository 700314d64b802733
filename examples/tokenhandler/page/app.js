// The page knows three addresses of its own origin, and no token: /me, /api/… and /logout. The cookie travels by itself.
// A fourth, /legs/…, is there in the demo alone.

import { code, element, exchangeItem, row } from "./look/shown.js";

const find = (id) => document.querySelector(`#${id}`);

// send sends a request, shows it with its answer, and returns both.
async function send(method, path, body) {
  let status, text, leg;
  try {
    const answer = await fetch(path, { method, body });
    status = answer.status;
    text = await answer.text();
    leg = await legOf(answer);
  } catch (trouble) {
    status = "no answer";
    text = String(trouble);
  }
  show({ method, url: path, status }, text, leg);
  return { status, text };
}

// legOf asks what the backend sent to the API for a request.
async function legOf(answer) {
  const name = answer.headers.get("Backend-Leg");
  if (!name) return [];
  const told = await fetch(`/legs/${name}`);
  return told.ok ? (await told.json()).sent ?? [] : [];
}

function show(request, text, leg = []) {
  const item = element("li", { className: `card ${request.status < 400 ? "good" : "bad"}` },
    exchangeOf(request, row("Answer", text && code("body", text))));
  if (leg.length > 0) {
    item.append(element("h3", {}, "The backend, to the API"), element("ol", { className: "leg" }, ...leg.map(legItem)));
    find("window").hidden = false;
  }
  find("log").prepend(item);
}

// exchangeOf shows a request outside of a list.
function exchangeOf(request, rows) {
  const { childNodes } = exchangeItem(request, rows);
  return element("div", { className: "exchange" }, ...childNodes);
}

function legItem({ method, url, status, code: told, nonce, proof, payload }) {
  return exchangeItem({ method, url, status, code: told, proof: proof && { header: proof, payload } }, [
    ...row("Authorization", code("", "DPoP …"), "the token of your session"),
    ...row("Backend is told", told && code("code", told)),
    ...row("Nonce", nonce && "One came with the answer, for the next proof."),
  ]);
}

// become shows the buttons that make sense: out, in, or again, where the API wants another login than there was.
function become(state, sentence) {
  find("who").textContent = sentence;
  for (const part of document.querySelectorAll("[data-when]")) part.hidden = !part.dataset.when.split(" ").includes(state);
  document.body.dataset.state = state;
}

async function look() {
  const { status, text } = await send("GET", "/me");
  if (status === 200) become("in", `Logged in until ${new Date(JSON.parse(text).until).toLocaleTimeString()}.`);
  else become("out", "Not logged in.");
}

// call sends a request to the API. A 401 says where the user can log in as the API wants it.
async function call(method, path, body) {
  const { status, text } = await send(method, path, body);
  if (status !== 401) return;
  const { login } = JSON.parse(text);
  if (login) {
    find("login").dataset.to = login;
    become("again", "The API wants you to log in again.");
  } else {
    become("out", "Not logged in.");
  }
}

const on = (id, action) => find(id).addEventListener("click", action);
on("login", (e) => location.assign(e.currentTarget.dataset.to ?? "/login"));
on("call", () => call("GET", "/api/accounts"));
on("pay", () => call("POST", "/api/accounts", "7"));
on("close", () => call("DELETE", "/api/accounts"));
on("logout", async () => {
  await send("POST", "/logout");
  await look();
});

await look();
