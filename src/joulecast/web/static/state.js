// All that a person chose is in the address behind #, so a link restores it and the back button goes back.
// It is never sent to the server as part of an address.

export const VIEWS = ["explore", "compare", "evidence", "plan"];

// Compare's second setting is what is other in it, behind OTHER.
const OTHER = "b.";
const kept = (values, isKept) =>
  Object.fromEntries(Object.entries(values ?? {}).filter(([key]) => isKept(key)));
export const isOfSecond = (key) => key.startsWith(OTHER);
export const firstOf = (values) => kept(values, (key) => !isOfSecond(key));
export const secondOf = (values) => kept(values, isOfSecond);
export const ownKey = (key) => key.slice(OTHER.length);
export const asSecond = (changed) =>
  Object.fromEntries(Object.entries(changed).map(([key, value]) => [OTHER + key, value]));

export function read() {
  const [view, query = ""] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
  return {
    view: VIEWS.includes(view) ? view : "explore",
    values: Object.fromEntries(new URLSearchParams(query)),
  };
}

export function address(view, values) {
  const said = Object.entries(values).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const query = new URLSearchParams(said.map(([key, value]) => [key, String(value)])).toString();
  return `#${view}${query ? `?${query}` : ""}`;
}

// While a slider moves the address follows; where it comes to rest is a step of the history.
let dragging = false;
export function write(view, values, isFinal) {
  const url = address(view, values);
  if (url === location.hash && !dragging) return;
  if (dragging) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  dragging = !isFinal;
}

export function replace(view, values) {
  history.replaceState(null, "", address(view, values));
}
