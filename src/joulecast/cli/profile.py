"""Trace a pipeline that the catalogue does not know, without weights; needs the extra `trace`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from joulecast.cli.options import ASKED, OUTPUT, json_option, print_json, say
from joulecast.errors import InputError, shown


def add_options(command: argparse.ArgumentParser) -> None:
    """What `profile` takes."""
    command.add_argument_group(ASKED).add_argument(
        "folder", metavar="FOLDER", help="a diffusers-format folder: model_index.json and configs, no weights"
    )
    output = command.add_argument_group(OUTPUT)
    output.add_argument("--out", metavar="FILE", required=True, help="profile file to write (.json)")
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Write the profile of a folder, and print what is in it."""
    from joulecast.architecture.pipeline_config import read_pipeline_folder
    from joulecast.compute.profile_file import write_profile
    from joulecast.compute.profiler import make_profile
    from joulecast.compute.second_process import processors
    from joulecast.files.paths import check_output
    from joulecast.question.models import denoiser_pass_flop
    from joulecast.report.estimate_text import profile_data, profile_text

    if not options.out.casefold().endswith(".json"):
        raise InputError(f"--out {shown(options.out)}: a profile file ends in .json, e.g. my-model.json")
    config = read_pipeline_folder(Path(options.folder))
    check_output(Path(options.out))  # before the long work
    made = make_profile(config, progress=_progress, processes=min(2, processors()))
    write_profile(made, Path(options.out))
    if options.json:
        return print_json({**profile_data(made, denoiser_pass_flop(made)), "out": options.out})
    print(profile_text(made, denoiser_pass_flop(made)))
    print(f"\nwrote {options.out}; now: joulecast estimate {options.out} --gpu H100")
    return 0


def _progress(words: str) -> None:
    """Progress, for a person who waits."""
    if sys.stderr.isatty():
        say(words)
