// The page: its views, its theme, and the address that says all that was chosen.
import { get } from "./api.js";
import { compare } from "./compare.js";
import { byId, el, show } from "./dom.js";
import { evidence } from "./evidence.js";
import { explore } from "./explore.js";
import { plan } from "./plan.js";
import { address, firstOf, read, replace, secondOf, write } from "./state.js";

const MAKERS = { explore, compare, evidence, plan };
const TITLES = {
  explore: "what one picture costs",
  compare: "two settings",
  evidence: "predicted against measured",
  plan: "a plan",
};
const THEMES = ["auto", "light", "dark"];
const THEME_WORDS = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
const SHARED = ["explore", "compare"]; // these two speak of the same setting
const made = {},
  last = {};
let now = null;

function theme() {
  const button = byId("theme");
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") ?? "auto";
  } catch {
    /* a browser may keep nothing */
  }
  const wear = () => {
    document.documentElement.dataset.theme = chosen;
    button.textContent = THEME_WORDS[chosen];
  };
  button.addEventListener("click", () => {
    chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      /* then it is forgotten */
    }
    wear();
  });
  if (!THEMES.includes(chosen)) chosen = "auto";
  wear();
}

function go(view, values, isFinal) {
  last[view] = values;
  write(view, values, isFinal);
  link();
}

// Each view's link leads to where it was left; Explore and Compare keep the same setting.
function link() {
  for (const one of byId("views").querySelectorAll("a")) {
    const view = one.dataset.view;
    let values = last[view] ?? {};
    if (SHARED.includes(view) && SHARED.includes(now) && view !== now)
      values = { ...secondOf(last[view]), ...firstOf(last[now]) };
    one.href = address(view, values);
    if (view === now) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
}

async function enter(choices, { focus = false } = {}) {
  const { view, values } = read();
  const isOther = view !== now;
  now = view;
  made[view] ??= MAKERS[view](choices, go);
  if (isOther) show(byId("main"), made[view].node);
  document.title = `joulecast: ${TITLES[view]}`;
  const entered = made[view].enter(values);
  last[view] = entered instanceof Promise ? values : entered;
  if (!(entered instanceof Promise)) replace(view, last[view]);
  link();
  if (focus && isOther) {
    byId("main").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

async function begin() {
  theme();
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  let choices;
  try {
    choices = await get("/page/choices");
  } catch (error) {
    show(byId("main"), el("p", { class: "error", role: "alert" }, error.message));
    return;
  }
  byId("version").textContent = `joulecast ${choices.version}`;
  addEventListener("popstate", () => enter(choices, { focus: true }));
  enter(choices);
}

begin();
