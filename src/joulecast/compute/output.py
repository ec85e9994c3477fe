"""What models make, an image or a clip of video, and words about images said of clips."""

from __future__ import annotations

import re
from collections.abc import Iterable

IMAGE, CLIP = "image", "clip"
EITHER = "image or clip"  # of several models that differ in it
IMAGE_DIMENSIONS = 4  # of an image's tensor: batch, channels, height, width
VIDEO_DIMENSIONS = 5  # of a clip's tensor: batch, channels, frames, height, width
TASKS = {IMAGE: "image", CLIP: "video"}  # what a model is for, by what it makes
# What is said instead of words about images, by what is made.
_SAID = {
    CLIP: {"an image": "a clip", "images": "clips", "image size": "frame size", "image": "clip"},
    EITHER: {"an image": "an image or clip", "images": "images or clips", "image": "image or clip"},
}
_IMAGE = re.compile(r"\b(an image|images|image size|image)\b")


def said_of(output: str, words: str) -> str:
    """Words about images, said of an output: ``energy of an image`` is ``energy of a clip``."""
    said = _SAID.get(output)
    return words if said is None else _IMAGE.sub(lambda found: said.get(found[0], found[0]), words)


def together(outputs: Iterable[str]) -> str:
    """What several models make: the output of all, or EITHER; an image of none."""
    found = set(outputs)
    return (found.pop() if found else IMAGE) if len(found) < 2 else EITHER
