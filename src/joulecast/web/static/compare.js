// Two settings side by side, with the range of the difference: it is not that of the two ranges beside it.
import { Latest, post } from "./api.js";
import { difference } from "./charts.js";
import { el, list, say, show } from "./dom.js";
import { settingOf } from "./explore.js";
import { beware } from "./words.js";
import { capital, joules, number, range, seconds, subscripted } from "./format.js";
import { settings } from "./settings.js";
import { asSecond, firstOf, isOfSecond, ownKey, secondOf } from "./state.js";

const SUGGESTED = [
  ["Half the steps", (own) => ({ steps: String(Math.max(1, Math.round((own.steps ?? 50) / 2))) })],
  ["Served by SGLang", () => ({ engine: "sglang" })],
  ["On an L40S", () => ({ gpu: "L40S" })],
  ["Eight at once", () => ({ batch_size: "8" })],
  ["Made in France", () => ({ region: "France" })],
];

const changeOf = (values) =>
  Object.fromEntries(Object.entries(secondOf(values)).map(([key, value]) => [ownKey(key), value]));

export function compare(choices, go) {
  let values = {};
  const models = new Map(choices.models.map((one) => [one.name, one]));
  const first = settings(choices, "The first setting", (changed, isFinal) => change(changed, isFinal));
  const second = settings(choices, "The second setting", (changed, isFinal) => {
    change(asSecond(changed), isFinal);
  });
  const trouble = el("div", { role: "alert", class: "trouble" });
  const told = el("div", { class: "results" });
  const tries = el(
    "div",
    { class: "tabs", role: "group", "aria-label": "Something to try as the second setting" },
    SUGGESTED.map(([words, make]) =>
      el(
        "button",
        {
          type: "button",
          class: "tab",
          onclick: () => {
            const kept = firstOf(values);
            const own = {
              ...models.get(kept.model),
              steps: kept.steps ?? models.get(kept.model)?.default_steps,
            };
            values = kept;
            change(asSecond(make(own)), true);
          },
        },
        words,
      ),
    ),
  );
  const node = el(
    "div",
    { class: "compare" },
    el("h1", {}, "Compare two settings"),
    el(
      "p",
      { class: "soft" },
      "Two predictions share most of their errors, so a difference is often surer than either number. Change anything in the second, or try:",
    ),
    tries,
    trouble,
    told,
    el(
      "div",
      { class: "two" },
      el("section", { "aria-label": "First setting" }, el("h2", {}, "First: as it is"), first.node),
      el("section", { "aria-label": "Second setting" }, el("h2", {}, "Second: what it becomes"), second.node),
    ),
  );

  const asking = new Latest(
    (asked) => post("/page/compare", asked),
    (found) => {
      show(trouble);
      node.classList.remove("stale");
      draw(found);
    },
    (error) => {
      node.classList.add("stale");
      show(
        trouble,
        el(
          "p",
          { class: "error" },
          el("strong", {}, "These two cannot be compared: "),
          error.message,
          " ",
          el("a", { href: "#compare" }, "Begin afresh"),
        ),
      );
    },
  );

  function change(changed, isFinal) {
    values = { ...values, ...changed };
    for (const [key, value] of Object.entries(values)) {
      if (value === "" || (isOfSecond(key) && value === values[ownKey(key)])) delete values[key];
    }
    go("compare", values, isFinal);
    ask();
  }

  function ask() {
    const setting = settingOf(values),
      changes = changeOf(values);
    first.set(setting, null);
    second.set({ ...setting, ...changes }, null);
    if (!Object.keys(changes).length) {
      node.classList.remove("stale");
      show(trouble);
      show(
        told,
        el("p", { class: "card" }, "Both are the same yet: change something in the second setting."),
      );
      return;
    }
    asking.want({ setting, change: changes });
  }

  function draw(found) {
    const rows = found.measures;
    show(
      told,
      el(
        "section",
        { class: "card wide", "aria-label": "The difference" },
        el("h2", {}, capital(found.described)),
        el("p", { class: "verdict" }, verdict(found)),
        el("div", { class: "changes" }, rows.map(measure)),
        beware(found.warnings),
        el(
          "details",
          { class: "more" },
          el("summary", {}, "Where these ranges come from"),
          list(found.notes.map(capital)),
        ),
        el(
          "details",
          { class: "more" },
          el("summary", {}, "As one sentence"),
          el("p", {}, capital(found.sentence)),
        ),
      ),
    );
    say(verdict(found));
  }

  return {
    node,
    enter(given) {
      values = {
        model: choices.defaults.model,
        gpu: choices.defaults.gpu,
        region: choices.defaults.region,
        ...given,
      };
      ask();
      return values;
    },
  };
}

const FORMATS = {
  energy_j: joules,
  latency_s: seconds,
  clip_s: seconds,
  energy_per_second_of_video_j: joules,
};

function measure(one) {
  const format = FORMATS[one.key] ?? ((amount) => subscripted(`${number(amount)} ${one.unit}`));
  const of = (side) => [
    el("strong", {}, format(side.value)),
    side.low === side.high
      ? null
      : el("span", { class: "soft" }, ` (${range(format, side.low, side.value, side.high)})`),
  ];
  return el(
    "div",
    { class: "change" },
    el("h3", {}, capital(one.label)),
    el("p", {}, of(one.before), " → ", of(one.after)),
    el(
      "p",
      { class: "told-change" },
      el("strong", {}, capital(one.words)),
      one.within ? `: ${one.within}` : "",
    ),
    one.ratio.high === null || one.ratio.low === one.ratio.high ? null : difference(one.ratio),
  );
}

// Whether the range of the difference leaves no change out.
function verdict(found) {
  const energy = found.measures.find((one) => one.key === "energy_j"),
    { low, high } = energy.ratio;
  if (low === high)
    return Math.abs(low - 1) < 1e-9 ? "The energy is the same." : `The energy ${energy.words}.`;
  if (high !== null && high < 1) return `The second uses less energy: nine times in ten ${energy.within}.`;
  if (low > 1) return `The second uses more energy: nine times in ten ${energy.within}.`;
  return `Which of the two uses less energy is not sure: ${energy.within}.`;
}
