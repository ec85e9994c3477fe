"""What queueing a workflow takes: the estimates of its samplers, and their sum."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from joulecast.compute.output import together
from joulecast.errors import InputError, as_name, shown
from joulecast.files.plain import plain
from joulecast.files.streams import as_given
from joulecast.forecast.estimate import Estimate, LawChoice, estimate_of, resolve_law
from joulecast.hardware import Gpu
from joulecast.presented import Presented
from joulecast.question.gpus import gpu_and_count
from joulecast.records import Record
from joulecast.runtime import ENGINE, Runtime, parts
from joulecast.uncertainty import Interval
from joulecast.workflows.asking import COMFYUI, NO_RUNTIME, AskedSampler, LeftOut, ask_all, models_of
from joulecast.workflows.flow import Flow
from joulecast.workflows.given import MOST_CLASSES_NAMED
from joulecast.workflows.graph import Graph
from joulecast.workflows.handed import Assumed
from joulecast.workflows.reading import read_workflow
from joulecast.workflows.understood import UNKNOWN, Understood, understood


class SamplerEstimate(Record):
    """A sampler and what it takes, with the encoding before it and the decoding after it."""

    asked: AskedSampler
    estimate: Estimate

    @property
    def energy(self) -> Interval:
        """GPU energy of all that it makes [J], with its 90 % interval."""
        return self.estimate.energy * self.estimate.workload.batch_size

    @property
    def duration(self) -> Interval:
        """Time of all that it makes [s], with its 90 % interval."""
        return self.estimate.duration

    def to_dict(self) -> dict[str, object]:
        """The same as one JSON object."""
        asked, sampling = self.asked, self.asked.sampling
        return {
            "node": sampling.node.id,
            "class": sampling.node.class_name,
            "title": sampling.node.title,
            "file": sampling.model.file,
            "sampler": sampling.sampler,
            "steps": sampling.steps,
            "calls": sampling.calls,
            "passes": sampling.passes,
            "encodes_text": asked.encodes_text,
            "encodes_image": asked.encodes_image,
            "decodes": asked.decodes,
            "energy_j": self.energy.ends(),
            "duration_s": self.duration.ends(),
            "notes": list(asked.notes),
            "estimate": self.estimate.to_dict(),
        }


class WorkflowEstimate(Presented, Record):
    """What one run of a workflow takes.

    Attributes
    ----------
    name : of the file.
    samplers : those that are counted, in the order in which they run.
    left_out : those that are not.
    nodes : what was made of every node, in the order of the file.
    notes : how it was understood.
    """

    text_by = "workflow_text:workflow_text"

    name: str
    samplers: tuple[SamplerEstimate, ...]
    left_out: tuple[LeftOut, ...]
    nodes: tuple[Understood, ...]
    notes: tuple[str, ...]

    @property
    def gpu(self) -> Gpu:
        """The GPU it is of."""
        return self.samplers[0].estimate.gpu

    @property
    def runtime(self) -> Runtime:
        """How its first sampler is executed: others may be in other numbers."""
        return self.samplers[0].estimate.runtime

    @property
    def boundary(self) -> str:
        """``gross`` or ``dynamic``."""
        return self.samplers[0].estimate.boundary

    @property
    def last(self) -> tuple[SamplerEstimate, ...]:
        """Those that no other goes on with; the last that is counted where all those are left out."""
        return tuple(one for one in self.samplers if one.asked.is_last) or self.samplers[-1:]

    @property
    def outputs(self) -> int:
        """How many images or clips come out."""
        return sum(one.estimate.workload.batch_size for one in self.last)

    @property
    def output(self) -> str:
        """What comes out: an ``image``, a ``clip``, or either."""
        return together(one.estimate.output for one in self.last)

    @property
    def energy(self) -> Interval:
        """GPU energy of a run [J]. The ends are sums of the samplers': of several wider than 90 %."""
        return sum((one.energy for one in self.samplers), Interval.exact(0))

    @property
    def duration(self) -> Interval:
        """Time of a run [s], as `energy`; without that of loading weights."""
        return sum((one.duration for one in self.samplers), Interval.exact(0))

    @property
    def energy_per_output(self) -> Interval:
        """GPU energy of a run for each image or clip that comes out [J]."""
        return self.energy / self.outputs

    @cached_property
    def largest(self) -> SamplerEstimate:
        """The sampler that needs the most memory, or one of which that is not known: it may need more."""
        return max(self.samplers, key=lambda one: one.estimate.memory.peak_bytes or math.inf)

    @property
    def least_peak_bytes(self) -> float | None:
        """What torch's allocator holds at its peak at least [byte], as far as that is known of samplers."""
        of = (one.estimate.memory for one in self.samplers)
        return max((one.least_peak_bytes or 0.0 for one in of if not one.is_upper_bound), default=0.0) or None

    @property
    def unknown(self) -> tuple[Understood, ...]:
        """The nodes that are not known."""
        return tuple(node for node in self.nodes if node.status == UNKNOWN)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the numbers deserve doubt."""
        told = [words for one in self.samplers for words in one.estimate.warnings]
        return tuple(dict.fromkeys((*told, *(f"{one.node.name}: {one.words}" for one in self.left_out))))

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object; units are in the names of the keys."""
        energy, duration = self.energy, self.duration
        record = {
            "workflow": self.name,
            "gpu": self.gpu.name,
            "boundary": self.boundary,
            "runtime": self.runtime.to_dict(),
            "output": self.output,
            "outputs": self.outputs,
            "energy_j": energy.value,
            "energy_low_j": energy.low,
            "energy_high_j": energy.high,
            "energy_per_output_j": self.energy_per_output.ends(),
            "duration_s": duration.value,
            "duration_low_s": duration.low,
            "duration_high_s": duration.high,
            "memory": {**self.largest.estimate.memory._asdict(), "node": self.largest.asked.sampling.node.id},
            "samplers": [one.to_dict() for one in self.samplers],
            "left_out": [
                {"node": one.node.id, "class": one.node.class_name, "why": one.words} for one in self.left_out
            ],
            "nodes": [node.to_dict() for node in self.nodes],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }
        return cast(dict[str, Any], plain(record))


