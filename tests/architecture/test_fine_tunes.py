"""A pipeline with a model's layers is that model; comparing them changes nothing of either."""

from __future__ import annotations

import copy

import pytest

pytest.importorskip("torch")

from joulecast.architecture.catalogue import model_entry
from joulecast.architecture.fine_tunes import model_alike
from joulecast.architecture.pipeline_config import pipeline_config_from_catalogue


@pytest.mark.trace
@pytest.mark.parametrize("model", ["qwen-image", "sdxl"])
def test_a_models_own_pipeline_is_alike_and_stays_as_it_was(model: str) -> None:
    entry = model_entry(model)
    before = copy.deepcopy(entry)
    found = model_alike(pipeline_config_from_catalogue(entry))
    assert found is not None
    assert model_entry(found.model)["components"] == before["components"]
    assert entry == before  # some configs of transformers write into what they are given
