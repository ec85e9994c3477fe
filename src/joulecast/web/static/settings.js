// The controls of one setting. They show what the server took (its defaults too), and say only what was changed.
import { combobox } from "./combobox.js";
import { el, newId, show } from "./dom.js";
import { check, dropping, per, select, slider, text } from "./fields.js";
import { bytes, number } from "./format.js";

// What a new model's own defaults replace.
const OF_THE_MODEL = [
  "size",
  "width",
  "height",
  "steps",
  "guidance",
  "true_cfg_scale",
  "negative_prompt",
  "frames",
  "seconds",
  "fps",
  "precision",
  "text_tokens",
  "passes",
  "strength",
  "input_image",
  "quantization",
  "cache",
  "offload",
  "parallel",
];
const SIZES = {
  image: [
    "512x512",
    "768x768",
    "1024x1024",
    "1328x1328",
    "1536x1536",
    "2048x2048",
    "1280x720",
    "832x1216",
    "1216x832",
  ],
  video: ["480x320", "512x512", "768x512", "832x480", "960x544", "1280x720", "1920x1088"],
};
const GPU_COUNTS = [1, 2, 4, 8];

export const modelOptions = (models) =>
  models
    .map((one) => ({
      value: one.name,
      label: one.name,
      group: one.video ? "makes videos" : "makes images",
      also: [one.hub_id, ...one.aliases].filter(Boolean),
      detail: `${one.default_width}×${one.default_height}, ${one.default_steps} steps`,
    }))
    .sort((a, b) => a.group.localeCompare(b.group));

export const gpuOptions = (gpus) =>
  gpus
    .map((one) => ({
      value: one.name,
      label: one.name,
      group: one.vendor,
      also: one.aliases,
      detail: `${bytes(one.memory_bytes)}, ${number(one.tdp_w)} W`,
    }))
    .sort((a, b) => (b.group === "NVIDIA") - (a.group === "NVIDIA") || a.group.localeCompare(b.group));

export const regionOptions = (regions) =>
  regions
    .map((one) => ({
      value: one.name,
      label: one.name,
      group: one.kind === "country" ? "countries" : "groups of countries",
      also: one.aliases,
      detail: `${number(one.intensity_g_per_kwh)} g CO₂e/kWh (${one.year})`,
    }))
    .sort(
      (a, b) =>
        (b.label === "World") - (a.label === "World") ||
        b.group.localeCompare(a.group) ||
        a.label.localeCompare(b.label),
    );

// Where a model was, and what of its own goes with it.
export const NO_MODEL = Object.fromEntries(["model", ...OF_THE_MODEL].map((key) => [key, ""]));

