"""The commands by name: the module of each, and what it does in one sentence, which is its docstring."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Final, NamedTuple, Protocol, cast


class Command(NamedTuple):
    """Where a command is, below this package, and its summary."""

    module: str
    summary: str


class CommandModule(Protocol):
    """What the module of a command offers."""

    def add_options(self, command: argparse.ArgumentParser) -> None:
        """Add the command's options to its parser."""

    def run(self, options: argparse.Namespace) -> int:
        """Do what was asked; the exit status."""


COMMANDS: Final = {
    "estimate": Command(
        "estimate", "Energy of one image with its 90 % interval, time, power, and each component's part."
    ),
    "predict": Command(
        "predict",
        "Energy of every row of a file; a row that cannot be predicted says why in its column `error`.",
    ),
    "profile": Command(
        "profile",
        "Trace a pipeline that the catalogue does not know, without weights; needs the extra `trace`.",
    ),
    "models": Command("models", "The models of the catalogue."),
    "gpus": Command("gpus", "The GPUs of the catalogue, or one of them; as a file to change with --toml."),
    "fit": Command(
        "fit",
        "Fit a law on your runs, with the packaged ones: the packaged law adapted to your GPU and software.",
    ),
    "validate": Command(
        "validate",
        "Held-out error of every law, computed anew: whole sources, models and GPUs left out of the fit.",
    ),
    "footprint": Command(
        "footprint",
        "Carbon, water and money of every row of a table; a row without one says why in `footprint_error`.",
    ),
    "budget": Command(
        "budget", "Hold workloads against a budget for an image; exit status 1 when one is over it, for CI."
    ),
    "card": Command(
        "card",
        "What to publish beside a model or service: energy, carbon with --region, and how they were had.",
    ),
    "what-if": Command(
        "what_if",
        "What a change does to an image: energy, time, carbon and cost before and after, and how surely.",
    ),
    "pareto": Command(
        "pareto",
        "The settings worth considering: of models, sizes, steps, precisions, batches, GPUs and regions.",
    ),
    "plan": Command(
        "plan",
        "Which configuration, GPU, region and hour makes each image of a demand, at least cost or carbon.",
    ),
    "grid": Command(
        "grid",
        "When a grid is clean: carbon intensity by hour of the day, the mean and where nine days in ten lie.",
    ),
    "measure": Command(
        "measure",
        "Energy of one image, measured on this computer's GPU: real pipeline, random weights, repeats.",
    ),
    "compare": Command(
        "compare",
        "Did a change save joules? Runs that differ in nothing else, in pairs, with a 95 % interval.",
    ),
    "campaign": Command(
        "campaign",
        "Measure a plan of many runs, resumable: predict it, run it, see how far it is, export, check.",
    ),
    "completion": Command(
        "completion", "A script that lets a shell complete commands, options and names: bash, zsh or fish."
    ),
}


def load(name: str) -> CommandModule:
    """The module of a command, imported now."""
    return cast(CommandModule, import_module(f"joulecast.cli.{COMMANDS[name].module}"))
