"""Nothing in the tests may reach for the network. What several files need is made ready once, here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from command import Command, Done, exit_status
from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.own_runs import usable
from joulecast.runs import RunTable, packaged_runs

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("COLUMNS", None)  # xdist gives its processes a narrow terminal: text must not depend on that
settings.register_profile("busy", deadline=None)  # a machine at work elsewhere makes no test fail
settings.load_profile("busy")
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: with two processes, what is left at the end is shared evenly. Before them those that
    must be the first of their process."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in a fresh folder."""
    for name in ONE_THREAD:  # which commands set for good
        monkeypatch.setenv(name, "1")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: Done(exit_status(*arguments), *capsys.readouterr())


@pytest.fixture(scope="session")
def eager() -> RunTable:
    """The packaged runs that laws are fitted on."""
    return usable(packaged_runs())[0]


@pytest.fixture(scope="session")
def dataset(eager: RunTable) -> Dataset:
    """The same with profiles, workloads and GPUs."""
    return Dataset.build(eager, packaged_profile)
