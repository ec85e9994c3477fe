"""What a workflow takes, as plain text: how much, sampler by sampler, and what was understood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from joulecast.compute.output import CLIP, said_of
from joulecast.forecast.memory import bound_words
from joulecast.report import amounts as quantity
from joulecast.report.estimate_text import boards, runtime_words
from joulecast.report.lines import aligned, heading, paragraph, table, warned
from joulecast.uncertainty import Interval
from joulecast.units import counted, gigabytes
from joulecast.workflows.estimate import SamplerEstimate, WorkflowEstimate
from joulecast.workflows.understood import Understood

MOST_NODES_SHOWN: Final = 60  # in the table of nodes; all are in JSON


def workflow_text(answer: WorkflowEstimate) -> str:
    """An estimate of a workflow: how much, of which samplers, and what was made of each node."""
    return "\n".join(
        [
            *heading(_title(answer)),
            "",
            *warned(answer.warnings),
            *_unknown(answer),
            *_headline(answer),
            "",
            *_samplers(answer.samplers),
            "",
            *_nodes(answer.nodes),
            "",
            *paragraph("Counts", _counts(answer)),
            *paragraph("Runtime", _runtimes(answer)),
            *(paragraph("Range", SUM_OF_RANGES) if len(answer.samplers) > 1 else []),
            *(line for words in _notes(answer) for line in paragraph("Note", words)),
        ]
    )


SUM_OF_RANGES: Final = (
    "each sampler's is its 90 % interval; the whole adds up their ends, as if all were wrong the same way."
)


def _title(answer: WorkflowEstimate) -> str:
    made = said_of(answer.output, counted(answer.outputs, "image"))
    samplers = counted(len(answer.samplers) + len(answer.left_out), "sampler")
    on = {boards(one.estimate.question) for one in answer.samplers}  # one, unless files are in other numbers
    return f"{answer.name} on {on.pop() if len(on) == 1 else answer.gpu.name}: {samplers}, {made}"


def _unknown(answer: WorkflowEstimate) -> list[str]:
    """The classes that are not known, named once each."""
    names = list(dict.fromkeys(node.class_name for node in answer.unknown))
    if not names:
        return []
    told = f"not known, and left out of the sum: {', '.join(names)}"
    return [*paragraph("Unknown nodes", told), ""]


def _headline(answer: WorkflowEstimate) -> list[str]:
    energy, time, per_output = answer.energy, answer.duration, answer.energy_per_output
    ends = "90 %: " if len(answer.samplers) == 1 else "range: "
    rows = [_energy_row("energy of a run", energy, ends)]
    if answer.outputs > 1:
        rows.append(_energy_row(said_of(answer.output, "energy per image"), per_output, ends))
    rows += [
        [
            "time of a run",
            quantity.duration(time.value),
            "",
            ends + quantity.duration_range(time.low, time.value, time.high),
        ],
        ["average power", quantity.power(energy.value / time.value), "", ""],
        _memory_row(answer),
    ]
    return aligned(rows, right={1, 2})


def _energy_row(label: str, energy: Interval, ends: str) -> list[str]:
    told = f"{ends}{quantity.energy(energy.low)} to {quantity.energy(energy.high)}"
    return [label, quantity.energy(energy.value), quantity.energy_wh(energy.value), told]


def _memory_row(answer: WorkflowEstimate) -> list[str]:
    largest = answer.largest
    memory, board = largest.estimate.memory, gigabytes(answer.gpu.memory_bytes)
    node, is_one = f"node {largest.asked.sampling.node.id}", len(answer.samplers) == 1
    if memory.peak_bytes is None:
        least = answer.least_peak_bytes
        told = "unknown" if least is None else f"at least {gigabytes(least)}"
        return [
            "memory at its peak",
            told,
            "",
            f"of {board}" + ("" if is_one else f"; that of {node} is not known"),
        ]
    parts = [f"of {board}", *([] if is_one else [node])]
    if memory.offloaded_peak_bytes is not None:
        parts.append(f"{gigabytes(memory.offloaded_peak_bytes)} with one model at a time")
    most = "up to " if memory.is_upper_bound else ""
    return ["memory at its peak", f"{most}{gigabytes(memory.peak_bytes)}", "", "; ".join(parts)]


def _samplers(samplers: Iterable[SamplerEstimate]) -> list[str]:
    header = ["node", "model", "size", "denoiser", "with", "energy", "time", "memory"]
    return table(header, [_sampler_row(one) for one in samplers], right={5, 6, 7})


def _sampler_row(one: SamplerEstimate) -> list[str]:
    asked, guess = one.asked, one.estimate
    sampling, w = asked.sampling, guess.workload
    frames = f"x{guess.rendered_frames}" if guess.output == CLIP else ""
    batch = f", {w.batch_size} at once" if w.batch_size > 1 else ""
    calls = "" if sampling.calls == sampling.steps else f" of {sampling.sampler} ({sampling.calls} calls)"
    passes = f" x {sampling.passes} passes" if sampling.passes > 1 else ""
    peak = guess.memory.peak_bytes
    return [
        sampling.node.id,
        guess.question.profile.name,
        f"{w.width}x{w.height}{frames}{batch}",
        f"{counted(sampling.steps, 'step')}{calls}{passes}",
        _with(one),
        quantity.energy(one.energy.value),
        quantity.duration(one.duration.value),
        "unknown" if peak is None else gigabytes(peak),
    ]


def _with(one: SamplerEstimate) -> str:
    """What is counted beside the denoiser."""
    asked = one.asked
    decodes = "decode" if asked.decodes == 1 else f"decode x {asked.decodes}"
    told = (
        ("text", asked.encodes_text),
        ("encode", asked.encodes_image),
        (decodes, asked.decodes > 0),
    )
    return ", ".join(words for words, is_counted in told if is_counted) or "-"


def _nodes(nodes: Iterable[Understood]) -> list[str]:
    told = list(nodes)
    rows = [[node.id, node.class_name, node.status, node.words] for node in told[:MOST_NODES_SHOWN]]
    more = len(told) - MOST_NODES_SHOWN
    lines = table(["node", "class", "status", "what"], rows, right=set())
    return [*lines, *([f"  ... and {counted(more, 'node')} more (--json has all)"] if more > 0 else [])]


def _counts(answer: WorkflowEstimate) -> str:
    of = (
        "all that the GPU board draws, idle power included"
        if answer.boundary == "gross"
        else "what it draws above idle"
    )
    return (
        f"{of} ({answer.boundary}), while samplers run, with the encoding before them and the decoding "
        "after; not loading of weights, saving, nor the rest of the computer."
    )


def _runtimes(answer: WorkflowEstimate) -> str:
    """How each is executed; once where all are alike."""
    told = dict.fromkeys(runtime_words(one.estimate.runtime) for one in answer.samplers)
    return f"{'; '.join(told)}."


def _notes(answer: WorkflowEstimate) -> list[str]:
    by_node = (
        f"node {one.asked.sampling.node.id}: {words}"
        for one in answer.samplers
        for words in (*one.asked.notes, *one.estimate.notes)
    )
    largest = answer.largest.estimate
    bound = (
        [f"memory of each board is {bound_words(largest.runtime)}"] if largest.memory.is_upper_bound else []
    )
    return list(dict.fromkeys((*answer.notes, *bound, *by_node)))