// changed({key: value or ""}, isFinal) is told what to set; "" takes the default again. profile(name, text) is told
// what was dropped in, where that may be.
export function settings(choices, title, changed, { withPlace = true, profile } = {}) {
  const one = (key) => (value, isFinal) => changed({ [key]: value }, isFinal);
  const models = new Map(choices.models.map((model) => [model.name, model]));
  const parts = {
    model: combobox({
      label: "Model",
      options: modelOptions(choices.models),
      chosen: (name) =>
        changed({ ...Object.fromEntries(OF_THE_MODEL.map((key) => [key, ""])), model: name }, true),
    }),
    gpu: combobox({
      label: "GPU",
      options: gpuOptions(choices.gpus),
      chosen: (name) => changed({ gpu: name, power_limit_w: "" }, true),
    }),
    gpus: select({
      label: "GPUs that share one picture",
      hint: "Several GPUs answer sooner, and use more energy for it.",
      options: GPU_COUNTS.map((n) => [n, String(n)]),
      changed: (value) => changed({ gpus: value === "1" ? "" : value, parallel: "" }, true),
    }),
    engine: select({
      label: "Engine",
      hint: "The program that runs the model. Served engines take about half the time of plain diffusers.",
      options: choices.runtimes.engine.map((part) => [part.name, part.title]),
      changed: one("engine"),
    }),
    compile: check({
      label: "torch.compile",
      hint: "Fuses small operations into fewer, faster ones before the first picture.",
      changed: (value) => changed({ compile: value ? "true" : "" }, true),
    }),
    quantization: select({
      label: "Quantisation",
      hint: "Fewer bits for each number of the model: faster on some GPUs and slower on others.",
      options: [
        ["none", "none"],
        ...choices.runtimes.quantization.map((part) => [part.name, `${part.name}: ${part.title}`]),
      ],
      changed: (value) => changed({ quantization: value === "none" ? "" : value }, true),
    }),
    cache: select({
      label: "Step cache",
      hint: "Steps that change little are not computed again. The picture changes a little too.",
      options: [["none", "none"], ...choices.runtimes.cache.map((part) => [part.name, part.title])],
      changed: (value) => changed({ cache: value === "none" ? "" : value }, true),
    }),
    offload: select({
      label: "Offloading",
      hint: "Weights wait in the computer's memory: less memory of the GPU, and time to move them.",
      options: [["none", "none"], ...choices.runtimes.offload.map((part) => [part.name, part.title])],
      changed: (value) => changed({ offload: value === "none" ? "" : value }, true),
    }),
    side: slider({
      label: "Longer side",
      hint: "Of the picture, in pixels; its shape is kept.",
      min: 256,
      max: 2048,
      step: 64,
      unit: "pixels",
      changed: (value, isFinal) => changed({ size: scaled(Number(value)) }, isFinal),
    }),
    size: text({ label: "Size, width x height", changed: one("size"), placeholder: "1024x1024", list: "" }),
    frames: slider({
      label: "Frames",
      hint: "Pictures that the clip is made of.",
      min: 1,
      max: 257,
      step: 4,
      unit: "frames",
      changed: one("frames"),
    }),
    steps: slider({
      label: "Steps",
      hint: "How often the model cleans the picture of noise: more take longer.",
      min: 1,
      max: 100,
      unit: "steps",
      changed: one("steps"),
    }),
    guidance: slider({
      label: "Guidance",
      hint: "How closely the prompt is followed. In many models more than 1 runs the network twice a step.",
      min: 0,
      max: 15,
      step: 0.5,
      changed: one("guidance"),
    }),
    true_cfg_scale: slider({
      label: "True guidance (CFG)",
      hint: "This model's second scale: above 1, with a negative prompt, it runs the network twice a step.",
      min: 1,
      max: 15,
      step: 0.5,
      changed: one("true_cfg_scale"),
    }),
    negative_prompt: check({
      label: "Negative prompt",
      hint: "Words for what not to show; some models run a second pass only then.",
      changed: (value) => changed({ negative_prompt: value ? "true" : "false" }, true),
    }),
    batch_size: slider({
      label: "At once (batch)",
      hint: "Pictures made together: often less energy for each, and a longer wait for all.",
      min: 1,
      max: 64,
      unit: "at once",
      changed: one("batch_size"),
    }),
    precision: select({
      label: "Precision",
      hint: "Bits of the numbers that are computed with: 16, or 32 (fp32).",
      options: choices.precisions.map((name) => [name, name]),
      changed: one("precision"),
    }),
    boundary: select({
      label: "Energy counted",
      hint: "Gross: all the GPU board draws. Dynamic: without what it draws when idle.",
      options: [
        ["gross", "gross: all the board draws"],
        ["dynamic", "dynamic: above idle"],
      ],
      changed: (value) => changed({ boundary: value === "gross" ? "" : value }, true),
    }),
    power_limit_w: text({
      label: "Power limit [W]",
      hint: "What each board may draw; its own limit where this is empty.",
      type: "number",
      min: 1,
      changed: one("power_limit_w"),
    }),
    text_tokens: text({
      label: "Text tokens",
      hint: "Pieces of words of the prompt; the model's own number where this is empty.",
      type: "number",
      min: 1,
      changed: one("text_tokens"),
    }),
    ...(withPlace
      ? {
          region: combobox({
            label: "Where it runs",
            options: regionOptions(choices.regions),
            chosen: one("region"),
            own: true,
            hint: "Country, state or cloud region (us-east-1), for the carbon of its electricity.",
          }),
          pue: text({
            label: "PUE of the building",
            hint: "Energy of the whole building for each unit that its computers use: 1.1 is good, 1.6 usual.",
            changed: one("pue"),
            placeholder: "1.09 to 1.58 is assumed",
          }),
          price: text({
            label: "Price",
            type: "number",
            min: 0,
            step: "any",
            changed: (value) => changed(priced(value, parts.per.value()), true),
            placeholder: "none given",
          }),
          per: per((kind) => changed(priced(parts.price.value(), kind), true)),
          currency: text({
            label: "Currency",
            changed: (value) => changed({ currency: value.toUpperCase() }, true),
            placeholder: "USD",
            maxlength: 3,
            size: 4,
          }),
        }
      : {}),
  };
  if (withPlace) parts.price.value = () => parts.price.node.querySelector("input").value;
  let shape = [1024, 1024];

  function scaled(side) {
    const [width, height] = shape,
      longer = Math.max(width, height);
    return [width, height]
      .map((one) => Math.max(64, Math.round(((one / longer) * side) / 64) * 64))
      .join("x");
  }

  const sizes = el("datalist", { id: newId("sizes") });
  const sizeInput = parts.size.node.querySelector("input");
  sizeInput.setAttribute("list", sizes.id);
  parts.size.node.append(sizes);

  const group = (name, ...nodes) => el("fieldset", {}, el("legend", {}, name), nodes);
  const folded = [];
  const more = (name, ...keys) => {
    const fold = el("details", { class: "more" }, el("summary", {}, name), keys.map((key) => parts[key].node));
    folded.push([fold, keys]);
    return fold;
  };
  const node = el(
    "form",
    { class: "settings", "aria-label": title, onsubmit: (event) => event.preventDefault() },
    group(
      "What is made",
      parts.model.node,
      profile ? dropping(profile) : null,
      parts.side.node,
      parts.size.node,
      parts.frames.node,
      parts.steps.node,
      parts.guidance.node,
      parts.true_cfg_scale.node,
      parts.negative_prompt.node,
      parts.batch_size.node,
    ),
    group(
      "What it runs on",
      parts.gpu.node,
      parts.engine.node,
      parts.compile.node,
      more(
        "Quantisation, cache, offloading, several GPUs",
        "precision",
        "quantization",
        "cache",
        "offload",
        "gpus",
      ),
    ),
    withPlace
      ? group(
          "Where, and at what price",
          parts.region.node,
          el("div", { class: "pair" }, parts.price.node, parts.per.node, parts.currency.node),
        )
      : null,
    more(
      "Finer points",
      "boundary",
      "power_limit_w",
      "text_tokens",
      ...(withPlace ? ["pue"] : []),
    ),
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: () => changed(Object.fromEntries(OF_THE_MODEL.map((key) => [key, ""])), true),
      },
      "Back to the model's own settings",
    ),
  );

  return {
    node,
    // What was chosen, then what the server understood of it.
    set(values, estimate) {
      const model = models.get(values.model),
        w = estimate?.workload,
        runtime = estimate?.runtime;
      const isVideo = model ? model.video : (w?.frames ?? 1) > 1;
      // What was chosen is seen, from a link too.
      for (const [fold, keys] of folded) if (keys.some((key) => values[key])) fold.open = true;
      for (const [key, value] of [
        ["model", values.model ?? values.profile],
        ["gpu", values.gpu],
      ])
        parts[key].set(value);
      const size =
        values.size ??
        (w ? `${w.width}x${w.height}` : model ? `${model.default_width}x${model.default_height}` : "");
      const sides = /^(\d+)\s*[x×*]\s*(\d+)$/.exec(size);
      if (sides) {
        shape = [Number(sides[1]), Number(sides[2])];
        parts.side.set(Math.max(...shape));
      }
      parts.size.set(size);
      show(
        sizes,
        [
          ...new Set([
            model ? `${model.default_width}x${model.default_height}` : size,
            ...SIZES[isVideo ? "video" : "image"],
          ]),
        ].map((value) => el("option", { value })),
      );
      parts.frames.node.hidden = !isVideo;
      if (isVideo) parts.frames.set(values.frames ?? w?.frames ?? model?.default_frames);
      parts.steps.set(values.steps ?? w?.steps_asked ?? w?.steps ?? model?.default_steps);
      parts.guidance.node.hidden = model ? model.default_guidance === null : false;
      parts.guidance.set(values.guidance ?? w?.guidance ?? model?.default_guidance);
      parts.true_cfg_scale.node.hidden = !model || model.default_true_cfg_scale === null;
      parts.true_cfg_scale.set(values.true_cfg_scale ?? w?.true_cfg_scale ?? model?.default_true_cfg_scale);
      parts.negative_prompt.set((values.negative_prompt ?? String(w?.negative_prompt ?? false)) === "true");
      parts.batch_size.set(values.batch_size ?? w?.batch_size ?? 1);
      parts.precision.set(values.precision ?? w?.precision ?? model?.default_precision ?? "bf16");
      parts.engine.set(values.engine ?? runtime?.engine ?? choices.defaults.engine ?? "diffusers");
      parts.compile.set((values.compile ?? String(runtime?.compile ?? false)) === "true");
      parts.quantization.set(values.quantization ?? runtime?.quantization ?? "none");
      parts.cache.set(values.cache ?? runtime?.cache ?? "none");
      parts.offload.set(values.offload ?? runtime?.offload ?? "none");
      parts.gpus.set(values.gpus ?? runtime?.gpus ?? 1);
      parts.boundary.set(values.boundary ?? "gross");
      parts.power_limit_w.set(values.power_limit_w);
      parts.text_tokens.set(values.text_tokens);
      if (!withPlace) return;
      parts.region.set(values.region ?? "");
      parts.pue.set(values.pue);
      parts.per.set(values.price_per_gpu_hour ? "gpu_hour" : "kwh");
      parts.price.set(values.price_per_gpu_hour ?? values.price_per_kwh);
      parts.currency.set(values.currency);
    },
  };
}

function priced(amount, kind) {
  return {
    price_per_kwh: kind === "kwh" ? amount : "",
    price_per_gpu_hour: kind === "gpu_hour" ? amount : "",
  };
}
