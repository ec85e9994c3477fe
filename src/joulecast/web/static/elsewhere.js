// The same setting on every GPU, and by every way of running it.
import { Latest, post } from "./api.js";
import { bar } from "./charts.js";
import { el, newId, show, table } from "./dom.js";
import { joules, range, seconds } from "./format.js";

const FEW = 12,
  QUIET_MS = 120;
const KINDS = {
  engine: "Engine",
  quantization: "Quantisation",
  cache: "Step cache",
  offload: "Offloading",
  gpus: "GPUs that share it",
};
const FITS = { yes: "", perhaps: "may not fit", no: "does not fit", unknown: "memory not known" };

const DOUBT = () =>
  el(
    "p",
    { class: "soft small" },
    "≈ deserves doubt, mostly because nobody has measured it so: take it to read why, above.",
  );

export function elsewhere(take) {
  const opened = new Set(["engine"]);
  let rows = null,
    all = false,
    timer,
    byTime = false;
  const gpus = el("section", { class: "card wide", "aria-label": "On every GPU" });
  const runtimes = el("section", { class: "card wide", "aria-label": "By every runtime" });
  const node = el("div", { class: "elsewhere" }, gpus, runtimes);
  const asking = new Latest(
    (asked) => post("/page/elsewhere", asked),
    (found) => {
      rows = found;
      draw();
    },
    () => {
      rows = null;
      show(gpus);
      show(runtimes);
    },
  ); // why is said above, once

  function draw() {
    drawGpus();
    drawRuntimes();
  }

  const measure = (row) => (byTime ? row.duration_s : row.energy_j);

  function drawGpus() {
    const able = rows.gpus
      .filter((row) => !row.error && row.fits !== "no")
      .sort((a, b) => measure(a) - measure(b));
    const not = rows.gpus.filter((row) => row.error || row.fits === "no");
    const own = able.findIndex((row) => row.name === nameOf());
    const shown = all ? [...able, ...not] : able.filter((_, place) => place < FEW || place === own);
    const more = el(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-expanded": String(all),
        onclick: () => {
          all = !all;
          drawGpus();
        },
      },
      all
        ? `Only the best ${FEW}`
        : `All ${rows.gpus.length} GPUs, with the ${not.length} that it does not fit or run on`,
    );
    show(
      gpus,
      el("h2", {}, "The same on every GPU"),
      sorting(),
      ways(
        shown,
        "GPU",
        (row) => ({ gpu: row.name, power_limit_w: "" }),
        (row) => row.name === nameOf(),
        (row) => row.name,
      ),
      DOUBT(),
      more,
    );
  }

  function sorting() {
    const id = newId("by");
    const pick = el(
      "select",
      {
        id,
        onchange: () => {
          byTime = pick.value === "time";
          drawGpus();
          gpus.querySelector("select").focus();
        },
      },
      el("option", { value: "energy" }, "energy, least first"),
      el("option", { value: "time" }, "time, shortest first"),
    );
    pick.value = byTime ? "time" : "energy";
    return el("p", { class: "inline" }, el("label", { for: id }, "In the order of"), pick);
  }

  const nameOf = () => rows.own.gpu;

  function drawRuntimes() {
    const tables = Object.entries(KINDS).map(([kind, words]) => {
      const here = rows.runtimes.filter((row) => row.kind === kind);
      const whole = el(
        "details",
        {
          class: "more",
          open: opened.has(kind),
          ontoggle: () => {
            opened[whole.open ? "add" : "delete"](kind);
          },
        },
        el("summary", {}, `${words}: ${here.length} ways`),
        ways(here, words, changeOf, isOwn, (row) => row.title),
      );
      return whole;
    });
    show(
      runtimes,
      el("h2", {}, "The same by every way of running it"),
      el(
        "p",
        { class: "soft" },
        "One thing changed at a time, from your setting. Faster is not always less energy, and fewer bits are not always faster.",
      ),
      tables,
      DOUBT(),
    );
  }

  const changeOf = (row) =>
    Object.fromEntries(
      Object.entries(row.change).map(([key, value]) => [
        key,
        value === false || value === "none" ? "" : String(value),
      ]),
    );

  function isOwn(row) {
    const own = rows.own;
    return (
      Object.entries(row.change).every(([key, value]) => own[key] === value) &&
      (row.kind !== "engine" || Boolean(row.change.compile) === own.compile)
    );
  }

  function ways(list, first, change, isToday, title) {
    const most = Math.max(
      ...list.filter((row) => !row.error).map((row) => row.energy_high_j ?? row.energy_j),
    );
    return table(
      `${first}: energy and time`,
      [
        first,
        ["energy of one, with its 90 % range", "wide-only"],
        ["energy", "number"],
        ["time", "number"],
        "memory",
      ],
      list.map((row) => line(row, most, change, isToday(row), title(row))),
      "bars",
    );
  }

  function line(row, most, change, isToday, title) {
    const name = el(
      "th",
      { scope: "row" },
      isToday
        ? el("strong", {}, title, el("span", { class: "yours" }, "yours"))
        : row.error
          ? title
          : el(
              "button",
              { type: "button", class: "link", title: "Take this one", onclick: () => take(change(row)) },
              title,
            ),
    );
    if (row.error)
      return el(
        "tr",
        { class: "unable" },
        name,
        el("td", { colspan: 4, class: "soft small" }, `Cannot be run so: ${row.error}`),
      );
    const doubts = row.warnings.length
      ? el(
          "span",
          { class: "doubt", title: row.warnings.join("; ") },
          el("span", { "aria-hidden": "true" }, "≈"),
          el("span", { class: "unseen" }, ` In doubt: ${row.warnings.join("; ")}`),
        )
      : null;
    return el(
      "tr",
      { class: [isToday ? "today" : "", row.fits === "no" ? "unable" : ""].join(" ").trim() || null },
      name,
      el(
        "td",
        { class: "wide-only" },
        bar(row.energy_low_j, row.energy_j, row.energy_high_j ?? most, most, isToday),
        el("span", { class: "unseen" }, range(joules, row.energy_low_j, row.energy_j, row.energy_high_j)),
      ),
      el("td", { class: "number" }, joules(row.energy_j), doubts),
      el("td", { class: "number" }, seconds(row.duration_s)),
      el("td", { class: `fits ${row.fits}` }, FITS[row.fits]),
    );
  }

  return {
    node,
    // The main numbers first: these follow when nothing moves any more.
    want(asked) {
      clearTimeout(timer);
      timer = setTimeout(() => asking.want(asked), QUIET_MS);
    },
    forget() {
      clearTimeout(timer);
    },
  };
}
