"""What a pipeline's folder is refused for, in words that name the part at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import diffusers
from tiny import PIPELINES, write_folder

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.compute.capture import PipelineCapture, Request
from joulecast.errors import TraceError, UnknownNameError
from pipeline_folder import edit

pytestmark = pytest.mark.trace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny", *PIPELINES["sd"])


def capture(folder: Path) -> PipelineCapture:
    return PipelineCapture(read_pipeline_folder(folder), "bf16")


@pytest.mark.parametrize("length", [-5, 0, "a", None, True, [77]])
def test_a_tokenizers_limit(folder: Path, length: Any) -> None:
    edit(folder / "tokenizer" / "tokenizer_config.json", model_max_length=length)
    with pytest.raises(TraceError, match="component tokenizer: model_max_length is"):
        capture(folder)


def test_an_unknown_class_tells_what_is_installed(folder: Path) -> None:
    edit(folder / "model_index.json", unet=["diffusers", "UNet2DConditionModell"])
    with pytest.raises(UnknownNameError) as told:
        capture(folder)
    assert "did you mean UNet2DConditionModel" in str(told.value)
    assert f"diffusers {diffusers.__version__} and transformers" in str(told.value)
    assert str(told.value).endswith(", which are installed)")


def test_a_component_that_chooses_by_values_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def routed(self: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        return sample if sample.sum() > 0 else -sample

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", routed)
    with pytest.raises(TraceError, match=r"^unet: the module's course depends on a tensor's values"):
        capture(folder).run(Request())
