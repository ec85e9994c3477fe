"""What `measure` and `campaign` share: what is measured, and by what."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from joulecast.cli.options import WHERE, Group
from joulecast.errors import InputError, MeasureError, check_extras

if TYPE_CHECKING:
    from joulecast.measure.meter import Meter
    from joulecast.measure.replay import Trace
    from joulecast.measure.task import Subject


def source_options(command: argparse.ArgumentParser) -> Group:
    """The options that say what is measured, and by what; their group."""
    group = command.add_argument_group(WHERE)
    add = group.add_argument
    add(
        "--weights",
        metavar="FOLDER",
        help="trained weights: a folder, a hub id, or `trained` for the catalogue's; random ones without it",
    )
    add("--gpu", help="name of the GPU in the catalogue, where the driver's name is not in it")
    add("--dry-run", action="store_true", help="no GPU and no pipeline: a virtual clock and a replayed trace")
    add("--trace", metavar="FILE", help="trace to replay in a dry run (.csv); an invented one without it")
    return group


def source(options: argparse.Namespace) -> tuple[Subject, Meter]:
    """What runs the work, and the meter beside it."""
    if options.dry_run:
        from joulecast.measure.replay import ReplayMeter, VirtualClock
        from joulecast.measure.virtual import VirtualSubject

        clock = VirtualClock()
        return VirtualSubject(clock), ReplayMeter(trace_of(options), clock)
    check_trace(options)
    check_extras("measuring a GPU", "trace", "measure")
    from joulecast.measure.pipelines import PipelineSubject, gpu_meter

    try:
        meter = gpu_meter()
    except MeasureError as error:
        raise MeasureError(f"{error}; or try --dry-run") from None
    return PipelineSubject("cuda"), meter


def trace_of(options: argparse.Namespace) -> Trace:
    """What a dry run replays."""
    from joulecast.measure.replay import packaged_trace, read_trace

    return read_trace(options.trace) if options.trace else packaged_trace()


def check_trace(options: argparse.Namespace) -> None:
    """Refuse a trace outside a dry run."""
    if options.trace:
        raise InputError("--trace is replayed in dry runs only; add --dry-run")
