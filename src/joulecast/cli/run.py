"""Run any command, and measure what the GPUs draw meanwhile; it ends as the command does."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from joulecast.cli.options import ASKED, OUTPUT, check_table_name, length_of_time, say, write_text
from joulecast.errors import InputError, MeasureError, as_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from joulecast.measure.command import CommandRun
    from joulecast.measure.nvml import NvmlMeter
    from joulecast.measure.protocol import Settings

JSON: Final = ".json"
EXAMPLE: Final = "e.g. `joulecast run -- python generate.py`"
NOT_STARTED: Final = "the command was not started; without an NVIDIA GPU, `joulecast estimate` predicts"


def add_options(command: argparse.ArgumentParser) -> None:
    """What `run` takes."""
    asked = command.add_argument_group(ASKED)
    rest = asked.add_argument(
        "command",
        metavar="-- COMMAND ...",
        nargs=argparse.REMAINDER,
        help="the program and its arguments, as they would be without `joulecast run --`",
    )
    rest.required = True  # which versions of Python differ on
    asked.add_argument(
        "--idle",
        type=_idle,
        metavar="TIME",
        help="for how long idle power is measured, before and after; 3s by default, 0 for not at all",
    )
    asked.add_argument(
        "--dry-run",
        action="store_true",
        help="say which GPUs would be read and how, and what would be written; run and measure nothing",
    )
    command.add_argument_group(OUTPUT).add_argument(
        "--out", metavar="FILE", help="also write what was measured: .json, or .csv with a row for each GPU"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command between two measurements of idle power; its exit status.

    What was measured is told on standard error: standard output is the command's. A dry run starts nothing,
    and what it tells is its answer.
    """
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise InputError(f"there is no command to run; give one after --, {EXAMPLE}")
    _check_out(options.out)
    problem, status = _cannot_start(command[0])
    if problem:
        return _refuse(problem, status)
    if options.dry_run:
        print(_planned(command, options.idle, options.out))
        return 0
    try:
        found = _measured(command, options.idle)
    except OSError as error:
        return _refuse(f"{as_name(command[0])} cannot be started: {error.strerror or error}", status)
    say(f"\n{found}")
    _write(found, options.out)
    return found.status


def _cannot_start(program: str) -> tuple[str, int]:
    """Why a program cannot be started, or nothing, and the exit status of one that cannot."""
    import os
    import shutil

    from joulecast.measure.process import NOT_EXECUTABLE, NOT_FOUND

    if shutil.which(program):
        return "", NOT_EXECUTABLE
    if shutil.which(program, os.F_OK) or (Path(program).name != program and Path(program).exists()):
        words = f"{as_name(program)} is not executable; to run a script, name its interpreter, {EXAMPLE}"
        return words, NOT_EXECUTABLE
    hint = "is it installed, and on the PATH?"
    if shutil.which(program.partition(" ")[0]):
        hint = f"give it without quotes around it all, {EXAMPLE}"
    return f"there is no command {as_name(program)}; {hint}", NOT_FOUND


def _refuse(words: str, status: int) -> int:
    say(f"error: {words}")
    return status


def _planned(command: Sequence[str], idle_s: float | None, out: str | None) -> str:
    """What would be measured, in words. Raises MeasureError where nothing could be."""
    from joulecast.measure.nvml import order_doubt
    from joulecast.report.command_text import planned_text

    with _meters() as meters:
        doubts = tuple(order_doubt(meters[0].installed))
        return planned_text(command, [meter.device for meter in meters], _settings(idle_s), out, doubts)


def _measured(command: Sequence[str], idle_s: float | None) -> CommandRun:
    """The command run and measured. Raises MeasureError, and does not start it, where nothing can measure."""
    from joulecast.measure.command import measure_command
    from joulecast.measure.nvml import order_doubt

    settings = _settings(idle_s)
    with _meters() as meters:
        found = measure_command(command, meters, settings)
        return found.with_warnings(*order_doubt(meters[0].installed))


def _settings(idle_s: float | None) -> Settings:
    from joulecast.measure.protocol import Settings

    return Settings() if idle_s is None else Settings(idle_s=idle_s)


@contextlib.contextmanager
def _meters() -> Iterator[Sequence[NvmlMeter]]:
    """Meters of the GPUs that the command may use, closed at the end. Raises MeasureError."""
    from joulecast.measure.nvml import visible_meters

    try:
        meters = visible_meters()
    except MeasureError as error:
        raise MeasureError(f"{error}; {NOT_STARTED}") from None
    try:
        yield meters
    finally:
        for meter in meters:
            meter.close()


def _check_out(out: str | None) -> None:
    """Raise InputError where nothing could be written: before the command is started."""
    if out is None:
        return
    from joulecast.files.paths import check_output

    try:
        if Path(out).suffix.casefold() != JSON:
            check_table_name(out)
    except InputError as error:
        raise InputError(f"{error}; or in {JSON}") from None
    check_output(Path(out))


def _write(found: CommandRun, out: str | None) -> None:
    from joulecast.files.plain import json_text, plain
    from joulecast.files.tables import write_blocks
    from joulecast.report.command_text import columns_of

    if out is None:
        return
    target = Path(out)
    if target.suffix.casefold() == JSON:
        write_text(json_text(plain(found.to_dict())), target)
    else:
        write_blocks(iter([columns_of(found)]), target)
    say(f"wrote {out}")


def _idle(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0s") else length_of_time(text)
