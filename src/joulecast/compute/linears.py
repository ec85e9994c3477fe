"""Find the linear layers that a LoRA adapts: which there are, and on how many rows each works.

A pipeline says which of its modules it loads a LoRA into; of those the layers of attention are taken. Each is
looked for among the profile's matrix products by its cost at one workload, which gives its rows as a
polynomial, and checked at another workload.

Needs the extra `trace`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from joulecast.architecture.workload import Workload
from joulecast.compute.arguments import Request
from joulecast.compute.capture import PipelineCapture
from joulecast.compute.evaluation import Call
from joulecast.compute.operators import ALWAYS, BATCH, DENOISER, NEVER, OF_SEVERAL, LinearLayers
from joulecast.compute.polynomial import evaluate_monomials
from joulecast.compute.profile import BYTES_PER_WEIGHT, ComputeProfile
from joulecast.errors import TraceError

import torch  # isort: skip - after capture, which says so when the extra is missing

# What diffusers' training scripts call the layers that they adapt (``target_modules`` of peft): those of
# attention, by the ends of their names.
TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "to_qkv",
    "to_qkv_mlp_proj",
)  # fmt: skip
LOADABLE = "_lora_loadable_modules"
# Workloads (batch, height, width, text, steps of frames) at which layers are told from each other.
FOUND, CHECKED = (2, 37, 23, 111, 5), (3, 20, 34, 71, 6)
ALONE = (1, 37, 23, 111, 5)
TEXT_UNIT = 64  # tokens to which those of a pipeline that pads to a multiple are rounded

Layer = tuple[int, int, int, bool]  # inputs, outputs, rows, and whether its input is copied


def with_linears(profile: ComputeProfile, capture: PipelineCapture) -> ComputeProfile:
    """The profile with the layers that a LoRA adapts; as it is where the pipeline takes none, or where they
    are not among its operators at every workload."""
    names = _loadable(profile, capture)
    try:
        parts = _parts(profile, capture, names)
    except TraceError:  # the pipeline makes no two of them at once, or not of that size
        return profile
    twins = capture.twins
    return dataclasses.replace(
        profile,
        components=tuple(
            dataclasses.replace(part, linears=parts.get(twins.get(part.name, part.name), ()))
            for part in profile.components
        ),
    )


def _parts(
    profile: ComputeProfile, capture: PipelineCapture, names: Sequence[str]
) -> dict[str, tuple[LinearLayers, ...]]:
    """The layers of each module; of none where they are not those of a second workload too."""
    found = _seen(profile, capture, names, FOUND)
    parts = {name: _solved(profile, name, layers, FOUND) for name, layers in found.items()}
    checked = _seen(profile, capture, names, CHECKED) if all(parts.values()) else {}
    expected = {name: _expected(profile, name, some, CHECKED) for name, some in parts.items()}
    if not checked or expected != checked:
        return {}
    if all(some.copied == NEVER for linears in parts.values() for some in linears):
        return parts
    alone = _seen(profile, capture, names, ALONE)
    return {name: tuple(_of_one(some, alone[name]) for some in parts[name]) for name in parts}


def _of_one(some: LinearLayers, alone: Counter[Layer]) -> LinearLayers:
    """Layers whose input is copied, whether it is of one image too."""
    if some.copied == NEVER or (some.inputs, some.outputs, True) in {(a, b, c) for a, b, _, c in alone}:
        return some
    return dataclasses.replace(some, copied=OF_SEVERAL)


def _loadable(profile: ComputeProfile, capture: PipelineCapture) -> list[str]:
    loadable = getattr(capture.pipeline, LOADABLE, ())
    return [part.name for part in profile.components if part.role == DENOISER and part.name in loadable]


def _seen(
    profile: ComputeProfile, capture: PipelineCapture, names: Sequence[str], point: tuple[int, ...]
) -> dict[str, Counter[Layer]]:
    """The layers of one call of each module, at a point."""
    seen: dict[str, Counter[Layer]] = {}
    if not names:
        return seen
    request, _ = _asked(profile, point)
    with _watched(capture, names) as calls:
        capture.run(request)
    for name, layers in calls:
        seen.setdefault(name, layers)
    return {name: layers for name, layers in seen.items() if layers}


@contextmanager
def _watched(capture: PipelineCapture, names: Sequence[str]) -> Iterator[list[tuple[str, Counter[Layer]]]]:
    """What each call of a module ran of the layers, every block really run."""
    calls: list[tuple[str, Counter[Layer]]] = []
    hooks = []
    for name in names:
        module = capture.modules[name]
        hooks.append(module.register_forward_pre_hook(lambda *_, n=name: calls.append((n, Counter()))))
        hooks += [
            layer.register_forward_pre_hook(lambda one, args: calls[-1][1].update([_layer(one, args[0])]))
            for path, layer in module.named_modules()
            if isinstance(layer, torch.nn.Linear) and path.endswith(TARGETS)
        ]
    try:
        with capture.running_anew():
            yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _layer(layer: Any, x: Any) -> Layer:
    try:
        x.view(-1, layer.in_features)
    except RuntimeError:  # its rows do not lie one behind the other
        is_copied = True
    else:
        is_copied = False
    return layer.in_features, layer.out_features, x.numel() // layer.in_features, is_copied


def _asked(profile: ComputeProfile, point: tuple[int, ...]) -> tuple[Request, Workload]:
    """The same question to the pipeline and to its profile."""
    batch, height, width, text, steps = point
    rule, size = profile.text, profile.size.unit
    if rule.multiple > 1:
        text = -(-text // TEXT_UNIT) * TEXT_UNIT
        height, width = (-(-side // 4) * 4 for side in (height, width))
    frames = None if profile.frames is None else profile.frames.of_steps(steps)
    knob = None if not rule.adjustable else "max_sequence_length" if rule.padded else "prompt"
    request = Request(
        batch=batch,
        width=width * size,
        height=height * size,
        frames=frames,
        text=None if knob is None else text,
        text_knob=knob,
    )
    tokens = None if knob is None else text + rule.denoiser_offset
    workload = Workload(
        width=width * size,
        height=height * size,
        steps=request.steps,
        batch_size=batch,
        precision=profile._traced_precision,
        text_tokens=tokens,
        frames=frames or 1,
    )
    return request, workload


def _solved(
    profile: ComputeProfile, name: str, layers: Mapping[Layer, int], point: tuple[int, ...]
) -> tuple[LinearLayers, ...]:
    """Layers with their rows as polynomials; none where one is not among the operators."""
    call, symbols, size = _called(profile, name, point)
    table, out = call.table, []
    if BATCH in table.condition:
        return ()
    values = evaluate_monomials(table.monomials, symbols)[0]
    launches, flop, written = (values @ cost for cost in (table.launches, table.flop, table.bytes_written))
    for (inputs, outputs, rows, is_copied), count in layers.items():
        same = np.flatnonzero(
            (flop == 2 * inputs * outputs * rows * launches) & (written == outputs * rows * size * launches)
        )
        places = [place for place in same if table.families[place] == "gemm"]
        if not places:
            return ()
        often = launches[places[0]]
        column = table.bytes_written[:, places[0]] / (outputs * size * often)
        terms = tuple((table.monomials[i], float(column[i])) for i in np.flatnonzero(column))
        out.append(LinearLayers(inputs, outputs, count, terms, ALWAYS if is_copied else NEVER))
    return tuple(out)


def _expected(
    profile: ComputeProfile, name: str, linears: Sequence[LinearLayers], point: tuple[int, ...]
) -> Counter[Layer]:
    """The layers that a call has at a point."""
    _, symbols, _ = _called(profile, name, point)
    found: Counter[Layer] = Counter()
    for some in linears:
        monomials, coefficients = zip(*some.rows, strict=True)
        rows = (evaluate_monomials(monomials, symbols) @ np.array(coefficients))[0]
        found[some.inputs, some.outputs, round(rows), some.copied != NEVER] += some.count
    return found


def _called(profile: ComputeProfile, name: str, point: tuple[int, ...]) -> tuple[Call, dict[str, Any], int]:
    """The first kind of calls of a component at a point, its own symbols, and bytes of a number."""
    _, workload = _asked(profile, point)
    columns, precision = workload.columns(), workload.precision
    unbinned = dataclasses.replace(profile, size=dataclasses.replace(profile.size, bins=()))
    (part,) = unbinned.evaluation(columns, precision).parts
    call = next(call for call in part.case.calls if call.component.name == name)
    batch, frames, height, width, text, _ = unbinned._symbols(columns)[1:, 0]
    images = batch if call.group.images == "batched" else 1
    symbols = {
        "batch": images * call.group.batch_factor,
        "frames": frames,
        "height": height,
        "width": width,
        "text": text + call.group.text_offset,
    }
    return (
        call,
        {key: np.array([float(value)]) for key, value in symbols.items()},
        BYTES_PER_WEIGHT[precision],
    )
