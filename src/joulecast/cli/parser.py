"""The command line: parse, call the library, print text or JSON.

Exit status: 0, or 1 when `predict` could not predict some rows, or 2 for an error, told in one line.
The library is imported inside the commands: what a command does not need is not loaded. The parser
is the standard library's: a whole estimate takes little longer than importing numpy, and the
imports of a richer parser would take as long again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from joulecast import __version__
from joulecast.cli import account, campaign, decide, laws, measure
from joulecast.errors import InputError, JoulecastError, near_matches, shown

FAILED_ROWS, ERROR, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; every error ends as one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    status = _run(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        gc.freeze()  # the process ends: a last walk over all it holds is for nothing
    sys.exit(status)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    return _parsers()[0]


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name."""
    return _parsers()[1]


# --- commands: each takes parsed options and returns the exit status ------------------------------


def _estimate_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("model", metavar="MODEL", help="name, alias or hub id (see `joulecast models`), or a profile file")
    add("--gpu", required=True, help="name or alias (see `joulecast gpus`), or a GPU file (.toml)")
    add("--size", metavar="WIDTHxHEIGHT", help="pixels; by default the model's")
    add("--steps", help="denoising steps; by default the model's")
    add("--precision", help="fp16, bf16 or fp32; by default the model's")
    add("--guidance", help="the pipeline's guidance scale; by default the model's")
    add(
        "--negative-prompt",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="there is a negative prompt; some pipelines guide only then",
    )
    add("--passes", help="denoiser passes a step, 1 or 2, whatever the guidance")
    add("--batch", default=1, help="images generated together; 1 by default")
    add("--text-tokens", metavar="TOKENS", help="text tokens the denoiser attends to; by default the model's")
    add("--boundary", default="gross", help="gross (default): all the GPU board draws; dynamic: without idle")
    add("--law", help="a packaged law or a law file; by default the package's own")
    _add_json(command)


def _estimate(options: argparse.Namespace) -> int:
    """Energy of one image with its 90 % interval, time, power, and each component's part."""
    from joulecast.forecast.estimate import estimate

    answer = estimate(
        options.model,
        options.gpu,
        size=options.size,
        steps=options.steps,
        precision=options.precision,
        guidance=options.guidance,
        negative_prompt=options.negative_prompt,
        passes=options.passes,
        batch_size=options.batch,
        text_tokens=options.text_tokens,
        boundary=options.boundary,
        law=options.law,
    )
    if options.json:
        return _print_json(answer.to_dict())
    from joulecast.report.estimate_text import estimate_text

    print(estimate_text(answer))
    return 0


def _predict_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("file", metavar="FILE", help="CSV or Parquet with the columns model, gpu, width, height, steps")
    add("--out", metavar="FILE", help="CSV or .parquet file to write; CSV to standard output without it")
    add("--law", help="a packaged law or a law file; by default the package's own")


def _predict(options: argparse.Namespace) -> int:
    """Energy of every row of a file; a row that cannot be predicted says why in its column `error`."""
    from joulecast.forecast.estimate import resolve_law
    from joulecast.forecast.files import predict_file

    summary = predict_file(options.file, options.out, resolve_law(options.law))
    print(f"predicted {summary.rows - summary.failed} of {summary.rows} rows", file=sys.stderr)
    if not summary.failed:
        return 0
    print(f"{summary.failed} failed (see the column `error`), first {summary.first_failure}", file=sys.stderr)
    return FAILED_ROWS


def _profile_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "folder", metavar="FOLDER", help="a diffusers-format folder: model_index.json and configs, no weights"
    )
    add("--out", metavar="FILE", required=True, help="profile file to write (.json)")


