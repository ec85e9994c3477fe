"""The workload: what one call of a pipeline is asked to do, as one record or as columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files.numbers import whole
from joulecast.records import Record

PRECISIONS = ("fp16", "bf16", "fp32")
# field -> (smallest, largest) whole number that makes sense
LIMITS: dict[str, tuple[int, int]] = {
    "width": (16, 16384),
    "height": (16, 16384),
    "frames": (1, 10_000),
    "steps": (1, 10_000),
    "passes": (1, 2),
    "batch_size": (1, 4096),
    "text_tokens": (1, 100_000),
}


class Workload(Record):
    """One call of a pipeline that makes images, or clips of video, of text.

    Attributes
    ----------
    width, height : size of an image [pixels].
    steps : denoising steps, as given to the pipeline (``num_inference_steps``).
    passes : denoiser passes in a step: 1, or 2 with classifier-free guidance.
    batch_size : images or clips generated together, each from its own prompt.
    precision : ``fp16``, ``bf16`` or ``fp32``: the dtype the pipeline is loaded in.
    text_tokens : text tokens the denoiser attends to; None for the model's default.
    frames : of a clip, as given to the pipeline; 1 of an image.
    negative_prompt : whether one is given: some pipelines then encode more text.

    Raises
    ------
    InputError
        A value is not a whole number in its range, or the precision is unknown.
    """

    width: int
    height: int
    steps: int
    passes: int = 1
    batch_size: int = 1
    precision: str = "fp16"
    text_tokens: int | None = None
    frames: int = 1
    negative_prompt: bool = False

    def __post_init__(self) -> None:
        for name in LIMITS:
            value = getattr(self, name)
            number = value if value is None and name == "text_tokens" else whole_number(name, value)
            if number is not value:
                object.__setattr__(self, name, number)
        check_precision(self.precision)

    def columns(self) -> WorkloadColumns:
        """This workload as a table of one row: always the same, so that costs are found once."""
        known = self.__dict__.get("_columns")
        if not isinstance(known, WorkloadColumns):
            text_tokens = -1 if self.text_tokens is None else self.text_tokens
            sizes = (self.width, self.height, self.steps, self.passes, self.batch_size)
            row = np.array((*sizes, text_tokens, self.frames, self.negative_prompt), dtype=np.int64)
            known = WorkloadColumns(*row[:, None])
            object.__setattr__(self, "_columns", known)
        return known


class WorkloadColumns(Record):
    """Many workloads of one model and precision: integer arrays, all of shape (workloads,).

    `text_tokens` is -1 where the model's default applies, `negative_prompt` 1 where one is given, else 0.
    """

    width: NDArray[np.int64]
    height: NDArray[np.int64]
    steps: NDArray[np.int64]
    passes: NDArray[np.int64]
    batch_size: NDArray[np.int64]
    text_tokens: NDArray[np.int64]
    frames: NDArray[np.int64]
    negative_prompt: NDArray[np.int64]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> WorkloadColumns:
        """From scalars or arrays by field name; what is missing takes its default."""
        defaults = {"passes": 1, "batch_size": 1, "text_tokens": None, "frames": 1, "negative_prompt": 0}
        given = {f.name: values.get(f.name, defaults.get(f.name)) for f in dataclasses.fields(cls)}
        arrays = {
            k: np.atleast_1d(np.asarray(-1 if v is None else v, dtype=np.int64)) for k, v in given.items()
        }
        size = max(len(a) for a in arrays.values())
        return cls(**{name: np.broadcast_to(array, size) for name, array in arrays.items()})

    def __len__(self) -> int:
        return len(self.width)

    @cached_property
    def memo(self) -> dict[int, object]:
        """What others found of these workloads, by the id of what they found it with."""
        return {}

    def take(self, rows: Any) -> WorkloadColumns:
        """The given rows, as a table of their own."""
        return WorkloadColumns(
            self.width[rows],
            self.height[rows],
            self.steps[rows],
            self.passes[rows],
            self.batch_size[rows],
            self.text_tokens[rows],
            self.frames[rows],
            self.negative_prompt[rows],
        )


def whole_number(name: str, value: object) -> int:
    """`value` as a whole number within the limits of the workload field `name`.

    Raises
    ------
    InputError
        It is not one.
    """
    least, most = LIMITS[name]
    if type(value) is int and least <= value <= most:
        return value
    return whole(value, name.replace("_", " "), least, most)


def check_precision(precision: object) -> str:
    """`precision` if it is known, else UnknownNameError."""
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS, f"known: {', '.join(PRECISIONS)}")
    return str(precision)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from ``WIDTHxHEIGHT`` [pixels].

    Raises
    ------
    InputError
        It is not two whole numbers with an x between them, or out of range.
    """
    width, cross, height = text.lower().replace("×", "x").partition("x")
    if "x" in height:
        raise InputError(
            f"size {shown(text)} has a third number: give WIDTHxHEIGHT, and frames beside it (--frames)"
        )
    if not cross or not width.strip().isascii() or not height.strip().isascii():
        raise InputError(f"size {shown(text)} is not WIDTHxHEIGHT in pixels, e.g. 1024x768")
    return whole_number("width", width.strip()), whole_number("height", height.strip())
