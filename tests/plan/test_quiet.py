"""What the solver's C++ prints reaches nobody, and what others print is not lost."""

from __future__ import annotations

import os
import threading

import pytest

from joulecast import make_plan
from joulecast.plan.quiet import quiet

FAR_APART = {  # where numbers lie so far apart, HiGHS prints lines of its own
    "services": [
        {"name": "a", "images_per_day": 1e12, "configurations": [{"model": "flux.1-dev"}]},
        {
            "name": "b",
            "images_per_day": 1000,
            "deadline_hours": 5,
            "configurations": [{"model": "sdxl"}],
        },
    ],
    "gpus": [{"name": "H100"}, {"name": "L4"}],
    "regions": [{"name": "FR"}],
}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever threads other tests have left."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.mark.usefixtures("alone")
def test_a_plan_made_from_python_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    make_plan(FAR_APART)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("alone")
def test_what_is_written_before_and_after_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(1, b"before\n")
    with quiet():
        os.write(1, b"within\n")
    os.write(1, b"after\n")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_an_error_ends_the_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), quiet():
        raise KeyError
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_another_threads_words_are_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    is_over = threading.Event()
    other = threading.Thread(target=is_over.wait)
    other.start()
    try:
        with quiet():
            os.write(1, b"within\n")
    finally:
        is_over.set()
        other.join()
    assert capfd.readouterr() == ("", "within\n")
