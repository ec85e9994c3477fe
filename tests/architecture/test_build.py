"""Modules and stand-ins that a pipeline is built from on meta."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from joulecast.architecture.build import build_component, class_of, quiet
from joulecast.architecture.pipeline_config import ComponentConfig
from joulecast.architecture.stand_ins import StandInTokenizer
from joulecast.errors import TraceError

pytestmark = pytest.mark.trace

CHATGLM = {
    "num_layers": 2,
    "padded_vocab_size": 1000,
    "hidden_size": 32,
    "ffn_hidden_size": 64,
    "kv_channels": 8,
    "num_attention_heads": 4,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "seq_length": 512,
    "original_rope": True,
}


def test_a_pipeline_whose_tokenizer_alone_needs_a_package_is_found() -> None:
    """Tokenizers are stood in for, so that of Kolors is not imported."""
    with quiet():  # of what it deprecates
        found = class_of("diffusers", "KolorsPipeline")
    assert found.__module__ == "diffusers.pipelines.kolors.pipeline_kolors"


def test_another_package_is_asked_for() -> None:
    import diffusers.utils

    if diffusers.utils.is_onnx_available():
        pytest.skip("the package is installed")
    with pytest.raises(TraceError, match=r"OnnxStableDiffusionPipeline needs other packages.*onnx"):
        class_of("diffusers", "OnnxStableDiffusionPipeline")


def test_a_module_that_takes_a_device_allocates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[str] = []
    to_empty = torch.nn.Module.to_empty

    def noted(self: Any, *, device: Any, recurse: bool = True) -> Any:
        places.append(str(device))
        return to_empty(self, device=device, recurse=recurse)

    monkeypatch.setattr(torch.nn.Module, "to_empty", noted)
    with quiet():
        module = build_component("text_encoder", ComponentConfig("kolors", "ChatGLMModel", CHATGLM), "fp16")
    assert set(places) == {"meta"}
    assert all(x.is_meta and x.dtype == torch.float16 for x in module.parameters())


def test_a_tokenizer_tells_the_places_of_tokens_to_whoever_asks() -> None:
    encoded = StandInTokenizer(77, 5)(["a", "b"], padding="max_length", max_length=4, return_tensors="pt").to(
        "cpu"
    )
    assert encoded["position_ids"].tolist() == [[0, 1, 2, 3]] * 2
    assert "position_ids" not in dict(**encoded)