def _profile(options: argparse.Namespace) -> int:
    """Trace a pipeline that the catalogue does not know, without weights; needs the extra `trace`."""
    from joulecast.architecture.pipeline_config import read_pipeline_folder
    from joulecast.compute.profile_file import write_profile
    from joulecast.compute.profiler import make_profile
    from joulecast.compute.second_process import processors
    from joulecast.files.paths import replacing
    from joulecast.question.models import denoiser_pass_flop
    from joulecast.report.estimate_text import profile_text

    if not options.out.casefold().endswith(".json"):
        raise InputError(f"--out {shown(options.out)}: a profile file ends in .json, e.g. my-model.json")
    config = read_pipeline_folder(Path(options.folder))
    with replacing(Path(options.out)) as temporary:
        made = make_profile(config, progress=_say, processes=min(2, processors()))
        write_profile(made, temporary)
    print(profile_text(made, denoiser_pass_flop(made)))
    print(f"\nwrote {options.out}; now: joulecast estimate {options.out} --gpu H100")
    return 0


def _models(options: argparse.Namespace) -> int:
    """The models of the catalogue."""
    from joulecast.question.models import models

    if options.json:
        return _print_json([vars(model) for model in models()])
    from joulecast.report.estimate_text import models_text

    print(models_text(models()))
    return 0


def _gpus(options: argparse.Namespace) -> int:
    """The GPUs of the catalogue."""
    from joulecast.hardware import gpus

    if options.json:
        return _print_json([vars(gpu) for gpu in gpus()])
    from joulecast.report.estimate_text import gpus_text

    print(gpus_text(gpus()))
    return 0


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


_COMMANDS: dict[
    str, tuple[Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], None]]
] = {
    "estimate": (_estimate, _estimate_options),
    "predict": (_predict, _predict_options),
    "profile": (_profile, _profile_options),
    "models": (_models, _add_json),
    "gpus": (_gpus, _add_json),
}
laws.register(_COMMANDS)
account.register(_COMMANDS)
decide.register(_COMMANDS, _estimate_options)
measure.register(_COMMANDS)
campaign.register(_COMMANDS)


# --- parsing and errors ---------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line, with near matches, exit status 2."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`")


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    root = _Parser(
        prog="joulecast",
        description="The energy and time of an image made by a diffusion model, before it is made.",
    )
    root.add_argument("--version", action="version", version=f"joulecast {__version__}")
    group = root.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=_Parser)
    by_name: dict[str, argparse.ArgumentParser] = {}
    for name, (run, add_options) in _COMMANDS.items():
        summary = (run.__doc__ or "").strip()
        by_name[name] = group.add_parser(name, help=summary.replace("%", "%%"), description=summary)
        add_options(by_name[name])
        by_name[name].set_defaults(run=run)
    return root, by_name


def _parse(arguments: list[str]) -> argparse.Namespace:
    """The options of a command; InputError, with near matches, for one that is not there."""
    root, by_name = _parsers()
    given = next((argument for argument in arguments if not argument.startswith("-")), None)
    if given is not None and given not in by_name:
        near = near_matches(given, by_name, most=1)
        better = f"did you mean {near[0]}?" if near else f"commands: {', '.join(by_name)}"
        raise InputError(f"unknown command {shown(given)}; {better}")
    options, unknown = root.parse_known_args(arguments)
    if unknown:
        command = by_name.get(options.command or "", root)
        known = [name for action in command._actions for name in action.option_strings]
        near = near_matches(unknown[0], known, most=1) if unknown[0].startswith("-") else []
        better = f"did you mean {near[0]}?" if near else f"see `{command.prog} --help`"
        raise InputError(f"unknown argument {shown(unknown[0])}; {better}")
    if options.command is None:
        options.run = lambda _: root.print_help()
    return options


def _run(arguments: list[str]) -> int:
    try:
        status = _command(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)
    except JoulecastError as error:
        return _tell(str(error))
    except MemoryError:
        return _tell("not enough memory for this")
    except OSError as error:
        where = f"{shown(error.filename)}: " if error.filename else ""
        return _tell(f"{where}{error.strerror or error}")


def _command(arguments: list[str]) -> int:
    try:
        options = _parse(arguments)
        return int(options.run(options) or 0)
    except SystemExit as done:  # how argparse ends after --help and --version
        return int(done.code or 0)


def _say(words: str) -> None:
    """Progress, for a person who waits."""
    if sys.stderr.isatty():
        print(words, file=sys.stderr, flush=True)


def _tell(message: str, status: int = ERROR) -> int:
    """One line on standard error, and the exit status."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return status


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, allow_nan=False, default=sorted))  # sets are the only other type
    return 0
