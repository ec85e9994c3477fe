"""The server process: what is listened on, and for how long."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from joulecast.errors import InputError, as_name, in_short, one_line, shown
from joulecast.question.gpus import gpu_and_count
from joulecast.question.runtimes import read_engine_name
from joulecast.web.asking import Defaults

BACKLOG = 2048
HOST_LENGTH = 253  # characters of the longest name (RFC 1035)


def checked(gpu: str | None, engine: str | None) -> Defaults:
    """Defaults that exist. Raises UnknownNameError or InputError for others."""
    if gpu is not None and gpu_and_count(gpu)[0].origin != "catalogue":
        raise InputError(f"--gpu {shown(gpu)} is a file, and a server names a GPU of the catalogue")
    return Defaults(gpu, None if engine is None else read_engine_name(engine))


def serve(app: ASGIApp, host: str, port: int, say: Callable[[str], None], path: str = "") -> None:
    """Answer requests until interrupted; port 0 is any that is free. `path` is what is to be opened there.

    Raises InputError where the address cannot be listened on.
    """
    host = one_line(host, "--host", HOST_LENGTH)
    listening = _listening(host, port)
    with listening:
        address, port, *_ = listening.getsockname()
        at = f"[{host}]" if ":" in host else host
        say(f"joulecast at http://{at}:{port}{path}")
        if not is_local(address):
            say(f"warning: whoever reaches {host} may ask: there is no encryption and no key")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
        )
        with suppress(KeyboardInterrupt):  # how a server is ended
            uvicorn.Server(config).run([listening])


def is_local(address: str) -> bool:
    """Whether an address, of which no name is left, is reached from this computer alone."""
    known = ipaddress.ip_address(address)
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    return (mapped or known).is_loopback


def _listening(host: str, port: int) -> socket.socket:
    try:
        return _bound(host, port)
    except (OSError, UnicodeError) as error:  # a name that is none cannot be encoded
        reason = getattr(error, "strerror", None) or in_short(error)
        raise InputError(
            f"cannot listen on {as_name(host)} port {port}: {reason}; give another --port or --host"
        ) from None


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens; where a name has addresses of both kinds, on the older."""
    # By its protocol asyncio knows that small answers are not to wait for an acknowledgement, 40 ms.
    tcp = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
    found = socket.getaddrinfo(host, port, **tcp)
    family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listening = socket.socket(family, **tcp)
    try:
        if os.name == "posix":  # elsewhere two servers could listen on one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
