// Quantities as people read them: as joulecast.report.amounts writes them, digit by digit (a test compares the two).

const MOST_DIGITS = 15;

function rounded(value, digits) {
  const near = Number(value.toPrecision(digits));
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - digits + 1);
  const scaled = value / step;
  if (Math.abs(scaled - Math.trunc(scaled)) !== 0.5) return near;
  const even = 2 * Math.round(scaled / 2); // a tie goes to the even one
  return Number((even * step).toPrecision(digits));
}

export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "not known";
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const exponent = Number(rounded(value, digits).toExponential().split("e")[1]);
  if (exponent < -4 || exponent > MOST_DIGITS) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    return `${mantissa}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  }
  const places = Math.max(0, digits - 1 - exponent);
  return rounded(value, digits).toLocaleString("en-GB", {
    minimumFractionDigits: places,
    maximumFractionDigits: places,
  });
}

// The largest unit of a ladder in which an amount is at least 1: [[size, unit], ...], smallest first.
function suited(amount, ladder) {
  return ladder.findLast(([size]) => Math.abs(amount) >= size) ?? ladder[0];
}

const ENERGY = [
  [1e-3, "mJ"],
  [1, "J"],
];
const ENERGY_WH = [
  [3.6, "mWh"],
  [3600, "Wh"],
  [3.6e6, "kWh"],
  [3.6e9, "MWh"],
  [3.6e12, "GWh"],
];
const TIME = [
  [1e-3, "ms"],
  [1, "s"],
  [600, "min", 60],
  [36000, "h", 3600],
];
const GPU_TIME = [
  [1, "GPU-s"],
  [60, "GPU-min"],
  [3600, "GPU-h"],
];
const GRAMS = [
  [1e-3, "mg"],
  [0.1, "g", 1],
  [1e4, "kg", 1e3],
  [1e7, "t", 1e6],
];
const BYTES = [
  [1e6, "MB"],
  [1e9, "GB"],
];
const LITRES = [
  [1e-3, "mL"],
  [1, "L"],
  [1e4, "m³", 1e3],
];

function quantity(ladder, after = "") {
  return (amount, like = amount) => {
    if (amount === null || amount === undefined) return "not known";
    const [size, unit, divisor = size] = suited(like, ladder);
    return `${number(amount / divisor)} ${unit}${after}`;
  };
}

export const joules = quantity(ENERGY);
export const wattHours = quantity(ENERGY_WH);
export const seconds = quantity(TIME);
export const gpuTime = quantity(GPU_TIME);
export const grams = quantity(GRAMS, " CO₂e");
export const bytes = quantity(BYTES);
export const litres = quantity(LITRES);
export const watts = (power) => `${number(power)} W`;

// ``6,880 to 9,550 J``: both ends in the unit that suits the middle.
export function range(format, low, value, high) {
  if (low === null || low === undefined || high === null || high === undefined) return "range not known";
  const end = format(high, value);
  const unit = end.includes(" ") ? end.slice(end.indexOf(" ")) : "";
  const start = format(low, value);
  return unit && start.endsWith(unit) ? `${start.slice(0, -unit.length)} to ${end}` : `${start} to ${end}`;
}

// Words of the server, as the page writes them, and as a line of their own.
export const subscripted = (words) => words.replaceAll("CO2e", "CO₂e");
export const capital = (words) => subscripted(words.charAt(0).toUpperCase() + words.slice(1));

export function count(amount, word) {
  return `${amount.toLocaleString("en-GB")} ${word}${amount === 1 ? "" : "s"}`;
}

// How long a lamp of 10 W shines for that energy: arithmetic, no figure of anybody's.
export function lamp(energyJ) {
  const s = energyJ / 10;
  if (s < 120) return `a 10 W lamp for ${number(s, 2)} s`;
  if (s < 7200) return `a 10 W lamp for ${number(s / 60, 2)} min`;
  return s < 2 * 86400
    ? `a 10 W lamp for ${number(s / 3600, 2)} h`
    : `a 10 W lamp for ${number(s / 86400, 2)} days`;
}
