"""The page and the HTTP API, on this computer unless another address is given; needs the extra `web`."""

from __future__ import annotations

import argparse

from joulecast.cli.options import ASKED, WHERE, say
from joulecast.errors import check_extras

HOST = "127.0.0.1"
PORT = 8000


def add_options(command: argparse.ArgumentParser) -> None:
    """What `serve` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add("--gpu", help="GPU of requests that name none (see `joulecast gpus`)")
    add("--engine", metavar="NAME", help="what runs those that name none (see `joulecast runtimes`)")
    add = command.add_argument_group(WHERE).add_argument
    add(
        "--host",
        default=HOST,
        metavar="ADDRESS",
        help=f"address to listen on; {HOST} by default, which only this computer reaches",
    )
    add("--port", default=str(PORT), help=f"port to listen on; {PORT} by default")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from joulecast.files.numbers import whole

    port = whole(options.port, "--port", 0, 65_535)
    check_extras("serving", "web")
    from joulecast.web.server import checked, serve

    serve(checked(options.gpu, options.engine), options.host, port, say)
    return 0
