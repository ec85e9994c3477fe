"""Processes that share work end with the one that began them: interrupted, killed, or out of patience."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from joulecast.errors import JoulecastError, MissingExtraError
from joulecast.law.workers import shared_out

SOON_S = 5.0  # on a busy machine; what is ended sleeps for minutes
SLEEPERS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background sets it to be ignored
from joulecast.law.workers import shared_out
for _ in shared_out(time.sleep, [(place, (600.0 * (place > 0),)) for place in range(3)], 2):
    print("begun", flush=True)
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")


def test_every_task_is_answered_under_its_name() -> None:
    done = dict(shared_out(pow, [("four", (2, 2)), ("eight", (2, 3)), ("nine", (3, 2))], 2))
    assert done == {"four": 4, "eight": 8, "nine": 9}


def test_each_process_does_linear_algebra_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """They share the cores already: with a thread of each for every core they wait for each other."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # what somebody says is left as it is
    asked = ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"]
    found = dict(shared_out(os.getenv, [(name, (name,)) for name in asked], 2))
    assert found == {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "3"}
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_an_error_of_the_work_is_the_callers_and_ends_the_rest() -> None:
    begun = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        dict(shared_out(_divided, [("wrong", (0,)), ("long", (600,))], 2))
    assert time.monotonic() - begun < 2 * SOON_S


def test_an_error_that_makes_its_own_message_is_the_callers() -> None:
    with pytest.raises(MissingExtraError, match=r"^the work needs the extra `fit`: ") as error:
        dict(shared_out(_lacking, [("lacks", ("fit",))], 1))
    assert error.value.extra == "fit"


def test_a_process_that_is_ended_from_outside_is_one_line() -> None:
    with pytest.raises(JoulecastError, match="ended from outside; is there memory enough for 1 of them"):
        dict(shared_out(os._exit, [("dies", (9,))], 1))


@LINUX
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda pid: os.killpg(pid, signal.SIGINT), 1),  # Ctrl-C in a terminal: the whole group
        (lambda pid: os.kill(pid, signal.SIGINT), 1),
        (lambda pid: os.kill(pid, signal.SIGKILL), -signal.SIGKILL),
        (lambda pid: os.kill(pid, signal.SIGTERM), -signal.SIGTERM),
    ],
    ids=["Ctrl-C", "interrupt", "kill", "terminate"],
)
def test_nothing_is_left(end: Callable[[int], None], status: int) -> None:
    command = [sys.executable, "-c", SLEEPERS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "begun\n"
        assert len(_alive(first.pid)) >= 3  # it and two that share the work
        end(first.pid)
        assert first.wait(SOON_S) in (status, -signal.SIGINT)
        told = first.communicate(timeout=SOON_S)[1]
    assert "Process Spawn" not in told  # no traceback of the ones that share the work
    assert _none_after(SOON_S, first.pid)


def _lacking(extra: str) -> None:
    raise MissingExtraError(extra, "the work")


def _divided(by: int) -> float:
    time.sleep(by)
    return 1 / by


def _alive(session: int) -> list[int]:
    """Processes of a session, without those that have ended and are not waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def _none_after(seconds: float, session: int) -> bool:
    until = time.monotonic() + seconds
    while _alive(session) and time.monotonic() < until:
        time.sleep(0.02)
    return not _alive(session)
