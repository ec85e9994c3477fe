"""What nodes make of what they are given, by their role: a function each.

Which class has which role, and which of its inputs says what, are rows of ``data/comfy_nodes.csv``.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from joulecast.architecture.workload import LIMITS, parse_size
from joulecast.errors import InputError, shown
from joulecast.files.numbers import positive, whole, within
from joulecast.question.setting import read_guidance
from joulecast.workflows.classes import PASS, UNCOUNTED, sampler_of
from joulecast.workflows.given import Given
from joulecast.workflows.handed import NOTHING, Decoding, Guidance, Handed, LoadedModel, Picture, Sampling

LATENT_PIXELS: Final = 8  # pixels of an element of a latent: sizes are rounded down to them
PIXELS_OF_A_MEGAPIXEL: Final = 1024 * 1024  # as ImageScaleToTotalPixels counts them
MOST_SCALE: Final = 64.0
MOST_MEGAPIXELS: Final = 300.0
ONE_PASS: Final = 1.0  # the scale of guidance at which ComfyUI makes one pass
OUTPUT: Final = "output"
UNREAD: Final = "unread"  # of what it makes nothing is known: a video of any length
SHARE: Final = "share"  # of a schedule that less noise makes shorter
_FACTOR = re.compile(
    r"(?<![0-9])([1-9])x|x([1-9])(?![0-9])", re.IGNORECASE
)  # in the name of an upscaler's file

Read = Callable[[object, str], int]


def _whole(key: str, least: int | None = None) -> Read:
    """How a whole number is read: within the limits of a workload's key, from another least."""
    low, most = LIMITS[key]
    return lambda value, what: whole(value, what, low if least is None else least, most)


def _share(value: object, what: str) -> float:
    return within(value, what, 0, 1)


def _side(value: object, what: str, grid: int = LATENT_PIXELS) -> int:
    """A side, rounded down to whole elements of a latent; never to none."""
    side = _whole("width")(value, what)
    return max(grid, side - side % grid)


def _text(value: object, what: str) -> str:
    if isinstance(value, dict) and isinstance(value.get("content"), str):  # of a loader that shows its files
        value = value["content"]
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{what} is {shown(value)}; expected a name")
    return value


# --- models, and pictures before they are sampled ----------------------------------------------------


def _model(at: Given) -> Handed:
    """A loader of weights: its file, and the dtype where it says one."""
    return Handed(model=LoadedModel(at.node, at.said("file", _text), at.said_or("dtype", _text, "default")))


def _empty(at: Given) -> Handed:
    """A latent of a size that its node says."""
    frames = at.said("frames", _whole("frames")) if "frames" in at.says else None
    batch = at.said_or("batch", _whole("batch_size"), 1)
    grid = int(at.literals.get("pixels", LATENT_PIXELS))
    width, height = (at.said(side, partial(_side, grid=grid)) for side in ("width", "height"))
    return Handed(picture=Picture(width, height, batch, frames))


def _image(at: Given) -> Handed:
    """An image from outside, whose size the workflow does not say."""
    size = at.flow.assumed.size
    if size is not None:
        return Handed(picture=Picture(*size))
    return Handed(
        picture=Picture(
            None, None, unknown=f"{at.node.name}: the workflow does not say the size of its image"
        )
    )


def _encode(at: Given) -> Handed:
    """An image as a latent."""
    return _handed(at, lambda picture: dataclasses.replace(picture, encoded=at.node.id))


def _decode(at: Given) -> Handed:
    """A latent as an image."""
    if at.picture is not None:
        at.flow.decodings.append(Decoding(at.node, at.picture))
    return _handed(at, lambda picture: dataclasses.replace(picture, encoded=None))


def _handed(at: Given, change: Callable[[Picture], Picture]) -> Handed:
    """What a node makes of the picture that it is given; nothing where nothing is known of that."""
    return NOTHING if at.picture is None else Handed(picture=change(at.picture))


