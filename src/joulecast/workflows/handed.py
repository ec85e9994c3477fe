"""What nodes hand on to each other, by kind; and what samplers and decoders are met with."""

from __future__ import annotations

from typing import Final

from joulecast.records import Record
from joulecast.workflows.graph import Node


class Picture(Record):
    """An image or a latent, or `batch` of them: its size [pixels], None where the workflow does not say it.

    Attributes
    ----------
    frames : of a clip; None of an image.
    sampled : the last sampler that it went through; None of what was loaded or is empty.
    encoded : the node that encoded it from an image since; None where none did.
    unknown : why the size is not known.
    """

    width: int | None
    height: int | None
    batch: int = 1
    frames: int | None = None
    sampled: str | None = None
    encoded: str | None = None
    unknown: str = ""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, None where they are not known."""
        return None if self.width is None or self.height is None else (self.width, self.height)


class LoadedModel(Record):
    """A file of weights, the node that loads it and the dtype it is loaded in."""

    node: Node
    file: str
    dtype: str


class Guidance(Record):
    """Whose passes of which model a sampler makes: at a scale, None where there is none, or `passes`."""

    model: LoadedModel | None
    cfg: float | None
    passes: int | None
    texts: frozenset[str]


class Handed(Record):
    """What a node hands on, by kind. Numbers and steps are by slot, of nodes with several."""

    picture: Picture | None = None
    model: LoadedModel | None = None
    steps: tuple[int, ...] = ()
    sampler: str | None = None
    guider: Guidance | None = None
    texts: frozenset[str] = frozenset()
    numbers: tuple[object, ...] = ()


class Sampling(Record):
    """What a sampler is given: `steps` that are made, `calls` of the model in them, `passes` in a call."""

    node: Node
    model: LoadedModel
    picture: Picture
    steps: int
    sampler: str
    calls: int
    passes: int
    texts: frozenset[str]


class Decoding(Record):
    """A picture that a node decodes."""

    node: Node
    picture: Picture


class Assumed(Record):
    """What a user says in place of the workflow: a size [pixels], and calls a step of unknown samplers."""

    size: tuple[int, int] | None = None
    calls: int | None = None


NOTHING: Final = Handed()
KINDS: Final = Handed.__match_args__
BY_SLOT: Final = ("steps", "numbers")  # what nodes hand on by slot
