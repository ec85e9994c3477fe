"""Measured and predicted side by side, for a user's own diffusers pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from joulecast.compute.output import CLIP, said_of
from joulecast.errors import JoulecastError
from joulecast.forecast.estimate import Estimate, LawChoice, estimate_of
from joulecast.forecast.live import profile_of, state_of, synchronize_of
from joulecast.measure.blocks import Block, tell
from joulecast.measure.meter import Meter
from joulecast.measure.phases import Tracked, track_phases
from joulecast.question.question import ask
from joulecast.question.setting import Setting


@dataclass
class Track:
    """What a block drew and what was predicted for it. Complete once the block has ended.

    Attributes
    ----------
    measured : gross energy [J], time [s] and phases; see `joulecast.measure.phases.Tracked`.
    predicted : the estimate for one image or clip of what was seen; None where `problem` says why.
    images : images or clips generated in the block.
    problem : why nothing was predicted; empty where it was.
    """

    measured: Tracked
    predicted: Estimate | None = None
    problem: str = field(default="")

    @property
    def images(self) -> int:
        """Images or clips generated in the block."""
        return self.measured.observed.images

    @property
    def energy_per_image_j(self) -> float:
        """Measured gross energy of one image or clip [J]; nan when none was generated."""
        return self.measured.energy_j / self.images if self.images else float("nan")


@contextmanager
def track(
    pipeline: Any,
    *,
    model: str | None = None,
    gpu: str | None = None,
    meter: Meter | None = None,
    law: LawChoice = None,
) -> Iterator[Track]:
    """Measure the block in which a diffusers pipeline is called, and predict the same.

    >>> with joulecast.track(pipe) as t:  # doctest: +SKIP
    ...     pipe("a red fox", num_inference_steps=30)
    >>> t.energy_per_image_j, t.predicted.energy_j  # doctest: +SKIP

    Parameters
    ----------
    pipeline : a diffusers pipeline on one NVIDIA GPU.
    model : its name in the catalogue, or the path of its profile file; by default the catalogue's entry for
        the folder or hub id it was loaded from.
    gpu : the GPU's name in the catalogue; by default as the driver names it.
    meter : what measures; the pipeline's GPU by default.
    law : the law that predicts; the default law by default.

    Raises
    ------
    MeasureError
        There is no GPU to be measured, or the block drew nothing that could be.
    MissingExtraError
        nvidia-ml-py is not installed.
    """
    used = meter or _meter_of(pipeline)
    try:
        with track_phases(pipeline, used, synchronize_of(pipeline)) as measured:
            found = Track(measured)
            yield found
    finally:
        if meter is None:
            used.close()
    try:
        found.predicted = _predicted(pipeline, measured, model, gpu or measured.gpu, law)
    except JoulecastError as error:
        found.problem = str(error)
    tell(_block_of(found))


def _block_of(found: Track) -> Block:
    """What a measured command around the block is told of it; see `joulecast.measure.command`."""
    measured, guess, images = found.measured, found.predicted, found.images
    known = Block(measured.gpu, images, measured.energy_j, measured.duration_s, problem=found.problem)
    if guess is None:
        return known
    return dataclasses.replace(
        known,
        predicted_j=guess.energy_j * images,
        predicted_low_j=guess.energy_low_j * images,
        predicted_high_j=guess.energy_high_j * images,
    )


def _predicted(pipeline: Any, measured: Tracked, model: str | None, gpu: str, law: LawChoice) -> Estimate:
    """An estimate of the workload that was seen. Raises JoulecastError when there is none."""
    observed = measured.observed
    profile, notes = profile_of(pipeline, model)
    denoisers = profile.denoising_modules
    given = sum(observed.given.get(part, 0) for part in denoisers)
    if not observed.images:
        raise JoulecastError(f"no {profile.output} was seen being generated")
    if not given:
        raise JoulecastError(
            f"{profile.name} denoises with {' and '.join(denoisers)}, which this pipeline did not call: "
            "is it that?"
        )
    if len(observed.sizes) > 1:
        sizes = ", ".join(f"{width}x{height}" for width, height in sorted(observed.sizes))
        told = said_of(profile.output, "images of several sizes")
        raise JoulecastError(f"{told} were generated ({sizes}): track each size by itself")
    if profile.output == CLIP and len(observed.frames) != 1:
        lengths = ", ".join(map(str, sorted(observed.frames))) or "none"
        raise JoulecastError(f"clips of one number of frames are predicted, and {lengths} were seen")
    ((width, height),) = observed.sizes
    batch = observed.images // observed.runs
    scheduler = pipeline.scheduler
    steps = getattr(scheduler, "num_inference_steps", None) or len(scheduler.timesteps)
    passes = 2 if given >= 2 * steps * observed.images else 1
    known = {
        "model": profile,
        "gpu": gpu,
        "width": width,
        "height": height,
        "steps": steps,
        "passes": passes,
        "batch_size": batch,
        "frames": min(observed.frames) if profile.output == CLIP else None,
        **state_of(pipeline, profile),
    }
    return estimate_of(ask(Setting.of(known), notes), law)


def _meter_of(pipeline: Any) -> Meter:
    from joulecast.measure.pipelines import gpu_meter

    return gpu_meter()
