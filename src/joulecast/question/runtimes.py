"""How work is to be executed, as people ask for it, and whether this GPU and model can."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from joulecast.architecture.catalogue import model_entry
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError, shown
from joulecast.files.numbers import positive
from joulecast.files.paths import is_path
from joulecast.hardware import Gpu
from joulecast.question.engines import load_engine
from joulecast.question.vocabulary import NOTHING, meant, value_meant, yes_or_no
from joulecast.records import Record
from joulecast.runtime import (
    CACHE,
    CFG,
    DIFFUSERS,
    ENGINE,
    MODEL_OFFLOAD,
    MOST_GPUS,
    NONE,
    OFFLOAD,
    QUANTIZATION,
    REFERENCE,
    RING,
    SPLIT,
    TENSOR,
    ULYSSES,
    Part,
    Runtime,
    Split,
    find,
    read_engine,
    read_parallel,
    written,
)
from joulecast.units import counted

# Of a board's own limit: what drivers let it be lowered to is a quarter to a third of it (an A100's to 100 of
# 400 W), so that less is a slip. Before the board is known, a limit is below what any board draws.
LEAST_POWER_SHARE, MOST_POWER_W = 0.25, 20_000.0
U_NET: Final = "UNet"  # in the name of a denoiser's class
WEIGHTS: Final = "-weights"  # behind a format: of the weights alone


class Asked(Record):
    """What was asked of the runtime; None is what was not.

    `gpus` is what the name of the GPU says, ``8xH100``, or the key of that name.
    """

    engine: str | None = None
    compile: bool | None = None
    quantization: str | None = None
    cache: str | None = None
    offload: str | None = None
    gpus: int | None = None
    parallel: Split | None = None
    power_limit_w: float | None = None

    @property
    def may_need_less_memory(self) -> bool:
        """Whether several GPUs share the work, or weights are quantised."""
        return self.gpus not in (None, 1) or bool(self.parallel) or self.quantization not in (None, NONE)

    @property
    def sharing(self) -> int:
        """How many GPUs share the work, by either key."""
        return self.gpus or math.prod(degree for _, degree in self.parallel or ())

    @property
    def agrees(self) -> bool:
        """Whether both keys tell the same number of GPUs, where both are given."""
        return not self.parallel or math.prod(degree for _, degree in self.parallel) == self.sharing

    def on(self, count: int) -> Asked:
        """The same on so many GPUs as the name of the GPU says; 1 says nothing.

        Raises InputError where the key says another number.
        """
        if count == 1:
            return self
        if self.gpus not in (None, count):
            raise InputError(f"gpus is {self.gpus}, and the name of the GPU says {count}: leave one out")
        return dataclasses.replace(self, gpus=count)


NOTHING_ASKED: Final = Asked()


class Told(Record):
    """A runtime, and notes on how it was understood."""

    runtime: Runtime = REFERENCE
    notes: tuple[str, ...] = ()


def read_engine_name(value: object) -> str:
    """An engine known by name, with ``-compiled`` behind it where it says so, or that of a file.

    Raises UnknownNameError, and errors of `load_engine`.
    """
    if is_path(str(value), ".toml"):
        return load_engine(str(value)).name
    name, compiled = read_engine(value_meant(ENGINE, value))
    return f"{name}-compiled" if compiled else name


def read_compile(value: object) -> bool:
    """Yes or no. Raises InputError."""
    found = yes_or_no(value)
    if found is None:
        raise InputError(f"compile is yes or no, not {shown(value)}")
    return found


def read_quantization(value: object) -> str:
    """A quantisation known by name, or none. Raises UnknownNameError."""
    return (
        NONE
        if str(value).strip().casefold() in NOTHING
        else find(QUANTIZATION, value_meant(QUANTIZATION, value)).name
    )


def read_cache(value: object) -> str:
    """A cache known by name, or none. Raises UnknownNameError."""
    return NONE if str(value).strip().casefold() in NOTHING else find(CACHE, value_meant(CACHE, value)).name


def read_offload(value: object) -> str:
    """A way of offloading known by name, or yes for ``model``, or none. Raises InputError for one that is
    known and not predicted, UnknownNameError for others."""
    is_meant = yes_or_no(value)
    if is_meant is not None or str(value).strip().casefold() in NOTHING:
        return MODEL_OFFLOAD if is_meant else NONE
    known = meant(OFFLOAD, str(value))
    if known is not None and known.words:
        raise InputError(f"offload is {shown(value)}: {known.words}")
    return find(OFFLOAD, known.means if known else str(value)).name


def read_split(value: object) -> Split:
    """How GPUs share the work: ``ulysses=2,ring=2``, pairs, or a mapping. Errors as of `read_parallel`."""
    pairs = value.items() if isinstance(value, Mapping) else value
    if not isinstance(pairs, str) and isinstance(pairs, Iterable):
        value = ",".join(
            "=".join(map(str, pair)) if isinstance(pair, tuple | list) else str(pair) for pair in pairs
        )
    return () if str(value).strip().casefold() in NOTHING else read_parallel(str(value))


def read_gpus(value: object) -> int:
    """How many GPUs share the work. Raises InputError."""
    number = positive(value, "gpus", MOST_GPUS)
    if number != int(number):
        raise InputError(f"gpus is {shown(value)}; expected a whole number from 1 to {MOST_GPUS:,}")
    return int(number)


def read_power_limit(value: object) -> float:
    """A power limit [W]. Raises InputError."""
    return positive(value, "power_limit_w", MOST_POWER_W)


READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "engine": read_engine_name,
    "compile": read_compile,
    "quantization": read_quantization,
    "cache": read_cache,
    "offload": read_offload,
    "gpus": read_gpus,
    "parallel": read_split,
    "power_limit_w": read_power_limit,
}
KEYS: Final = tuple(READERS)


@lru_cache(maxsize=4096)
def runtime_of(asked: Asked, profile: ComputeProfile, gpu: Gpu | None, precision: str, passes: int) -> Told:
    """The runtime that was asked for, made whole, on a GPU or on any.

    Raises
    ------
    InputError
        The keys contradict each other, or the model or the GPU cannot be run so.
    """
    if asked == NOTHING_ASKED:
        return Told()
    notes: list[str] = []
    engine, compiled = read_engine(asked.engine or REFERENCE.engine)
    if compiled and asked.compile is False:
        raise InputError(f"engine {asked.engine} is compiled, and compile is no: leave one out")
    quantization = _quantization(asked.quantization or NONE, gpu, precision, notes)
    parallel, gpus = _shared(asked, profile, passes, notes)
    _check_split(parallel, profile, passes)
    if asked.cache not in (None, NONE):
        _check_denoiser("cache", find(CACHE, asked.cache), profile)
    _check_model(find(ENGINE, engine), profile)
    _check_denoiser("engine", find(ENGINE, engine), profile)
    if asked.offload not in (None, NONE):
        _check_offload(asked.offload, engine, gpus)
    if gpu is not None:
        _check_vendor(find(ENGINE, engine), gpu)
    if gpu is not None and asked.power_limit_w is not None:
        _check_limit(asked.power_limit_w, gpu)
    compiled = compiled or bool(asked.compile)
    cache, offload = asked.cache or NONE, asked.offload or NONE
    found = _met(engine, compiled, quantization, cache, offload, gpus, parallel, asked.power_limit_w)
    return Told(found, tuple(notes))


_met = lru_cache(maxsize=1024)(Runtime)  # what runtimes say of themselves is made once for each


def _quantization(name: str, gpu: Gpu | None, precision: str, notes: list[str]) -> str:
    """The quantisation that applies: of the weights alone where the GPU has no such arithmetic."""
    if name == NONE:
        return name
    if precision == "fp32":
        raise InputError(f"quantization {name} is of models in 16 bits: give precision bf16 or fp16 with it")
    arithmetic = find(QUANTIZATION, name).format
    peaks = {"fp8": gpu.fp8_flop_per_s, "int8": gpu.int8_op_per_s} if gpu is not None else {}
    if gpu is None or not arithmetic or peaks[arithmetic] is not None:
        return name
    alone = name + WEIGHTS
    notes.append(
        f"{gpu.name} has no {arithmetic} arithmetic that its datasheet states: {name} was taken as {alone}, "
        "which is computed in 16 bits"
    )
    return alone


def _shared(asked: Asked, profile: ComputeProfile, passes: int, notes: list[str]) -> tuple[Split, int]:
    """How GPUs share the work, and how many they are."""
    parallel, gpus = asked.parallel or (), asked.sharing
    if parallel or gpus == 1:
        return parallel, gpus
    taken: Split = ((CFG, 2),) if passes == 2 and gpus == 2 else _by_tokens(gpus, heads_of(profile))
    if taken[0][0] != CFG and _is_u_net(profile):
        raise InputError(
            f"{counted(gpus, 'GPU')} cannot share the work: the denoiser of {profile.name} is a U-Net; 2 "
            "GPUs can where guidance makes two passes (parallel cfg=2), or each GPU makes images of its own"
        )
    notes.append(
        f"how {counted(gpus, 'GPU')} share the work was not given: parallel {written(taken)} was taken"
    )
    return taken, gpus


def _by_tokens(gpus: int, heads: int | None) -> Split:
    """By heads as far as these can be shared out evenly, and around a ring beyond."""
    by_heads = math.gcd(gpus, heads or gpus)
    ways = ((RING, gpus // by_heads), (ULYSSES, by_heads))
    return tuple((way, degree) for way, degree in ways if degree > 1)


def heads_of(profile: ComputeProfile) -> int | None:
    """Attention heads of a denoiser of the catalogue; None where its config does not say, or nobody knows."""
    if profile.origin != "catalogue":
        return None
    config = model_entry(profile.name)["components"][profile.denoisers[0].name]["config"]
    heads = config.get("num_attention_heads")
    return heads if isinstance(heads, int) else None


def _check_split(parallel: Split, profile: ComputeProfile, passes: int) -> None:
    ways = dict(parallel)
    if CFG in ways and passes != 2:
        raise InputError(
            f"parallel cfg={ways[CFG]} shares the two denoiser passes of guidance, and {profile.name} makes "
            f"one a step here; {ULYSSES}={ways[CFG]} would work"
        )
    for way in ways:
        _check_denoiser(
            "parallel", find(SPLIT, way), profile, "; cfg=2 would work where guidance makes two passes"
        )
    shared = ways.get(ULYSSES, 1) * ways.get(TENSOR, 1)
    if shared > 1 and (heads := heads_of(profile)) and heads % shared:
        told = written((way, ways[way]) for way in (TENSOR, ULYSSES) if way in ways)
        others = written(_by_tokens(shared, heads))
        raise InputError(
            f"parallel {told} shares out attention heads, and the {heads} of {profile.name} cannot be "
            f"divided by {shared}; {others} would work"
        )


def _check_offload(offload: str, engine: str, gpus: int) -> None:
    """Refuse offloading where it is not diffusers' own, or not to one GPU."""
    if engine != DIFFUSERS:
        raise InputError(
            f"offload {offload} is what {DIFFUSERS} does, and engine {engine} moves weights, if at all, in "
            f"ways of its own, which are not predicted; offload {NONE} or engine {DIFFUSERS} would work"
        )
    if gpus > 1:
        raise InputError(
            f"offload {offload} puts the components of a pipeline on one GPU in turn, and {gpus} GPUs share "
            f"the work; offload {NONE} or one GPU would work"
        )


