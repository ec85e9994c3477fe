"""How models may be run: engines, quantisations, caches, several GPUs, and what is known of each."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, OUTPUT, json_option, print_json, toml_option
from joulecast.errors import InputError


def add_options(command: argparse.ArgumentParser) -> None:
    """What `runtimes` takes."""
    command.add_argument_group(ASKED).add_argument(
        "name", metavar="ENGINE", nargs="?", help="an engine, with --toml"
    )
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    toml_option(output, "the engine as a runtime", "--engine")


def run(options: argparse.Namespace) -> int:
    """List what is known by name, and on what evidence; or print an engine as a file."""
    from joulecast.forecast.runtimes import engine_file, known_parts

    if options.toml or options.name is not None:
        if options.json or not options.toml or options.name is None:
            raise InputError("an engine and --toml go together: joulecast runtimes sglang --toml > mine.toml")
        print(engine_file(options.name), end="")
        return 0
    from joulecast.report.runtimes_text import runtimes_data, runtimes_text

    known = known_parts()
    if options.json:
        return print_json(runtimes_data(known))
    print(runtimes_text(known))
    return 0
