"""What the rows of a table did not give, and what was taken instead, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import PRECISIONS
from joulecast.files.columns import Words
from joulecast.question.cells import kinds
from joulecast.question.question import precision_notes
from joulecast.question.questions import SEPARATOR, Questions
from joulecast.units import counted


def assumed_of(filled: Questions, notes: Sequence[Words], *taken: NDArray[np.bool_]) -> Words:
    """How rows were understood: notes, and what was not given and what was taken instead.

    `taken` are of size, steps, precision, passes, frames and rate, in this order.
    """
    own = _own_of(filled, *taken) if any(flags.any() for flags in taken) else filled.assumed
    for words in reversed(notes):
        noted = (words != "") & (filled.error == "")
        if noted.any():
            own = own.copy()
            pairs = zip(words[noted], own[noted], strict=True)
            own[noted] = [SEPARATOR.join(filter(None, pair)) for pair in pairs]
    return own


def _own_of(filled: Questions, *taken: NDArray[np.bool_]) -> Words:
    """What rows did not give and what was taken instead."""
    usable = filled.error == ""
    if not usable.any():
        return filled.assumed
    precision, passes = taken[2:4]
    told = (filled.gpu * precision, filled.precision * precision, filled.passes * passes)  # 0 where not told
    places = (filled.model, *told, *(flags.astype(np.int64) for flags in taken))
    sizes = (len(filled.profiles), len(filled.devices), len(PRECISIONS), 3, *(2 for _ in taken))
    asked, index = kinds([np.where(usable, column, 0) for column in places], sizes)
    words = [_assumed_words(filled, *kind) for kind in asked]
    return np.where(usable, np.array(words, dtype=object)[index], "")


def _assumed_words(
    filled: Questions,
    model: int,
    gpu: int,
    precision: int,
    passes: int,
    size_is_taken: int,
    steps_are_taken: int,
    precision_is_taken: int,
    passes_are_taken: int,
    frames_are_taken: int,
    rate_is_taken: int,
) -> str:
    profile, name = filled.profiles[model], PRECISIONS[precision]
    own, told = profile.defaults, []
    if size_is_taken:
        told.append(f"{own.width}x{own.height}")
    if frames_are_taken:
        told.append(counted(own.frames, "frame"))
    if rate_is_taken:
        told.append(f"{own.frame_rate:g} frames a second")
    if steps_are_taken:
        told.append(counted(own.steps, "step"))
    if passes_are_taken:
        told.append(f"{counted(passes, 'denoiser pass')} a step")
    if precision_is_taken:
        notes = precision_notes(profile, filled.devices[gpu].gpu, name)
        told += notes or [name]
    return SEPARATOR.join(told)
