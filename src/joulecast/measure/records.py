"""The records of a measured task: its specification, what it was measured in, and what was found.

The store keeps them as JSON (`to_json`, `from_json`); everything else reads their fields.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from joulecast.architecture.workload import Workload
from joulecast.files.documents import parse_json
from joulecast.files.plain import plain
from joulecast.measure.protocol import Idle, Settings

RANDOM: Final = "random"  # weights made on the device
TRAINED: Final = "trained"  # weights of the hub id that the catalogue lists
EAGER: Final = "eager"
TF32_DEFAULT: Final = "default"  # torch's: convolutions yes, matrix products no

_Object: TypeAlias = dict[str, Any]  # JSON, on its way from or to the store


@dataclass(frozen=True)
class TaskSpec:
    """What is to be measured.

    Attributes
    ----------
    model : by its name in the catalogue.
    width, height, steps, passes, batch_size, precision, text_tokens, negative_prompt, frames : as of a
        Workload.
    runtime : ``eager`` or ``compiled``.
    tf32 : whether fp32 arithmetic may round to TF32: ``on``, ``off``, or ``default``, torch's.
    components : whether each component is measured alone as well.
    weights : ``random``, ``trained``, or a folder or hub id.
    strength, steps_asked : of an image that the pipeline is given, and the steps that it is called with, of
        which `steps` are made at it; None where there is no strength below 1.
    """

    model: str
    width: int
    height: int
    steps: int
    passes: int
    batch_size: int
    precision: str
    text_tokens: int | None = None
    runtime: str = EAGER
    tf32: str = TF32_DEFAULT
    components: bool = False
    weights: str = RANDOM
    negative_prompt: bool = False
    frames: int = 1
    strength: float | None = None
    steps_asked: int | None = None

    @property
    def workload(self) -> Workload:
        """What the pipeline is asked to do."""
        return Workload(
            width=self.width,
            height=self.height,
            steps=self.steps,
            passes=self.passes,
            batch_size=self.batch_size,
            precision=self.precision,
            text_tokens=self.text_tokens,
            frames=self.frames,
            negative_prompt=self.negative_prompt,
        )

    def to_dict(self) -> dict[str, object]:
        """As one JSON object, in the order in which it is stored; what only few tasks have is left out."""
        values = dataclasses.asdict(self)
        for name, usual in (
            ("negative_prompt", False),
            ("frames", 1),
            ("strength", None),
            ("steps_asked", None),
        ):
            if values[name] == usual:  # a task is the same one as before there was this field
                del values[name]
        return dict(sorted(values.items()))

    def to_json(self) -> str:
        """In the one form that also tells tasks apart."""
        return canonical(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> TaskSpec:
        """What `to_json` wrote."""
        return cls(**parse_json(text, "a record"))


# --- what a result depends on ---------------------------------------------------------------------


@dataclass(frozen=True)
class TorchState:
    """How torch ran a pipeline: on which device, compiled how (None: eager), and with TF32 where."""

    device: str
    compiled: Mapping[str, str | bool] | None
    tf32_products: bool
    tf32_convolutions: bool


@dataclass(frozen=True)
class Software:
    """What ran the work: weights, attention kernels (None: not known), versions of libraries by name;
    `torch` is None in a dry run."""

    weights: str
    attention: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    torch: TorchState | None = None


@dataclass(frozen=True)
class Environment:
    """Everything besides its specification that a result depends on.

    Attributes
    ----------
    gpu, gpu_uuid, driver : as the driver states them.
    meter : which kind it is.
    is_real : whether what it read was drawn while it was read; False in a dry run.
    reading : how the energy was read, in words.
    power_limit_w, memory_clock_mhz : of the GPU at the beginning [W, MHz]; None where not known.
    joulecast, python, platform : versions, and the operating system.
    protocol : how thoroughly it was measured, but for the time that was left.
    software : what ran the work.
    node, differs : of a fleet alone: the machine, and where it is not what the driver expects.
    """

    gpu: str
    gpu_uuid: str
    driver: str
    meter: str
    is_real: bool
    reading: str
    power_limit_w: float | None
    memory_clock_mhz: float | None
    joulecast: str
    python: str
    platform: str
    protocol: Settings
    software: Software
    node: str | None = None
    differs: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As one flat object."""
        values = dataclasses.asdict(self)
        software = values.pop("software")
        torch = software.pop("torch") or {}
        if self.node is None:
            del values["node"], values["differs"]
        return canonical({**values, **software, **torch})

    @classmethod
    def from_json(cls, text: str) -> Environment:
        """What `to_json` wrote."""
        values = parse_json(text, "a record")
        torch = _taken(TorchState, values)
        software = _taken(Software, values) | {"torch": TorchState(**torch) if torch else None}
        protocol, differs = Settings.of(values.pop("protocol")), tuple(values.pop("differs", ()))
        return cls(**values, protocol=protocol, software=Software(**software), differs=differs)


