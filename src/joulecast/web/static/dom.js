// Elements made by hand: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else if (name === "checked" || name === "disabled" || name === "open") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
}

// el("p", {class: "soft"}, "words", otherElement)
export function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export function show(node, ...children) {
  node.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

let lastSaid;
// For screen readers: one quiet sentence, after things have come to rest.
export function say(words) {
  clearTimeout(lastSaid);
  lastSaid = setTimeout(() => {
    byId("said").textContent = words;
  }, 700);
}

let made = 0;
export function newId(word) {
  made += 1;
  return `${word}-${made}`;
}

export function list(items) {
  return el(
    "ul",
    {},
    items.map((item) => el("li", {}, item)),
  );
}

// A label or heading with what it means behind it, reachable by key and finger too; as it is without a meaning.
export function hinted(node, meaning) {
  if (!meaning) return node;
  const id = newId("hint"),
    word = node.textContent;
  const tip = el("span", { class: "tip", role: "tooltip", id }, meaning);
  const button = el(
    "button",
    { type: "button", class: "hint", "aria-label": `? ${word}: what it is`, "aria-describedby": id },
    "?",
  );
  button.addEventListener("keydown", (event) => {
    if (event.key === "Escape") button.blur();
  });
  return el("div", { class: "hinted" }, node, button, tip);
}
