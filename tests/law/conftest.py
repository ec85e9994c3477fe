"""The packaged eager runs, made ready once."""

from __future__ import annotations

import pytest

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.own_runs import usable
from joulecast.runs import RunTable, packaged_runs


@pytest.fixture(scope="session")
def eager() -> RunTable:
    return usable(packaged_runs())[0]


@pytest.fixture(scope="session")
def dataset(eager: RunTable) -> Dataset:
    return Dataset.build(eager, packaged_profile)
