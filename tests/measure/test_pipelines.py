"""Real diffusers pipelines of every architecture family, tiny, on the CPU, with the replay meter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "compute"))

from tiny import PIPELINES, library_of  # noqa: E402

from joulecast.architecture.build import TORCH_DTYPES  # noqa: E402
from joulecast.architecture.catalogue import model_entry  # noqa: E402
from joulecast.architecture.pipeline_config import ComponentConfig, PipelineConfig  # noqa: E402
from joulecast.compute.profile_file import packaged_profile  # noqa: E402
from joulecast.errors import InputError, MeasureError  # noqa: E402
from joulecast.measure import pipelines  # noqa: E402
from joulecast.measure.campaign import run_campaign  # noqa: E402
from joulecast.measure.meter import SystemClock  # noqa: E402
from joulecast.measure.pipelines import PipelineSubject  # noqa: E402
from joulecast.measure.plan import make_spec  # noqa: E402
from joulecast.measure.protocol import Settings  # noqa: E402
from joulecast.measure.replay import ReplayMeter, packaged_trace  # noqa: E402
from joulecast.measure.store import NewTask, Store  # noqa: E402
from joulecast.measure.task import TooLargeError  # noqa: E402

pytestmark = pytest.mark.trace
# tiny pipeline -> the catalogue's model whose rules for sizes, text and guidance it follows
MODELS = {
    "sd": "sd1.5",
    "sdxl": "sdxl",
    "sd3": "sd3.5-large",
    "flux": "flux.1-dev",
    "pixart": "pixart-sigma",
    "qwen": "qwen-image",
    "sana": "sana1.5-1.6b",
}
FAMILIES = {model: family for family, model in MODELS.items()}
QUICK = Settings(window_s=0.01, repeats=2, most_repeats=2, idle_s=0.02, settle_s=0)
# DDIM and the flow-matching and DPM schedulers call the denoiser once for each step
STEPS = 2


def tiny_config(model: str) -> PipelineConfig:
    pipeline, components, settings = PIPELINES[FAMILIES[model]]
    parts = {
        name: ComponentConfig(library_of(kind), kind, config) for name, (kind, config) in components.items()
    }
    if model.startswith("sana"):  # the smallest table of sizes it knows, 512 pixels a side
        transformer = parts["transformer"]
        small = {**transformer.config, "sample_size": 16}
        parts["transformer"] = ComponentConfig("diffusers", transformer.class_name, small)
    return PipelineConfig(model, pipeline, parts, settings)


def subject() -> PipelineSubject:
    return PipelineSubject("cpu", config_of=tiny_config)


def spec_of(model: str, **changes: Any) -> dict[str, Any]:
    values = {"model": model, "size": "64x64", "steps": STEPS, "precision": "fp32", "components": True}
    return make_spec(values | changes)


@pytest.fixture(autouse=True)
def few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("model", MODELS.values())
def test_a_family_end_to_end(model: str, tmp_path: Path) -> None:
    profile = packaged_profile(model)
    passes = 2 if profile.guidance.parameter else 1
    with Store(tmp_path / "s.db") as store:
        alone = not model.startswith("sana")  # its smallest image takes a second
        store.add([NewTask(spec_of(model, passes=passes, components=alone))])
        meter = ReplayMeter(packaged_trace(), SystemClock())
        told: list[Any] = []
        assert run_campaign(store, subject(), meter, QUICK, on_progress=told.append) == 1, told
        result = store.results()[0]
    assert result["environment"]["weights"] == "random"
    assert result["environment"]["attention"] == "sdpa"
    assert result["environment"]["libraries"]["torch"].startswith(torch.__version__[:4])
    content = result["content"]
    assert content["output"] == {"is_finite": True}
    assert content["energy_j"] > 0
    if not alone:
        return
    roles = {part["role"] for part in content["components"]}
    assert roles == {"text_encoder", "denoiser", "decoder"}
    assert all(part["is_resolved"] for part in content["components"])
    denoiser_calls = sum(part["calls"] for part in content["components"] if part["role"] == "denoiser")
    separate = profile.guidance.parameter == "true_cfg_scale"  # two calls; the others double the batch
    assert denoiser_calls == STEPS * (2 if separate else 1)
    seconds = sum(part["duration_s"] for part in content["components"])
    assert 0.2 * content["duration_s"] < seconds < 3 * content["duration_s"]


@pytest.mark.parametrize("model", ["sd1.5", "flux.1-dev", "qwen-image", "sd3.5-large"])
def test_passes_batch_and_text_reach_the_denoiser(model: str) -> None:
    used = subject()
    profile = packaged_profile(model)
    texts = (None, 40 + profile.text.denoiser_offset) if profile.text.adjustable else (None,)
    for text in texts:
        used.load(spec_of(model, batch_size=2, passes=1, **({} if text is None else {"text_tokens": text})))
        shapes = [c.shapes for c in used.components() if c.name in ("unet", "transformer")]
        tokens = profile.text.default if text is None else text
        assert len(shapes) == 1
        assert shapes[0].split()[0].startswith("2x")
        assert any(f"2x{tokens}" in shape for shape in shapes[0].split()), shapes
    used.load(spec_of(model, batch_size=2, passes=2))
    again = [c for c in used.components() if c.name in ("unet", "transformer")]
    if profile.guidance.parameter == "guidance_scale":
        assert again[0].shapes.split()[0].startswith("4x")
    else:
        assert sum(c.calls for c in again) == 2 * STEPS


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_random_weights_have_the_right_format(precision: str) -> None:
    pipeline = pipelines.random_pipeline(tiny_config("sd3.5-large"), precision, torch.device("cpu"))
    wanted = TORCH_DTYPES[precision]
    for part in ("transformer", "vae", "text_encoder"):
        assert {p.dtype for p in getattr(pipeline, part).parameters()} == {wanted}
    kept = {p.dtype for n, p in pipeline.text_encoder_3.named_parameters() if ".wo." in n}
    assert kept == {torch.float32 if precision == "fp16" else wanted}  # T5's wo overflows in fp16
    weight = next(pipeline.transformer.parameters()).float()
    assert torch.isfinite(weight).all()
    assert weight.std() > 0


def test_a_pipeline_is_built_once_and_makes_way_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    used, made = subject(), []
    real = pipelines.random_pipeline

    def build(config: PipelineConfig, precision: str, device: Any) -> Any:
        made.append(config.name)
        if len(made) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return real(config, precision, device)

    monkeypatch.setattr(pipelines, "random_pipeline", build)
    used.load(spec_of("sd1.5"))
    used.load(spec_of("sd1.5", steps=3))
    assert made == ["sd1.5"]
    used.load(spec_of("flux.1-dev"))  # the first attempt fails; with the other one dropped it fits
    assert made == ["sd1.5", "flux.1-dev", "flux.1-dev"]
    used.close()


def test_what_does_not_fit_is_recorded_and_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB")

    monkeypatch.setattr(pipelines, "random_pipeline", build)
    with pytest.raises(TooLargeError, match="2 TiB"):
        subject().load(spec_of("sd1.5"))
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(spec_of("sd1.5"))])
        assert run_campaign(store, subject(), ReplayMeter(packaged_trace()), QUICK) == 0
        task = store.tasks()[0]
    assert (task["state"], task["message"]) == (
        "too_large", "out of memory: CUDA out of memory. Tried to allocate 2 TiB"
    )  # fmt: skip


def test_weights_from_a_folder(tmp_path: Path) -> None:
    made = pipelines.random_pipeline(tiny_config("sd1.5"), "fp32", torch.device("cpu"))
    for name in ("unet", "vae", "text_encoder"):
        getattr(made, name).save_pretrained(tmp_path / name)
    with pytest.raises(InputError, match="cannot be loaded"):
        subject().load(spec_of("sd1.5", weights=str(tmp_path / "unet")))


def test_trained_weights_are_those_of_the_hub_id(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(config: PipelineConfig, weights: str, *rest: Any) -> Any:
        asked.append(weights)
        return pipelines.random_pipeline(config, *rest)

    monkeypatch.setattr(pipelines, "loaded_pipeline", load)
    used = subject()
    used.load(spec_of("sd1.5", weights="trained"))
    used.load(spec_of("sd1.5", weights="trained", steps=3))  # it stays loaded
    assert asked == [model_entry("sd1.5")["hub_id"]]
    assert used.facts()["weights"] == "trained"
    used.load(spec_of("sd1.5"))
    assert used.facts()["weights"] == "random"


def test_hooks_leave_nothing_behind() -> None:
    used = subject()
    used.load(spec_of("sd1.5"))
    before = {name: dict(vars(part)) for name, part in used._pipeline.components.items() if name == "unet"}
    used.components()
    assert vars(used._pipeline.unet).keys() == before["unet"].keys()


def test_without_cuda_there_is_no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(MeasureError, match="torch finds no GPU"):
        pipelines.cuda_uuid()


@pytest.mark.parametrize(
    ("choice", "products", "convolutions"),
    [("default", False, True), ("on", True, True), ("off", False, False)],
)
def test_tf32_is_torchs_default_unless_asked(choice: str, products: bool, convolutions: bool) -> None:
    used = subject()
    used.load(spec_of("sd1.5", tf32=choice))
    facts = used.facts()
    assert (facts["tf32_products"], facts["tf32_convolutions"]) == (products, convolutions)


def test_a_compiled_pipeline_has_no_components_alone() -> None:
    used = subject()
    used._runtime = "compiled"
    assert used.components() == []


def test_joulecast_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("joulecast.measure.task.metadata.version", none)
    assert pipelines.versions()["joulecast"] == "not installed"
