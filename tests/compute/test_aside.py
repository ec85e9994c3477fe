"""Work in a copy of the process: its result, its errors, and a copy that dies."""

from __future__ import annotations

import os
import signal

import pytest

pytest.importorskip("torch")

from joulecast.compute.aside import aside, processors
from joulecast.errors import FileFormatError, TraceError

pytestmark = pytest.mark.trace


def test_there_are_processors() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_result_is_the_works(processes: int) -> None:
    here = {"seen": False}

    def work() -> int:
        here["seen"] = True
        return os.getpid()

    with aside(work, processes) as result:
        place = result()
    assert here["seen"] == (processes == 1)  # a copy changes nothing here
    assert (place == os.getpid()) == (processes == 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [(FileFormatError("it is damaged"), "it is damaged"), (KeyError("x"), "KeyError: 'x'")],
)
def test_an_error_of_the_copy_is_told(error: Exception, words: str) -> None:
    def work() -> None:
        raise error

    with aside(work, 2) as result, pytest.raises(TraceError, match=words):
        result()


def test_a_copy_that_is_killed_is_replaced() -> None:
    first = os.getpid()

    def work() -> str:
        if os.getpid() != first:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done here"

    with aside(work, 2) as result:
        assert result() == "done here"


def test_a_copy_that_nobody_waits_for_ends() -> None:
    import multiprocessing
    import time

    with pytest.raises(ZeroDivisionError), aside(lambda: time.sleep(60), 2):
        raise ZeroDivisionError
    assert not multiprocessing.active_children()
