"""Processes: a command started as a shell would, the signals it is to get, and whose child a process is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

NOT_EXECUTABLE, NOT_FOUND, SIGNALLED = 126, 127, 128  # as shells have it; the last plus a signal's number
MOST_GENERATIONS: Final = 1000
# What a terminal sends to all processes in its foreground, a command beside the one that measures it.
_OF_A_TERMINAL: Final = ("SIGINT", "SIGQUIT", "SIGHUP")
_RELAYED: Final = (*_OF_A_TERMINAL, "SIGTERM")


def run_process(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, with more in its environment; its exit status as a shell tells it.

    Meanwhile signals are the command's: one that would end this process is handed on to it instead.
    Raises OSError where it cannot be started.
    """
    relay = _Relay()
    with relay.listening():
        process = subprocess.Popen(list(arguments), env={**os.environ, **environment})
        relay.start(process)
        code = process.wait()
    return SIGNALLED - code if code < 0 else code


class _Relay:
    """Hands signals on to a process; those from before it was there too."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None
        self._early: list[int] = []

    def start(self, process: subprocess.Popen[Any]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block, signals are handed on; those that were ignored stay so (``nohup``)."""
        numbers = [getattr(signal, name) for name in _RELAYED if hasattr(signal, name)]
        before = {one: signal.getsignal(one) for one in numbers}
        taken = [one for one, handler in before.items() if handler not in (signal.SIG_IGN, None)]
        for number in taken:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif not (signal.Signals(number).name in _OF_A_TERMINAL and _is_in_foreground()):
            self._process.send_signal(number)


def _is_in_foreground() -> bool:
    """Whether a terminal's signals reach this process, and with it the command: to hand them on would be to
    send them twice."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def is_own(pid: int) -> bool:
    """Whether a process is this one, or was started by it or its children, as far as the system tells."""
    own = os.getpid()
    for _ in range(MOST_GENERATIONS):
        if pid == own:
            return True
        parent = _parent(pid)
        if parent is None:
            return False
        pid = parent
    return False


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    return Path(f"/proc/{pid}").exists()


def _parent(pid: int) -> int | None:
    """The process that started another; None where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[1]) or None
    except (OSError, ValueError, IndexError):
        return None
