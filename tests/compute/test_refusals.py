"""What a pipeline's folder is refused for, in words that name the part at fault."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import diffusers
from tiny import PIPELINES, Component, write_folder
from tiny_families import KANDINSKY22, STABLE_CASCADE, WAN_IMAGE_TWO_EXPERTS, WAN_OF_AN_IMAGE

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.compute.arguments import Request
from joulecast.compute.capture import PipelineCapture
from joulecast.compute.profiler import make_profile
from joulecast.errors import TraceError, UnknownNameError
from joulecast.extras import pip_command
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


def stage(whole: dict[str, Component], *names: str) -> dict[str, Component]:
    """The components of one stage, by the names its own pipeline gives them."""
    return {name.removeprefix("prior_"): whole[name] for name in names}


def test_a_stage_that_needs_the_result_of_another(tmp_path: Path) -> None:
    parts = stage(KANDINSKY22, "unet", "scheduler", "movq")
    alone = capture(write_folder(tmp_path / "decoder", "KandinskyV22Pipeline", parts))
    with pytest.raises(TraceError) as told:
        alone.run(Request())
    assert str(told.value) == (
        "KandinskyV22Pipeline needs image_embeds, negative_image_embeds besides a prompt; where another "
        "pipeline makes that, give a folder saved from the pipeline that combines both"
    )


def test_a_stage_that_makes_no_image(tmp_path: Path) -> None:
    names = ("prior_prior", "prior_text_encoder", "prior_tokenizer", "prior_scheduler")
    parts = stage(STABLE_CASCADE, *names)
    alone = capture(write_folder(tmp_path / "prior", "StableCascadePriorPipeline", parts))
    with pytest.raises(TraceError, match="makes image_embeddings, no image: where another pipeline"):
        alone.run(Request(width=1024, height=1024))


@pytest.mark.parametrize("library", ["wuerstchen", "diffusers"])
def test_a_class_of_a_retired_module_is_found(tmp_path: Path, library: str) -> None:
    """Folders on the hub name the module; those saved today name diffusers, which lacks the class."""
    folder = write_folder(tmp_path / "cascade", "StableCascadeCombinedPipeline", STABLE_CASCADE)
    edit(folder / "model_index.json", vqgan=[library, "PaellaVQModel"])
    assert type(capture(folder).modules["vqgan"]).__name__ == "PaellaVQModel"


def test_several_images_are_named(folder: Path) -> None:
    with pytest.raises(TraceError, match="refuses 3 images, 100x100, 2 steps: "):
        capture(folder).run(Request(batch=3, width=100, height=100))


@pytest.mark.parametrize(
    "command", [["profile", ".", "--out", "x.json"], ["campaign", "run", "calibrate", "--store", "s.db"]]
)
def test_without_torch_the_extra_is_named(command: list[str], tmp_path: Path) -> None:
    """In a process of its own, where torch cannot be imported."""
    code = "import sys; sys.modules['torch'] = None; from joulecast.cli import main; main()"
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    what, extras = {
        "profile": ("tracing a pipeline", "the extra `trace`"),
        "campaign": ("measuring a GPU", "the extras `trace` and `measure`|the extra `trace`"),
    }[command[0]]
    pip = re.escape(pip_command())
    assert re.fullmatch(rf"error: {what} needs ({extras}): {pip} install -e '.*\[trace(,measure)?\]'", line)


@pytest.mark.slow
def test_two_denoisers_of_different_shapes_that_share_the_steps(tmp_path: Path) -> None:
    transformer = WAN_OF_AN_IMAGE[0], WAN_OF_AN_IMAGE[1] | {"num_layers": 2}
    components = WAN_IMAGE_TWO_EXPERTS | {"transformer_2": transformer}
    folder = write_folder(tmp_path / "two", "WanImageToVideoPipeline", components, {"boundary_ratio": 0.9})
    with pytest.raises(TraceError, match=r"calls transformer \d+, \d+ and \d+ times in 5, 9 and 17 steps"):
        make_profile(read_pipeline_folder(folder))
