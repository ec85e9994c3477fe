"""What queueing a workflow of ComfyUI takes: energy, time and memory, and what was made of each node."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from joulecast.cli.options import (
    ASKED,
    OR_STDIN,
    OUTPUT,
    PRECISIONS,
    json_option,
    prediction_options,
)
from joulecast.cli.site_options import asks_for_a_site, site_of, site_options
from joulecast.cli.with_footprint import print_answer

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint
    from joulecast.workflows.estimate import WorkflowEstimate
    from joulecast.workflows.handed import Assumed

KEYS = (
    "gpu", "precision", "engine", "compile", "quantization", "cache", "gpus", "parallel", "power_limit_w",
    "boundary",
)  # fmt: skip
MOST_CALLS = 10  # of the model in a step


def add_options(command: argparse.ArgumentParser) -> None:
    """What `comfy` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add(
        "file",
        metavar="WORKFLOW",
        help="JSON as ComfyUI exports it, for the API or not, or a PNG image that it saved" + OR_STDIN,
    )
    add(
        "--model",
        dest="named",
        metavar="NODE=NAME",
        action="append",
        default=[],
        help="the model that a node loads, none to leave its samplers out; NAME alone: of all unknown files",
    )
    add(
        "--size",
        metavar="WIDTHxHEIGHT",
        help="of images whose size the workflow does not say: those it loads",
    )
    add("--calls", metavar="COUNT", help="of the model in a step, by samplers that are not known")
    add("--precision", metavar=PRECISIONS, help="of weights and arithmetic; by default each model's")
    prediction_options(command, add)
    site_options(command, images=True)
    json_option(command.add_argument_group(OUTPUT))


def run(options: argparse.Namespace) -> int:
    """Print what a workflow takes, with its footprint where a site is asked for."""
    from joulecast.workflows.estimate import estimate_workflow

    answer = estimate_workflow(
        options.file,
        {key: getattr(options, key) for key in KEYS},
        models=options.named,
        assumed=_assumed(options),
        law=options.law,
    )
    footprint = _footprint(answer, options) if asks_for_a_site(options) else None
    print_answer(answer, lambda: str(answer), footprint, options)
    return 0


def _assumed(options: argparse.Namespace) -> Assumed:
    """What the workflow does not say."""
    from joulecast.files.numbers import whole
    from joulecast.question.setting import read_size
    from joulecast.workflows.handed import Assumed

    calls = None if options.calls is None else whole(options.calls, "--calls", 1, MOST_CALLS)
    return Assumed(None if options.size is None else read_size(options.size), calls)


def _footprint(answer: WorkflowEstimate, options: argparse.Namespace) -> Footprint:
    """Of all that comes out of a run, or of as many images or clips as are asked for."""
    from joulecast.files.numbers import whole
    from joulecast.footprint.account import footprint_of_energy

    images = answer.outputs if options.images is None else whole(options.images, "--images")
    return footprint_of_energy(
        answer.energy_per_output,
        answer.duration * answer.runtime.gpus / answer.outputs,
        site_of(options),
        images=images,
        gpu=answer.gpu,
        boundary=answer.boundary,
        source=f"joulecast estimate of {answer.name}, law {answer.samplers[0].estimate.law.name}",
        output=answer.output,
    )
