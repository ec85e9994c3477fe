"""Real diffusers pipelines of every architecture family, tiny, on the CPU, with the replay meter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "compute"))

from tiny import PIPELINES, library_of  # noqa: E402

from joulecast.architecture.build import TORCH_DTYPES  # noqa: E402
from joulecast.architecture.build_random import random_pipeline  # noqa: E402
from joulecast.architecture.catalogue import model_entry  # noqa: E402
from joulecast.architecture.pipeline_config import ComponentConfig, PipelineConfig  # noqa: E402
from joulecast.compute.profile_file import packaged_profile  # noqa: E402
from joulecast.errors import InputError, MeasureError  # noqa: E402
from joulecast.measure import dissect, pipelines  # noqa: E402
from joulecast.measure.campaign import run_campaign  # noqa: E402
from joulecast.measure.campaign_plan import make_spec  # noqa: E402
from joulecast.measure.dissect import Record, RecordedCall  # noqa: E402
from joulecast.measure.export import runs_of  # noqa: E402
from joulecast.measure.meter import SystemClock  # noqa: E402
from joulecast.measure.pipelines import PipelineSubject  # noqa: E402
from joulecast.measure.protocol import Settings  # noqa: E402
from joulecast.measure.records import Output, TaskSpec  # noqa: E402
from joulecast.measure.replay import ReplayMeter, packaged_trace  # noqa: E402
from joulecast.measure.store import NewTask, Store  # noqa: E402
from joulecast.measure.task import WHOLE, DenoisingStep, TooLargeError  # noqa: E402

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


def spec_of(model: str, **changes: Any) -> TaskSpec:
    values = {"model": model, "size": "64x64", "steps": STEPS, "precision": "fp32", "components": True}
    return make_spec(values | changes)


@pytest.fixture(autouse=True)
def few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seconds_of_calls(store: Store) -> dict[str, list[float]]:
    """Seconds of a call of each part in each of its repeats."""
    found: dict[str, list[float]] = {}
    for one in store.repeats():
        found.setdefault(one.part, []).append(one.repeat.duration_per_call_s)
    return found


@pytest.mark.slow
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
        result, repeated = store.results()[0], seconds_of_calls(store)
    assert result.environment.software.weights == "random"
    assert result.environment.software.attention == "sdpa"
    assert result.environment.software.libraries["torch"].startswith(torch.__version__[:4])
    found = result.result
    assert found.output == Output(is_finite=True)
    assert found.energy_j > 0
    if not alone:
        return
    roles = {part.role for part in found.components}
    assert roles == {"text_encoder", "denoiser", "decoder"}
    assert all(part.is_resolved for part in found.components)
    denoiser_calls = sum(part.calls for part in found.components if part.role == "denoiser")
    separate = profile.guidance.parameter == "true_cfg_scale"  # two calls; the others double the batch
    assert denoiser_calls == STEPS * (2 if separate else 1)
    assert [step.step for step in found.steps] == list(range(1, STEPS + 1))
    per_call = {c.part: c.measured.energy_per_call_j for c in found.components if c.measured}
    for step in found.steps:
        assert len(step.calls) == (2 if separate else 1)
        assert step.is_resolved
        assert step.energy_j == pytest.approx(sum(per_call[call] for call in step.calls))
        assert 0 < step.denoiser_s < step.duration_s
    assert sum(step.duration_s for step in found.steps) < 3 * found.duration_s
    assert found.steps_departure is not None
    assert 0 <= found.steps_departure < 0.5
    shortest = {part: min(seconds) for part, seconds in repeated.items()}  # what else runs only lengthens
    seconds = sum(shortest[part.part] * part.calls for part in found.components)
    assert 0.2 < seconds / shortest[WHOLE] < 3
    for part in found.components:  # what is reported is of the repeats that were made
        assert part.measured is not None
        calls_s = [part.calls * call_s for call_s in repeated[part.part]]
        assert min(calls_s) <= part.measured.duration_s * (1 + 1e-9)
        assert part.measured.duration_s <= max(calls_s) * (1 + 1e-9)
    assert min(repeated[WHOLE]) <= found.duration_s * (1 + 1e-9)
    assert found.duration_s <= max(repeated[WHOLE]) * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sd1.5", "flux.1-dev", "qwen-image", "sd3.5-large"])
def test_passes_batch_and_text_reach_the_denoiser(model: str) -> None:
    used = subject()
    profile = packaged_profile(model)
    texts = (None, 40 + profile.text.denoiser_offset) if profile.text.adjustable else (None,)
    for text in texts:
        used.load(spec_of(model, batch_size=2, passes=1, **({} if text is None else {"text_tokens": text})))
        shapes = [c.shapes for c in used.dissect().components if c.name in ("unet", "transformer")]
        tokens = profile.text.default if text is None else text
        assert len(shapes) == 1
        assert shapes[0].split()[0].startswith("2x")
        assert any(f"2x{tokens}" in shape for shape in shapes[0].split()), shapes
    used.load(spec_of(model, batch_size=2, passes=2))
    again = [c for c in used.dissect().components if c.name in ("unet", "transformer")]
    if profile.guidance.parameter == "guidance_scale":
        assert again[0].shapes.split()[0].startswith("4x")
    else:
        assert sum(c.calls for c in again) == 2 * STEPS


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_random_weights_have_the_right_format(precision: str) -> None:
    pipeline = random_pipeline(tiny_config("sd3.5-large"), precision, torch.device("cpu"))
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
    real = random_pipeline

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
    assert (task.state, task.message) == (
        "too_large", "out of memory: CUDA out of memory. Tried to allocate 2 TiB"
    )  # fmt: skip


def test_weights_from_a_folder(tmp_path: Path) -> None:
    made = random_pipeline(tiny_config("sd1.5"), "fp32", torch.device("cpu"))
    for name in ("unet", "vae", "text_encoder"):
        getattr(made, name).save_pretrained(tmp_path / name)
    with pytest.raises(InputError, match="cannot be loaded"):
        subject().load(spec_of("sd1.5", weights=str(tmp_path / "unet")))


def test_trained_weights_are_those_of_the_hub_id(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(config: PipelineConfig, weights: str, *rest: Any) -> Any:
        asked.append(weights)
        return random_pipeline(config, *rest)

    monkeypatch.setattr(pipelines, "loaded_pipeline", load)
    used = subject()
    used.load(spec_of("sd1.5", weights="trained"))
    used.load(spec_of("sd1.5", weights="trained", steps=3))  # it stays loaded
    assert asked == [model_entry("sd1.5")["hub_id"]]
    assert used.facts().weights == "trained"
    used.load(spec_of("sd1.5"))
    assert used.facts().weights == "random"


@pytest.mark.parametrize(("short_by", "stays"), [(0, True), (1, False)])
def test_a_pipeline_stays_loaded_where_another_fits_beside_it(
    short_by: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, profile = subject(), packaged_profile("sd1.5")
    used.device = torch.device("cuda")
    used._loaded = {("other",): "a pipeline"}
    needed = int(1.25 * 2 * profile.parameters + 8e9) + 1  # two bytes for each weight in fp16
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (needed - 2 * short_by, 0))
    used._make_room(profile, "fp16")
    assert bool(used._loaded) is stays


def test_hooks_leave_nothing_behind() -> None:
    used = subject()
    used.load(spec_of("sd1.5"))
    before = {name: dict(vars(part)) for name, part in used._pipeline.components.items() if name == "unet"}
    used.dissect()
    assert vars(used._pipeline.unet).keys() == before["unet"].keys()
    assert "step" not in vars(used._pipeline.scheduler)


def test_two_passes_are_one_step() -> None:
    used = subject()
    used.load(spec_of("qwen-image", passes=2, steps=3))
    assert [step.calls for step in used.dissect().steps] == [("transformer", "transformer")] * 3


def test_steps_by_hand() -> None:
    """Two calls a step, the second with a shorter text, and a text encoder before."""

    def call(name: str, shapes: str, start_s: float, end_s: float) -> RecordedCall:
        return RecordedCall(name, shapes, print, (), {}, start_s, end_s)

    calls = [call("text_encoder", "1x9", 0.0, 1.0)]
    for start in (2.0, 6.0):
        calls += [call("unet", "1x9", start, start + 1.0), call("unet", "1x5", start + 1.5, start + 2.0)]
    record = Record(calls, [5.0, 8.5])
    assert [part.count for part in dissect.distinct(record.calls)] == [1, 2, 2]
    assert dissect.denoising_steps(record, {"unet"}) == (
        DenoisingStep(("unet", "unet#2"), 3.0, 1.5),
        DenoisingStep(("unet", "unet#2"), 3.5, 1.5),
    )
    assert dissect.denoising_steps(Record(calls), {"unet"}) == ()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> PipelineSubject:
    """A compiled pipeline whose graphs run as they are, without a C++ compiler."""
    monkeypatch.setattr(pipelines, "COMPILE", {"backend": "eager", "dynamic": False})
    return subject()


@pytest.mark.slow
def test_components_of_a_compiled_pipeline_are_called_compiled(compiled: PipelineSubject) -> None:
    compiled.load(spec_of("flux.1-dev", runtime="compiled"))
    transformer = compiled._pipeline.transformer
    function = transformer._compiled_call_impl
    assert function is not None
    found = compiled.dissect()
    assert transformer._compiled_call_impl is function
    assert "forward" not in vars(transformer)
    parts = {part.name: part for part in found.components}
    assert parts["transformer"].calls == len(found.steps) == STEPS
    used = []
    transformer._compiled_call_impl = lambda *args, **kwargs: used.append("not the one recorded")
    torch._dynamo.utils.counters.clear()
    parts["transformer"].work()
    transformer._compiled_call_impl = function
    assert used == []
    assert torch._dynamo.utils.counters["frames"]["total"] == 0  # compiled before: nothing is done anew


@pytest.mark.slow
def test_each_size_is_compiled_for_itself(compiled: PipelineSubject) -> None:
    for size in ("64x64", "128x64"):
        torch._dynamo.utils.counters.clear()
        compiled.load(spec_of("flux.1-dev", runtime="compiled", size=size))
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    state = compiled.facts().torch
    assert state is not None
    assert state.compiled == {"backend": "eager", "dynamic": False}
    compiled.load(spec_of("flux.1-dev"))
    state = compiled.facts().torch
    assert state is not None
    assert state.compiled is None
    assert compiled._pipeline.transformer._compiled_call_impl is None


@pytest.mark.slow
def test_a_compiled_task_end_to_end(compiled: PipelineSubject, tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(spec_of("flux.1-dev", runtime="compiled"))])
        assert run_campaign(store, compiled, ReplayMeter(packaged_trace(), SystemClock()), QUICK) == 1
        result = store.results()[0]
        table = runs_of(store, gpu="H100")
    assert (table[0].engine, table[0].compile) == ("diffusers", True)
    assert [step.is_resolved for step in result.result.steps] == [True] * STEPS


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
    state = used.facts().torch
    assert state is not None
    assert (state.tf32_products, state.tf32_convolutions) == (products, convolutions)


def test_joulecast_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "joulecast":
            raise PackageNotFoundError(name)
        return installed(name)

    installed = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    assert pipelines.versions()["joulecast"] == "not installed"
