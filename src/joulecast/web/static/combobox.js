// A list that is searched by typing (the ARIA combobox pattern): by name, by other names, by group.
import { el, newId, show } from "./dom.js";

const MOST = 200; // rows at once

const folded = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");

// options: [{value, label, group, detail, also: [other names]}]; chosen(value) is called when one is taken.
export function combobox({ label, options, value, chosen, hint, own = false }) {
  const id = newId("box");
  const rows = options.map((one) => ({
    ...one,
    found: folded([one.value, one.label, one.group, ...(one.also ?? [])].join(" ")),
  }));
  const input = el("input", {
    id,
    role: "combobox",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "off",
    "aria-expanded": "false",
    "aria-controls": `${id}-list`,
    "aria-autocomplete": "list",
    "aria-describedby": hint ? `${id}-hint` : null,
  });
  const box = el("ul", { id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
  let current = value,
    active = -1,
    shown = [];

  const labelOf = (name) => rows.find((one) => one.value === name)?.label ?? name ?? "";
  const isOpen = () => !box.hidden;

  function close() {
    box.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function reset() {
    input.value = labelOf(current);
    close();
  }

  function open(words) {
    const wanted = folded(words);
    shown = rows.filter((one) => one.found.includes(wanted)).slice(0, MOST);
    const drawn = [];
    let group;
    shown.forEach((one, place) => {
      if (one.group && one.group !== group)
        drawn.push(el("li", { class: "group", role: "presentation" }, one.group));
      group = one.group;
      const line = el(
        "li",
        { role: "option", id: `${id}-${place}`, "aria-selected": String(one.value === current) },
        el("span", {}, one.label),
        one.detail ? el("span", { class: "soft" }, one.detail) : null,
      );
      line.addEventListener("pointerdown", (event) => event.preventDefault());
      line.addEventListener("click", () => take(one.value));
      drawn.push(line);
    });
    if (!shown.length)
      drawn.push(
        el(
          "li",
          { class: "group", role: "presentation" },
          own ? "Enter takes it as it is written" : "nothing is called so",
        ),
      );
    show(box, drawn);
    box.hidden = false;
    input.setAttribute("aria-expanded", "true");
  }

  function point(place) {
    if (!shown.length) return;
    active = (place + shown.length) % shown.length;
    box.querySelectorAll(".active").forEach((one) => one.classList.remove("active"));
    const line = document.getElementById(`${id}-${active}`);
    line.classList.add("active");
    line.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", line.id);
  }

  function take(name) {
    current = name;
    reset();
    chosen(name);
  }

  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", () => {
    if (!isOpen()) {
      open("");
      point(
        Math.max(
          0,
          shown.findIndex((one) => one.value === current),
        ),
      );
    }
  });
  input.addEventListener("input", () => {
    open(input.value);
    if (shown.length) point(0);
  });
  input.addEventListener("blur", reset);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen()) {
        open("");
        point(shown.findIndex((one) => one.value === current));
      } else point(active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && isOpen()) {
      event.preventDefault();
      if (active >= 0 && shown.length) take(shown[active].value);
      else if (own && input.value.trim()) take(input.value.trim());
    } else if (event.key === "Escape" && isOpen()) {
      event.preventDefault();
      reset();
    }
  });

  reset();
  const node = el(
    "div",
    { class: "field box" },
    el("label", { for: id }, label),
    input,
    box,
    hint ? el("p", { class: "soft small", id: `${id}-hint` }, hint) : null,
  );
  return {
    node,
    input,
    set(name) {
      current = name;
      if (document.activeElement !== input) reset();
    },
  };
}
