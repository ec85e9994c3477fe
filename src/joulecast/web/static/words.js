// What Explore says beside its numbers: doubts, where the joules go, what if, what is counted.
import { curve, PARTS, stack } from "./charts.js";
import { el, list, table } from "./dom.js";
import { capital, count, joules, number, range } from "./format.js";

// The one box of doubts, none without any; many are folded away.
export function beware(told, isFolded = false) {
  const all = [...new Set(told)];
  if (!all.length) return null;
  const lines = list(all.map(capital));
  return el(
    "section",
    { class: "warnings", "aria-label": "Warnings" },
    isFolded
      ? el("details", {}, el("summary", {}, `Beware: ${count(all.length, "warning")}`), lines)
      : [el("h2", {}, "Beware"), lines],
  );
}

export function sure(e, words) {
  return [
    el("h2", {}, "How sure is this?"),
    el("p", {}, `${capital(words.sure)}.`),
    el(
      "p",
      { class: "soft" },
      `It is a prediction by joulecast's ${e.law.name} law, not a measurement. Its range is made to hold the true value nine times in ten; `,
      el("a", { href: "#evidence" }, "see every run that it was tested on"),
      ".",
    ),
  ];
}

export function parts(e, steps) {
  const total = steps.at(-1).energy;
  return [
    el("h2", {}, "Where the joules go"),
    stack(steps),
    table(
      "Joules by part",
      [
        ["part of the pipeline, and what it spends on", "row"],
        ["energy", "number"],
        ["share", "number"],
      ],
      steps.map((step) =>
        step.kind === "total"
          ? el(
              "tr",
              { class: "total" },
              el("th", { scope: "row" }, step.label.replaceAll("_", " ")),
              el("td", { class: "number" }, joules(step.energy)),
              el("td", {}),
            )
          : [
              [
                el("span", { class: `swatch part-${PARTS[step.kind] ?? 0}`, "aria-hidden": "true" }),
                step.label.replaceAll("_", " "),
              ],
              joules(step.energy),
              `${((100 * step.energy) / total).toFixed(1)} %`,
            ],
      ),
    ),
    el(
      "p",
      { class: "soft small" },
      `Of one ${e.output}, ${e.boundary} GPU energy. Static power is what a board draws while it waits, too.`,
    ),
  ];
}

const AXES = {
  steps: { name: "More or fewer steps", xTitle: "steps", say: (row) => `${count(row.x, "step")}` },
  size: {
    name: "Larger or smaller",
    xTitle: "size [megapixels]",
    say: (row) => row.change.size.replace("x", "×"),
  },
  batch_size: { name: "More at once", xTitle: "made at once (batch)", say: (row) => `${row.x} at once` },
  frames: { name: "Longer or shorter", xTitle: "frames", say: (row) => count(row.x, "frame") },
};

export function curves(e, rows, taken) {
  const today = {
    steps: e.workload.steps_asked ?? e.workload.steps,
    size: (e.workload.width * e.workload.height) / 1e6,
    batch_size: e.workload.batch_size,
    frames: e.workload.frames,
  };
  const drawn = Object.entries(AXES)
    .filter(([key]) => rows[key]?.length > 1)
    .map(([key, axis]) =>
      curve({
        rows: rows[key],
        today: today[key],
        xTitle: axis.xTitle,
        name: axis.name,
        taken,
        told: (row) =>
          `${axis.say(row)}: ${joules(row.energy_j)} (${range(joules, row.energy_low_j, row.energy_j, row.energy_high_j)})${row.fits === "no" ? ", does not fit" : ""}`,
      }),
    );
  return [
    el("h2", {}, "What if one thing changed"),
    el(
      "p",
      { class: "soft" },
      `Energy of one ${e.output} [J] with its 90 % range, all else as it is. The dot is your setting; a click on a curve takes another. Dashed: does not fit the GPU's memory.`,
    ),
    el("div", { class: "curves" }, drawn),
  ];
}

export function counts(e, f, words) {
  const left = [`Energy: ${words.counts}`];
  if (f)
    left.push(
      "Carbon, water and money: with the rest of the computer, the building's cooling and losses (PUE), and for carbon a share of making the hardware.",
    );
  return [
    el("h2", {}, "What the numbers hold, and what not"),
    list(left),
    el("p", {}, "Not in any of them:"),
    list(words.not_counted.map(capital)),
    e.notes.length ? [el("p", {}, "How the setting was understood:"), list(e.notes.map(capital))] : null,
    f
      ? el(
          "details",
          { class: "more" },
          el("summary", {}, "Every factor of the carbon, with its source"),
          table(
            "Factors and sources",
            [["factor", "row"], "value", "range", ["source", "long"]],
            Object.entries(f.factors).map(([name, factor]) => [
              name.replaceAll("_", " "),
              `${number(factor.value)} ${factor.unit === "1" ? "" : factor.unit}`,
              factor.low === factor.high ? "" : `${number(factor.low)} to ${number(factor.high)}`,
              f.sources[name] ?? "",
            ]),
          ),
        )
      : null,
  ]
    .flat()
    .filter(Boolean);
}
