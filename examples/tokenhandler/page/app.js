// The page knows three addresses of its own origin, and no token: /me, /api/… and /logout. The cookie travels by itself.

const log = document.querySelector("#log");
const who = document.querySelector("#who");

// send sends a request, shows it with its answer, and returns both.
async function send(method, path, body) {
  let status, text;
  try {
    const answer = await fetch(path, { method, body });
    status = answer.status;
    text = await answer.text();
  } catch (trouble) {
    status = "no answer";
    text = String(trouble);
  }
  show(`${method} ${path}`, status, text);
  return { status, text };
}

function show(request, status, text) {
  const entry = document.createElement("li");
  for (const [name, content] of [["code", request], ["strong", status], ["pre", text]]) {
    entry.append(Object.assign(document.createElement(name), { textContent: content }), " ");
  }
  entry.className = status < 400 ? "good" : "bad";
  log.prepend(entry);
}

async function look() {
  const { status, text } = await send("GET", "/me");
  who.textContent = status === 200
    ? `Logged in until ${new Date(JSON.parse(text).until).toLocaleTimeString()}.`
    : "Not logged in.";
  document.body.dataset.state = status === 200 ? "in" : "out";
}

// call sends a request to the API. A 401 says where the user can log in as the API wants it.
async function call(method, path, body) {
  const { status, text } = await send(method, path, body);
  if (status === 401) {
    const { login } = JSON.parse(text);
    if (login) {
      who.textContent = "The API wants you to log in again: press Log in.";
      document.querySelector("#login").dataset.to = login;
    }
  }
}

const on = (id, action) => document.querySelector(id).addEventListener("click", action);
on("#login", (e) => location.assign(e.currentTarget.dataset.to ?? "/login"));
on("#call", () => call("GET", "/api/accounts"));
on("#pay", () => call("POST", "/api/accounts", "7"));
on("#close", () => call("DELETE", "/api/accounts"));
on("#logout", async () => {
  await send("POST", "/logout");
  await look();
});

await look();
