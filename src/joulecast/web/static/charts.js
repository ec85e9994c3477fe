// Pictures as plain SVG, drawn where the numbers are. A colour means one thing: violet is your setting, parts of the
// energy have browns and slates, chips the colours of joulecast's reports; what is alone is ink or grey.
import { el, svg } from "./dom.js";

const WIDTH = 340,
  HEIGHT = 190,
  LEFT = 52,
  RIGHT = 10,
  TOP = 10,
  BOTTOM = 34;

// A value between its ends.
export function strip(low, value, high, least = low, most = high) {
  const span = most - least || 1,
    x = (one) => 1 + (198 * (one - least)) / span;
  return svg(
    "svg",
    { viewBox: "0 0 200 14", class: "strip", "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("rect", { x: 0, y: 6, width: 200, height: 2, class: "track" }),
    svg("rect", { x: x(low), y: 4, width: Math.max(1, x(high) - x(low)), height: 6, class: "span" }),
    svg("rect", { x: x(value) - 1, y: 0, width: 2, height: 14, class: "dot" }),
  );
}

export function ticks(least, most, about = 5) {
  const rough = (most - least) / about,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const found = [];
  for (let one = Math.ceil(least / step) * step; one <= most * 1.0001; one += step)
    found.push(Number(one.toPrecision(12)));
  return found;
}

function axes(x, y, xTicks, yTicks, xTitle, yTitle, xWords = String) {
  return [
    yTicks.map((tick) => [
      svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick), class: "grid" }),
      svg("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, short(tick)),
    ]),
    xTicks.map((tick) =>
      svg("text", { x: x(tick), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, xWords(tick)),
    ),
    svg(
      "text",
      { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle", class: "title" },
      xTitle,
    ),
    svg("title", {}, `${yTitle} by ${xTitle}`),
  ].flat(2);
}

export function short(value) {
  for (const [size, word] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${word}`;
  }
  return String(Number(value.toPrecision(3)));
}

// rows: [{x, energy_low_j, energy_j, energy_high_j, fits, change}]; today is an x; taken(row) where one is clicked.
export function curve({ rows, today, xTitle, name, taken, told, xWords }) {
  const known = rows.filter((row) => row.energy_j !== null);
  const mostX = Math.max(...known.map((row) => row.x)),
    mostY = Math.max(...known.map((row) => row.energy_high_j ?? row.energy_j));
  const x = (one) => LEFT + ((WIDTH - LEFT - RIGHT) * one) / mostX;
  const y = (one) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * one) / (mostY || 1);
  const path = (points) =>
    points.map(([px, py], place) => `${place ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  const banded = known.filter((row) => row.energy_high_j !== null);
  const band = path([
    ...banded.map((row) => [x(row.x), y(row.energy_high_j)]),
    ...banded.toReversed().map((row) => [x(row.x), y(row.energy_low_j)]),
  ]);
  const pieces = []; // of one kind each: what surely does not fit is dashed
  known.forEach((row, place) => {
    if (!place) return;
    const kind = row.fits === "no" ? "line nofit" : "line";
    const before = known[place - 1],
      last = pieces.at(-1);
    if (last?.kind === kind) last.points.push([x(row.x), y(row.energy_j)]);
    else
      pieces.push({
        kind,
        points: [
          [x(before.x), y(before.energy_j)],
          [x(row.x), y(row.energy_j)],
        ],
      });
  });
  const now = known.find((row) => row.x === today);
  const reading = el("figcaption", { class: "reading" });
  const tell = (row, prefix = "") => {
    reading.textContent = row ? `${prefix}${told(row)}` : "";
  };
  const cross = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cross", visibility: "hidden" });
  const drawn = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      class: "curve",
      role: "img",
      "aria-label": `${name}. ${summary(known, now, told)}`,
    },
    axes(
      x,
      y,
      ticks(0, mostX, 5).filter((tick) => tick <= mostX),
      ticks(0, mostY, 5),
      xTitle,
      "energy",
      xWords ?? short,
    ),
    svg("path", { d: `${band}Z`, class: "band" }),
    pieces.map((one) => svg("path", { d: path(one.points), class: one.kind })),
    cross,
    now ? svg("circle", { cx: x(now.x), cy: y(now.energy_j), r: 5.5, class: "today" }) : null,
  );
  const nearest = (event) => {
    const box = drawn.getBoundingClientRect(),
      at = ((event.clientX - box.left) / box.width) * WIDTH;
    return known.reduce((best, row) => (Math.abs(x(row.x) - at) < Math.abs(x(best.x) - at) ? row : best));
  };
  drawn.addEventListener("pointermove", (event) => {
    const row = nearest(event);
    cross.setAttribute("x1", x(row.x));
    cross.setAttribute("x2", x(row.x));
    cross.setAttribute("visibility", "visible");
    tell(row);
  });
  drawn.addEventListener("pointerleave", () => {
    cross.setAttribute("visibility", "hidden");
    tell(now, "Now: ");
  });
  drawn.addEventListener("click", (event) => taken(nearest(event)));
  tell(now, "Now: ");
  return el("figure", { class: "small-picture" }, el("h3", {}, name), drawn, reading);
}

function summary(known, now, told) {
  if (!known.length) return "";
  return [`From ${told(known[0])}`, `to ${told(known.at(-1))}`, now ? `now ${told(now)}` : ""]
    .filter(Boolean)
    .join("; ");
}

export const PARTS = {
  "arithmetic": 1,
  "attention scores": 2,
  "memory traffic": 3,
  "static power": 4,
  "moving weights": 5,
  "denoising": 1,
  "text encoding": 2,
  "decoding": 3,
};

// steps: [{label, kind, energy}], the total last.
export function stack(steps) {
  const total = steps.at(-1).energy;
  let start = 0;
  return svg(
    "svg",
    { viewBox: "0 0 1000 44", class: "stack", "aria-hidden": "true", preserveAspectRatio: "none" },
    steps.slice(0, -1).map((step) => {
      const width = (1000 * step.energy) / total,
        at = start;
      start += width;
      return svg(
        "rect",
        { x: at, y: 0, width: Math.max(0, width - 1.5), height: 44, class: `part-${PARTS[step.kind] ?? 0}` },
        svg("title", {}, `${step.label}: ${step.words}`),
      );
    }),
  );
}

// A bar with its range as wide as its share of the longest.
export function bar(low, value, high, most, isToday) {
  const at = (one) => (100 * Math.min(one, most)) / most;
  return svg(
    "svg",
    {
      viewBox: "0 0 100 12",
      class: isToday ? "bar today" : "bar",
      "aria-hidden": "true",
      preserveAspectRatio: "none",
    },
    svg("rect", { x: 0, y: 2, width: at(value), height: 8, class: "fill" }),
    svg("line", {
      x1: at(low),
      x2: at(high),
      y1: 6,
      y2: 6,
      class: "whisker",
      "vector-effect": "non-scaling-stroke",
    }),
  );
}

// A difference around nothing: where it lies, and its range; x is in per cent of before.
export function difference(ratio) {
  const least = Math.min(0.5, ratio.low),
    most = Math.max(1.5, Math.min(ratio.high, 3 * Math.max(1, ratio.value)));
  const x = (one) => 10 + (280 * (Math.min(Math.max(one, least), most) - least)) / (most - least);
  return svg(
    "svg",
    { viewBox: "0 0 300 34", class: "difference", "aria-hidden": "true" },
    svg("line", { x1: x(1), x2: x(1), y1: 2, y2: 22, class: "same" }),
    svg("text", { x: x(1), y: 32, "text-anchor": "middle" }, "no change"),
    svg("rect", {
      x: x(ratio.low),
      y: 9,
      width: Math.max(2, x(ratio.high) - x(ratio.low)),
      height: 6,
      rx: 3,
      class: "span",
    }),
    ratio.high > most ? svg("path", { d: "M291 6l8 6-8 6Z", class: "beyond" }) : null,
    svg("circle", { cx: x(ratio.value), cy: 12, r: 6, class: "dot" }),
  );
}

// dots: [{x, y, colour, shape, row}] on logarithmic axes with the line of equality; chosen(row) where one is picked.
export function scatter({ dots, xTitle, yTitle, label, chosen }) {
  const W = 620,
    H = 520,
    L = 66,
    R = 14,
    T = 12,
    B = 52;
  const all = dots.flatMap((dot) => [dot.x, dot.y]);
  const least = Math.min(...all) / 1.4,
    most = Math.max(...all) * 1.4;
  const share = (one) => Math.log(one / least) / Math.log(most / least);
  const x = (one) => L + (W - L - R) * share(one),
    y = (one) => H - B - (H - T - B) * share(one);
  const decades = [];
  for (let power = Math.ceil(Math.log10(least)); 10 ** power <= most; power += 1) decades.push(10 ** power);
  const marks = dots.map((dot, place) => {
    const mark = svg("path", {
      d: SHAPES[dot.shape] ?? SHAPES.circle,
      transform: `translate(${x(dot.x).toFixed(1)} ${y(dot.y).toFixed(1)})`,
      class: "mark",
      "data-place": place,
    });
    mark.style.setProperty("--colour", paint(dot.colour));
    return mark;
  });
  const ring = svg("circle", { r: 10, class: "ring", visibility: "hidden" });
  const drawn = svg(
    "svg",
    {
      viewBox: `0 0 ${W} ${H}`,
      class: "scatter",
      role: "application",
      tabindex: 0,
      "aria-label": `${label}. Left and right arrows go from run to run.`,
    },
    decades
      .map((one) => [
        svg("line", { x1: x(one), x2: x(one), y1: T, y2: H - B, class: "grid" }),
        svg("line", { x1: L, x2: W - R, y1: y(one), y2: y(one), class: "grid" }),
        svg("text", { x: x(one), y: H - B + 18, "text-anchor": "middle" }, short(one)),
        svg("text", { x: L - 7, y: y(one) + 4, "text-anchor": "end" }, short(one)),
      ])
      .flat(),
    svg("line", { x1: x(least), y1: y(least), x2: x(most), y2: y(most), class: "equal" }),
    svg("text", { x: (L + W - R) / 2, y: H - 10, "text-anchor": "middle", class: "title" }, xTitle),
    svg(
      "text",
      { transform: `translate(16 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title" },
      yTitle,
    ),
    marks,
    ring,
  );
  const order = dots.map((_, place) => place).sort((a, b) => dots[a].x - dots[b].x);
  let at = -1;
  const pick = (place) => {
    at = order.indexOf(place);
    const dot = dots[place];
    ring.setAttribute("cx", x(dot.x));
    ring.setAttribute("cy", y(dot.y));
    ring.setAttribute("visibility", "visible");
    chosen(dot.row);
  };
  drawn.addEventListener("click", (event) => {
    const box = drawn.getBoundingClientRect(),
      scale = W / box.width;
    const px = (event.clientX - box.left) * scale,
      py = (event.clientY - box.top) * scale;
    const near = order.reduce(
      (best, place) => {
        const gap = Math.hypot(x(dots[place].x) - px, y(dots[place].y) - py);
        return gap < best.gap ? { gap, place } : best;
      },
      { gap: 24, place: -1 },
    );
    if (near.place >= 0) pick(near.place);
  });
  drawn.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !dots.length) return;
    event.preventDefault();
    pick(order[(at + step + order.length) % order.length]);
  });
  return drawn;
}

// Black is what text is in, so that it is seen on dark paper too.
export const paint = (colour) => (colour === "#000000" ? "var(--ink)" : colour);

export const SHAPES = {
  "circle": "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z",
  "triangle-up": "M0-4.6L4.2 3.2H-4.2Z",
  "triangle-down": "M0 4.6L4.2-3.2H-4.2Z",
  "square": "M-3.4-3.4H3.4V3.4H-3.4Z",
  "diamond": "M0-4.8L4.8 0L0 4.8L-4.8 0Z",
  "cross": "M-1.4-4.4H1.4V-1.4H4.4V1.4H1.4V4.4H-1.4V1.4H-4.4V-1.4H-1.4Z",
  "triangle-right": "M4.6 0L-3.2 4.2V-4.2Z",
};
