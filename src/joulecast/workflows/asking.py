"""What a sampler asks for, as a question like any other: which parts of which pipeline, how often."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np

from joulecast.architecture.workload import Workload
from joulecast.compute.operators import DENOISER, CallGroup, Component
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, shown
from joulecast.question.inputs import Input, profile_given
from joulecast.question.models import load_profile
from joulecast.question.question import Question, ask
from joulecast.question.setting import Setting
from joulecast.records import Record
from joulecast.runtime import ENGINE, parts
from joulecast.units import counted
from joulecast.workflows.checkpoints import Checkpoint, checkpoint_of
from joulecast.workflows.flow import Flow
from joulecast.workflows.graph import Node
from joulecast.workflows.handed import LoadedModel, Picture, Sampling

TEXT_ENCODER, IMAGE_ENCODER, DECODER = "text_encoder", "image_encoder", "decoder"
COMFYUI: Final = "comfyui"
LEFT_OUT: Final = "none"  # in place of a model: its samplers are not counted
NO_RUNTIME: Final = (
    "no run of ComfyUI is known: it is predicted as diffusers, which runs torch's kernels as ComfyUI does "
    "(say another with --engine)"
)


class Models(Record):
    """Models that a user says: of loaders by their node, and one for all files that are not known."""

    by_node: Mapping[str, str]
    others: str | None = None


class AskedSampler(Record):
    """A sampler's question.

    Attributes
    ----------
    sampling : what it is given.
    question : what that asks for: the parts of the pipeline that run for it, as often as they do.
    encodes_text, encodes_image : whether prompts and an image are encoded for it, and not for one before it.
    decodes : how often its latent is decoded.
    is_last : whether no other sampler goes on with what it makes.
    notes : how it was understood.
    """

    sampling: Sampling
    question: Question
    encodes_text: bool
    encodes_image: bool
    decodes: int
    is_last: bool
    notes: tuple[str, ...]


class LeftOut(Record):
    """A sampler that is not counted, and why."""

    node: Node
    words: str


def models_of(given: list[str], flow: Flow) -> Models:
    """Models as options say them, ``NODE=NAME`` or ``NAME``. Raises InputError for a node that loads none."""
    loaders = {one.model.node.id: one.model for one in flow.samplings}
    by_node, others = {}, None
    for text in given:
        number, sign, name = (part.strip() for part in text.partition("="))
        if not sign:
            others = text.strip()
            continue
        if number not in loaders or not name:
            known = ", ".join(f"{one.node.id} ({shown(one.file)})" for one in loaders.values())
            raise InputError(
                f"--model {shown(text)}: expected NODE=NAME, of a node that loads a model: {known}"
            )
        by_node[number] = name
    return Models(by_node, others)


def ask_all(flow: Flow, models: Models, keys: Mapping[str, object]) -> list[AskedSampler | LeftOut]:
    """The question of every sampler; `keys` are those of a setting that hold for all.

    Raises
    ------
    InputError
        A file is no model that is known, or a model refuses what a sampler asks for.
    """
    continued = {one.picture.sampled for one in flow.samplings}
    decoded = [
        (one.picture.sampled, one.picture.size) for one in flow.decodings if one.picture.encoded is None
    ]
    done: set[tuple[str, str]] = set()
    found: list[AskedSampler | LeftOut] = []
    for sampling in flow.samplings:
        checkpoint = _checkpoint(sampling.model, models)
        if checkpoint.model == LEFT_OUT:
            found.append(LeftOut(sampling.node, f"{shown(sampling.model.file)} is left out, as --model says"))
            continue
        decodes = decoded.count((sampling.node.id, sampling.picture.size))
        is_last = sampling.node.id not in continued
        try:
            found.append(_asked(sampling, checkpoint, decodes, is_last, done, keys))
        except InputError as error:
            raise InputError(f"{sampling.node.name}: {error}") from error
    return found


def _checkpoint(loaded: LoadedModel, models: Models) -> Checkpoint:
    """What a loader loads, as said or by its file's name. Raises InputError where neither is known."""
    by_name = checkpoint_of(loaded)
    said = models.by_node.get(loaded.node.id) or (models.others if by_name.model is None else None)
    if said is not None:
        return dataclasses.replace(by_name, model=said)
    if by_name.model is None:
        number = loaded.node.id
        raise InputError(
            f"{loaded.node.name}: {shown(loaded.file)} is no model known by this name; say which it is "
            f"with --model {number}=NAME (see `joulecast models`), or leave its samplers out with "
            f"--model {number}=none"
        )
    return by_name


