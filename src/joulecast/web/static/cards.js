// The numbers of Explore as cards: a number, its unit, its range, and the same for many.
import { strip } from "./charts.js";
import { el, hinted } from "./dom.js";
import {
  bytes,
  capital,
  count,
  gpuTime,
  grams,
  joules,
  lamp,
  litres,
  number,
  range,
  seconds,
  wattHours,
  watts,
} from "./format.js";

const NOTHING = ["not known", "no price given"];

function card(label, hint, big, ...rest) {
  return el(
    "section",
    { class: "card", "aria-label": label },
    hinted(el("h2", {}, label), hint),
    el("p", { class: NOTHING.includes(big) ? "big none" : "big" }, big),
    rest,
  );
}

const nineInTen = (words) => el("p", { class: "range" }, "90 % range: ", words);
const together = (n, word, ...words) =>
  el("p", { class: "many" }, el("strong", {}, `${count(n, word)}: `), words);

export function energyCard(e, n) {
  const perSecond = e.energy_per_second_of_video_j;
  return card(
    `Energy of one ${e.output}`,
    `${e.boundary === "gross" ? "Gross: all that the GPU board draws, idle power included" : "Dynamic: what the GPU board draws above idle"}. Not the rest of the computer, nor cooling.`,
    joules(e.energy_j),
    el("p", { class: "soft" }, `${wattHours(e.energy_j)}, ${e.boundary} GPU energy`),
    e.energy_high_j === null
      ? null
      : strip(e.energy_low_j, e.energy_j, e.energy_high_j, 0, e.energy_high_j * 1.15),
    nineInTen(range(joules, e.energy_low_j, e.energy_j, e.energy_high_j)),
    perSecond ? el("p", { class: "soft" }, `${joules(perSecond)} for each second of video`) : null,
    together(
      n,
      e.output,
      wattHours(n * e.energy_j),
      ` (${range(wattHours, n * e.energy_low_j, n * e.energy_j, e.energy_high_j === null ? null : n * e.energy_high_j)})`,
    ),
    el("p", { class: "soft small" }, `One uses as much as ${lamp(e.energy_j)}.`),
  );
}

export function timeCard(e, n, words) {
  const batch = e.workload.batch_size,
    g = e.gpu_seconds;
  return card(
    batch === 1 ? `Time of one ${e.output}` : `Time of a batch of ${batch}`,
    "From the prompt to the finished picture, on a machine that does nothing else.",
    seconds(e.duration_s),
    el(
      "p",
      { class: "soft" },
      `Run by ${words.runtime}; ${watts(e.power_w)} on average${e.runtime.gpus > 1 ? `, of ${e.runtime.gpus} GPUs together` : ""}, ${words.limit}`,
    ),
    e.duration_high_s === null
      ? null
      : strip(e.duration_low_s, e.duration_s, e.duration_high_s, 0, e.duration_high_s * 1.15),
    nineInTen(range(seconds, e.duration_low_s, e.duration_s, e.duration_high_s)),
    together(
      n,
      e.output,
      gpuTime(n * g.value),
      ` (${range(gpuTime, n * g.low, n * g.value, g.high === null ? null : n * g.high)})`,
    ),
    el("p", { class: "soft small" }, `${number(e.flop / 1e12)} TFLOP of arithmetic for one.`),
  );
}

const FITS = {
  yes: "It fits",
  perhaps: "It may not fit",
  no: "It does not fit",
  unknown: "It is not known whether it fits",
};

export function memoryCard(e, words) {
  const m = e.memory,
    there = e.gpu.memory_bytes,
    used = m.peak_bytes ?? m.weights_bytes;
  return card(
    "Memory of the GPU",
    "The most that is in use at one moment, weights of the model included.",
    bytes(used),
    el(
      "p",
      { class: "soft" },
      `${m.peak_bytes === null ? "of weights alone; its peak is not known" : m.is_upper_bound ? "at most, of each board" : "at its peak"}, of ${bytes(there)}`,
    ),
    strip(0, Math.min(used, there * 1.15), Math.min(used, there * 1.15), 0, there * 1.15),
    el("p", { class: `fits ${m.fits}` }, `${FITS[m.fits]} ${e.gpu.name}.`),
    words.fitting ? el("p", { class: "soft small" }, `${capital(words.fitting)}.`) : null,
  );
}

export function carbonCard(e, f, n, words) {
  if (!f)
    return card(
      "Carbon",
      null,
      "not known",
      el("p", { class: "soft" }, "Say where it runs, for the carbon of its electricity."),
    );
  const c = f.carbon_g;
  return card(
    `Carbon of one ${e.output}`,
    "Electricity of GPU, host and cooling, and a share of making the hardware.",
    grams(c.value),
    el("p", { class: "soft" }, capital(words.grid)),
    strip(c.low, c.value, c.high, 0, c.high * 1.15),
    el("p", { class: "range" }, "Widest range of the factors: ", range(grams, c.low, c.value, c.high)),
    together(n, e.output, grams(n * c.value), ` (${range(grams, n * c.low, n * c.value, n * c.high)})`),
    el(
      "p",
      { class: "soft small" },
      `Electricity ${grams(f.operational_carbon_g.value)}, hardware ${grams(f.embodied_carbon_g.value)}. Cooling water on site ${litres(f.water_l.value)}.`,
    ),
  );
}

export function moneyCard(e, f, n) {
  const m = f?.money;
  if (!m)
    return card(
      "Money",
      null,
      "no price given",
      el("p", { class: "soft" }, "Give the price of a kWh, or of a rented GPU-hour, for the cost."),
    );
  const money = (amount) => `${number(amount)} ${m.currency}`;
  return card(
    `Cost of one ${e.output}`,
    "Electricity, or rent, alone: no staff, storage or network.",
    money(m.value),
    strip(m.low, m.value, m.high, 0, m.high * 1.15),
    el("p", { class: "range" }, "Range: ", range(money, m.low, m.value, m.high)),
    together(n, e.output, money(n * m.value), ` (${range(money, n * m.low, n * m.value, n * m.high)})`),
  );
}
