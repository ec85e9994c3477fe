"""Nothing in the tests may reach for the network. What several files need is made ready once, here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from command import Command, Done, exit_status
from joulecast import runtime
from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.forms import find_form
from joulecast.law.own_runs import fitted_runs
from joulecast.runs import RunTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("COLUMNS", None)  # xdist gives its processes a narrow terminal: text must not depend on that
settings.register_profile("busy", deadline=None)  # a machine at work elsewhere makes no test fail
settings.load_profile("busy")
EVERY_MODEL = "every_model"
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests first: with two processes, what is left at the end is shared evenly. Before them those that
    must be the first of their process. Those of every model only where they are asked for by that name."""
    if EVERY_MODEL not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker(EVERY_MODEL)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(autouse=True)
def engines_of_this_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines of one's own are known in the whole process: those of another test are none here."""
    monkeypatch.setattr(runtime, "_OWN_ENGINES", {})
    yield
    runtime._folded.cache_clear()


@pytest.fixture(autouse=True)
def active_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's pip is that of the Python that runs the tests, whose own environment may have none."""
    monkeypatch.setattr("joulecast.extras.pip_command", lambda: "pip")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in a fresh folder."""
    for name in ONE_THREAD:  # which commands set for good
        monkeypatch.setenv(name, "1")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: Done(exit_status(*arguments), *capsys.readouterr())


@pytest.fixture(scope="session")
def client() -> TestClient:
    """A client of a server whose requests are of H100s where they name no GPU."""
    from starlette.testclient import TestClient

    from joulecast.web.app import create_app
    from joulecast.web.asking import Defaults

    return TestClient(create_app(Defaults(gpu="H100-SXM5-80GB")))


@pytest.fixture(scope="session")
def bare() -> TestClient:
    """A client of a server without defaults."""
    from starlette.testclient import TestClient

    from joulecast.web.app import create_app

    return TestClient(create_app())


@pytest.fixture(scope="session")
def eager() -> RunTable:
    """The packaged runs that every law is fitted on: images by eager diffusers on one GPU."""
    return fitted_runs(find_form("paper"))[0]


@pytest.fixture(scope="session")
def dataset(eager: RunTable) -> Dataset:
    """The same with profiles, workloads and GPUs."""
    return Dataset.build(eager, packaged_profile)