def _asked(
    sampling: Sampling,
    checkpoint: Checkpoint,
    decodes: int,
    is_last: bool,
    done: set[tuple[str, str]],
    keys: Mapping[str, object],
) -> AskedSampler:
    """A sampler's question; what was encoded for one before it is `done`, and is so after it."""
    own = load_profile(checkpoint.model or "")
    picture = sampling.picture
    profile = own if picture.encoded is None else profile_given(own, Input(images=1))
    new = {(own.name, text) for text in sampling.texts} - done
    encodes_text = bool(new) or not sampling.texts
    image = (own.name, picture.encoded or f"{sampling.node.id} itself")
    encodes_image = _encodes(profile, picture) and image not in done
    done |= {*new, image}
    often = {TEXT_ENCODER: int(encodes_text), IMAGE_ENCODER: int(encodes_image), DECODER: decodes}
    run = _running(profile, often)
    passes, calls, notes = _passes(run, sampling)
    quantization = keys.get("quantization") or checkpoint.quantization
    (width, height, frames), told = _made(run, picture)
    steps, exact = _steps(run, calls, passes, sampling)
    setting = Setting.of(
        {
            **keys,
            "model": run,
            "width": width,
            "height": height,
            "batch_size": picture.batch,
            "frames": frames,
            "steps": steps,
            "passes": passes,
            "engine": keys.get("engine") or (COMFYUI if COMFYUI in parts(ENGINE) else None),
            "quantization": quantization,
        }
    )
    notes += [*told, *exact]
    if checkpoint.note and quantization == checkpoint.quantization:
        notes.append(checkpoint.note)
    if picture.encoded is not None and not profile.images.arguments:
        notes.append(
            f"no pipeline of {own.name} that encodes an image is listed: node {picture.encoded} is not "
            "counted"
        )
    return AskedSampler(sampling, ask(setting), encodes_text, encodes_image, decodes, is_last, tuple(notes))


def _encodes(profile: ComputeProfile, picture: Picture) -> bool:
    """Whether a sampler is given an image that is encoded: one that it starts from where a node encoded it,
    for another sampler's latent is none; one that it looks at in any case."""
    return bool(profile.images.arguments) and (picture.encoded is not None or not profile.images.strength)


def _made(profile: ComputeProfile, picture: Picture) -> tuple[tuple[int, int, int | None], list[str]]:
    """The size and frames that ComfyUI makes: sides padded to what the denoiser takes at once, frames left
    out that make no whole step of the latent."""
    grid = 1 if profile.size.bins else profile.size.unit
    width, height = (-(-(side or 0) // grid) * grid for side in (picture.width, picture.height))
    told = []
    if (width, height) != picture.size:
        told.append(f"sides are padded to multiples of {grid} pixels: {width}x{height}")
    rule = profile.frames
    if rule is None:
        return (width, height, picture.frames), told
    asked = picture.frames or 1
    fewer = np.arange(asked, max(0, asked - rule.step), -1)
    whole = fewer[(rule.rendered(fewer) == fewer) & ~rule.refused(fewer)]
    frames = int(whole[0]) if whole.size else asked
    if frames != asked:
        told.append(f"of {counted(asked, 'frame')} ComfyUI makes {frames}: whole steps of the latent")
    return (width, height, frames), told


def _running(profile: ComputeProfile, often: Mapping[str, int]) -> ComputeProfile:
    """The pipeline, parts of some roles called as many times as often; the weights of one that is not called
    are in memory all the same."""
    return dataclasses.replace(
        profile, components=tuple(_called(part, often.get(part.role, 1)) for part in profile.components)
    )


def _called(part: Component, times: int) -> Component:
    if times == 1 or part.role == DENOISER:
        return part
    return dataclasses.replace(
        part, calls={mode: _times(groups, times) for mode, groups in part.calls.items()}
    )


def _times(groups: tuple[CallGroup, ...], times: int) -> tuple[CallGroup, ...]:
    if not times:
        return ()
    return tuple(
        dataclasses.replace(group, fixed=group.fixed * times, per_step=group.per_step * times)
        for group in groups
    )


def _passes(profile: ComputeProfile, sampling: Sampling) -> tuple[int, int, list[str]]:
    """Passes in a call and calls of the denoiser; of a pipeline that never makes two, twice the calls."""
    if sampling.passes == 1 or any(2 in part.calls for part in profile.components):
        return sampling.passes, sampling.calls, []
    told = f"the pipeline of {profile.name} never makes a second pass, but ComfyUI does"
    return 1, 2 * sampling.calls, [f"{told}: it is counted as another call"]


def _steps(profile: ComputeProfile, calls: int, passes: int, sampling: Sampling) -> tuple[int, list[str]]:
    """The steps at which a pipeline makes so many calls: its own scheduler may make one more."""
    own = profile.defaults
    (denoiser, *_) = profile.denoisers

    def made(steps: int) -> float:
        workload = Workload(
            sampling.picture.width or own.width, sampling.picture.height or own.height, steps, passes,
            precision=own.precision, frames=own.frames,
        )  # fmt: skip
        return float(profile.calls(workload.columns())[denoiser.name][0])

    each = made(calls + 1) - made(calls) or 1.0
    more = round(made(calls) / each) - calls
    steps = max(1, calls - more)
    surplus = round(made(steps) / each) - calls
    told = f"its own scheduler makes {counted(surplus, 'call')} more than ComfyUI's, which is counted"
    return steps, [told] if surplus > 0 else []
