// A plan as it is shown: totals, pictures, who makes what where, limits, assumptions.
import { el, list } from "./dom.js";
import { number, range } from "./format.js";
import { capital } from "./words.js";

let urls = []; // of the pictures that are shown

export function planTold(found, download) {
  const p = found.plan;
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  const picture = (one) => {
    const url = URL.createObjectURL(new Blob([one.svg], { type: "image/svg+xml" }));
    const narrow = one.narrow ? URL.createObjectURL(new Blob([one.narrow], { type: "image/svg+xml" })) : null;
    urls.push(url, ...(narrow ? [narrow] : []));
    return el(
      "figure",
      { class: "report" },
      el(
        "picture",
        {},
        narrow ? el("source", { media: "(max-width: 760px)", srcset: narrow }) : null,
        el("img", { src: url, alt: one.caption }),
      ),
      el("figcaption", {}, one.caption),
    );
  };
  return [
    el(
      "section",
      { class: "card wide", "aria-label": "The plan" },
      el("h2", {}, `${capital(p.headline)}.`),
      el(
        "p",
        { class: "soft" },
        `${number(p.images, 6)} ${p.output}s in ${p.hours} h with the least ${p.minimise}, within ${number(100 * p.gap, 2)} % of the best there is.`,
      ),
      table(
        ["total", "amount", "range"],
        found.totals.map((row) => row.map((cell) => cell.replace("CO2e", "CO₂e"))),
        [1, 2],
        "Totals",
      ),
      download,
    ),
    found.warnings.length
      ? el(
          "section",
          { class: "warnings", "aria-label": "Warnings" },
          el(
            "details",
            {},
            el("summary", {}, `Beware: ${found.warnings.length} warnings`),
            list(found.warnings.map(capital)),
          ),
        )
      : null,
    el(
      "section",
      { class: "card wide", "aria-label": "Pictures" },
      found.pictures.length
        ? found.pictures.map(picture)
        : el("p", {}, "Pictures need the extra `plot` where joulecast is installed."),
    ),
    el(
      "section",
      { class: "card wide", "aria-label": "Who makes what where" },
      el("h2", {}, "Who makes what where"),
      table(
        [
          "configuration",
          "at once",
          "GPU",
          "region",
          `${p.output}s`,
          `energy of one [J]`,
          "range",
          "batch takes [s]",
        ],
        found.assignments.map((a) => [
          a.configuration,
          String(a.batch_size),
          a.gpu,
          a.region,
          Math.round(a.images).toLocaleString("en-GB"),
          number(a.energy_j),
          range((one) => number(one), a.energy_low_j, a.energy_j, a.energy_high_j),
          number(a.latency_s),
        ]),
        [1, 4, 5, 6, 7],
        "Configurations, GPUs and regions",
      ),
      el("h3", {}, "GPUs"),
      table(
        ["GPU", "region", "GPUs", "busy"],
        p.fleet.map((one) => [
          one.gpu,
          one.region,
          String(one.count),
          `${(100 * one.utilisation).toFixed(0)} %`,
        ]),
        [2, 3],
        "GPUs by region",
      ),
      p.limits.length
        ? [
            el("h3", {}, "Limits"),
            table(
              ["limit", "at", "used", "binds"],
              p.limits.map((one) => [
                one.limit,
                number(one.amount),
                number(one.used),
                one.is_binding ? "yes" : "",
              ]),
              [1, 2],
              "Limits of the plan",
            ),
          ]
        : null,
    ),
    el(
      "details",
      { class: "more" },
      el("summary", {}, "What it assumes, with sources"),
      table(
        ["of", "what", "how much", "from"],
        p.assumptions.map((one) => [one.of, one.what, one.amount, one.source]),
        [],
        "Assumptions",
      ),
    ),
  ];
}

function table(header, rows, numbers, label) {
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    el(
      "table",
      { class: "plain" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          header.map((word, at) =>
            el("th", { scope: "col", class: numbers.includes(at) ? "number" : null }, word),
          ),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) =>
          el(
            "tr",
            {},
            row.map((cell, at) =>
              el("td", { class: numbers.includes(at) ? "number" : cell.length > 40 ? "long" : null }, cell),
            ),
          ),
        ),
      ),
    ),
  );
}
