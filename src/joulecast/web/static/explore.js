// One setting: what it costs, where the joules go, how that follows each knob, and the same elsewhere.
import { Latest, post } from "./api.js";
import { carbonCard, energyCard, memoryCard, moneyCard, timeCard } from "./cards.js";
import { el, newId, say, show } from "./dom.js";
import { grams, joules, range, seconds } from "./format.js";
import { beware, counts, curves, parts, sure } from "./words.js";
import { elsewhere } from "./elsewhere.js";
import { NO_MODEL, settings } from "./settings.js";
import { copying } from "./copying.js";
import { firstOf } from "./state.js";

const MANY = 1e6;
export const PAGE_KEYS = ["images", "profile"]; // of the page, not of the setting

export function settingOf(values) {
  return Object.fromEntries(
    Object.entries(firstOf(values)).filter(([key, value]) => !PAGE_KEYS.includes(key) && value !== ""),
  );
}

export function explore(choices, go) {
  let values = {},
    answer = null,
    dropped = null; // dropped: {name, text} of a profile file
  const panel = settings(choices, "The setting", change, {
    profile: (name, text) => {
      dropped = { name, text };
      change({ ...NO_MODEL, profile: name }, true);
    },
  });
  const trouble = el("div", { role: "alert", class: "trouble" });
  const results = el("div", { class: "results" });
  const others = elsewhere((changed) => change(changed, true));
  const title = el("h1", {}, "What one picture or clip costs");
  const seen = el("div", { class: "told", tabindex: -1 }, title, trouble, results, others.node);
  // On a telephone the numbers lie below the controls: this shows them meanwhile, and leads there.
  const peek = el("button", {
    type: "button",
    class: "peek",
    hidden: true,
    onclick: () => {
      seen.focus({ preventScroll: true });
      seen.scrollIntoView();
    },
  });
  const node = el("div", { class: "split" }, el("div", { class: "side" }, panel.node, peek), seen);

  // A profile is of this page's memory alone: a link has its name, not its numbers.
  const body = () => {
    if (!values.profile) return { setting: settingOf(values) };
    if (dropped?.name !== values.profile)
      throw new Error(
        `this link is of the profile ${values.profile}, which was dropped in: drop it in again`,
      );
    return { setting: settingOf(values), profile: dropped.text };
  };
  const asking = new Latest(
    async () => post("/page/explore", body()),
    (found) => {
      answer = found;
      show(trouble);
      node.classList.remove("stale");
      panel.set(values, found.estimate);
      draw();
      others.want(body());
    },
    (error) => {
      node.classList.add("stale");
      others.forget();
      show(
        trouble,
        el(
          "p",
          { class: "error" },
          el("strong", {}, "No answer for this setting: "),
          error.message,
          " ",
          el("a", { href: "#explore" }, "Begin afresh"),
        ),
      );
      panel.set(values, null);
    },
  );

  function change(changed, isFinal) {
    values = { ...values, ...changed };
    if (changed.model) delete values.profile;
    for (const key of Object.keys(values)) if (values[key] === "") delete values[key];
    go("explore", values, isFinal);
    if ("images" in changed && Object.keys(changed).length === 1) {
      if (answer) draw();
      return;
    }
    panel.set(values, null);
    asking.want();
  }

  function many() {
    const wanted = Math.round(Number(values.images ?? MANY));
    return Number.isFinite(wanted) && wanted >= 1 ? wanted : MANY;
  }

  const counted = el("input", { type: "number", min: 1, step: 1, id: newId("many"), inputmode: "numeric" });
  counted.addEventListener("input", () => {
    if (Number(counted.value) >= 1) change({ images: counted.value }, false);
  });
  counted.addEventListener("change", () => {
    if (Number(counted.value) >= 1) change({ images: counted.value }, true);
  });
  const refs = {
    warnings: el("div"),
    cards: el("div", { class: "cards" }),
    sure: el("section", { class: "card wide", "aria-label": "How sure this is" }),
    parts: el("section", { class: "card wide", "aria-label": "Where the joules go" }),
    curves: el("section", { class: "card wide", "aria-label": "What if" }),
    counts: el("section", { class: "card wide", "aria-label": "What the numbers hold" }),
    copies: el("section", { class: "card wide", "aria-label": "Take it with you" }),
    unit: el("span", {}),
  };
  const countLine = el(
    "p",
    { class: "count-line" },
    el("label", { for: counted.id }, "Also for "),
    counted,
    " ",
    refs.unit,
  );

  function draw() {
    const { estimate: e, footprint: f, words } = answer,
      n = many();
    if (document.activeElement !== counted) counted.value = n;
    refs.unit.textContent = `${e.output}s together`;
    title.textContent = words.title;
    peek.hidden = false;
    show(
      peek,
      el("span", {}, joules(e.energy_j)),
      el("span", {}, seconds(e.duration_s)),
      f ? el("span", {}, grams(f.carbon_g.value)) : null,
      el("span", {}, "See all ↓"),
    );
    show(refs.warnings, beware([...e.warnings, ...words.warnings]));
    show(
      refs.cards,
      energyCard(e, n),
      timeCard(e, n, words),
      memoryCard(e, words),
      carbonCard(e, f, n, words),
      moneyCard(e, f, n),
    );
    show(refs.sure, sure(e, words));
    show(refs.parts, parts(e, answer.parts));
    show(
      refs.curves,
      curves(e, answer.curves, (row) => change(row.change, true)),
    );
    show(refs.counts, counts(e, f, words));
    show(
      refs.copies,
      copying(answer, () => settingOf(values), Boolean(values.profile)),
    );
    if (!results.firstChild)
      show(
        results,
        countLine,
        refs.cards,
        refs.warnings,
        refs.sure,
        refs.parts,
        refs.curves,
        refs.counts,
        refs.copies,
      );
    say(
      `${joules(e.energy_j)} for one ${e.output}, range ${range(joules, e.energy_low_j, e.energy_j, e.energy_high_j)}; ${seconds(e.duration_s)}.`,
    );
  }

  return {
    node,
    enter(given) {
      values = {
        ...(given.profile ? {} : { model: choices.defaults.model }),
        gpu: choices.defaults.gpu,
        region: choices.defaults.region,
        ...given,
      };
      panel.set(values, null);
      asking.want();
      return values;
    },
  };
}
