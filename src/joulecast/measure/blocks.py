"""What blocks tracked inside a measured command tell the command's measurement: files in a folder of its own.

The folder is named by an environment variable, which only a measured command has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from joulecast.errors import DAMAGE, JoulecastError, in_short
from joulecast.files.documents import parse_json
from joulecast.files.fields import check_fields
from joulecast.files.paths import user_bytes, write_whole
from joulecast.files.plain import json_text, plain

FOLDER: Final = "JOULECAST_RUN_FOLDER"
MOST_BLOCKS: Final = 10_000
MOST_BYTES: Final = 100_000


@dataclass(frozen=True)
class Block:
    """A tracked block: its gross energy [J] and time [s], and what was predicted for all its images.

    Attributes
    ----------
    gpu : as the driver names it.
    images : images or clips generated in it.
    predicted_j, predicted_low_j, predicted_high_j : gross, with the 90 % interval [J]; None where `problem`
        says why nothing was predicted.
    """

    gpu: str
    images: int
    energy_j: float
    duration_s: float
    predicted_j: float | None = None
    predicted_low_j: float | None = None
    predicted_high_j: float | None = None
    problem: str = ""


def tell(block: Block) -> None:
    """Write a block where a measured command asks for it. Nothing happens elsewhere."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    name = f"block-{time.time_ns():020}-{os.getpid()}.json"
    with contextlib.suppress(JoulecastError):  # the command has ended, and its folder with it
        write_whole(Path(folder) / name, json_text(plain(dataclasses.asdict(block))))


def read_blocks(folder: Path) -> tuple[list[Block], list[str]]:
    """The blocks that were told, in their order, and what is wrong with others."""
    found: list[Block] = []
    problems: list[str] = []
    files = sorted(folder.glob("block-*.json"))
    for file in files[:MOST_BLOCKS]:
        try:
            found.append(_block(file))
        except JoulecastError as error:
            problems.append(f"a tracked block is left out: {error}")
    if len(files) > MOST_BLOCKS:
        problems.append(f"the first {MOST_BLOCKS:,} of {len(files):,} tracked blocks are compared")
    return found, problems


def _block(file: Path) -> Block:
    values = parse_json(user_bytes(file, "record", MOST_BYTES), f"record {file.name}")
    try:
        block = Block(**values)
        check_fields(block)
        _check(block)
    except DAMAGE as error:
        raise JoulecastError(f"record {file.name} is damaged ({in_short(error)})") from None
    return block


def _check(block: Block) -> None:
    """Raise ValueError for what no block tells: images below zero, a part of a prediction."""
    ends = (block.predicted_low_j, block.predicted_j, block.predicted_high_j)
    known = [end for end in ends if end is not None]
    if block.images < 0 or (known and not (len(known) == 3 and 0 < known[0] <= known[1] <= known[2])):
        raise ValueError(f"{block.images} images, predicted: {ends}")
