// The same to take away: as a command, as Python, as JSON, as a sentence with its source.
import { post } from "./api.js";
import { el, newId, say } from "./dom.js";

const KINDS = [
  ["sentence", "Sentence for a report"],
  ["command", "Command line"],
  ["python", "Python"],
  ["json", "JSON"],
];
let chosen = "sentence";

export function copying(answer, setting, isProfile) {
  const id = newId("copy");
  const shown = el("pre", {
    id,
    tabindex: 0,
    class: "taken",
    role: "region",
    "aria-label": "What is copied",
  });
  const copy = el("button", { type: "button" }, "Copy");
  const tabs = KINDS.map(([kind, words]) =>
    el(
      "button",
      { type: "button", class: "tab", "aria-pressed": String(kind === chosen), onclick: () => pick(kind) },
      words,
    ),
  );

  async function pick(kind) {
    chosen = kind;
    tabs.forEach((tab, place) => tab.setAttribute("aria-pressed", String(KINDS[place][0] === kind)));
    shown.classList.toggle("words", kind === "sentence");
    if (kind !== "json") {
      shown.textContent = answer.copies[kind];
      return;
    }
    if (isProfile) {
      shown.textContent = JSON.stringify({ ...answer.estimate, footprint: answer.footprint }, null, 2);
      return;
    }
    shown.textContent = "…";
    try {
      shown.textContent = JSON.stringify(await post("/v1/estimate", setting()), null, 2);
    } catch (error) {
      shown.textContent = error.message;
    }
  }

  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(shown.textContent);
      copy.textContent = "Copied";
      say("Copied.");
    } catch {
      // no permission: leave it selected, to be copied by hand
      getSelection().selectAllChildren(shown);
      copy.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => {
      copy.textContent = "Copy";
    }, 2000);
  });
  pick(chosen);
  return [
    el("h2", {}, "Take it with you"),
    el("div", { class: "tabs", role: "group", "aria-label": "As what" }, tabs),
    shown,
    el("p", {}, copy),
  ];
}
