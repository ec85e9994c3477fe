"""GPUs: the record of one, the packaged catalogue, and GPU files the user writes.

A GPU file is TOML with one key a line. Required: ``name``, ``tdp_w``, ``memory_gb``,
``bandwidth_gb_per_s`` and one of ``fp16_tflops``, ``bf16_tflops``, ``fp32_tflops``::

    name = "My GPU"
    vendor = "NVIDIA"
    architecture = "Ada AD102"
    generation = "Ada"            # Volta, Turing, Ampere, Ada, Hopper, Blackwell, CDNA3, ...
    process = "TSMC 4N"           # as in data/process_nodes.csv
    year = 2024
    source = "vendor datasheet, 2024"
    tdp_w = 350                   # board power limit [W]
    idle_power_w = 35             # board power with no process on it [W]
    fp32_tflops = 91.6            # peaks [TFLOP/s]: dense (no sparsity), fp32 accumulation
    tf32_tflops = 183
    fp16_tflops = 362
    fp16_accumulate_tflops = 362  # fp16 accumulation; twice fp16_tflops on GeForce cards
    bf16_tflops = 362
    fp8_tflops = 733
    int8_tops = 733
    memory_gb = 48                # [1e9 byte]
    bandwidth_gb_per_s = 864      # [1e9 byte/s]
    sm_count = 142                # multiprocessors (compute units on AMD)
    boost_clock_mhz = 2520
    l2_cache_mib = 96             # [2**20 byte]
    link_gb_per_s = 31            # to other GPUs, one direction: NVLink, xGMI or PCIe [1e9 byte/s]

Sources of the catalogue's figures: ``data/gpu_figures.csv``, a row a figure; ``data/README.md``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from joulecast import data
from joulecast.errors import (
    FileFormatError,
    InputError,
    UnknownNameError,
    as_name,
    did_you_mean,
    fold,
    one_line,
    shown,
)
from joulecast.files.numbers import within
from joulecast.files.paths import shown_path, user_text
from joulecast.files.streams import as_given
from joulecast.records import Record
from joulecast.units import BYTES_PER_GIGABYTE, BYTES_PER_MEBIBYTE, FLOP_PER_TERAFLOP, HERTZ_PER_MEGAHERTZ

__all__ = [
    "PRECISIONS",
    "Gpu",
    "catalogued",
    "gpu_toml",
    "gpus",
    "idle_power_w",
    "load_gpu",
    "process_nodes",
    "told_apart",
]

PRECISIONS: Final = ("fp32", "tf32", "fp16", "bf16", "fp8")
CATALOGUE: Final = "catalogue"
MOST_FILE_BYTES: Final = 1_000_000
# Idle power of a GPU that nobody measured, as a share of its TDP: the median of the catalogue's.
UNKNOWN_IDLE_SHARE: Final = 0.13


class Gpu(Record):
    """One GPU as its datasheet describes it. Unknown figures are None.

    Attributes
    ----------
    name : canonical name, e.g. ``"H100-SXM5-80GB"``.
    vendor, architecture, generation : e.g. ``"NVIDIA"``, ``"Hopper GH100"``, ``"Hopper"``.
    year : the year the vendor announced it.
    tdp_w : board power limit [W].
    idle_power_w : board power with no process on the GPU [W].
    fp32_flop_per_s, tf32_flop_per_s, fp16_flop_per_s, bf16_flop_per_s, fp8_flop_per_s :
        peaks [FLOP/s], dense, with fp32 accumulation; fp32 is that of the CUDA cores.
    memory_bytes : nominal memory [byte], 1 GB = 1e9 byte, a lower bound of what the driver reports.
    bandwidth_byte_per_s : peak memory bandwidth [byte/s].
    int8_op_per_s : peak of int8 [op/s], dense.
    fp16_accumulate_flop_per_s : peak of fp16 that accumulates in fp16 [FLOP/s], where it differs.
    sm_count : multiprocessors (compute units on AMD).
    process : what the chip is made in, one of `process_nodes`.
    boost_clock_hz : boost clock [Hz].
    l2_cache_bytes : level-2 cache [byte].
    link_byte_per_s : bandwidth to all other GPUs of a node together, one direction [byte/s].
    aliases : other names it answers to, NVML's device name among them.
    sources : quantity (``"tdp"``, ``"fp16"``, ...) -> where its figure comes from.
    unverified : quantities whose figure no citable source confirms.
    limit_note : what to know of the power limit, told beside predictions, e.g. that it is a module's.
    origin : ``"catalogue"``, or the path of the file it was read from.
    """

    name: str
    vendor: str
    architecture: str
    generation: str
    year: int | None
    tdp_w: float
    memory_bytes: float
    bandwidth_byte_per_s: float
    idle_power_w: float | None = None
    fp32_flop_per_s: float | None = None
    tf32_flop_per_s: float | None = None
    fp16_flop_per_s: float | None = None
    bf16_flop_per_s: float | None = None
    fp8_flop_per_s: float | None = None
    int8_op_per_s: float | None = None
    fp16_accumulate_flop_per_s: float | None = None
    sm_count: int | None = None
    boost_clock_hz: float | None = None
    l2_cache_bytes: float | None = None
    link_byte_per_s: float | None = None
    process: str | None = None
    aliases: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    unverified: frozenset[str] = frozenset()
    limit_note: str = ""
    origin: str = CATALOGUE

    def __hash__(self) -> int:
        return hash(self.name)

    def peak_flop_per_s(self, precision: str) -> float:
        """Peak arithmetic rate [FLOP/s], dense, in ``fp32``, ``tf32``, ``fp16``, ``bf16`` or ``fp8``.

        Raises UnknownNameError for another precision, InputError when this GPU has no such mode.
        """
        if precision not in PRECISIONS:
            raise UnknownNameError("precision", precision, PRECISIONS, f"use one of {', '.join(PRECISIONS)}")
        peak = self._peak(precision)
        if peak is None:
            known = " or ".join(mode for mode in self.precisions if mode != "fp8")
            stated = "has no" if self.origin == CATALOGUE else f"({self.origin}) states no"
            raise InputError(f"{self.name} {stated} {precision} mode; {known} would work")
        return peak

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions this GPU has a peak for, preferred first."""
        return tuple(mode for mode in ("fp16", "bf16", "tf32", "fp32", "fp8") if self._peak(mode) is not None)

    @property
    def chip(self) -> str:
        """What GPUs made of the same silicon share, e.g. ``"Hopper GH100"``."""
        return self.architecture or self.name

    def is_named(self, text: str) -> bool:
        """Whether `text` is this GPU's own name, not an alias that stands for it."""
        return fold(text) == fold(self.name)

    def _peak(self, precision: str) -> float | None:
        value: float | None = getattr(self, f"{precision}_flop_per_s")
        return value