def _resized(at: Given, picture: Picture) -> Picture:
    """A picture of another size: by a factor, of so many megapixels, or of sides; 0 follows the other."""
    if "sizes" in at.literals:
        return _nearest(picture, at, at.literals["sizes"].split(","))
    if "scale" in at.says:
        if at.value("scale") is None:
            return _unsized(picture, f"{at.what('scale')}: by how much it scales is not known")
        return _scaled(picture, at, at.said("scale", _factor))
    if at.value("megapixels") is not None:
        pixels = at.said("megapixels", _megapixels) * PIXELS_OF_A_MEGAPIXEL
        factor = 1.0 if picture.size is None else math.sqrt(pixels / math.prod(picture.size))
        return _scaled(picture, at, factor)
    width, height = (at.said(side, _whole("width", 0)) for side in ("width", "height"))
    if width and height:
        return _of_size(picture, at, width, height)
    if not (width or height) or picture.width is None or picture.height is None:
        return picture
    return _scaled(picture, at, width / picture.width if width else height / picture.height)


def _nearest(picture: Picture, at: Given, sizes: list[str]) -> Picture:
    """A picture of the one of some sizes whose shape is nearest to its own."""
    if picture.width is None or picture.height is None:
        return picture
    own = picture.width / picture.height
    sides = [parse_size(size) for size in sizes]
    return _of_size(picture, at, *min(sides, key=lambda side: abs(own - side[0] / side[1])))


def _factor(value: object, what: str) -> float:
    return positive(value, what, MOST_SCALE)


def _megapixels(value: object, what: str) -> float:
    return positive(value, what, MOST_MEGAPIXELS)


def _unsized(picture: Picture, why: str) -> Picture:
    return dataclasses.replace(picture, width=None, height=None, unknown=why)


def _of_size(picture: Picture, at: Given, width: int, height: int) -> Picture:
    sides = (_side(side, f"{at.node.name}: a side of what it makes") for side in (width, height))
    wide, high = sides
    return dataclasses.replace(picture, width=wide, height=high, unknown="")


def _scaled(picture: Picture, at: Given, factor: float) -> Picture:
    """A picture whose sides are a factor longer, rounded as those of latents are."""
    if picture.width is None or picture.height is None:
        return picture
    sides = (LATENT_PIXELS * round(side / LATENT_PIXELS * factor) for side in (picture.width, picture.height))
    return _of_size(picture, at, *sides)


def _padded(at: Given, picture: Picture) -> Picture:
    """A picture with more around it."""
    left, right, top, bottom = (
        at.said(side, _whole("width", 0)) for side in ("left", "right", "top", "bottom")
    )
    if picture.width is None or picture.height is None:
        return picture
    return _of_size(picture, at, picture.width + left + right, picture.height + top + bottom)


def _repeated(at: Given, picture: Picture) -> Picture:
    """As many times the pictures."""
    batch = picture.batch * at.said("amount", _whole("batch_size"))
    return dataclasses.replace(picture, batch=_whole("batch_size")(batch, at.what("amount")))


def _some(at: Given, picture: Picture) -> Picture:
    """Some of the pictures."""
    return dataclasses.replace(picture, batch=min(picture.batch, at.said("batch", _whole("batch_size"))))


def _size(at: Given) -> Handed:
    """The sides of a picture as numbers, from the first two slots."""
    picture = at.handed("picture").picture
    return Handed(picture=picture, numbers=(picture.size if picture is not None else None) or ())


def _upscaler(at: Given) -> Handed:
    """A network that upscales, by the factor in its file's name."""
    found = _FACTOR.search(str(at.value("file") or ""))
    return Handed(numbers=(int(found[1] or found[2]),) if found else ())


# --- steps and guidance -----------------------------------------------------------------------------


def _scheduler(at: Given) -> Handed:
    """The steps of a schedule. Less noise leaves them as many, but of some schedulers."""
    steps, share = at.said("steps", _whole("steps")), at.said_or("denoise", _share, 1.0)
    if at.value("made") == SHARE:
        steps = round(steps * share)
    return Handed(steps=(steps if share > 0 else 0,))


def _split(at: Given) -> Handed:
    """Steps in two parts: the first slot has those before a step, or all but a share."""
    (steps,) = at.needed("sigmas", "steps").steps
    if "share" in at.says:
        last = round(steps * at.said("share", _share))
        return Handed(steps=(steps - last, last))
    first = min(steps, at.said("step", _whole("steps", 0)))
    return Handed(steps=(first, steps - first))


