"""The page and the HTTP API, on this computer unless another address is given; needs the extra `web`."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, WHERE, listen_options, port_of, say
from joulecast.errors import check_extras


def add_options(command: argparse.ArgumentParser) -> None:
    """What `serve` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("--gpu", help="GPU of requests that name none (see `joulecast gpus`)")
    add("--engine", metavar="NAME", help="what runs those that name none (see `joulecast runtimes`)")
    listen_options(command.add_argument_group(WHERE))


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    port = port_of(options)
    check_extras("serving", "web")
    from joulecast.web.app import create_app
    from joulecast.web.server import checked, serve

    serve(create_app(checked(options.gpu, options.engine)), options.host, port, say)
    return 0