class _Quantity(NamedTuple):
    """How a figure is named, in which unit it is written, and what a file may say."""

    attribute: str
    unit: str
    factor: float
    key: str
    low: float
    high: float


# The ranges are wide: they catch a wrong unit (TB/s for GB/s, FLOP/s for TFLOP/s), not a surprising GPU.
_QUANTITIES: Final = {
    "tdp": _Quantity("tdp_w", "W", 1.0, "tdp_w", 1.0, 20_000.0),
    "idle_power": _Quantity("idle_power_w", "W", 1.0, "idle_power_w", 0.1, 20_000.0),
    **{
        mode: _Quantity(f"{mode}_flop_per_s", "TFLOP/s", FLOP_PER_TERAFLOP, f"{mode}_tflops", 0.01, 100_000.0)
        for mode in (*PRECISIONS, "fp16_accumulate")
    },
    "int8": _Quantity("int8_op_per_s", "TOP/s", FLOP_PER_TERAFLOP, "int8_tops", 0.01, 100_000.0),
    "memory": _Quantity("memory_bytes", "GB", BYTES_PER_GIGABYTE, "memory_gb", 0.1, 100_000.0),
    "bandwidth": _Quantity(
        "bandwidth_byte_per_s", "GB/s", BYTES_PER_GIGABYTE, "bandwidth_gb_per_s", 10.0, 1_000_000.0
    ),
    "sm_count": _Quantity("sm_count", "1", 1, "sm_count", 1, 10_000),
    "boost_clock": _Quantity(
        "boost_clock_hz", "MHz", HERTZ_PER_MEGAHERTZ, "boost_clock_mhz", 100.0, 10_000.0
    ),
    "l2_cache": _Quantity("l2_cache_bytes", "MiB", BYTES_PER_MEBIBYTE, "l2_cache_mib", 0.1, 100_000.0),
    "link": _Quantity("link_byte_per_s", "GB/s", BYTES_PER_GIGABYTE, "link_gb_per_s", 0.1, 100_000.0),
}
_TEXT_KEYS: Final = ("name", "vendor", "architecture", "generation", "process", "source")
_REQUIRED_KEYS: Final = ("name", "tdp_w", "memory_gb", "bandwidth_gb_per_s")
_PEAK_KEYS: Final = ("fp16_tflops", "bf16_tflops", "fp32_tflops")
_COMPARED: Final = ("architecture", "process", *(quantity.attribute for quantity in _QUANTITIES.values()))
_FILE_KEYS: Final = (*_TEXT_KEYS, "year", *(quantity.key for quantity in _QUANTITIES.values()))


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every GPU of the packaged catalogue, in the catalogue's order."""
    return tuple(map(_listed, _rows()))


