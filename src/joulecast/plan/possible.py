"""Whether a GPU can run a model at all, and hold a batch of it: one rule for every command that chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError
from joulecast.forecast.memory import (
    NO,
    WOULD_FIT,
    YES,
    does_not_fit,
    fits_of,
    weight_bytes,
    weights_fit,
)
from joulecast.forecast.offloading import in_turn
from joulecast.hardware import Gpu
from joulecast.question.gpus import gpu_and_count
from joulecast.question.question import Question, asked_of, precision_of, told_of_runtime, work_of
from joulecast.question.runtimes import NOTHING_ASKED, Asked
from joulecast.question.setting import Setting
from joulecast.runtime import MODEL_OFFLOAD, NONE, Runtime
from joulecast.units import BYTES_PER_GIGABYTE, gigabytes


def cannot_run(profile: ComputeProfile, gpu: Gpu, precision: str | None, asked: Asked = NOTHING_ASKED) -> str:
    """Why a GPU cannot run a model in a precision (None: the model's own); empty where nothing says so.

    Several GPUs, and quantised weights, may need less memory than the weights take; with offloading they are
    on the GPU in turn.
    """
    if precision is not None and precision not in gpu.precisions:
        return f"{profile.name} in {precision} does not run on {gpu.name}, for want of {precision} arithmetic"
    taken = precision_of(profile, gpu, precision)
    runtime = Runtime(offload=asked.offload or NONE)
    if asked.may_need_less_memory or weights_fit(profile, gpu.memory_bytes, taken, runtime):
        return ""
    told = in_turn(profile, gpu, taken, runtime) if asked.engine is None else ""
    return (
        f"{profile.name} in {taken} does not run on {gpu.name} "
        f"({gpu.memory_bytes / BYTES_PER_GIGABYTE:g} GB): its weights alone are "
        f"{gigabytes(weight_bytes(profile, taken, runtime.offload))}{f' ({told})' if told else ''}"
    )


def cannot_run_so(setting: Setting) -> str:
    """Why a model on its GPU cannot be run as is asked: split, or quantised; empty where nothing says so.

    Raises what `ask` raises of the work.
    """
    if setting.gpu is None:
        return ""
    gpu, count = gpu_and_count(setting.gpu)
    if asked_of(setting).on(count) == NOTHING_ASKED:
        return ""
    work = work_of(setting, gpu)
    try:
        told_of_runtime(setting, work, gpu, count)
    except InputError as error:
        return f"{work.profile.name} on {gpu.name}: {error}"
    return ""


def too_large(questions: Sequence[Question]) -> list[str]:
    """For each question, why its GPU surely cannot hold the batch; empty where nothing says so, also where
    its peak is not known.

    Batches of one size, precision and GPU that are too large share their words: of the smallest of them.
    """
    over = [place for place, fits in enumerate(fits_of(questions)) if fits == NO]
    told = [""] * len(questions)
    words: dict[tuple[object, ...], str] = {}
    for place in sorted(over, key=lambda i: questions[i].workload.batch_size):
        one, alike = questions[place], _alike(questions[place])
        if alike not in words:
            words[alike] = does_not_fit(one.profile, one.workload, one.gpu, one.runtime) + _hint(one)
        told[place] = words[alike]
    return told


def _hint(one: Question) -> str:
    """That its batch would fit with offloading, where it surely would."""
    if not one.runtime.may_offload:
        return ""
    offloaded = dataclasses.replace(one, runtime=dataclasses.replace(one.runtime, offload=MODEL_OFFLOAD))
    return f"; {WOULD_FIT}" if fits_of([offloaded]) == [YES] else ""


def _alike(question: Question) -> tuple[object, ...]:
    w = question.workload
    how = question.runtime.offload, question.runtime.may_offload
    return question.profile.name, question.gpu.name, w.precision, w.width, w.height, *how
