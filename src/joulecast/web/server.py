"""The server process: what is listened on, and for how long."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from joulecast.errors import InputError, shown
from joulecast.question.gpus import gpu_and_count
from joulecast.question.runtimes import read_engine_name
from joulecast.web.app import create_app
from joulecast.web.asking import Defaults

BACKLOG = 2048


def checked(gpu: str | None, engine: str | None) -> Defaults:
    """Defaults that exist. Raises UnknownNameError or InputError for others."""
    if gpu is not None and gpu_and_count(gpu)[0].origin != "catalogue":
        raise InputError(f"--gpu {shown(gpu)} is a file, and a server names a GPU of the catalogue")
    return Defaults(gpu, None if engine is None else read_engine_name(engine))


def serve(defaults: Defaults, host: str, port: int, say: Callable[[str], None]) -> None:
    """Answer requests until interrupted; port 0 is any that is free.

    Raises InputError where the address cannot be listened on.
    """
    listening = _listening(host, port)
    with listening:
        at = f"[{host}]" if ":" in host else host
        say(f"joulecast at http://{at}:{listening.getsockname()[1]}")
        if not is_local(host):
            say(f"warning: whoever reaches {host} may ask: there is no encryption and no key")
        config = uvicorn.Config(
            create_app(defaults),
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
        )
        with suppress(KeyboardInterrupt):  # how a server is ended
            uvicorn.Server(config).run([listening])


def is_local(host: str) -> bool:
    """Whether an address is reached from this computer alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol asyncio knows that small answers are not to wait for an acknowledgement, 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere two servers could listen on one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        return listening
    except OSError as error:
        listening.close()
        raise InputError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; give another --port or --host"
        ) from None
