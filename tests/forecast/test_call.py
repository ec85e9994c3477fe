"""The cost of a call of a live pipeline: what it is told by the call's arguments and the pipeline's state."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "compute"))
sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from test_pipelines import spec_of, subject  # noqa: E402

import joulecast  # noqa: E402
from joulecast import predict_call  # noqa: E402
from joulecast.architecture.build import build_pipeline  # noqa: E402
from joulecast.architecture.catalogue import model_entry  # noqa: E402
from joulecast.architecture.pipeline_config import pipeline_config_from_catalogue  # noqa: E402
from joulecast.errors import InputError, UnknownNameError  # noqa: E402
from joulecast.forecast.live import profile_of, synchronize_of  # noqa: E402

pytestmark = pytest.mark.trace
GPU = "H100"


def live(model: str, precision: str = "bf16") -> Any:
    """A pipeline of the catalogue with its real modules, on meta: no weights."""
    return build_pipeline(pipeline_config_from_catalogue(model_entry(model)), precision)


@pytest.fixture(scope="module")
def pipes() -> Callable[[str], Any]:
    made: dict[str, Any] = {}
    return lambda model: made.setdefault(model, live(model))


@pytest.fixture
def sdxl(pipes: Callable[[str], Any]) -> Any:
    return pipes("sdxl")


Pipes = Callable[[str], Any]


# --- which model ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["sd1.5", "sdxl", "flux.1-dev", "sd3.5-medium", "qwen-image", "wan2.1-t2v-1.3b"]
)
def test_a_model_is_told_by_its_layers(pipes: Pipes, model: str) -> None:
    found, notes = profile_of(pipes(model))
    assert found.name == model
    assert f"has the layers of {model}" in notes[0]


def test_a_pipeline_of_other_layers_needs_a_name() -> None:
    used = subject()
    used.load(spec_of("sd1.5"))
    with pytest.raises(InputError, match=r"does not know the pipeline .* name its `model`"):
        predict_call(used._pipeline, "a fox", gpu=GPU)
    assert predict_call(used._pipeline, "a fox", gpu=GPU, model="sd1.5").workload.precision == "fp32"


def test_a_named_model_must_have_the_denoiser(sdxl: Any) -> None:
    with pytest.raises(
        InputError, match="denoises with transformer, which this StableDiffusionXLPipeline lacks"
    ):
        predict_call(sdxl, "a fox", gpu=GPU, model="flux.1-dev")
    with pytest.raises(UnknownNameError, match="sdxk"):
        predict_call(sdxl, "a fox", gpu=GPU, model="sdxk")


@pytest.mark.parametrize("part", [None, "sdxl", 5])
def test_what_is_no_pipeline_is_refused(part: Any) -> None:
    with pytest.raises(InputError, match="a diffusers pipeline is expected"):
        predict_call(part, "a fox", gpu=GPU)


def test_a_part_of_a_pipeline_is_refused(sdxl: Any) -> None:
    with pytest.raises(InputError, match="a diffusers pipeline is expected"):
        predict_call(sdxl.unet, "a fox", gpu=GPU)


# --- its own defaults -----------------------------------------------------------------------------


def test_what_is_not_given_is_the_pipelines_own(sdxl: Any) -> None:
    """Not what the authors recommend: 50 steps at a guidance of 5, 1024x1024."""
    found = predict_call(sdxl, "a fox", gpu=GPU)
    work = found.workload
    assert (work.width, work.height, work.steps, work.passes, work.batch_size) == (1024, 1024, 50, 2, 1)
    same = joulecast.estimate("sdxl", GPU, steps=50, guidance=5.0, precision="bf16")
    assert found.energy_j == pytest.approx(same.energy_j)


@pytest.mark.parametrize(
    ("model", "size", "steps", "passes", "frames", "text"),
    [
        ("sd1.5", (512, 512), 50, 2, 1, None),
        ("flux.1-dev", (1024, 1024), 28, 1, 1, 512),
        ("sd3.5-medium", (1024, 1024), 28, 2, 1, 333),
        ("qwen-image", (1024, 1024), 50, 1, 1, None),
        ("sana-1.6b", (1024, 1024), 20, 2, 1, 300),
        ("wan2.1-t2v-1.3b", (832, 480), 50, 2, 81, 512),
        ("cogvideox-5b", (720, 480), 50, 2, 49, 226),
    ],
)
def test_defaults_of_pipelines(
    pipes: Pipes, model: str, size: tuple[int, int], steps: int, passes: int, frames: int, text: int | None
) -> None:
    """As their documentation has them."""
    work = predict_call(pipes(model), "a fox", gpu=GPU).workload
    assert ((work.width, work.height), work.steps, work.passes) == (size, steps, passes)
    assert (work.frames, work.text_tokens) == (frames, text)


def test_a_pipeline_that_hides_its_size_is_asked_for_it(pipes: Pipes) -> None:
    pipe = pipes("z-image-turbo")
    with pytest.raises(InputError, match="give width and height"):
        predict_call(pipe, "a fox", gpu=GPU)
    assert predict_call(pipe, "a fox", gpu=GPU, width=1024, height=768).workload.height == 768


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"num_inference_steps": 7}, {"steps": 7}),
        ({"timesteps": [900, 500, 100]}, {"steps": 3}),
        ({"sigmas": [1.0, 0.5]}, {"steps": 2}),
        ({"timesteps": torch.tensor([900, 500, 100])}, {"steps": 3}),
        ({"num_inference_steps": "30"}, {"steps": 30}),
        ({"num_inference_steps": np.int64(30)}, {"steps": 30}),
        ({"guidance_scale": 1.0}, {"passes": 1}),
        ({"height": 768, "width": 512}, {"height": 768, "width": 512}),
        ({"height": 768}, {"height": 768, "width": 1024}),
        ({"num_images_per_prompt": 3}, {"batch_size": 3}),
        ({"prompt": ["a", "b"], "num_images_per_prompt": 3}, {"batch_size": 6}),
        ({"negative_prompt": "blurry"}, {"negative_prompt": True}),
        ({"negative_prompt": None}, {"negative_prompt": False}),
        ({"prompt": None, "prompt_embeds": torch.zeros(4, 77, 2048)}, {"batch_size": 4}),
    ],
)
def test_what_arguments_ask_for(sdxl: Any, given: dict[str, Any], expected: dict[str, Any]) -> None:
    work = predict_call(sdxl, gpu=GPU, **{"prompt": "a fox", **given}).workload
    assert {name: getattr(work, name) for name in expected} == expected


def test_arguments_by_their_place(sdxl: Any) -> None:
    work = predict_call(sdxl, "a fox", None, 768, 512, gpu=GPU).workload  # prompt, prompt_2, height, width
    assert (work.height, work.width) == (768, 512)


def test_guidance_of_flux_makes_no_second_pass(pipes: Pipes) -> None:
    pipe = pipes("flux.1-dev")
    assert predict_call(pipe, "a fox", gpu=GPU, guidance_scale=7.0).workload.passes == 1
    assert predict_call(pipe, "a fox", gpu=GPU, true_cfg_scale=4.0).workload.passes == 1
    guided = predict_call(pipe, "a fox", gpu=GPU, true_cfg_scale=4.0, negative_prompt="")
    assert guided.workload.passes == 2  # diffusers counts an empty text as a prompt


def test_text_length(pipes: Pipes) -> None:
    assert (
        predict_call(pipes("flux.1-dev"), "a", gpu=GPU, max_sequence_length=256).workload.text_tokens == 256
    )
    assert (
        predict_call(pipes("sd3.5-medium"), "a", gpu=GPU, max_sequence_length=128).workload.text_tokens == 205
    )


FREE = {
    "generator": torch.Generator(),
    "output_type": "np",
    "return_dict": False,
    "callback_on_step_end": print,
    "eta": 0.5,
    "clip_skip": 1,
    "guidance_rescale": 0.7,
    "original_size": (512, 512),
    "latents": torch.zeros(1, 4, 128, 128),
    "cross_attention_kwargs": {"scale": 0.5},
    "denoising_end": None,
}


@pytest.mark.parametrize("name", FREE)
def test_what_costs_nothing_is_ignored(sdxl: Any, name: str) -> None:
    plain = predict_call(sdxl, "a fox", gpu=GPU)
    found = predict_call(sdxl, "a fox", gpu=GPU, **{name: FREE[name]})
    assert (found.energy_j, found.warnings) == (plain.energy_j, plain.warnings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"output_type": "latent"}, "output_type: no decoder runs, and one is counted"),
        ({"prompt_embeds": torch.zeros(1, 77, 2048)}, "prompt_embeds: text encoders do not run"),
        ({"cross_attention_kwargs": {"region": 1}}, "cross_attention_kwargs: what attention is given"),
        ({"ip_adapter_image_embeds": [torch.zeros(1)]}, "another network's attention"),
    ],
)
def test_what_changes_the_cost_and_is_not_counted_is_told(
    sdxl: Any, given: dict[str, Any], words: str
) -> None:
    plain = predict_call(sdxl, "a fox", gpu=GPU)
    (told,) = set(predict_call(sdxl, "a fox", gpu=GPU, **given).warnings) - set(plain.warnings)
    assert words in told


def test_an_argument_that_nobody_knows_is_told(sdxl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(sdxl)

    def call(
        self: Any, prompt: Any = None, height: Any = None, width: Any = None, brand_new: int = 0
    ) -> None: ...

    monkeypatch.setattr(kind, "__call__", call)
    silent = predict_call(sdxl, "a fox", gpu=GPU, brand_new=0)
    (told,) = set(predict_call(sdxl, "a fox", gpu=GPU, brand_new=1).warnings) - set(silent.warnings)
    assert told.startswith("brand_new: it is not known whether it changes the cost")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"denoising_end": 0.8}, "a part of the steps is left to another pipeline"),
        ({"ip_adapter_image": Image.new("RGB", (64, 64))}, "ip_adapter_image"),
        ({"num_inference_steps": 0}, "steps"),
        ({"num_inference_steps": 30.5}, "steps must be a whole number, not 30.5"),
        ({"timesteps": 30}, "timesteps must be a list of numbers, one a step, not 30"),
        ({"sigmas": 0.5}, "sigmas must be a list"),
        ({"height": 1020}, "multiples of 8"),
        ({"prompt": None}, "has no prompt"),
    ],
)
def test_what_is_refused(sdxl: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        predict_call(sdxl, gpu=GPU, **{"prompt": "a fox", **given})


def test_an_argument_that_there_is_not(pipes: Pipes, sdxl: Any) -> None:
    """Most pipelines refuse it; some take it and do nothing."""
    words = r"has no argument 'num_inference_step'; did you mean num_inference_steps\?"
    with pytest.raises(InputError, match=words):
        predict_call(pipes("flux.1-dev"), "a fox", gpu=GPU, num_inference_step=5)
    found = predict_call(sdxl, "a fox", gpu=GPU, num_inference_step=5, callback=print)
    assert found.workload.steps == 50
    (told,) = (one for one in found.warnings if "argument" in one)
    words = "StableDiffusionXLPipeline ignores the argument 'num_inference_step': did you mean "
    assert told == f"{words}num_inference_steps?"


def test_too_many_arguments_by_place(sdxl: Any) -> None:
    with pytest.raises(InputError, match="cannot be called so"):
        predict_call(sdxl, *["a fox"] * 99, gpu=GPU)


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (512, 768)),
        np.zeros((768, 512, 3)),
        torch.zeros(1, 3, 768, 512),
        [Image.new("RGB", (512, 768))],
    ],
)
def test_an_input_image_tells_the_size_and_a_strength_the_steps(pipes: Pipes, image: Any) -> None:
    found = predict_call(pipes("sdxl-img2img"), "a fox", image=image, strength=0.5, gpu=GPU)
    work = found.workload
    assert (work.width, work.height, work.steps, work.batch_size) == (512, 768, 25, 1)


@pytest.mark.parametrize("given", [{}, {"image": "fox.png"}])
def test_a_pipeline_of_images_is_asked_for_one(pipes: Pipes, given: dict[str, Any]) -> None:
    """It takes neither width nor height."""
    with pytest.raises(InputError, match="makes the size of its image: give `image`"):
        predict_call(pipes("sdxl-img2img"), "a fox", gpu=GPU, **given)


def test_an_image_is_cut_to_the_pipelines_grid(pipes: Pipes) -> None:
    """As its image processor does; a size that is given is refused."""
    image = Image.new("RGB", (1001, 770))
    work = predict_call(pipes("sdxl-img2img"), "a fox", image=image, gpu=GPU).workload
    assert (work.width, work.height) == (1000, 768)


def test_a_pipeline_without_images_refuses_one(pipes: Pipes) -> None:
    with pytest.raises(InputError, match="takes no image"):
        predict_call(pipes("flux.2-klein-4b"), Image.new("RGB", (512, 512)), "a fox", gpu=GPU)


# --- where and how it runs ------------------------------------------------------------------------


def test_on_a_processor_the_gpu_is_asked_for(sdxl: Any) -> None:
    with pytest.raises(InputError, match=r"the pipeline is on cpu: name the GPU .* gpu='RTX 4090'"):
        predict_call(sdxl, "a fox")


def test_on_a_gpu_it_is_that(sdxl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sdxl), "_execution_device", torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    assert predict_call(sdxl, "a fox").gpu.name == "H100-SXM5-80GB"


def test_an_offloaded_pipeline_is_waited_for(sdxl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between calls its weights are on the processor, where nothing need be waited for."""
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append("once"))
    synchronize_of(sdxl)()
    monkeypatch.setattr(type(sdxl), "_execution_device", torch.device("cuda:0"))
    synchronize_of(sdxl)()
    assert waited == ["once"]