def estimate_workflow(
    path: str | os.PathLike[str],
    keys: Mapping[str, object],
    *,
    models: Sequence[str] = (),
    assumed: Assumed | None = None,
    law: LawChoice = None,
) -> WorkflowEstimate:
    """What a workflow of ComfyUI takes when it is queued once.

    Parameters
    ----------
    path : of the workflow (JSON of either format, or a PNG image of ComfyUI's).
    keys : of a `joulecast.Setting`, that hold for all samplers: ``gpu``, ``precision``, ``engine``, ...
    models : ``NODE=NAME`` of loaders, or ``NAME`` for files that are not known.
    assumed : what the workflow does not say.
    law : as of `joulecast.estimate`.

    Raises
    ------
    InputError
        There is no sampler, the nodes and links cannot be, or a model refuses what is asked for.
    UnknownNameError
        An unknown GPU, model, engine or law.
    FileFormatError
        The file holds no workflow.
    """
    name = as_name(Path(as_given(os.fspath(path))).name)
    return estimate_graph(read_workflow(path), keys, name=name, models=models, assumed=assumed, law=law)


def estimate_graph(
    graph: Graph,
    keys: Mapping[str, object],
    *,
    name: str,
    models: Sequence[str] = (),
    assumed: Assumed | None = None,
    law: LawChoice = None,
) -> WorkflowEstimate:
    """The same of a workflow that was read already, by its name. Errors as of `estimate_workflow`."""
    flow = Flow(graph, assumed or Assumed())
    if not flow.samplings:
        raise InputError(_no_sampler(graph, flow))
    if keys.get("gpu") is not None:
        gpu_and_count(cast(str, keys["gpu"]))  # what is wrong with it is no sampler's matter
    asked = ask_all(flow, models_of(list(models), flow), keys)
    counted = [one for one in asked if isinstance(one, AskedSampler)]
    if not counted:
        raise InputError("every sampler is left out: there is nothing to estimate")
    known = resolve_law(law)
    samplers = tuple(SamplerEstimate(one, estimate_of(one.question, known)) for one in counted)
    is_told = COMFYUI in parts(ENGINE) or keys.get("engine") is not None
    return WorkflowEstimate(
        name=name,
        samplers=samplers,
        left_out=tuple(one for one in asked if isinstance(one, LeftOut)),
        nodes=tuple(understood(flow, asked)),
        notes=() if is_told else (NO_RUNTIME,),
    )


def _no_sampler(graph: Graph, flow: Flow) -> str:
    """That there is nothing to estimate, and what may be the reason."""
    told = understood(flow, [])
    unknown = list(dict.fromkeys(node.class_name for node in told if node.status == UNKNOWN))
    named = ", ".join(map(shown, unknown[:MOST_CLASSES_NAMED])) + (
        ", ..." if len(unknown) > MOST_CLASSES_NAMED else ""
    )
    why = f"; not known are {named}" if unknown else ""
    off = f"; {len(graph.off)} nodes are muted or bypassed" if graph.off else ""
    return f"no sampler that is known runs in this workflow (KSampler, SamplerCustomAdvanced, ...){why}{off}"
