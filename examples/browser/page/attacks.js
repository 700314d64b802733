// What a thief does with a copy of the owner's access token, or within the page.

import { newKey, Sender, strict } from "./dpop.js";

/** A request that was accepted, recorded with its proof and sent again, octet for octet. */
export async function replay(client, seen) {
  let recorded;
  await client.call((request, response) => {
    recorded = request;
    seen(request, response);
  });
  seen(recorded, await fetch(recorded));
}

/** Good proofs for the right request, with the server's nonce, but by a key of the thief's own. */
export async function otherKey(client, seen) {
  const thief = new Sender(await newKey());
  await thief.send(client.accounts, { token: client.session.token, seen });
}

/** The token alone, as it is enough wherever tokens are bound to nobody. */
export async function bearer(client, seen) {
  const headers = { Authorization: `Bearer ${client.session.token}` };
  const request = new Request(client.accounts, { headers, ...strict });
  seen(request, await fetch(request));
}

/** A script that got into the page can sign while the page is open, but not take the key with it. */
export function takeKey(client) {
  return crypto.subtle.exportKey("jwk", client.session.sender.key.privateKey);
}
