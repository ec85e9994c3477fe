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

const MOST_SHORT = 40; // characters of a cell that needs no room of its own

// A table that scrolls sideways where it must. A column is its words, or those and what its cells are: "number",
// "long", "wide-only", or "row" of what a row is called by. A row is its cells, or a row that was made by hand.
export function table(label, columns, rows, look = "plain") {
  const known = columns.map((one) => (typeof one === "string" ? [one] : one));
  const classOf = (kind, cell) => {
    if (kind) return kind === "row" ? null : kind;
    return cell?.length > MOST_SHORT ? "long" : null;
  };
  const cellOf = (cell, [, kind]) =>
    el(
      kind === "row" ? "th" : "td",
      { scope: kind === "row" ? "row" : null, class: classOf(kind, cell) },
      cell,
    );
  const head = known.map(([words, kind]) => el("th", { scope: "col", class: classOf(kind) }, words));
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    el(
      "table",
      { class: look },
      el("thead", {}, el("tr", {}, head)),
      el(
        "tbody",
        {},
        rows.map((row) =>
          row instanceof Node
            ? row
            : el(
                "tr",
                {},
                row.map((cell, at) => cellOf(cell, known[at])),
              ),
        ),
      ),
    ),
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
