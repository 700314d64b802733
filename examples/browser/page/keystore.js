// Keeps the key in IndexedDB, where it outlives the way to the login and back. The browser stores it so that it stays
// what it is: a key that signs and cannot be read.

const store = "keys";
const name = "dpop";

/** The kept key, or undefined. */
export function loadKey() {
  return withStore("readonly", (keys) => keys.get(name));
}

export function saveKey(key) {
  return withStore("readwrite", (keys) => keys.put(key, name));
}

/** Ends the use of every token that is bound to the key. */
export function forgetKey() {
  return withStore("readwrite", (keys) => keys.delete(name));
}

async function withStore(mode, use) {
  const database = await open();
  try {
    return await promised(use(database.transaction(store, mode).objectStore(store)));
  } finally {
    database.close();
  }
}

function open() {
  const opening = indexedDB.open("senderlock-demo", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(store);
  return promised(opening);
}

function promised(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
