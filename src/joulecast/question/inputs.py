"""The image that a pipeline is given: whether it takes one, its size, and what a strength leaves to do."""

from __future__ import annotations

from functools import cache

import numpy as np

from joulecast.architecture.catalogue import (
    IMAGE_TO_IMAGE_OF,
    image_to_image_of,
    model_entry,
    model_names,
)
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import has_profile, packaged_profile
from joulecast.errors import InputError
from joulecast.question.additions import Additions, adapted, addition_notes, controlled
from joulecast.records import Record
from joulecast.units import counted

ALL_STEPS = 1.0  # the strength at which every step is made


class Input(Record):
    """What was asked of an input image; None is what was not.

    Attributes
    ----------
    width, height : of the image [pixels].
    images : how many there are.
    strength : of the noise that the image is given: the share of the steps that is made.
    """

    width: int | None = None
    height: int | None = None
    images: int | None = None
    strength: float | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is an image. A strength of 1 asks for nothing that a text alone does not."""
        return self.width is not None or bool(self.images) or (self.strength or ALL_STEPS) < ALL_STEPS


def profile_given(profile: ComputeProfile, asked: Input) -> ComputeProfile:
    """The profile of the pipeline that runs: of a model that is given an image, its image-to-image one."""
    if not asked.is_given or profile.images.arguments or profile.origin != "catalogue":
        return profile
    name = image_to_image_of(profile.name)
    return packaged_profile(name) if name is not None and has_profile(name) else profile


def pipeline_given(named: ComputeProfile, asked: Input, added: Additions) -> ComputeProfile:
    """The profile of the pipeline that runs, of a model's: with its control, its image and its adapters.

    Raises InputError where there is no such pipeline.
    """
    return adapted(profile_given(controlled(named, added), asked), added)


def check_input(profile: ComputeProfile, asked: Input, width: int, height: int) -> None:
    """Raise InputError where a pipeline does not take what was asked, making something of a size [pixels]."""
    takes = profile.images.arguments
    if takes and asked.images == 0:
        raise InputError(f"{profile.name} is given an image: input_images must be 1, not 0")
    if not asked.is_given:
        return
    if asked.images is not None and asked.images != 1:
        raise InputError(f"one input image is predicted, not {asked.images}: input_images must be 1")
    if not takes:
        raise InputError(
            f"{profile.name} takes no image as input and no strength; of the listed models "
            f"{_listed(False)} take one"
        )
    if asked.strength is not None and asked.strength < ALL_STEPS and not profile.images.strength:
        raise InputError(
            f"{profile.name} takes no strength: leave it out; of the listed models {_listed(True)} take one"
        )
    is_scaled = profile.images.side is not None  # to an area that is the pipeline's own, whatever its size
    if asked.width is not None and not is_scaled and (asked.width, asked.height) != (width, height):
        raise InputError(
            f"the input image is {asked.width}x{asked.height} and what is made of it {width}x{height}: the "
            f"image is scaled to that; give input_image={width}x{height}, or the image's size as size too"
        )


def steps_made(profile: ComputeProfile, asked: Input, steps: int) -> int:
    """Of so many steps those that are made at a strength. Raises InputError where none is."""
    if asked.strength is None or not profile.images.strength:
        return steps
    made = int(profile.images.steps_made(np.array([steps]), asked.strength)[0])
    if made < 1:
        raise InputError(
            f"strength {asked.strength:g} leaves none of {counted(steps, 'step')} to be made: the least is "
            f"{1 / steps:.2g}"
        )
    return made


def input_notes(named: ComputeProfile, asked: Input, added: Additions, steps: int, made: int) -> list[str]:
    """What controls, adapters, an image and a strength were taken for; `named` is the model's profile."""
    own, told = controlled(named, added), addition_notes(named, added)
    given = profile_given(own, asked)
    if given is not own:
        told.append(f"image to image: {given.name} was taken, the pipeline {given.pipeline}")
    if asked.strength is not None and given.images.strength:
        told.append(f"strength {asked.strength:g}: {made} of {counted(steps, 'step')} are made")
    elif given is not own:
        told.append(f"no strength was given: all {counted(steps, 'step')} are made")
    return told


@cache
def _listed(by_strength: bool) -> str:
    """The listed models that take an image, or a strength, in words."""
    found = set()
    for name in filter(has_profile, model_names()):
        rule = packaged_profile(name).images
        if rule.strength if by_strength else rule.arguments:
            found.add(model_entry(name).get(IMAGE_TO_IMAGE_OF, name))
    *others, last = sorted(found)
    return f"{', '.join(others)} and {last}"
