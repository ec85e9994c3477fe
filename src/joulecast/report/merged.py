"""Sentences about GPUs, told once: those that differ in the GPU alone become one that names them all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from joulecast.hardware import gpus


def merged(told: Iterable[str]) -> list[str]:
    """Sentences in their order, each once; those equal but for the first GPU named in them as one.

    ``no run on L4`` and ``no run on T4`` become ``no run on L4 and T4``.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for words in told:
        match = _gpu_names().search(words)
        before, name, after = (
            (words, "", "") if match is None else (words[: match.start()], match[0], words[match.end() :])
        )
        names = found.setdefault((before, after), [])
        if name not in names:
            names.append(name)
    return [f"{before}{listed(names)}{after}" for (before, after), names in found.items()]


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: ``A, B and C``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


@cache
def _gpu_names() -> re.Pattern[str]:
    """A GPU of the catalogue, with the memory that may stand behind it; the longest name that fits."""
    names = sorted((gpu.name for gpu in gpus()), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])(?: \([\d.]+ GB\))?")
