"""Who holds a task of a store: the name of a process, and whether it still lives."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def worker_name() -> str:
    """This process, so that others on the same machine can tell whether it lives."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(worker: str | None) -> bool:
    """Whether a worker of this very machine is gone; False where that cannot be told."""
    machine, _, rest = (worker or "").partition(":")
    pid, _, started = rest.partition(":")
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _started(int(pid)) != started


def _machine() -> str:
    """The machine and, in containers, the space of process numbers."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}/{boot.read_text().strip()[:8]}/{space.readlink().name}".replace(
            ":", "-"
        )
    return socket.gethostname().replace(":", "-")


def _started(pid: int) -> str:
    """When a process began, in ticks since boot; empty where that is not told."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return ""
