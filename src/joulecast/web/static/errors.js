// Errors of runs: their figures, and what is told of a run and of groups of them.
import { paint, SHAPES } from "./charts.js";
import { el, svg, table } from "./dom.js";
import { count, number } from "./format.js";

export const FILTERS = [
  ["model", "Model"],
  ["chip", "Chip"],
  ["runtime", "Runtime"],
  ["source", "Source"],
];

export const signed = (error) =>
  `${error >= 0 ? "+" : "−"}${Math.abs(error).toFixed(Math.abs(error) < 10 ? 1 : 0)} %`;

// As numpy's: linear between the two nearest.
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b),
    at = share * (sorted.length - 1),
    low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

export function errorsOf(points) {
  const sizes = points.map((point) => Math.abs(point.error)),
    judged = points.filter((point) => point.held !== null);
  return {
    runs: points.length,
    median: quantile(sizes, 0.5),
    p90: quantile(sizes, 0.9),
    worst: Math.max(...sizes),
    coverage: judged.length ? (100 * judged.filter((point) => point.held).length) / judged.length : null,
  };
}

export function summary(points, quantity) {
  const e = errorsOf(points);
  return `${count(e.runs, "run")}: half within ${number(e.median, 2)} % of the measured ${quantity}, nine in ten within ${number(e.p90, 2)} %`;
}

export function legend(points, chips, markOf) {
  const here = new Set(points.map((point) => point.row.chip));
  const named = Object.keys(chips).filter((chip) => here.has(chip));
  return el(
    "p",
    { class: "legend" },
    named.map((chip) => key(chip, markOf(chip))),
    named.length < here.size ? key("another chip", markOf("")) : null,
    el("span", { class: "soft" }, "The line: predicted as it was measured."),
  );
}

function key(words, { shape, colour }) {
  const mark = svg("path", { d: SHAPES[shape], transform: "translate(7 7)", class: "mark" });
  mark.style.setProperty("--colour", paint(colour));
  return el(
    "span",
    { class: "key" },
    svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, mark),
    words,
  );
}

// Only what is an address of the web becomes a link.
export function source(row) {
  const safe = /^https?:\/\//.test(row.source_url ?? "");
  return safe ? el("a", { href: row.source_url, rel: "noreferrer noopener" }, row.source) : row.source;
}

export function about(point, q) {
  const { row } = point;
  return [
    el("h2", {}, `${row.model} on ${row.gpu}`),
    el("p", {}, row.said),
    el(
      "p",
      {},
      "Measured ",
      el("strong", {}, q.format(point.measured)),
      ", predicted ",
      el("strong", {}, q.format(point.guess)),
      `: ${signed(point.error)}`,
      point.held === null ? "" : point.held ? ", inside the 90 % range." : ", outside the 90 % range.",
    ),
    row.boundary && q.unit === "J" ? el("p", { class: "soft" }, `${row.boundary} GPU energy`) : null,
    row.assumptions ? el("p", { class: "soft" }, `Assumed: ${row.assumptions}.`) : null,
    el("p", {}, "Source: ", source(row)),
  ];
}

export function groups(points) {
  return el(
    "section",
    { class: "card wide", "aria-label": "Errors by group" },
    el("h2", {}, "Errors by model, chip, runtime and source"),
    el(
      "p",
      { class: "soft" },
      "Of the runs above: half of them within the median, nine in ten within the next figure. The last tells how often the 90 % range held the measured value.",
    ),
    FILTERS.map(([by, words], place) => {
      const found = grouped(points, by);
      const rows = [...found]
        .map(([name, some]) => [name, errorsOf(some)])
        .sort((a, b) => b[1].runs - a[1].runs);
      return el(
        "details",
        { class: "more", open: place < 2 },
        el("summary", {}, `By ${words.toLowerCase()} (${rows.length})`),
        table(
          `Errors by ${words.toLowerCase()}`,
          [
            [words, "row"],
            ...["runs", "median", "9 in 10", "worst", "in range"].map((word) => [word, "number"]),
          ],
          rows.map(([name, e]) => [
            name,
            e.runs,
            ...[e.median, e.p90, e.worst].map((one) => `${number(one, 2)} %`),
            e.coverage === null ? "not known" : `${e.coverage.toFixed(0)} %`,
          ]),
        ),
      );
    }),
  );
}

function grouped(points, by) {
  const found = new Map();
  for (const point of points) found.set(point.row[by], [...(found.get(point.row[by]) ?? []), point]);
  return found;
}

export function leftOut(rows) {
  const out = rows.filter((row) => row.left_out);
  if (!out.length) return null;
  return el(
    "details",
    { class: "more" },
    el("summary", {}, `${count(out.length, "run")} that cannot be predicted, and why`),
    el(
      "ul",
      {},
      out.map((row) => el("li", {}, `${row.model} on ${row.gpu}: ${row.left_out}. `, source(row))),
    ),
  );
}