class Quantised(dict[str, Any]):
    quantization_config = {"load_in_4bit": True}  # noqa: RUF012 - as transformers and diffusers hold it


def test_compiled_quantised_cached_and_offloaded(sdxl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = predict_call(sdxl, "a fox", gpu=GPU)

    def further() -> set[str]:
        return set(predict_call(sdxl, "a fox", gpu=GPU).warnings) - set(plain.warnings)

    assert not plain.runtime.compile
    with monkeypatch.context() as patch:
        patch.setattr(sdxl.unet, "_compiled_call_impl", print)
        assert predict_call(sdxl, "a fox", gpu=GPU).runtime.compile
    with monkeypatch.context() as patch:
        patch.setattr(sdxl.vae, "_hf_hook", print, raising=False)
        patch.setattr(sdxl.vae, "use_tiling", True)
        assert sorted(words.split()[1] for words in further()) == ["components", "decoder"]
    assert predict_call(sdxl, "a fox", gpu=GPU, offload="model").runtime.offload == "model"
    with monkeypatch.context() as patch:
        patch.setattr(sdxl.unet, "_internal_dict", Quantised(sdxl.unet.config))
        assert any("give quantization" in words for words in further())


def test_hooks_of_offloading_are_told_apart() -> None:
    """As diffusers sets them: those of whole models are predicted, those of every layer are not."""
    used = subject()
    used.load(spec_of("sd1.5"))
    pipe = used._pipeline

    def asked(**keys: Any) -> Any:
        return predict_call(pipe, "a fox", gpu=GPU, model="sd1.5", **keys)

    plain = asked()
    assert plain.runtime.offload == "none"
    pipe.enable_model_cpu_offload(device="cpu")
    found = asked()
    assert found.runtime.offload == "model"
    assert found.duration_s > plain.duration_s
    assert not any("moved by other hooks" in words for words in found.warnings)
    assert asked(offload=False).duration_s == plain.duration_s
    pipe.enable_sequential_cpu_offload(device="cpu")
    other = asked()
    assert (other.runtime.offload, other.duration_s) == ("none", plain.duration_s)
    assert any("moved by other hooks" in words for words in other.warnings)


class AdaptedLayer:
    """What peft puts in place of a layer, as far as it tells its state."""

    def __init__(self, active: tuple[str, ...], merged: tuple[str, ...] = (), disabled: bool = False) -> None:
        self.active_adapters, self.merged_adapters, self.disable_adapters = (
            list(active),
            list(merged),
            disabled,
        )


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([AdaptedLayer(("one", "two"))], {"lora": 2, "lora_fused": False, "lora_rank": 20}),
        ([AdaptedLayer(("one",)), AdaptedLayer(("two",))], {"lora": 2, "lora_fused": False, "lora_rank": 20}),
        ([AdaptedLayer(("one",), disabled=True)], {}),
        ([AdaptedLayer(("one",), merged=("one",))], {"lora": 1, "lora_fused": True}),
        (
            [AdaptedLayer(("one",), merged=("one",)), AdaptedLayer(("one",))],
            {"lora": 1, "lora_fused": False, "lora_rank": 8},
        ),
        ([AdaptedLayer(("no rank",))], {}),
        ([], {}),
    ],
)
def test_adapters_that_are_at_work_are_counted(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch, layers: list[AdaptedLayer], expected: dict[str, Any]
) -> None:
    """Not those that are disabled, and of those that were fused into the weights that they were."""
    unet = pipes("sd1.5").unet
    ranks = {"one": SimpleNamespace(r=8), "two": SimpleNamespace(r=32), "no rank": SimpleNamespace()}
    monkeypatch.setattr(unet, "peft_config", ranks, raising=False)
    monkeypatch.setattr(unet, "modules", lambda: iter(layers))
    found = predict_call(pipes("sd1.5"), "a fox", gpu=GPU)
    assert found.question.work.additions.to_dict() == expected


def test_a_scheduler_of_two_calls_a_step_is_refused(sdxl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdxl, "scheduler", type("HeunDiscreteScheduler", (), {})())
    with pytest.raises(InputError, match="twice or more in a step"):
        predict_call(sdxl, "a fox", gpu=GPU, model="sdxl")


def test_what_is_predicted_is_what_track_sees() -> None:
    """A toy is called as it was predicted."""
    from joulecast.forecast.track import track
    from joulecast.measure.meter import SystemClock
    from joulecast.measure.replay import ReplayMeter, packaged_trace

    used = subject()
    used.load(spec_of("sd1.5"))
    call: dict[str, Any] = {"num_inference_steps": 3, "height": 64, "width": 128, "num_images_per_prompt": 2}
    expected = predict_call(used._pipeline, "a fox", gpu=GPU, model="sd1.5", **call)
    meter = ReplayMeter(packaged_trace(), SystemClock())
    with track(used._pipeline, model="sd1.5", gpu=GPU, meter=meter) as found:
        used._pipeline("a fox", **call)
    assert found.predicted is not None
    assert found.predicted.workload == expected.workload
