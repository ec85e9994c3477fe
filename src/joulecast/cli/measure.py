"""Energy of an image or clip, measured on this computer's GPU: real pipeline, random weights."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from joulecast.cli.options import (
    ASKED,
    BATCH_HELP,
    OUTPUT,
    PRECISIONS,
    clip_options,
    control_option,
    image_options,
    json_option,
    length_of_time,
    print_json,
)
from joulecast.cli.source import source, source_options

if TYPE_CHECKING:
    from joulecast.measure.protocol import Settings

ASKED_OF_A_TASK = (
    "model", "size", "steps", "precision", "passes", "negative_prompt", "batch_size", "text_tokens",
    "frames", "fps", "seconds", "strength", "input_image", "control", "runtime", "tf32", "components",
    "weights",
)  # fmt: skip


def add_options(command: argparse.ArgumentParser) -> None:
    """What `measure` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("model", metavar="MODEL", help="name, alias or hub id (see `joulecast models`)")
    add("--size", metavar="WIDTHxHEIGHT", help="pixels; by default the model's")
    add("--steps", help="denoising steps; by default the model's")
    add("--precision", metavar=PRECISIONS, help="of weights and arithmetic; by default the model's")
    add("--passes", metavar="{1,2}", help="denoiser passes a step: 1, or 2 with guidance")
    add("--negative-prompt", action="store_true", default=None, help="with a negative prompt")
    add("--batch", "--batch-size", dest="batch_size", metavar="COUNT", help=BATCH_HELP)
    add("--text-tokens", metavar="TOKENS", help="text tokens; by default the model's")
    clip_options(add)
    image_options(add)
    control_option(add)
    add("--runtime", metavar="{eager,compiled}", help="eager by default")
    add(
        "--tf32",
        metavar="{on,off,default}",
        help="TF32 in fp32 work: on, off or default (torch's: convolutions, not matrix products)",
    )
    add("--components", action="store_true", help="measure each component alone as well")
    add("--window", type=length_of_time, metavar="TIME", help="shortest window; 1s by default")
    add("--repeats", help="windows at least; 5 by default")
    source_options(command)
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument(
        "--out", metavar="FILE", help="also write the run (.csv), its repeats and environment"
    )


def run(options: argparse.Namespace) -> int:
    """Measure one workload, print it, and write it."""
    from joulecast.measure.once import check_task, measure_once

    given = {name: getattr(options, name) for name in ASKED_OF_A_TASK}
    asked = {name: value for name, value in given.items() if value is not None}
    settings = _settings(options)
    check_task(asked, options.out)
    subject, meter = source(options)
    try:
        result = measure_once(
            asked, subject=subject, meter=meter, settings=settings, out=options.out, gpu=options.gpu
        )
    finally:
        meter.close()
    if options.json:
        return print_json(result.to_dict())
    print(result)
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    from joulecast.files.numbers import whole
    from joulecast.measure.protocol import Settings

    repeats = None if options.repeats is None else whole(options.repeats, "--repeats")
    given = {"window_s": options.window, "repeats": repeats}
    return Settings(**{name: value for name, value in given.items() if value is not None})
