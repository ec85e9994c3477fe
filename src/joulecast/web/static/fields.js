// Controls with their labels and hints; `changed(value, isFinal)` is told what was chosen.
import { el, hinted, newId } from "./dom.js";

// A slider and a number that say the same. changed(value, isFinal)
export function slider({ label, hint, min, max, step = 1, changed, unit = "" }) {
  const id = newId("slide");
  const range = el("input", { type: "range", id, min, max, step });
  const exact = el("input", {
    type: "number",
    min,
    step: step < 1 ? "any" : 1,
    "aria-label": `${label}, as a number`,
    id: `${id}-number`,
    inputmode: "decimal",
  });
  const told = () => range.setAttribute("aria-valuetext", `${exact.value} ${unit}`.trim());
  range.addEventListener("input", () => {
    exact.value = range.value;
    told();
    changed(range.value, false);
  });
  range.addEventListener("change", () => changed(range.value, true));
  exact.addEventListener("change", () => {
    if (exact.value !== "") changed(exact.value, true);
  });
  const node = el(
    "div",
    { class: "field slider" },
    hinted(el("label", { for: id }, label), hint),
    range,
    exact,
  );
  return {
    node,
    range,
    set(value, most) {
      if (most) range.max = most;
      if (document.activeElement === exact) return;
      if (value !== null && value !== undefined && Number(value) > Number(range.max)) range.max = value;
      if (document.activeElement !== range || range.value !== String(value)) range.value = value ?? min;
      exact.value = value ?? "";
      told();
    },
  };
}

export function select({ label, hint, options, changed }) {
  const id = newId("pick");
  const node = el(
    "select",
    { id, onchange: () => changed(node.value, true) },
    options.map(([value, words]) => el("option", { value }, words)),
  );
  return {
    node: el("div", { class: "field" }, hinted(el("label", { for: id }, label), hint), node),
    set(value) {
      if (![...node.options].some((one) => one.value === String(value)))
        node.append(el("option", { value }, String(value)));
      node.value = String(value);
    },
  };
}

export function check({ label, hint, changed }) {
  const id = newId("check");
  const node = el("input", { type: "checkbox", id, onchange: () => changed(node.checked, true) });
  return {
    node: el("div", { class: "field check" }, node, hinted(el("label", { for: id }, label), hint)),
    set(value) {
      node.checked = value === true;
    },
  };
}

export function text({ label, hint, type = "text", changed, placeholder, ...more }) {
  const id = newId("text");
  const node = el("input", {
    type,
    id,
    placeholder,
    autocomplete: "off",
    ...more,
    onchange: () => changed(node.value.trim(), true),
  });
  return {
    node: el("div", { class: "field" }, hinted(el("label", { for: id }, label), hint), node),
    set(value) {
      if (document.activeElement !== node) node.value = value ?? "";
    },
  };
}

// A profile file of one's own in place of a model: picked, or dropped on it.
export function dropping(took) {
  const id = newId("profile");
  const picked = el("input", { type: "file", id, accept: ".json,application/json", class: "file" });
  const box = el(
    "details",
    { class: "more drop" },
    el("summary", {}, "Or a profile of your own"),
    el("label", { for: id }, "A file of joulecast profile (.json), to choose or to drop here"),
    picked,
  );
  const take = async (file) => {
    if (file) took(file.name.replace(/\.json$/i, ""), await file.text());
  };
  picked.addEventListener("change", () => take(picked.files[0]));
  box.addEventListener("dragover", (event) => event.preventDefault());
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  return box;
}

export function per(changed) {
  const id = newId("per");
  const node = el(
    "select",
    { id, onchange: () => changed(node.value) },
    el("option", { value: "kwh" }, "a kWh of electricity"),
    el("option", { value: "gpu_hour" }, "a rented GPU-hour"),
  );
  return {
    node: el("div", { class: "field" }, el("label", { for: id }, "for"), node),
    value: () => node.value,
    set(value) {
      node.value = value;
    },
  };
}
