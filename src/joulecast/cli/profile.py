"""Trace a pipeline that the catalogue does not know, without weights; needs the extra `trace`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.options import ASKED, OUTPUT, json_option, print_json, progress
from joulecast.errors import InputError, shown

if TYPE_CHECKING:
    from joulecast.architecture.pipeline_config import PipelineConfig


def add_options(command: argparse.ArgumentParser) -> None:
    """What `profile` takes."""
    command.add_argument_group(ASKED).add_argument(
        "folder",
        metavar="FOLDER",
        help="a diffusers-format folder (model_index.json and configs, no weights), or a hub id, "
        "OWNER/NAME or OWNER/NAME@REVISION",
    )
    output = command.add_argument_group(OUTPUT)
    output.add_argument("--out", metavar="FILE", required=True, help="profile file to write (.json)")
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Write the profile of a folder or hub id, and print what is in it."""
    from joulecast.files.paths import check_output

    if not options.out.casefold().endswith(".json"):
        raise InputError(f"--out {shown(options.out)}: a profile file ends in .json, e.g. my-model.json")
    config = _config(options.folder)
    check_output(Path(options.out))  # before the long work

    from joulecast.compute.profile_file import write_profile
    from joulecast.compute.profiler import make_profile  # needs the extra, of which it is said if it lacks
    from joulecast.compute.second_process import processors
    from joulecast.question.models import denoiser_pass_flop
    from joulecast.question.unlisted import base_of
    from joulecast.report.catalogue_text import profile_data, profile_text

    made = make_profile(config, progress=progress, processes=min(2, processors()))
    if base := base_of(config)[1]:
        made = dataclasses.replace(made, notes=(*made.notes, base))
    write_profile(made, Path(options.out))
    if options.json:
        return print_json({**profile_data(made, denoiser_pass_flop(made)), "out": options.out})
    print(profile_text(made, denoiser_pass_flop(made)))
    print(f"\nwrote {options.out}; now: joulecast estimate {options.out} --gpu H100")
    return 0


def _config(given: str) -> PipelineConfig:
    """The configs of a folder, or of a hub id where there is no such folder."""
    from joulecast.architecture.hub import hub_id_of, read_hub_pipeline
    from joulecast.architecture.pipeline_config import read_pipeline_folder

    asked = hub_id_of(given)
    return read_pipeline_folder(Path(given)) if asked is None else read_hub_pipeline(asked)
