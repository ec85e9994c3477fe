// Predicted against measured, run by run, each with its source: nobody should have to trust us.
import { get } from "./api.js";
import { scatter } from "./charts.js";
import { el, say, show, table } from "./dom.js";
import { about, FILTERS, groups, leftOut, legend, signed, source, summary } from "./errors.js";
import { count, joules, seconds } from "./format.js";

const QUANTITIES = {
  energy: {
    words: "energy of one",
    axis: "energy of one image or clip",
    format: joules,
    unit: "J",
    measured: "measured_energy_j",
    guess: "predicted_energy_j",
    held: "energy_is_within",
  },
  time: {
    words: "time of a batch",
    axis: "time of a batch",
    format: seconds,
    unit: "s",
    measured: "measured_duration_s",
    guess: "predicted_duration_s",
    held: "duration_is_within",
  },
};
const PAGE = 25;

export function evidence(choices, go) {
  let values = {},
    all = null,
    shown = PAGE;
  const trouble = el("div", { role: "alert", class: "trouble" });
  const controls = el("form", {
    class: "filters",
    "aria-label": "Which runs",
    onsubmit: (event) => event.preventDefault(),
  });
  const told = el("div", { class: "results" });
  const detail = el("section", { class: "detail", role: "status", "aria-label": "The run that is picked" });
  const node = el(
    "div",
    { class: "evidence" },
    el("h1", {}, "Predicted against measured"),
    el(
      "p",
      { class: "soft" },
      "Every run that ships with joulecast. Each was predicted by a law that had not seen it: choose what was kept from the fit. A run on the line was predicted as it was measured.",
    ),
    trouble,
    controls,
    told,
  );

  function change(changed) {
    values = { ...values, ...changed };
    for (const key of Object.keys(values)) if (values[key] === "") delete values[key];
    shown = PAGE;
    go("evidence", values, true);
    draw();
  }

  function pick(label, key, options, plain) {
    const node = el(
      "select",
      {
        id: `filter-${key}`,
        onchange: () => {
          change({ [key]: node.value === plain ? "" : node.value });
          document.getElementById(`filter-${key}`)?.focus();
        },
      },
      options.map(([value, words]) => el("option", { value }, words)),
    );
    node.value = values[key] ?? plain;
    return el("div", { class: "field" }, el("label", { for: node.id }, label), node);
  }

  function draw() {
    const quantity = QUANTITIES[values.of] ? values.of : "energy",
      q = QUANTITIES[quantity];
    const holdout = choices.holdouts[values.kept] ? values.kept : "unseen_model";
    const here = all.filter((row) => FILTERS.every(([key]) => !values[key] || row[key] === values[key]));
    const points = here.flatMap((row) => {
      const found = row.held_out.find((one) => one.holdout === holdout),
        measured = row[q.measured],
        guess = found?.[q.guess];
      if (measured === null || guess === null || guess === undefined) return [];
      return [{ row, measured, guess, error: 100 * (guess / measured - 1), held: found[q.held] }];
    });
    const options = (key) => [
      ["", `all (${new Set(all.map((row) => row[key])).size})`],
      ...[...new Set(all.map((row) => row[key]))].sort((a, b) => a.localeCompare(b)).map((one) => [one, one]),
    ];
    show(
      controls,
      pick(
        "What is predicted",
        "of",
        Object.entries(QUANTITIES).map(([key, one]) => [key, one.words]),
        "energy",
      ),
      pick("Kept from the fit", "kept", Object.entries(choices.holdouts), "unseen_model"),
      FILTERS.map(([key, words]) => pick(words, key, options(key), "")),
    );
    if (!points.length) {
      show(
        told,
        el("p", { class: "card" }, `No run of these has a measured ${quantity} and such a prediction.`),
        leftOut(here),
      );
      return;
    }
    const markOf = (chip) => choices.chips[chip] ?? { colour: "#999999", shape: "triangle-right" };
    const dots = points.map((point) => ({
      x: point.measured,
      y: point.guess,
      row: point,
      ...markOf(point.row.chip),
    }));
    const label = `${count(points.length, "run")}, predicted against measured ${q.axis}`;
    show(
      detail,
      el(
        "p",
        { class: "soft" },
        "Pick a mark, or go through them with the arrow keys, to see its run and its source.",
      ),
    );
    show(
      told,
      el(
        "section",
        { class: "card wide", "aria-label": "Picture" },
        el("h2", {}, summary(points, quantity)),
        legend(points, choices.chips, markOf),
        el(
          "div",
          { class: "picked" },
          scatter({
            dots,
            xTitle: `measured ${q.axis} [${q.unit}]`,
            yTitle: `predicted [${q.unit}]`,
            label,
            chosen: (point) => show(detail, about(point, q)),
          }),
          detail,
        ),
      ),
      groups(points),
      runs(points, q),
      leftOut(here),
    );
    say(summary(points, quantity));
  }

  function runs(points, q) {
    const sorted = [...points].sort((a, b) => Math.abs(b.error) - Math.abs(a.error));
    const more =
      shown < sorted.length
        ? el(
            "button",
            {
              type: "button",
              class: "quiet",
              onclick: () => {
                shown += 4 * PAGE;
                draw();
              },
            },
            `More of ${sorted.length}`,
          )
        : null;
    return el(
      "section",
      { class: "card wide", "aria-label": "Runs" },
      el("h2", {}, "The runs, worst first"),
      table(
        "Runs, measured and predicted",
        [
          "model",
          "GPU",
          ["setting", "long"],
          ["measured", "number"],
          ["predicted", "number"],
          ["error", "number"],
          ["source", "long"],
        ],
        sorted
          .slice(0, shown)
          .map((one) => [
            one.row.model,
            one.row.gpu,
            one.row.said,
            q.format(one.measured),
            q.format(one.guess),
            signed(one.error),
            source(one.row),
          ]),
      ),
      more,
    );
  }

  // What it is filtered by, beside the model: chip, runtime (all of as many GPUs together) and source.
  const chips = new Map(choices.gpus.map((one) => [one.name, one.chip]));
  const named = (row) => ({
    ...row,
    chip: chips.get(row.gpu) ?? row.gpu,
    source: row.source ?? "not stated",
    runtime: row.gpus > 1 ? `${row.gpus} GPUs` : row.runtime.replace(/, at \d+ W$/, ""),
    said: `${row.width}×${row.height}${row.frames > 1 ? `, ${row.frames} frames` : ""}, ${count(row.steps, "step")} × ${row.passes}, batch ${row.batch_size}, ${row.precision}, ${row.runtime}`,
  });

  return {
    node,
    async enter(given) {
      values = given;
      if (!all) {
        show(told, el("p", { class: "soft" }, "Fetching the runs…"));
        try {
          all = (await get("/v1/runs")).runs.map(named);
        } catch (error) {
          show(trouble, el("p", { class: "error" }, error.message));
          return values;
        }
      }
      draw();
      return values;
    },
  };
}
