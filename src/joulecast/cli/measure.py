"""Energy of one image, measured on this computer's GPU: real pipeline, random weights, repeats."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.options import ASKED, BATCH_HELP, OUTPUT, json_option, print_json
from joulecast.cli.source import source, source_options
from joulecast.errors import InputError, MeasureError

if TYPE_CHECKING:
    from joulecast.measure.campaign import Progress
    from joulecast.measure.protocol import Settings
    from joulecast.measure.records import TaskSpec
    from joulecast.measure.rows import StoredResult

ASKED_OF_A_TASK = (
    "model", "size", "steps", "precision", "passes", "batch_size", "text_tokens", "runtime", "tf32",
    "components", "weights",
)  # fmt: skip


def add_options(command: argparse.ArgumentParser) -> None:
    """What `measure` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("model", metavar="MODEL", help="name, alias or hub id (see `joulecast models`)")
    add("--size", metavar="WIDTHxHEIGHT", help="pixels; by default the model's")
    add("--steps", help="denoising steps; by default the model's")
    add("--precision", help="fp16, bf16 or fp32; by default the model's")
    add("--passes", help="denoiser passes a step: 1, or 2 with guidance")
    add("--batch", "--batch-size", dest="batch_size", metavar="IMAGES", help=BATCH_HELP)
    add("--text-tokens", metavar="TOKENS", help="text tokens; by default the model's")
    add("--runtime", help="eager (default) or compiled")
    add("--tf32", help="TF32 in fp32 work: on, off or default (torch's: convolutions, not matrix products)")
    add("--components", action="store_true", help="measure each component alone as well")
    add("--window", type=_seconds, metavar="TIME", help="shortest window; 1s by default")
    add("--repeats", help="windows at least; 5 by default")
    source_options(command)
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument(
        "--out", metavar="FILE", help="also write the run (.csv), its repeats and environment"
    )


def run(options: argparse.Namespace) -> int:
    """Measure one workload, print it, and write it."""
    from joulecast.report.measured_text import measured_text

    result = _measured(options)
    if options.json:
        return print_json(result.to_dict())
    print(measured_text(result))
    return 0


def _measured(options: argparse.Namespace) -> StoredResult:
    """The result of the one task, by way of a store of its own. Raises MeasureError where there is none."""
    from joulecast.measure.campaign import run_campaign
    from joulecast.measure.export import check_target, device_of, export
    from joulecast.measure.store import NewTask, Store

    spec, settings = _spec(options), _settings(options)
    told: list[Progress] = []
    if options.out:
        check_target(options.out)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "one.db") as store:
        store.note("name", "measure")
        store.add([NewTask(spec)])
        subject, meter = source(options)
        try:
            if options.out:
                device_of(meter.device.gpu, options.gpu)  # or nothing could be written afterwards
            while store.counts()["pending"] and not told:
                run_campaign(store, subject, meter, settings, on_progress=told.append)
        finally:
            meter.close()
        if not store.results():
            raise MeasureError(told[-1].outcome)
        if options.out:
            export(store, options.out, gpu=options.gpu)
        return store.results()[0]


def _spec(options: argparse.Namespace) -> TaskSpec:
    """What is measured. Raises InputError where the pipeline would refuse it."""
    from joulecast.compute.profile_file import packaged_profile
    from joulecast.measure.campaign_plan import make_spec

    asked = {name: getattr(options, name) for name in ASKED_OF_A_TASK}
    spec = make_spec({name: value for name, value in asked.items() if value is not None})
    packaged_profile(spec.model).check(spec.workload)
    return spec


def _settings(options: argparse.Namespace) -> Settings:
    from joulecast.files.numbers import whole
    from joulecast.measure.protocol import Settings

    repeats = None if options.repeats is None else whole(options.repeats, "--repeats")
    given = {"window_s": options.window, "repeats": repeats}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _seconds(text: str) -> float:
    from joulecast.measure.campaign_plan import parse_duration

    try:
        return parse_duration(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