def _check_denoiser(key: str, part: Part, profile: ComputeProfile, hint: str = "") -> None:
    found = "U-Net" if _is_u_net(profile) else "transformer"
    if part.denoiser not in ("", found):
        raise InputError(
            f"{key} {part.name} is made for a {part.denoiser}, and the denoiser of {profile.name} is a "
            f"{found}{hint}"
        )


def _check_model(engine: Part, profile: ComputeProfile) -> None:
    """Refuse what an engine of one family of models does not run: neither by name nor by its denoiser."""
    if not engine.models or profile.name in engine.models:
        return
    classes = {part.class_name for name in engine.models for part in packaged_profile(name).denoisers}
    if not {part.class_name for part in profile.denoisers} & classes:
        raise InputError(
            f"engine {engine.name} runs {', '.join(engine.models)}, and not {profile.name}; "
            f"{REFERENCE.engine} would work"
        )


def _check_vendor(engine: Part, gpu: Gpu) -> None:
    if engine.vendor and gpu.vendor and gpu.vendor != engine.vendor:
        raise InputError(
            f"engine {engine.name} runs on GPUs of {engine.vendor}, and {gpu.name} is of {gpu.vendor}"
        )


def _is_u_net(profile: ComputeProfile) -> bool:
    """Whether the denoiser is a U-Net, whose convolutions need their neighbours' pixels."""
    return any(U_NET in part.class_name for part in profile.denoisers)


def _check_limit(limit_w: float, gpu: Gpu) -> None:
    least = LEAST_POWER_SHARE * gpu.tdp_w
    if not least <= limit_w <= gpu.tdp_w:
        raise InputError(
            f"power_limit_w is {limit_w:g}, and {gpu.name} draws up to {gpu.tdp_w:g} W; expected {least:g} "
            f"to {gpu.tdp_w:g}"
        )
