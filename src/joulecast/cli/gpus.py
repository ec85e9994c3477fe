"""The GPUs of the catalogue, or one of them; as a file to change with --toml."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, OUTPUT, json_option, print_json, toml_option
from joulecast.errors import InputError


def add_options(command: argparse.ArgumentParser) -> None:
    """What `gpus` takes."""
    asked = command.add_argument_group(ASKED).add_argument
    asked("names", metavar="NAME", nargs="*", help="names, aliases or GPU files; the whole catalogue without")
    asked("--vendor", metavar="VENDOR", help="only those of a vendor, e.g. AMD")
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    toml_option(output, "the one GPU as a GPU", "--gpu")


def run(options: argparse.Namespace) -> int:
    """List the GPUs, or print one as a file."""
    from joulecast.hardware import gpu_toml, gpus
    from joulecast.question.gpus import gpu, gpus_of

    if options.vendor is not None and options.names:
        raise InputError("give names or --vendor, not both: joulecast gpus --vendor AMD")
    of_vendor = gpus() if options.vendor is None else gpus_of(options.vendor)
    found = [gpu(name) for name in options.names] or of_vendor
    if options.toml:
        if options.json or len(options.names) != 1:
            raise InputError("--toml prints one GPU: joulecast gpus H100-SXM5-80GB --toml > mine.toml")
        print(gpu_toml(found[0]), end="")
        return 0
    if options.json:
        return print_json([vars(one) for one in found])
    from joulecast.report.catalogue_text import gpus_text

    print(gpus_text(found))
    return 0
