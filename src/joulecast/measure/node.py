"""A node of a fleet: what makes the work and its meter there, and what runs on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from joulecast.errors import in_short, shown
from joulecast.extras import own_version
from joulecast.hardware import catalogued
from joulecast.measure.meter import Meter
from joulecast.measure.nvml import NvmlMeter
from joulecast.measure.protocol import Repeat, Settings
from joulecast.measure.records import Environment, TaskSpec
from joulecast.measure.replay import ReplayMeter, Trace, VirtualClock
from joulecast.measure.task import Outcome, Subject, attempt
from joulecast.measure.virtual import VirtualSubject

ACCELERATOR: Final = "accelerator_type:"  # how Ray names the resource that tells a node's GPU


class Source(Protocol):
    """Makes, on a node, what runs the work and the meter beside it."""

    @property
    def is_real(self) -> bool:
        """Whether a GPU is used: then every run has a process of its own."""
        ...

    def __call__(self, accelerator: str) -> tuple[Subject, Meter]:
        """`accelerator` is what Ray calls the node's GPU, or nothing."""
        ...


@dataclass(frozen=True)
class GpuSource:
    """The GPU that Ray gives a run, and real pipelines on it."""

    is_real: bool = True

    def __call__(self, accelerator: str) -> tuple[Subject, Meter]:
        """The GPU's meter; its name is the driver's."""
        NvmlMeter().close()  # without a GPU that is refused before torch is loaded
        from joulecast.measure.pipelines import PipelineSubject, gpu_meter

        meter = gpu_meter()
        return PipelineSubject("cuda"), meter


@dataclass(frozen=True)
class ReplaySource:
    """A replayed trace under the name of the node's GPU: dry runs."""

    trace: Trace
    is_real: bool = False

    def __call__(self, accelerator: str) -> tuple[Subject, Meter]:
        """A virtual GPU."""
        clock = VirtualClock()
        trace = dataclasses.replace(self.trace, gpu=accelerator or self.trace.gpu)
        return VirtualSubject(clock), ReplayMeter(trace, clock)


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes
    ----------
    identity : Ray's id of it.
    name : its host name, or its address.
    accelerator : what Ray calls its GPU; empty where it does not tell.
    slots : its GPUs.
    stated : the GPU's name as its meter states it.
    gpu : the same as the catalogue names it; None where it is not in the catalogue.
    version : of its joulecast.
    """

    identity: str
    name: str
    accelerator: str
    slots: int
    stated: str = ""
    gpu: str | None = None
    version: str = ""


@dataclass(frozen=True)
class Answer:
    """What comes back from a node: the outcome of a task, or why the node cannot measure."""

    outcome: Outcome | None = None
    environment: Environment | None = None
    repeats: tuple[tuple[str, int, Repeat], ...] = ()
    stated: str = ""
    version: str = ""
    problem: str = ""


class ListRecorder:
    """Keeps a task's environment and repeats, to travel back."""

    def __init__(self, node: str, differs: tuple[str, ...]) -> None:
        self._node, self._differs = node, differs
        self.kept: Environment | None = None
        self.repeats: list[tuple[str, int, Repeat]] = []

    def environment(self, environment: Environment) -> None:
        """Keep the environment, and which node it is."""
        self.kept = dataclasses.replace(environment, node=self._node, differs=self._differs)

    def repeat(self, part: str, number: int, repeat: Repeat) -> None:
        """Keep a repeat."""
        self.repeats.append((part, number, repeat))


def introduce(source: Source, accelerator: str) -> Answer:
    """On a node: its GPU and its joulecast."""
    try:
        _, meter = source(accelerator)
    except Exception as error:
        return Answer(problem=in_short(error))
    try:
        return Answer(stated=meter.device.gpu, version=own_version())
    finally:
        meter.close()


def run_task(
    spec: TaskSpec,
    asked_gpu: str | None,
    settings: Settings,
    source: Source,
    node: Node,
    driver_version: str,
) -> Answer:
    """On a node: measure a task. What differs from what the driver expects is in its environment."""
    try:
        subject, meter = source(node.accelerator)
    except Exception as error:
        return Answer(problem=in_short(error))
    try:
        stated = meter.device.gpu
        if asked_gpu is not None and known_gpu(stated, node.accelerator) != asked_gpu:
            words = f"failed: it asks for {asked_gpu}, and node {node.name} gave it {shown(stated)}"
            return Answer(Outcome("failed", words, None, 0.0))
        differs = tuple(differences(node, stated, own_version(), driver_version))
        recorder = ListRecorder(node.name, differs)
        outcome = attempt(spec, subject, meter, settings, recorder)
        if outcome.result is not None:
            outcome = dataclasses.replace(outcome, result=outcome.result.with_warnings(*differs))
        return Answer(outcome, recorder.kept, tuple(recorder.repeats))
    finally:
        meter.close()


def differences(node: Node, stated: str, version: str, driver_version: str) -> Iterator[str]:
    """Where a run's node is not what the campaign's driver is, or said it was."""
    if version != driver_version:
        yield f"joulecast {version} on {node.name}, {driver_version} where the campaign runs"
    if stated != node.stated:
        yield f"the GPU is {shown(stated)}; {node.name} said {shown(node.stated)}"


def gpu_name(stated: str) -> str | None:
    """The catalogue's name of a GPU, or None."""
    found = catalogued(stated)
    return None if found is None else found.name


def known_gpu(stated: str, accelerator: str) -> str | None:
    """The catalogue's name of a GPU as the driver states it, or else as Ray does."""
    return gpu_name(stated) or gpu_name(accelerator)