# --- what was found -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComponentEnergy:
    """A component's energy [J] and time [s]: of one call, and of all its calls for one batch.

    `dynamic_j` is None where idle power was not measured, or the component drew no more.
    """

    energy_per_call_j: float
    energy_half_width_j: float | None
    duration_per_call_s: float
    energy_j: float
    dynamic_j: float | None
    duration_s: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComponentResult:
    """One kind of call of a component, measured alone.

    Attributes
    ----------
    name, role : the component, and ``text_encoder``, ``denoiser`` or ``decoder``.
    kind : of its calls, those with inputs of equal shapes; 0 is the first.
    calls : of this kind for one batch.
    shapes : of the inputs.
    measured : None where it could not be resolved.
    problem : why not.
    """

    name: str
    role: str
    kind: int
    calls: int
    shapes: str
    measured: ComponentEnergy | None = None
    problem: str = ""

    @property
    def is_resolved(self) -> bool:
        """Whether its energy is known."""
        return self.measured is not None

    @property
    def part(self) -> str:
        """The name under which its repeats are recorded."""
        return part_name(self.name, self.kind)

    def _values(self) -> dict[str, object]:
        values = dataclasses.asdict(self)
        measured, problem = values.pop("measured"), values.pop("problem")
        return {**values, "is_resolved": self.is_resolved, **(measured or {"problem": problem})}

    @classmethod
    def _of(cls, values: _Object) -> ComponentResult:
        resolved = values.pop("is_resolved")
        energy = _above_idle(_taken(ComponentEnergy, values))
        measured = ComponentEnergy(**_with_tuples(energy, "warnings")) if resolved else None
        return cls(**values, measured=measured)


def part_name(component: str, kind: int) -> str:
    """A kind of call of a component, the first without a number."""
    return component if kind == 0 else f"{component}#{kind + 1}"


@dataclass(frozen=True)
class StepResult:
    """One denoising step.

    Attributes
    ----------
    step : its number, from 1.
    calls : its denoiser calls in order, by the part under which each kind is measured alone.
    duration_s, denoiser_s : its time, and that of its calls alone [s].
    energy_j : of its calls, for one batch [J]; None where a kind of them is unresolved.
    """

    step: int
    calls: tuple[str, ...]
    duration_s: float
    denoiser_s: float
    energy_j: float | None

    @property
    def is_resolved(self) -> bool:
        """Whether its energy is known."""
        return self.energy_j is not None

    def _values(self) -> dict[str, object]:
        return {**dataclasses.asdict(self), "is_resolved": self.is_resolved}

    @classmethod
    def _of(cls, values: _Object) -> StepResult:
        del values["is_resolved"]
        return cls(**_with_tuples(values, "calls"))


@dataclass(frozen=True)
class Output:
    """What a pipeline made: whether the images were finite numbers (None: not looked at), and the most
    GPU memory that was used [byte]; None on a CPU."""

    is_finite: bool | None
    memory_bytes: int | None = None

    def _values(self) -> dict[str, object]:
        known = {} if self.memory_bytes is None else {"memory_bytes": self.memory_bytes}
        return {"is_finite": self.is_finite, **known}


@dataclass(frozen=True)
class TaskResult:
    """What was found of a task. Energies [J] and times [s] are of one batch.

    Attributes
    ----------
    energy_j, energy_half_width_j : gross: mean over the repeats, half of its 95 % interval; the latter
        None for one repeat.
    duration_s, duration_half_width_s : likewise of the time.
    dynamic_j : gross minus idle power times time; None without idle, or when it is not above 0.
    idle_power_w, idle_before, idle_after : None when idle power was not measured.
    spread : standard deviation over mean of the repeats' energies; None for one repeat.
    drift : trend of the energy over all repeats, over its mean.
    warnings : what makes the result doubtful.
    components, steps : measured alone, where that was asked for.
    steps_departure : how far time is from rising evenly over the steps.
    output : what the pipeline made; None in a dry run.
    """

    energy_j: float
    energy_half_width_j: float | None
    duration_s: float
    duration_half_width_s: float | None
    dynamic_j: float | None
    idle_power_w: float | None
    idle_before: Idle | None
    idle_after: Idle | None
    spread: float | None
    drift: float
    warnings: tuple[str, ...] = ()
    components: tuple[ComponentResult, ...] = ()
    steps: tuple[StepResult, ...] = ()
    steps_departure: float | None = None
    output: Output | None = None

    def with_warnings(self, *words: str) -> TaskResult:
        """The same, in more doubt."""
        return dataclasses.replace(self, warnings=(*self.warnings, *words))

    def to_json(self) -> str:
        """As one object, without what was not asked for."""
        values = dataclasses.asdict(self)
        for name in ("components", "steps", "steps_departure", "output"):
            del values[name]
        if self.components:
            values["components"] = [part._values() for part in self.components]
            values["steps"] = [step._values() for step in self.steps]
            values["steps_departure"] = self.steps_departure
        if self.output is not None:
            values["output"] = self.output._values()
        return canonical(values)

    @classmethod
    def from_json(cls, text: str) -> TaskResult:
        """What `to_json` wrote."""
        values = _above_idle(_with_tuples(parse_json(text, "a record"), "warnings"))
        for name in ("idle_before", "idle_after"):
            values[name] = None if values[name] is None else Idle(**values[name])
        values["components"] = tuple(map(ComponentResult._of, values.get("components", ())))
        values["steps"] = tuple(map(StepResult._of, values.get("steps", ())))
        values["output"] = Output(**values["output"]) if "output" in values else None
        return cls(**values)


# --- JSON -----------------------------------------------------------------------------------------


def canonical(value: Mapping[str, object]) -> str:
    """JSON in one form only: sorted keys, no blanks, no nan."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _taken(record: type[Any], values: _Object) -> _Object:
    """The fields of a record, taken out of an object that has them among its own."""
    names = [one.name for one in dataclasses.fields(record)]
    return {name: values.pop(name) for name in names if name in values}


def _above_idle(values: _Object) -> _Object:
    """The fields of a result without a dynamic energy of nothing or less, which older stores may hold."""
    dynamic = values.get("dynamic_j")
    return {**values, "dynamic_j": None} if isinstance(dynamic, int | float) and dynamic <= 0 else values


def _with_tuples(values: _Object, name: str) -> _Object:
    return {**values, name: tuple(values[name])}
