// What the form of Plan says, as an address holds it and as a demand file.

const CELL = ",",
  ROW = ";"; // of rows in the address
export const START = {
  minimise: "carbon",
  images: "200000",
  latency: "20",
  deadline: "6",
  use: "sdxl,,30;sdxl,768x768,25",
  gpus: "H100-SXM5-80GB,,;L40S,,",
  regions: "France,;Poland,",
};

// The signs between cells, and the one before codes, are written as codes; any other text is itself.
const read = (cell) => cell.replace(/%(?:2C|3B|25)/gi, decodeURIComponent);
const safe = (cell) => cell.replace(/[,;%]/g, encodeURIComponent);
export const cells = (text) => text.split(ROW).map((row) => row.split(CELL).map(read));
export const written = (rows) => rows.map((row) => row.map(safe).join(CELL)).join(ROW);
const quoted = (words) => JSON.stringify(words);

// The demand file that the form says, as docs/planning.md has it.
export function demandOf(values, series) {
  const said = { ...START, ...values },
    lines = ["[plan]", `minimise = ${quoted(said.minimise)}`];
  const regions = cells(said.regions).filter(([name]) => name);
  if (regions.some(([name]) => series.includes(name)))
    lines.push('start = "2022-06-01T00:00Z"  # of the hourly series');
  lines.push("", "[[services]]", 'name = "pictures"', `images_per_day = ${said.images || 0}`);
  if (said.latency) lines.push(`latency_s = ${said.latency}  # of a batch, at most`);
  if (said.deadline)
    lines.push(`deadline_hours = ${said.deadline}  # work may wait so long for a cleaner hour`);
  for (const [model, size, steps] of cells(said.use).filter(([name]) => name)) {
    lines.push("", "[[services.configurations]]", `model = ${quoted(model)}`);
    if (size) lines.push(`size = ${quoted(size)}`);
    if (steps) lines.push(`steps = ${steps}`);
  }
  for (const [name, most, price] of cells(said.gpus).filter(([one]) => one)) {
    lines.push("", "[[gpus]]", `name = ${quoted(name)}`);
    if (most) lines.push(`max_count = ${most}`);
    if (price) lines.push(`price_per_hour = ${price}`);
  }
  for (const [name, price] of regions) {
    lines.push("", "[[regions]]", `${series.includes(name) ? "hourly" : "name"} = ${quoted(name)}`);
    if (price) lines.push(`price_per_kwh = ${price}`);
  }
  return `${lines.join("\n")}\n`;
}