def catalogued(name: str) -> Gpu | None:
    """The catalogue's GPU of a name, as a driver states it; None where it has none. It reads no file."""
    found = _names_by_folded().get(fold(name))
    return None if found is None else _listed(found)


def idle_power_w(gpu: Gpu) -> float:
    """Idle power [W]: measured where known, else the usual share of the TDP."""
    return gpu.idle_power_w if gpu.idle_power_w is not None else UNKNOWN_IDLE_SHARE * gpu.tdp_w


def load_gpu(path: str | os.PathLike[str]) -> Gpu:
    """Read a GPU file; its keys are in this module's docstring.

    Raises InputError when there is no such file or a value cannot be a GPU's, FileFormatError when
    the file is not UTF-8 TOML, is too large, or has unknown or missing keys.
    """
    from joulecast.files.documents import parse_toml  # few estimates are on a GPU of a file

    where = f"GPU file {shown_path(path)}"
    table = parse_toml(user_text(path, "GPU file", MOST_FILE_BYTES), where, "tdp_w = 350")
    _check_keys(table, where)
    texts = {key: one_line(table[key], f"{where}: {key}") for key in _TEXT_KEYS if key in table}
    values = {
        quantity: _number(table[known.key], known, where)
        for quantity, known in _QUANTITIES.items()
        if known.key in table
    }
    _check_together(values, where)
    origin = as_given(path)
    source = texts.get("source", origin)
    found = Gpu(
        name=texts["name"],
        vendor=texts.get("vendor", ""),
        architecture=texts.get("architecture", ""),
        generation=texts.get("generation", ""),
        process=_process(texts.get("process"), where),
        year=_year(table["year"], where) if "year" in table else None,
        sources=dict.fromkeys(values, source),
        origin=origin,
        **_attributes(values),
    )
    return told_apart(found, as_name(Path(origin).name))


def told_apart(found: Gpu, by: str) -> Gpu:
    """A GPU as it is, unless its name is the catalogue's for another: then that name and `by`."""
    known = catalogued(found.name)
    if (
        known is None
        or known is found
        or all(getattr(known, key) == getattr(found, key) for key in _COMPARED)
    ):
        return found
    return replace(found, name=f"{found.name} ({by})")


def gpu_toml(gpu: Gpu) -> str:
    """A GPU as a GPU file to change: `load_gpu` reads it back, under a name of its own.

    The source of a figure stands behind it, for a comment is lost where the figure is changed.
    """
    texts = {
        "name": f"my {gpu.name}",
        "vendor": gpu.vendor,
        "architecture": gpu.architecture,
        "generation": gpu.generation,
        "process": gpu.process,
    }
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items() if text]
    lines += [f"year = {gpu.year}"] if gpu.year is not None else []
    for name, known in _QUANTITIES.items():
        value = getattr(gpu, known.attribute)
        if value is not None:
            source = "".join(c if c.isprintable() else " " for c in gpu.sources.get(name, ""))
            lines.append(f"{known.key} = {value / known.factor:.12g}  # {source}".rstrip(" #"))
    return "\n".join(lines) + "\n"


