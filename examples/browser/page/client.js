// The client as you would write it: it logs in, renews its token and calls the API. Tokens are only ever in memory, so
// a reload forgets them; the key is kept.

import { newKey, Sender, thumbprint } from "./dpop.js";
import { forgetKey, loadKey, saveKey } from "./keystore.js";
import { discover, leaveForLogin } from "./login.js";

export class Client {
  /** What is known while logged in, else null: the sender, the access token, the refresh token, when the first ends. */
  session = null;

  constructor({ issuer, api, clientID, scope }) {
    this.issuer = issuer;
    this.accounts = `${api}/accounts`;
    this.tickets = `${api}/tickets`;
    this.events = `${api}/events`;
    this.socket = `${api.replace("http", "ws")}/socket`;
    this.clientID = clientID;
    this.scope = scope;
    this.redirectURI = `${location.origin}/`;
  }

  /** Leaves the page for the login. It is loaded anew with the answer. */
  async leave() {
    const server = await discover(this.issuer);
    let key = await loadKey();
    if (!key) await saveKey(key = await newKey());
    await leaveForLogin(server, {
      client_id: this.clientID, redirect_uri: this.redirectURI, scope: this.scope, dpop_jkt: await thumbprint(key),
    });
  }

  /** Logs in with the answer that the login came back with. */
  async redeem({ code, verifier }, seen) {
    const grant = { grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: this.redirectURI };
    await this.#ask(new Sender(await loadKey()), grant, seen);
  }

  async renew(seen) {
    const { sender, refresh } = this.session;
    await this.#ask(sender, { grant_type: "refresh_token", refresh_token: refresh }, seen);
  }

  call(seen) {
    const { sender, token } = this.session;
    return sender.send(this.accounts, { token, seen });
  }

  /** The first event of an EventSource. */
  async watch(seen) {
    const url = `${this.events}?${await this.#ticket(seen)}`;
    const data = await firstEvent(url);
    await onlyOnce(firstEvent(url));
    return data;
  }

  /** A WebSocket, once it has said something. What it says, and why it ended, is told. */
  async connect(seen, told) {
    const url = `${this.socket}?${await this.#ticket(seen)}`;
    await opened(url, told);
    await onlyOnce(opened(url, () => {}));
  }

  /** An EventSource and a WebSocket can send no proof, so a ticket is asked for with one, and is good once. */
  async #ticket(seen) {
    const { sender, token } = this.session;
    const response = await sender.send(this.tickets, { method: "POST", token, seen });
    const { ticket } = await response.json();
    return new URLSearchParams({ ticket });
  }

  /** Without the key no copy of a token is of use. */
  async logOut() {
    this.session = null;
    await forgetKey();
  }

  /** Asks for tokens (RFC 9449 §5). A public client proves who it is by nothing but its key. */
  async #ask(sender, grant, seen) {
    const server = await discover(this.issuer);
    const body = new URLSearchParams({ ...grant, client_id: this.clientID });
    const response = await sender.send(server.token_endpoint, { method: "POST", body, seen });
    const answer = await response.json();
    if (!response.ok) throw new Error(`the authorization server gives no token: ${answer.error}.`);
    if (answer.token_type.toLowerCase() !== "dpop") throw new Error("the token is bound to nobody."); // RFC 9449 §5
    const expires = new Date(Date.now() + answer.expires_in * 1000);
    this.session = { sender, token: answer.access_token, refresh: answer.refresh_token, expires };
  }
}

/** The second use of a ticket, which must be refused. */
async function onlyOnce(second) {
  const outcome = await second.then(() => "opened again", () => "refused");
  if (outcome !== "refused") throw new Error("a ticket was good twice.");
}

/** Waits for the first message of a WebSocket, which stays open. */
function opened(url, told) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => {
      told(data);
      resolve();
    };
    socket.onclose = ({ code, reason }) => {
      told(`ended, ${code} ${reason}`);
      reject(new Error("the socket was refused, or ended."));
    };
  });
}

/** What the first event of a stream says. */
function firstEvent(url) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url);
    const end = (then) => (event) => {
      source.close();
      then(event.data);
    };
    source.onmessage = end(resolve);
    source.onerror = end(() => reject(new Error("the stream was refused, or ended.")));
  });
}
