"""The GPUs of the catalogue."""

from __future__ import annotations

import argparse

from joulecast.cli.options import OUTPUT, json_option, print_json


def add_options(command: argparse.ArgumentParser) -> None:
    """What `gpus` takes."""
    json_option(command.add_argument_group(OUTPUT))


def run(options: argparse.Namespace) -> int:
    """List the GPUs."""
    from joulecast.hardware import gpus

    if options.json:
        return print_json([vars(gpu) for gpu in gpus()])
    from joulecast.report.estimate_text import gpus_text

    print(gpus_text(gpus()))
    return 0
