// What the pages of the examples have in common to show requests with. All text goes into the page as text, never as
// markup.

/** A request with its answer and what is known about it: rows, and the proof that came with it. */
export function exchangeItem({ method, url, status, code: told, proof }, rows) {
  return element("li", { className: "exchange" },
    element("p", { className: "line" },
      element("code", { className: "request" }, `${method} ${url}`),
      element("span", { className: `status ${kindOf(status, told)}` }, `${status}`)),
    element("dl", {}, ...rows),
    ...(proof ? [proofDetails(proof)] : []));
}

function kindOf(status, code) {
  if (status < 300) return "accepted";
  return code === "use_dpop_nonce" ? "asked" : "refused";
}

function proofDetails(proof) {
  return element("details", {},
    element("summary", {}, "DPoP proof"),
    element("pre", { className: "header" }, JSON.stringify(proof.header, null, 2)),
    element("pre", { className: "payload" }, JSON.stringify(proof.payload, null, 2)));
}

/** A name and its value with what explains it, unless the value is empty. */
export function row(name, value, explanation = "") {
  if (!value) return [];
  return [element("dt", {}, name), element("dd", {}, value, " ", explanation)];
}

export function code(className, content) {
  return element("code", { className }, content);
}

export function text(className, content = "") {
  return element("span", { className }, content);
}

export function element(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}
