"""The models of the catalogue."""

from __future__ import annotations

import argparse

from joulecast.cli.options import OUTPUT, json_option, print_json


def add_options(command: argparse.ArgumentParser) -> None:
    """What `models` takes."""
    json_option(command.add_argument_group(OUTPUT))


def run(options: argparse.Namespace) -> int:
    """List the models."""
    from joulecast.question.models import models

    if options.json:
        return print_json([vars(model) for model in models()])
    from joulecast.report.estimate_text import models_text

    print(models_text(models()))
    return 0
