"""Nothing in the tests may reach for the network. The packaged eager runs, made ready once."""

from __future__ import annotations

import os

import pytest

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.own_runs import usable
from joulecast.runs import RunTable, packaged_runs

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def eager() -> RunTable:
    """The packaged runs that laws are fitted on."""
    return usable(packaged_runs())[0]


@pytest.fixture(scope="session")
def dataset(eager: RunTable) -> Dataset:
    """The same with profiles, workloads and GPUs."""
    return Dataset.build(eager, packaged_profile)
