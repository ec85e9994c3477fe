// What Explore says beside its numbers: doubts, where the joules go, what if, what is counted.
import { curve, PARTS, stack } from "./charts.js";
import { el, list } from "./dom.js";
import { count, joules, number, range } from "./format.js";

export function warnings(e, words) {
  const all = [...new Set([...e.warnings, ...words.warnings])];
  if (!all.length) return [];
  return [
    el(
      "section",
      { class: "warnings", "aria-label": "Warnings" },
      el("h2", {}, "Beware"),
      list(all.map(capital)),
    ),
  ];
}

// The server's words, as a line of their own.
export const capital = (words) => (words.charAt(0).toUpperCase() + words.slice(1)).replaceAll("CO2e", "CO₂e");

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
    el(
      "table",
      { class: "plain" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "part of the pipeline, and what it spends on"),
          el("th", { scope: "col", class: "number" }, "energy"),
          el("th", { scope: "col", class: "number" }, "share"),
        ),
      ),
      el(
        "tbody",
        {},
        steps.map((step) =>
          el(
            "tr",
            { class: step.kind === "total" ? "total" : null },
            el(
              "th",
              { scope: "row" },
              step.kind === "total"
                ? null
                : el("span", { class: `swatch part-${PARTS[step.kind] ?? 0}`, "aria-hidden": "true" }),
              step.label.replaceAll("_", " "),
            ),
            el("td", { class: "number" }, joules(step.energy)),
            el(
              "td",
              { class: "number" },
              step.kind === "total" ? "" : `${((100 * step.energy) / total).toFixed(1)} %`,
            ),
          ),
        ),
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
          el(
            "div",
            { class: "scroll", tabindex: 0, role: "region", "aria-label": "Factors and sources" },
            el(
              "table",
              { class: "plain" },
              el(
                "thead",
                {},
                el(
                  "tr",
                  {},
                  ["factor", "value", "range", "source"].map((word) => el("th", { scope: "col" }, word)),
                ),
              ),
              el(
                "tbody",
                {},
                Object.entries(f.factors).map(([name, factor]) =>
                  el(
                    "tr",
                    {},
                    el("th", { scope: "row" }, name.replaceAll("_", " ")),
                    el("td", {}, `${number(factor.value)} ${factor.unit === "1" ? "" : factor.unit}`),
                    el(
                      "td",
                      {},
                      factor.low === factor.high ? "" : `${number(factor.low)} to ${number(factor.high)}`,
                    ),
                    el("td", { class: "long" }, f.sources[name] ?? ""),
                  ),
                ),
              ),
            ),
          ),
        )
      : null,
  ]
    .flat()
    .filter(Boolean);
}
