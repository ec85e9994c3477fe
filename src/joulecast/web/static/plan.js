// A deployment: what is wanted, what is on offer, where it may run; and the plan that costs least.
import { post, postForBlob } from "./api.js";
import { el, newId, say, show } from "./dom.js";
import { cells, demandOf, START, written } from "./demand.js";
import { planTold } from "./plan_told.js";

const WORDS = { carbon: "least carbon", cost: "least cost", energy: "least energy" };
export function plan(choices, go) {
  let values = {};
  const names = {
    models: datalist(choices.models.map((one) => one.name)),
    gpus: datalist(choices.gpus.map((one) => one.name)),
    regions: datalist([...choices.series, ...choices.regions.map((one) => one.name)]),
  };
  const trouble = el("div", { role: "alert", class: "trouble" });
  const form = el("form", {
    class: "settings demand",
    "aria-label": "The demand",
    onsubmit: (event) => {
      event.preventDefault();
      solve();
    },
  });
  const told = el("div", { class: "results", "aria-busy": "false" });
  const text = el("textarea", { id: newId("toml"), rows: 18, spellcheck: "false", class: "code" });
  text.addEventListener("change", () =>
    change({ demand: text.value === demandOf(values, choices.series) ? "" : text.value }),
  );
  const button = el("button", { type: "submit", class: "main" }, "Make the plan");
  const node = el(
    "div",
    { class: "split planning" },
    el("div", { class: "side" }, form),
    el(
      "div",
      { class: "told" },
      el("h1", {}, "Plan a deployment"),
      el(
        "p",
        { class: "soft" },
        "Which model on which GPU, in which region and hour, makes so many pictures a day at the least carbon, cost or energy.",
      ),
      trouble,
      told,
    ),
  );

  function change(changed) {
    values = { ...values, ...changed };
    for (const key of Object.keys(values)) if (values[key] === "" && !(key in START)) delete values[key];
    go("plan", values, true);
    if (!("demand" in values)) text.value = demandOf(values, choices.series);
  }

  function field(label, key, attributes) {
    const id = newId("plan");
    return el(
      "div",
      { class: "field" },
      el("label", { for: id }, label),
      el("input", {
        id,
        value: values[key] ?? START[key],
        onchange: (event) => change({ [key]: event.target.value.trim() }),
        ...attributes,
      }),
    );
  }

  function rows(legend, key, columns) {
    const body = el("div", {});
    const draw = (focus) => {
      const found = cells(values[key] ?? START[key]);
      show(
        body,
        found.map((row, place) =>
          el(
            "div",
            { class: `row of-${columns.length}`, role: "group", "aria-label": `${legend} ${place + 1}` },
            columns.map(([label, names, attributes], column) => {
              const id = newId("cell");
              return el(
                "div",
                { class: "field" },
                el("label", { for: id }, label),
                el("input", {
                  id,
                  list: names?.id,
                  value: row[column] ?? "",
                  autocomplete: "off",
                  ...attributes,
                  onchange: (event) => {
                    const next = cells(values[key] ?? START[key]);
                    next[place] = columns.map((_, at) =>
                      at === column ? event.target.value.trim() : (next[place][at] ?? ""),
                    );
                    change({ [key]: written(next) });
                  },
                }),
              );
            }),
            found.length > 1
              ? el(
                  "button",
                  {
                    type: "button",
                    class: "quiet",
                    "aria-label": `Take ${legend.toLowerCase()} ${place + 1} away`,
                    onclick: () => {
                      change({ [key]: written(found.filter((_, at) => at !== place)) });
                      draw(true);
                    },
                  },
                  "×",
                )
              : null,
          ),
        ),
        el(
          "button",
          {
            type: "button",
            class: "quiet add",
            onclick: () => {
              change({ [key]: written([...found, columns.map(() => "")]) });
              draw(true);
              body.querySelector(".row:last-of-type input").focus();
            },
          },
          "Add one",
        ),
      );
      if (focus === true) body.querySelector(".add").focus();
    };
    draw();
    return el("fieldset", {}, el("legend", {}, legend), body);
  }

  function drawForm() {
    const least = newId("least");
    const pick = el(
      "select",
      { id: least, onchange: () => change({ minimise: pick.value }) },
      choices.objectives.map((one) => el("option", { value: one }, WORDS[one] ?? one)),
    );
    pick.value = values.minimise ?? START.minimise;
    text.value = values.demand ?? demandOf(values, choices.series);
    const numeric = { type: "number", min: 0, step: "any", inputmode: "decimal" };
    show(
      form,
      el(
        "fieldset",
        {},
        el("legend", {}, "What is wanted"),
        field("Pictures or clips a day", "images", { ...numeric, required: true }),
        field("A batch takes at most [s]", "latency", numeric),
        field("Work may wait [hours]", "deadline", { ...numeric, step: 1 }),
        el("div", { class: "field" }, el("label", { for: least }, "With the"), pick),
      ),
      rows("Model", "use", [
        ["name", names.models, { required: true }],
        ["size", null, { placeholder: "its own", pattern: "\\d+x\\d+" }],
        ["steps", null, { ...numeric, step: 1, placeholder: "its own" }],
      ]),
      rows("GPU", "gpus", [
        ["name", names.gpus, { required: true }],
        ["at most", null, { ...numeric, step: 1, placeholder: "any" }],
        ["price an hour", null, { ...numeric, placeholder: "none" }],
      ]),
      rows("Region", "regions", [
        ["place or hourly series", names.regions, { required: true }],
        ["price of a kWh", null, { ...numeric, placeholder: "none" }],
      ]),
      el(
        "details",
        { class: "more", open: "demand" in values },
        el("summary", {}, "As a demand file (TOML), to change by hand"),
        el("label", { for: text.id }, "The demand"),
        text,
        el(
          "button",
          {
            type: "button",
            class: "quiet",
            onclick: () => {
              change({ demand: "" });
              drawForm();
            },
          },
          "As the form says",
        ),
      ),
      button,
      Object.values(names),
    );
  }

  async function solve() {
    const demand = values.demand ?? demandOf(values, choices.series);
    button.disabled = true;
    button.textContent = "Solving…";
    told.setAttribute("aria-busy", "true");
    try {
      const found = await post("/page/plan", { demand });
      show(trouble);
      show(told, planTold(found, download(demand)));
      say(found.plan.headline);
    } catch (error) {
      show(told);
      show(trouble, el("p", { class: "error" }, el("strong", {}, "There is no such plan: "), error.message));
    }
    told.setAttribute("aria-busy", "false");
    button.disabled = false;
    button.textContent = "Make the plan";
  }

  function download(demand) {
    const wanted = el(
      "button",
      {
        type: "button",
        onclick: async () => {
          wanted.disabled = true;
          try {
            const url = URL.createObjectURL(await postForBlob("/page/plan.zip", { demand }));
            el("a", { href: url, download: "plan.zip" }).click();
            setTimeout(() => URL.revokeObjectURL(url), 10000);
          } catch (error) {
            show(trouble, el("p", { class: "error" }, error.message));
          }
          wanted.disabled = false;
        },
      },
      "Download the report (ZIP)",
    );
    return el(
      "p",
      {},
      wanted,
      el("span", { class: "soft small" }, " A page with its pictures and data, that needs no network."),
    );
  }

  return {
    node,
    enter(given) {
      values = { ...given };
      drawForm();
      return values;
    },
  };
}

function datalist(names) {
  return el(
    "datalist",
    { id: newId("names") },
    names.map((value) => el("option", { value })),
  );
}