@cache
def _rows() -> Mapping[str, tuple[Mapping[str, str], Sequence[Mapping[str, str]]]]:
    """The catalogue's row of each GPU and those of its figures, by its name."""
    figures: dict[str, list[dict[str, str]]] = {}
    for row in data.read_table("gpu_figures.csv"):
        figures.setdefault(row["gpu"], []).append(row)
    return {row["gpu"]: (row, figures[row["gpu"]]) for row in data.read_table("gpus.csv")}


@cache
def _listed(name: str) -> Gpu:
    """A GPU of the catalogue by its own name, made when it is first asked for: most ask for one."""
    row, figures = _rows()[name]
    rows = {figure["quantity"]: figure for figure in figures}
    return Gpu(
        name=row["gpu"],
        vendor=row["vendor"],
        architecture=row["architecture"],
        generation=row["generation"],
        process=row["process"],
        year=int(row["year"]),
        aliases=tuple(alias for alias in row["aliases"].split(";") if alias),
        sources={quantity: figure["source"] for quantity, figure in rows.items()},
        unverified=frozenset(key for key, figure in rows.items() if figure["status"] == "unverified"),
        limit_note=row["limit_note"],
        **_attributes({quantity: float(figure["value"]) for quantity, figure in rows.items()}),
    )


def _attributes(values: Mapping[str, float]) -> dict[str, Any]:
    """Figures in the units of the tables -> attributes of a Gpu, in SI."""
    found: dict[str, Any] = {
        _QUANTITIES[key].attribute: value * _QUANTITIES[key].factor for key, value in values.items()
    }
    if "sm_count" in found:
        found["sm_count"] = int(found["sm_count"])
    return found


@cache
def _names_by_folded() -> Mapping[str, str]:
    """Names of GPUs by all they answer to; what several answer to, as drivers name them, is the first's."""
    known = [(name, row["aliases"].split(";")) for name, (row, _) in _rows().items()]
    return {fold(one): name for name, aliases in reversed(known) for one in (*aliases, name) if one}


@cache
def process_nodes() -> Mapping[str, float]:
    """Energy to switch a transistor at equal speed, by process, relative to TSMC's 16FF+."""
    rows = data.read_table("process_nodes.csv")
    return {row["process"]: float(row["relative_switching_energy"]) for row in rows}


def _process(name: str | None, where: str) -> str | None:
    if name is None or name in process_nodes():
        return name
    raise UnknownNameError("process", name, process_nodes(), f"{where} may leave it out")


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    for key in table:
        if key not in _FILE_KEYS:
            better = did_you_mean(key, _FILE_KEYS, "known keys")
            raise FileFormatError(f"{where} has the unknown key {shown(key)}; {better}")
    missing = [key for key in _REQUIRED_KEYS if key not in table]
    if missing:
        raise FileFormatError(f"{where} lacks {', '.join(missing)}; required: {', '.join(_REQUIRED_KEYS)}")
    if not any(key in table for key in _PEAK_KEYS):
        raise FileFormatError(f"{where} states no peak; give at least one of {', '.join(_PEAK_KEYS)}")


def _number(value: object, known: _Quantity, where: str) -> float:
    number = within(value, f"{where}: {known.key}", known.low, known.high)
    return _whole(number, known.key, where) if known.key == "sm_count" else number


def _year(value: object, where: str) -> int:
    return _whole(within(value, f"{where}: year", 1990, 2100), "year", where)


def _whole(number: float, key: str, where: str) -> int:
    if number != int(number):
        raise InputError(f"{where}: {key} is {number:g}; expected a whole number")
    return int(number)


def _check_together(values: Mapping[str, float], where: str) -> None:
    """Figures that are possible alone but not together."""
    idle, tdp = values.get("idle_power"), values["tdp"]
    if idle is not None and idle >= tdp:
        raise InputError(f"{where}: idle_power_w is {idle:g}; expected less than tdp_w, {tdp:g}")
    fp32 = values.get("fp32", 0.0)
    for mode in ("fp16", "bf16"):
        if values.get(mode, fp32) < fp32 / 10:
            raise InputError(
                f"{where}: {mode}_tflops is {values[mode]:g}, below a tenth of fp32_tflops, {fp32:g}; "
                "expected both in TFLOP/s"
            )
