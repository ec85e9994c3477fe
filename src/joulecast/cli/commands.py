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
        "estimate",
        "Energy of an image or clip, its 90 % interval, time, power, and each component's part.",
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
    "runtimes": Command(
        "runtimes",
        "How models may be run: engines, quantisations, caches, several GPUs, and what is known of each.",
    ),
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
    "ledger": Command(
        "ledger",
        "What a whole service used: its logs of requests added up, with their error; also compared, and "
        "served.",
    ),
    "budget": Command(
        "budget", "Hold workloads against a budget for an image or clip; exit status 1 when one is over it."
    ),
    "card": Command(
        "card",
        "What to publish beside a model or service: energy, carbon with --region, and how they were had.",
    ),
    "what-if": Command(
        "what_if",
        "What a change does to an image or clip: energy, time, carbon and cost, and how surely.",
    ),
    "pareto": Command(
        "pareto",
        "The settings worth considering: of models, sizes, steps, precisions, batches, GPUs and regions.",
    ),
    "plan": Command(
        "plan",
        "Which configuration, GPU, region and hour makes each image or clip, at least cost or carbon.",
    ),
    "comfy": Command(
        "comfy",
        "What queueing a workflow of ComfyUI takes: energy, time and memory, and what was made of each node.",
    ),
    "grid": Command(
        "grid",
        "When a grid is clean: carbon intensity by hour of the day, the mean and where nine days in ten lie.",
    ),
    "measure": Command(
        "measure",
        "Energy of an image or clip, measured on this computer's GPU: real pipeline, random weights.",
    ),
    "run": Command(
        "run",
        "Run any command, and measure what the GPUs draw meanwhile; it ends as the command does.",
    ),
    "compare": Command(
        "compare",
        "Did a change save joules? Runs that differ in nothing else, in pairs, with a 95 % interval.",
    ),
    "campaign": Command(
        "campaign",
        "Measure a plan of many runs, resumable: predict it, run it, see how far it is, export, check.",
    ),
    "serve": Command(
        "serve",
        "The page and the HTTP API, on this computer unless another address is given; needs the extra `web`.",
    ),
    "mcp": Command(
        "mcp",
        "Tools for agents (Model Context Protocol) over standard input and output; needs the extra `mcp`.",
    ),
    "completion": Command(
        "completion", "A script that lets a shell complete commands, options and names: bash, zsh or fish."
    ),
}


def load(name: str) -> CommandModule:
    """The module of a command, imported now."""
    return cast(CommandModule, import_module(f"joulecast.cli.{COMMANDS[name].module}"))
