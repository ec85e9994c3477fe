"""How the same arithmetic is executed: engine, compilation, quantisation, step cache, offloading, GPUs, power
limit.

What is known by name is in ``data/runtimes.csv``, and an engine of one's own in a file
(`joulecast.question.engines`), once it is registered. The reference is what people get without doing
anything: eager diffusers on one GPU, at the board's own power limit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Final

from joulecast import data
from joulecast.errors import InputError, UnknownNameError, fold, shown
from joulecast.records import Record
from joulecast.units import counted

TABLE: Final = "runtimes.csv"
ENGINE, QUANTIZATION, CACHE, ATTENTION, SPLIT = "engine", "quantization", "cache", "attention", "split"
OFFLOAD: Final = "offload"
DIFFUSERS: Final = "diffusers"
NONE: Final = "none"
# Weights wait in the host's memory, and each component is on the GPU while it runs.
MODEL_OFFLOAD: Final = "model"
COMPILED: Final = "-compiled"  # behind an engine's name: with torch.compile
CFG, ULYSSES, RING, TENSOR, PIPEFUSION = "cfg", "ulysses", "ring", "tensor", "pipefusion"
DATA: Final = "data"  # whole batches beside each other: GPUs that share no work, as tables of runs may say
FLASH_ATTENTION_3: Final = "flash_attention_3"
REFERENCE_STRATUM, ONE_GPU, SEVERAL_GPUS = "reference", "one_gpu", "several_gpus"
# Costs of the reference of which an engine leaves a share: time of arithmetic, bytes of memory-bound
# operators, GPU time of launches, host time.
LEFT: Final = ("time_left", "bytes_left", "kernels_left", "host_left")
STRATA: Final = (REFERENCE_STRATUM, ONE_GPU, SEVERAL_GPUS)  # the reference, others on one GPU, and on several
MOST_GPUS: Final = 1024
MOST_CFG: Final = 2
_DEGREE: Final = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
KINDS: Final = (ENGINE, QUANTIZATION, CACHE, OFFLOAD, ATTENTION, SPLIT)
Split = tuple[tuple[str, int], ...]


class Part(Record):
    """Something a runtime may be made of.

    Attributes
    ----------
    kind, name, title : of which of a runtime's keys it is a value, what it is asked for by, and is called.
    kernels : of an engine: the other whose kernels it runs; empty for its own.
    fused : of an engine: whether its kernels are fused as a compiler's are.
    attention : of an engine: its own attention kernel; empty for torch's.
    format : of a quantisation: what the arithmetic is in; empty where the weights alone are quantised.
    bits : of a quantisation: of a weight; 0 of others.
    vendor : of an engine: of the only GPUs that it runs on; empty where nobody says.
    denoiser : the kind of denoiser that it is made for, ``U-Net`` or ``transformer``; empty for either.
    models : of an engine: the only ones that it runs, their authors' own code; empty where it runs any.
    source : where it is published.
    left : of an engine of one's own: shares of the reference's costs that it leaves, by name of LEFT, where
        they are known.
    """

    kind: str
    name: str
    title: str
    kernels: str
    fused: bool
    attention: str
    format: str
    bits: int
    vendor: str
    denoiser: str
    models: tuple[str, ...]
    source: str
    left: tuple[tuple[str, float], ...] = ()


class Runtime(Record):
    """How the arithmetic is executed.

    Attributes
    ----------
    engine : what runs the pipeline, e.g. ``diffusers`` or ``sglang``; another word is one's own.
    compile : whether torch.compile made its kernels.
    quantization : of the denoiser's weights and arithmetic, e.g. ``fp8``, or of its weights alone.
    cache : of denoising steps, e.g. ``cache-dit``: part of their work is not done.
    offload : which weights wait in the host's memory: ``none``, or ``model``, of diffusers'
        ``enable_model_cpu_offload``.
    gpus : GPUs that share the work.
    parallel : how they share it, ``(("ulysses", 4), ("cfg", 2))``: degrees, whose product is `gpus`.
    power_limit_w : what the board may draw [W]; None for its own limit.

    Raises
    ------
    UnknownNameError
        An unknown quantisation, cache, way of offloading or of sharing; carries near matches.
    InputError
        A value is out of range, or the GPUs are not those that the degrees make.
    """

    engine: str = DIFFUSERS
    compile: bool = False
    quantization: str = NONE
    cache: str = NONE
    offload: str = NONE
    gpus: int = 1
    parallel: Split = ()
    power_limit_w: float | None = None

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.engine):
            raise InputError(f"engine {shown(self.engine)} is no word of small letters, e.g. sglang")
        for kind in (QUANTIZATION, CACHE, OFFLOAD):
            name = getattr(self, kind)
            if name != NONE:
                find(kind, name)
        for way, _ in self.parallel:
            find(SPLIT, way)
        degrees = math.prod(degree for _, degree in self.parallel)
        if not 1 <= self.gpus <= MOST_GPUS:
            raise InputError(f"gpus must be from 1 to {MOST_GPUS}, not {self.gpus}")
        if degrees != self.gpus:
            told = f"parallel {written(self.parallel)} is" if self.parallel else "without parallel there is"
            raise InputError(f"gpus is {self.gpus}, but {told} for {degrees}; {_example(self.gpus)}")
        if self.degree(CFG) > MOST_CFG:
            raise InputError(f"cfg={self.degree(CFG)}: guidance has {MOST_CFG} passes to share")

    def degree(self, *ways: str) -> int:
        """Between how many GPUs the work is shared in some ways; 1 where it is not."""
        return math.prod(degree for way, degree in self.parallel if way in ways)

    @cached_property
    def is_reference(self) -> bool:
        """Whether the kernels are those of eager diffusers on one GPU, whatever starts them."""
        return self.kind == REFERENCE

    @cached_property
    def kind(self) -> Runtime:
        """The runtime as laws tell it from others: whose kernels run, without the power limit and
        what is offloaded."""
        return Runtime(
            self.kernels,
            self.compile,
            self.quantization,
            self.cache,
            gpus=self.gpus,
            parallel=self.parallel,
        )

    @cached_property
    def kernels(self) -> str:
        """The engine whose kernels run."""
        known = parts(ENGINE).get(self.engine)
        return known.kernels if known and known.kernels else self.engine

    @property
    def is_fused(self) -> bool:
        """Whether kernels are fused, by a compiler or by the engine's authors."""
        known = parts(ENGINE).get(self.engine)
        return self.compile or (known is not None and known.fused)

    @property
    def attention(self) -> str:
        """The engine's own attention kernel; empty for torch's."""
        known = parts(ENGINE).get(self.engine)
        return known.attention if known else ""

    @property
    def left(self) -> Mapping[str, float]:
        """The shares of the reference's costs that the engine states that it leaves, by name of LEFT."""
        known = parts(ENGINE).get(self.engine)
        return dict(known.left) if known else {}

    @property
    def arithmetic(self) -> str:
        """What quantised arithmetic is in, ``fp8`` or ``int8``; empty where it is not quantised."""
        return "" if self.quantization == NONE else find(QUANTIZATION, self.quantization).format

    @property
    def weight_bits(self) -> int:
        """Bits of a quantised weight; 0 where it is not quantised."""
        return 0 if self.quantization == NONE else find(QUANTIZATION, self.quantization).bits

    @property
    def memory_is_bound(self) -> bool:
        """Whether a board needs less memory than the same work would on one GPU with its own weights."""
        return self.gpus > 1 or self.quantization != NONE

    @property
    def may_offload(self) -> bool:
        """Whether it keeps all weights on one GPU, and need not."""
        return self.engine == DIFFUSERS and self.gpus == 1 and self.offload == NONE

    def power_limit_of(self, board_w: float) -> float:
        """What all boards may draw together, whose own limit is `board_w` each [W]."""
        return self.gpus * (self.lowered_limit_w(board_w) or board_w)

    def lowered_limit_w(self, board_w: float) -> float | None:
        """The power limit where it is below the board's own [W], else None."""
        limit = self.power_limit_w
        return limit if limit is not None and limit < board_w else None

    def to_dict(self) -> dict[str, object]:
        """The keys as a request gives them, `parallel` written out, and the `label`, for JSON."""
        return {
            "engine": self.engine,
            "compile": self.compile,
            "quantization": self.quantization,
            "cache": self.cache,
            "offload": self.offload,
            "gpus": self.gpus,
            "parallel": written(self.parallel),
            "power_limit_w": self.power_limit_w,
            "label": self.label,
        }

    @property
    def changes(self) -> tuple[str, ...]:
        """What differs from one GPU that computes all in full at its own limit, in words."""
        split = (f"{counted(self.gpus, 'GPU')} ({written(self.parallel)})",) if self.gpus > 1 else ()
        return (*self._cut, *self._offloaded, *split, *self._limit)

    @cached_property
    def label(self) -> str:
        """In a few words: ``diffusers, compiled, fp8, 2 GPUs (ulysses=2)``."""
        return ", ".join((self.engine, *self._compiled, *self.changes))

    @property
    def headings(self) -> tuple[str, ...]:
        """What headings say beside the GPU and their number: what is not as people get it without asking."""
        engine = () if self.engine == DIFFUSERS else (self.engine,)
        return (*engine, *self._compiled, *self._cut, *self._offloaded, *self._limit)

    @cached_property
    def family(self) -> str:
        """What laws tell runtimes apart by, in words: whose kernels, what is done to them, how many GPUs."""
        gpus = (counted(self.gpus, "GPU"),) if self.gpus > 1 else ()
        return ", ".join((self.kernels, *self._compiled, *self._cut, *gpus))

    @property
    def _compiled(self) -> tuple[str, ...]:
        return ("compiled",) if self.compile else ()

    @property
    def _cut(self) -> tuple[str, ...]:
        """What is not computed in full."""
        return tuple(name for name in (self.quantization, self.cache) if name != NONE)

    @property
    def _offloaded(self) -> tuple[str, ...]:
        return () if self.offload == NONE else (f"{self.offload} offloading",)

    @property
    def _limit(self) -> tuple[str, ...]:
        return () if self.power_limit_w is None else (f"at {self.power_limit_w:g} W",)

    @property
    def stratum(self) -> str:
        """Which of STRATA it is of: laws are as wrong as on others of it."""
        if self.gpus > 1:
            return SEVERAL_GPUS
        return ONE_GPU if not self.is_reference else REFERENCE_STRATUM

    @property
    def is_known(self) -> bool:
        """Whether the engine is known by name."""
        return self.engine in parts(ENGINE)