def _guider(at: Given) -> Handed:
    """Guidance by prompts: of one pass without a scale."""
    passes = at.value("passes")
    guidance = Guidance(
        model=at.needed("model", "model").model,
        cfg=at.said_or("cfg", read_guidance, None),
        passes=None if passes is None else int(str(passes)),
        texts=at.handed("positive").texts | at.handed("negative").texts,
    )
    return Handed(guider=guidance)


def _sampler(at: Given) -> Handed:
    """What a sampler makes, of the size of what it is given."""
    picture = at.needed("picture", "picture").picture
    assert picture is not None
    guider = at.handed("guider").guider or _guider_of_a_sampler(at)
    steps, to_the_end = _steps(at)
    if steps == 0:
        return Handed(picture=picture)
    sampler = sampler_of(
        at.handed("sampler").sampler or at.said("sampler", _text), at.node.name, at.flow.assumed.calls
    )
    passes = guider.passes or _passes(guider.cfg, sampler.both_passes)
    if passes > LIMITS["passes"][1]:
        raise InputError(f"{at.node.name}: {passes} passes of the denoiser a step are not predicted")
    if picture.size is None and at.flow.assumed.size is not None:
        picture = _of_size(picture, at, *at.flow.assumed.size)
    if picture.size is None:
        raise InputError(
            f"{picture.unknown}; give it with --size WIDTHxHEIGHT ({at.node.name} makes as much)"
        )
    assert guider.model is not None
    calls = sampler.calls_of(steps, to_the_end)
    at.flow.samplings.append(
        Sampling(at.node, guider.model, picture, steps, sampler.name, calls, passes, guider.texts)
    )
    return Handed(picture=dataclasses.replace(picture, sampled=at.node.id, encoded=None))


def _guider_of_a_sampler(at: Given) -> Guidance:
    """The guidance that a sampler says itself, or that it lacks."""
    if "guider" in at.node.links:
        at.needed("guider", "guider")
    model, cfg = at.needed("model", "model").model, at.said("cfg", read_guidance)
    return Guidance(model, cfg, None, at.handed("positive").texts | at.handed("negative").texts)


def _passes(cfg: float | None, both_passes: bool) -> int:
    """Passes of the denoiser at a scale of guidance."""
    return 1 if cfg is None or (math.isclose(cfg, ONE_PASS) and not both_passes) else 2


def _steps(at: Given) -> tuple[int, bool]:
    """The steps that a sampler makes, and whether it goes on until there is no noise."""
    if "sigmas" in at.node.links:
        handed, slot = at.flow.handed(at.node, at.input("sigmas"))
        (steps,) = at.needed("sigmas", "steps").steps
        return steps, slot == len(handed.steps) - 1
    steps = at.said("steps", _whole("steps"))
    if "start" not in at.says:
        return (steps if at.said_or("denoise", _share, 1.0) > 0 else 0), True
    first, last = (at.said(key, _whole("steps", 0)) for key in ("start", "end"))
    leaves_noise = str(at.value("leftover")).casefold() in ("enable", "true")
    return max(0, min(last, steps) - first), last >= steps or not leaves_noise


def _number(at: Given) -> Handed:
    """A constant as a node of its own."""
    value = at.value("number")
    return Handed(numbers=() if value is None else (value,))


ROLES: Final[Mapping[str, Callable[[Given], Handed]]] = {
    "model": _model,
    "empty": _empty,
    "image": _image,
    "encode": _encode,
    "decode": _decode,
    "resize": lambda at: _handed(at, partial(_resized, at)),
    "pad": lambda at: _handed(at, partial(_padded, at)),
    "repeat": lambda at: _handed(at, partial(_repeated, at)),
    "batch": lambda at: _handed(at, partial(_some, at)),
    "size": _size,
    "upscaler": _upscaler,
    "scheduler": _scheduler,
    "split": _split,
    "name": lambda at: Handed(sampler=at.said("sampler", _text)),
    "guider": _guider,
    "sampler": _sampler,
    "text": lambda at: Handed(texts=frozenset((at.node.id,))),
    "number": _number,
    PASS: Given.passed,
    UNCOUNTED: lambda at: NOTHING,
    OUTPUT: lambda at: NOTHING,
    UNREAD: lambda at: NOTHING,
    "free": lambda at: NOTHING,
}
