"""A Ray cluster (extra `fleet`): how one is reached, and what is said where none answers."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

from joulecast.errors import InputError, MeasureError, MissingExtraError, in_short, shown

REACH_S: Final = 5.0  # to reach the cluster's address


@contextlib.contextmanager
def connected(address: str, purpose: str) -> Iterator[Any]:
    """Ray, connected within the block to a cluster: ``"auto"`` for this machine's, or ``"HOST:PORT"``.

    `purpose` is what needs it, for the message without Ray.

    Raises MissingExtraError without Ray, MeasureError when no cluster answers.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns of its future default
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what Ray would send to its makers, unasked
    try:
        import ray
    except ImportError:
        raise MissingExtraError("fleet", purpose) from None
    _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        raise MeasureError(
            f"no Ray cluster can be used at {shown(address)} ({in_short(error)}); start one with "
            "`ray start --head --disable-usage-stats` and run this on one of its machines"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse at once what would take Ray a minute."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or "/" in host:
        raise InputError(f"{shown(address)} is no address of a Ray cluster; expected auto or HOST:PORT")
    try:
        reply = _greet(host, int(port))
    except (OSError, OverflowError) as error:
        raise MeasureError(f"nothing answers at {address} ({in_short(error)}); {_EXPECTED}") from error
    if reply[3:4] != _SETTINGS and os.environ.get("RAY_USE_TLS", "0") == "0":
        raise MeasureError(f"what answers at {address} is not Ray; {_EXPECTED}")


_EXPECTED: Final = "expected the head node of a Ray cluster, as `ray start --head` prints it"
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS: Final = b"\4"  # the type of the frame with which HTTP/2, and so Ray's gRPC, begins


def _greet(host: str, port: int) -> bytes:
    """The first bytes of an answer in HTTP/2; none when there is none in time. Raises OSError."""
    with socket.create_connection((host, port), timeout=REACH_S) as connection:
        connection.sendall(_PREFACE)
        try:
            return connection.recv(9)
        except OSError:
            return b""