def parts(kind: str) -> Mapping[str, Part]:
    """What is known of a kind, by name."""
    return {**_parts()[kind], **_OWN_ENGINES} if kind == ENGINE and _OWN_ENGINES else _parts()[kind]


def register_engine(engine: Part) -> None:
    """Make an engine of one's own known; again, it changes nothing.

    Raises InputError where its name is another one's.
    """
    if _folded(ENGINE).get(fold(engine.name), engine) != engine:
        known = "was read before, with other values" if engine.name in _OWN_ENGINES else "is known by name"
        raise InputError(f"an engine {engine.name} {known}: give this one a name of its own")
    _OWN_ENGINES[engine.name] = engine
    _folded.cache_clear()


def find(kind: str, name: str) -> Part:
    """A part by its name. Raises UnknownNameError with near matches."""
    found = _folded(kind).get(fold(name))
    if found is None:
        raise UnknownNameError(kind, name, parts(kind), f"known: {', '.join(parts(kind))}")
    return found


def read_engine(text: str) -> tuple[str, bool]:
    """An engine's name and whether it says ``-compiled``. Raises UnknownNameError."""
    name = text.strip().casefold()
    compiled = name.endswith(COMPILED)
    return find(ENGINE, name.removesuffix(COMPILED)).name, compiled


