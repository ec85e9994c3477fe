"""The models of the catalogue."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, OUTPUT, json_option, print_json


def add_options(command: argparse.ArgumentParser) -> None:
    """What `models` takes."""
    asked = command.add_argument_group(ASKED)
    asked.add_argument("--task", metavar="{image,video}", help="models that make these alone; all by default")
    json_option(command.add_argument_group(OUTPUT))


def run(options: argparse.Namespace) -> int:
    """List the models."""
    from joulecast.question.models import models

    found = models(options.task)
    if options.json:
        return print_json([vars(model) for model in found])
    from joulecast.report.catalogue_text import models_text

    print(models_text(found))
    return 0
