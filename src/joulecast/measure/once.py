"""One workload measured, by way of a store of its own that goes when it is done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import MeasureError
from joulecast.measure.campaign import Progress, run_campaign
from joulecast.measure.campaign_plan import in_order, make_spec
from joulecast.measure.export import check_target, device_of, export
from joulecast.measure.meter import Meter
from joulecast.measure.protocol import Settings
from joulecast.measure.records import TaskSpec
from joulecast.measure.rows import StoredResult
from joulecast.measure.store import NewTask, Store
from joulecast.measure.task import Subject
from joulecast.question.gpus import gpu as find_gpu


def measure_once(
    asked: Mapping[str, object],
    *,
    subject: Subject | None = None,
    meter: Meter | None = None,
    settings: Settings | None = None,
    out: str | os.PathLike[str] | None = None,
    gpu: str | None = None,
) -> StoredResult:
    """Energy of one image, measured on this computer's GPU: real pipeline, random weights, repeats.

    Parameters
    ----------
    asked : what is measured: ``model`` and, where they are not the model's own, ``size``, ``steps``,
        ``precision``, ``passes`` or ``guidance``, ``batch_size``, ``text_tokens``, ``frames`` or ``seconds``,
        ``input_image`` and ``strength``, ``control``, ``runtime`` (``eager`` or ``compiled``), ``tf32``,
        ``components`` and ``weights``: the keys of a plan's grid.
    subject : what runs it; pipelines on this computer's GPU by default.
    meter : what measures; the driver's energy counter by default.
    settings : windows and repeats.
    out : a run table (.csv) to write the run to, with its repeats and environment beside it.
    gpu : name of the GPU in the catalogue, where the driver's name is not in it.

    Raises
    ------
    UnknownNameError
        There is no such model or GPU.
    InputError
        A value cannot be used, or the pipeline would refuse the workload.
    MeasureError
        There is no GPU to be measured, or it could not be.
    """
    spec = check_task(asked, out)
    if gpu is not None:
        find_gpu(gpu)
    own = meter is None
    subject, meter = _real(subject, meter)
    try:
        if out is not None:
            device_of(meter.device.gpu, gpu)  # or nothing could be written afterwards
        return _measured(spec, subject, meter, settings or Settings(), out, gpu)
    finally:
        if own:
            meter.close()


def check_task(asked: Mapping[str, object], out: str | os.PathLike[str] | None) -> TaskSpec:
    """The task that is asked for. Raises InputError where it cannot be run, or not be written to `out`."""
    spec = make_spec(in_order(asked, "what is to be measured"))
    profile = packaged_profile(spec.model)
    profile.check(spec.workload)
    if out is not None:
        check_target(out)
    return spec


def _real(subject: Subject | None, meter: Meter | None) -> tuple[Subject, Meter]:
    if subject is not None and meter is not None:
        return subject, meter
    from joulecast.measure.pipelines import PipelineSubject, gpu_meter

    meter = meter or gpu_meter()
    return subject or PipelineSubject("cuda"), meter


def _measured(
    spec: TaskSpec,
    subject: Subject,
    meter: Meter,
    settings: Settings,
    out: str | os.PathLike[str] | None,
    gpu: str | None,
) -> StoredResult:
    told: list[Progress] = []
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "one.db") as store:
        store.note("name", "measure")
        store.add([NewTask(spec)])
        while store.counts()["pending"] and not told:
            run_campaign(store, subject, meter, settings, on_progress=told.append)
        results = store.results()
        if not results:
            raise MeasureError(told[-1].outcome)
        if out is not None:
            export(store, out, gpu=gpu)
        return results[0]
