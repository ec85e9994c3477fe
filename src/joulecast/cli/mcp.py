"""Tools for agents (Model Context Protocol) over standard input and output; needs the extra `mcp`."""

from __future__ import annotations

import argparse
import sys

from joulecast.cli.options import say
from joulecast.errors import check_extras


def add_options(command: argparse.ArgumentParser) -> None:
    """What `mcp` takes: nothing."""


def run(options: argparse.Namespace) -> int:
    """Answer requests until standard input ends."""
    check_extras("serving agents", "mcp")
    from joulecast.agents.server import serve

    if sys.stdin.isatty():
        say("waiting for an agent's requests on standard input; Ctrl-C ends (docs/integrations.md)")
    serve()
    return 0
