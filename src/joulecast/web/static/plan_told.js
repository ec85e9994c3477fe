// A plan as it is shown: totals, pictures, who makes what where, limits, assumptions.
import { el, table } from "./dom.js";
import { capital, number, range, subscripted } from "./format.js";
import { beware } from "./words.js";

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
        "Totals",
        ["total", ["amount", "number"], ["range", "number"]],
        found.totals.map((row) => row.map(subscripted)),
      ),
      download,
    ),
    beware(found.warnings, true),
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
        "Configurations, GPUs and regions",
        [
          "configuration",
          ["at once", "number"],
          "GPU",
          "region",
          [`${p.output}s`, "number"],
          ["energy of one [J]", "number"],
          ["range", "number"],
          ["batch takes [s]", "number"],
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
      ),
      el("h3", {}, "GPUs"),
      table(
        "GPUs by region",
        ["GPU", "region", ["GPUs", "number"], ["busy", "number"]],
        p.fleet.map((one) => [
          one.gpu,
          one.region,
          String(one.count),
          `${(100 * one.utilisation).toFixed(0)} %`,
        ]),
      ),
      p.limits.length
        ? [
            el("h3", {}, "Limits"),
            table(
              "Limits of the plan",
              ["limit", ["at", "number"], ["used", "number"], "binds"],
              p.limits.map((one) => [
                one.limit,
                number(one.amount),
                number(one.used),
                one.is_binding ? "yes" : "",
              ]),
            ),
          ]
        : null,
    ),
    el(
      "details",
      { class: "more" },
      el("summary", {}, "What it assumes, with sources"),
      table(
        "Assumptions",
        ["of", "what", "how much", "from"],
        p.assumptions.map((one) => [one.of, one.what, one.amount, one.source]),
      ),
    ),
  ];
}