def read_degrees(text: str, *others: str) -> dict[str, int]:
    """Degrees by way, in the order in which they are written, ``ulysses=2,ring=2``.

    `others` are ways beside those of a runtime, e.g. DATA. Raises InputError and UnknownNameError.
    """
    found: dict[str, int] = {}
    for item in filter(None, (piece.strip() for piece in re.split(r"[,;]", text))):
        way, sign, degree = (part.strip() for part in item.partition("="))
        name = way.casefold() if way.casefold() in others else find(SPLIT, way).name
        if not sign or not _DEGREE.fullmatch(degree):
            raise InputError(f"parallel {shown(item)} is no way=degree, e.g. {name}=2")
        if name in found:
            raise InputError(f"parallel says {name} twice")
        found[name] = int(degree)
    return found


def read_parallel(text: str) -> Split:
    """How GPUs share the work, as it is written. Errors as of `read_degrees`."""
    return tuple((way, degree) for way, degree in sorted(read_degrees(text).items()) if degree > 1)


def written(parallel: Iterable[tuple[str, int]]) -> str:
    """The inverse of `read_parallel`."""
    return ",".join(f"{way}={degree}" for way, degree in parallel)


@cache
def _folded(kind: str) -> Mapping[str, Part]:
    return {fold(name): part for name, part in parts(kind).items()}


def _example(gpus: int) -> str:
    return f"e.g. parallel {ULYSSES}={gpus}" if gpus > 1 else "leave parallel out"


@cache
def _parts() -> Mapping[str, Mapping[str, Part]]:
    found: dict[str, dict[str, Part]] = {kind: {} for kind in KINDS}
    for row in data.read_table(TABLE):
        part = Part(
            kind=row["kind"],
            name=row["name"],
            title=row["title"],
            kernels=row["kernels"],
            fused=row["fused"] == "yes",
            attention=row["attention"],
            format=row["format"],
            bits=int(row["bits"] or 0),
            vendor=row["vendor"],
            denoiser=row["denoiser"],
            models=tuple(filter(None, row["models"].split(";"))),
            source=row["source"],
        )
        found[part.kind][part.name] = part
    return found


_OWN_ENGINES: Final[dict[str, Part]] = {}
REFERENCE: Final = Runtime()
