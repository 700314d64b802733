// What somebody cannot read or use on the page as it is shown now, as sentences. Success criteria are those of WCAG 2.2.
(() => {
  const found = new Set();
  const seen = (node) => node.checkVisibility() && !node.closest(".unseen") && node.getClientRects().length > 0;
  const named = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""} ${node.textContent.trim().slice(0, 40)}`;

  if (document.documentElement.scrollWidth > innerWidth) found.add("it is wider than the screen (1.4.10)");
  if (!document.documentElement.lang) found.add("it does not say its language (3.1.1)");
  if (!document.title) found.add("it has no title (2.4.2)");
  if (!document.querySelector("meta[name=viewport]")) found.add("it has no viewport (1.4.10)");
  if (document.querySelectorAll("h1").length !== 1) found.add("it does not have one h1 (1.3.1)");

  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.add(`the id ${id} is there twice`);

  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (seen(field) && ![...field.labels].some((label) => label.textContent.trim()) && !field.ariaLabel) found.add(`${named(field)} has no label (1.3.1)`);
  }
  for (const target of document.querySelectorAll("button, select, input:not([type=hidden]), summary")) {
    const { width, height } = (target.closest("label.check") ?? target).getBoundingClientRect();
    if (seen(target) && (width < 24 || height < 24)) found.add(`${named(target)} is ${Math.round(width)} × ${Math.round(height)} (2.5.8)`);
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  const painted = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const backgrounds = (node) => (node ? [...backgrounds(node.parentElement), getComputedStyle(node).backgroundColor] : ["Canvas"]);
  const contrast = (node, colour) => {
    const [a, b] = [painted(backgrounds(node)), painted([...backgrounds(node), colour])].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !seen(node) || node.closest(":disabled, option, script, style")) continue;
    const ratio = contrast(node, getComputedStyle(node).color);
    if (ratio < 4.5) found.add(`${named(node)} has a contrast of ${ratio.toFixed(1)} (1.4.3)`);
  }
  for (const field of document.querySelectorAll("input:not([type=hidden], [type=range], [type=checkbox]), select, textarea")) {
    const style = getComputedStyle(field);
    if (!seen(field) || field.disabled) continue;
    if (contrast(field, style.color) < 4.5) found.add(`what is in ${named(field)} has a low contrast (1.4.3)`);
    if (contrast(field.parentElement, style.borderTopColor) < 3) found.add(`the edge of ${named(field)} has a low contrast (1.4.11)`);
  }
  return [...found];
})()
