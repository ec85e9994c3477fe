"""The public interface: estimates of single workloads, profiles by name, what `import joulecast` offers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import joulecast
from fake_law import IDLE_W, POWER_SHARE, SCORE, UTILISATION, FakeLaw
from joulecast import (
    Estimate,
    FileFormatError,
    InputError,
    JoulecastError,
    UnknownNameError,
    estimate,
    load_profile,
    models,
)
from joulecast.compute.operators import IMAGE_ENCODER
from joulecast.compute.output import CLIP
from joulecast.question.models import denoiser_pass_flop

LAW = FakeLaw()
NAMES = [model.name for model in models()]
TEXTLESS = ("svd-xt",)  # models that take an image and no prompt
EXACT = 1e-12  # sums of a few float64 numbers
KEYS = {
    "output", "energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s",
    "power_w", "flop", "boundary", "memory", "components", "workload", "runtime", "gpu",
    "law", "warnings", "notes",
}  # fmt: skip
OF_CLIPS = {
    "energy_per_second_of_video_j", "energy_per_second_of_video_low_j", "energy_per_second_of_video_high_j",
    "clip_s", "frame_rate", "frame_rate_source",
}  # fmt: skip


def flux(**given: Any) -> Estimate:
    return estimate("flux.1-dev", "A100-SXM4-80GB", **{"size": "1024x1024", "steps": 50, "law": LAW, **given})


def one_line(error: pytest.ExceptionInfo[JoulecastError]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


# --- the package ---------------------------------------------------------------------------------


def test_the_public_surface_is_sorted_and_real() -> None:
    assert joulecast.__all__ == sorted(joulecast.__all__)
    for name in joulecast.__all__:
        assert getattr(joulecast, name) is not None
    with pytest.raises(AttributeError):
        _ = joulecast.nothing


def test_import_alone_loads_next_to_nothing() -> None:
    code = "import sys, joulecast; print('numpy' in sys.modules, len(dir(joulecast)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False ")


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size", "teraflop"),
    [
        ("flux.1-dev", "1024x1024", 74.3847),
        ("sd3.5-large", "1024x1024", 31.1211),
        ("sd2.1", "768x768", 2.1491),
        ("sd2", "512x512", 0.8043),
    ],
)
def test_known_compute_of_a_denoiser_pass(model: str, size: str, teraflop: float) -> None:
    answer = estimate(model, "A100", size=size, steps=10, passes=1, law=LAW)
    denoiser = next(part for part in answer.components if part.role == "denoiser")
    assert denoiser.flop / denoiser.calls / 1e12 == pytest.approx(teraflop, abs=5e-5)
    assert denoiser_pass_flop(load_profile(model)) / 1e12 == pytest.approx(teraflop, abs=5e-5)


def test_known_compute_of_the_other_components_of_flux() -> None:
    parts = {part.name: part for part in flux().components}
    assert parts["text_encoder_2"].flop / 1e12 == pytest.approx(4.8447, abs=5e-5)
    assert parts["vae"].flop / 1e12 == pytest.approx(10.4722, abs=5e-5)
    assert parts["transformer"].calls == 50


def test_the_law_s_numbers_by_hand() -> None:
    answer = flux(precision="fp16", batch_size=2)
    seconds = 2 * answer.flop / (UTILISATION * 312e12)
    assert answer.duration_s == pytest.approx(seconds, rel=EXACT)
    assert answer.energy_j == pytest.approx(POWER_SHARE * 400 * seconds / 2, rel=EXACT)
    assert answer.power_w == pytest.approx(POWER_SHARE * 400, rel=EXACT)
    assert answer.energy_high_j / answer.energy_j == pytest.approx(2.718281828**0.3, rel=1e-9)
    assert answer.energy_j / answer.energy_low_j == pytest.approx(2.718281828**0.3, rel=1e-9)


def test_dynamic_subtracts_idle_power_alone() -> None:
    gross, dynamic = flux(precision="fp16"), flux(precision="fp16", boundary="dynamic")
    assert gross.energy_j - dynamic.energy_j == pytest.approx(IDLE_W * gross.duration_s, rel=1e-9)
    assert dynamic.duration_s == gross.duration_s
    assert dynamic.boundary == "dynamic"
    assert sum(part.energy_j for part in dynamic.components) == pytest.approx(dynamic.energy_j, rel=EXACT)


WORKLOADS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(NAMES),
        "gpu": st.sampled_from(["A100-SXM4-80GB", "h100", "RTX 4090", "T4"]),
        "width": st.integers(4, 16).map(lambda n: 64 * n),
        "height": st.integers(4, 16).map(lambda n: 64 * n),
        "steps": st.integers(1, 200),
        "batch_size": st.integers(1, 64),
        "precision": st.sampled_from(["fp16", "fp32"]),
        "boundary": st.sampled_from(["gross", "dynamic"]),
    }
)


@given(WORKLOADS)
@settings(max_examples=60, deadline=None)
def test_every_estimate_holds_together(given: dict[str, Any]) -> None:
    answer = estimate(**given, law=LAW)
    assert 0 < answer.energy_low_j < answer.energy_j < answer.energy_high_j
    assert 0 < answer.duration_low_s < answer.duration_s < answer.duration_high_s
    assert answer.power_w == pytest.approx(answer.energy_j * given["batch_size"] / answer.duration_s)
    assert sum(part.energy_j for part in answer.components) == pytest.approx(answer.energy_j, rel=1e-9)
    assert sum(part.flop for part in answer.components) == pytest.approx(answer.flop, rel=EXACT)
    profile = load_profile(given["model"])
    parts = [(part.name, part.role) for part in answer.components]
    assert parts == [(part.name, part.role) for part in profile.components if part.is_called]
    roles = {role for _, role in parts}
    expected = {"denoiser", "decoder"} | (set() if profile.name in TEXTLESS else {"text_encoder"})
    assert roles - {IMAGE_ENCODER} == expected
    assert IMAGE_ENCODER not in roles or profile.images.arguments
    keys = json.loads(json.dumps(answer.to_dict(), allow_nan=False)).keys()
    assert keys == KEYS | (OF_CLIPS if answer.output == CLIP else set())


@given(WORKLOADS)
@settings(max_examples=30, deadline=None)
def test_more_steps_and_larger_batches_never_cost_less(given: dict[str, Any]) -> None:
    base = estimate(**given, law=LAW)
    longer = estimate(**given | {"steps": given["steps"] + 5}, law=LAW)
    larger = estimate(**given | {"batch_size": given["batch_size"] + 1}, law=LAW)
    assert longer.energy_j > base.energy_j
    assert longer.duration_s > base.duration_s
    assert larger.duration_s > base.duration_s


def test_the_packaged_law_answers_for_every_model() -> None:
    for name in NAMES:
        answer = estimate(name, "H100-SXM5-80GB")
        assert 0 < answer.energy_j < (1e7 if answer.output == CLIP else 1e6)
        assert sum(part.energy_j for part in answer.components) == pytest.approx(answer.energy_j, rel=1e-9)


# --- how a request is understood -----------------------------------------------------------------


def test_defaults_are_the_models_own() -> None:
    answer = estimate("sd3.5-large", "A100-SXM4-80GB", law=LAW)
    workload = answer.workload
    defaults = load_profile("sd3.5-large").defaults
    assert (workload.width, workload.height) == (defaults.width, defaults.height)
    assert workload.steps == defaults.steps
    assert answer.question.work.guidance == defaults.guidance
    assert workload.precision == "bf16"
    assert workload.passes == 2


@pytest.mark.parametrize("size", ["768x1024", "768X1024", " 768 x 1024 ", (768, 1024), [768, 1024]])
def test_ways_to_give_a_size(size: Any) -> None:
    workload = flux(size=size).workload
    assert (workload.width, workload.height) == (768, 1024)


def test_width_and_height_instead_of_size() -> None:
    assert flux(size=None, width=768, height=1024).workload.width == 768


@pytest.mark.parametrize(
    ("model", "given", "passes"),
    [
        ("sd1.5", {}, 2),
        ("sd1.5", {"guidance": 1.0}, 1),
        ("sd1.5", {"guidance": 1.0, "passes": 2}, 2),
        ("sd3.5-large", {"guidance": 4.5}, 2),
        ("flux.1-dev", {"guidance": 3.5}, 1),
        ("flux.1-dev", {"guidance": 3.5, "negative_prompt": True}, 1),
        ("flux.1-dev", {"negative_prompt": True}, 1),
        ("flux.1-dev", {"true_cfg_scale": 4.0}, 1),
        ("flux.1-dev", {"true_cfg_scale": 4.0, "negative_prompt": True}, 2),
        ("qwen-image", {}, 2),
        ("qwen-image", {"guidance": 1.0}, 2),
        ("qwen-image", {"negative_prompt": False}, 1),
        ("qwen-image", {"negative_prompt": True}, 2),
        ("qwen-image", {"true_cfg_scale": 1.0, "negative_prompt": True}, 1),
        ("sdxl", {"true_cfg_scale": 1.0}, 1),
        ("sdxl", {"guidance": 4.0, "true_cfg_scale": 1.0}, 2),
    ],
)
def test_passes_follow_the_pipeline(model: str, given: dict[str, Any], passes: int) -> None:
    assert estimate(model, "A100-SXM4-80GB", law=LAW, **given).workload.passes == passes


def test_guidance_that_costs_nothing_is_noted() -> None:
    assert any("negative prompt" in note for note in flux(guidance=3.5).notes)
    assert any("negative prompt" in note for note in estimate("qwen", "A100", guidance=4, law=LAW).notes)
    assert flux().notes == ()


def test_aliases_are_noted_and_ambiguous_ones_warned_of() -> None:
    answer = estimate("flux", "a100", law=LAW)
    assert answer.gpu.name == "A100-SXM4-80GB"
    assert any("A100-PCIe-40GB" in warning for warning in answer.warnings)
    assert any("'flux' is flux.1-dev" in note for note in answer.notes)
    exact = estimate("flux.1-dev", "NVIDIA GeForce RTX 4090", law=LAW)
    assert any("RTX 4090" in note for note in exact.notes)
    assert not any("but could also mean" in warning for warning in exact.warnings)


def test_a_default_precision_gives_way_but_an_asked_one_does_not() -> None:
    answer = estimate("flux.1-dev", "T4", law=LAW)
    assert answer.workload.precision == "fp16"
    assert any("bf16" in note for note in answer.notes)
    with pytest.raises(InputError, match="fp16") as error:
        estimate("flux.1-dev", "T4", precision="bf16", law=LAW)
    one_line(error)


# --- warnings ------------------------------------------------------------------------------------


def warned(answer: Estimate, words: str) -> bool:
    return any(words in warning for warning in answer.warnings)


def test_a_plain_estimate_has_no_warning() -> None:
    assert flux().warnings == ()
    assert flux().familiarity == "seen"
    assert flux().to_dict()["law"]["held_out_error"]["energy"] == SCORE.to_dict()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": "1000x1000"}, "1000x1000 is generated at 992x992"),
        ({"model": "pixart-sigma", "size": "1008x1008"}, "generated at 1024x1024"),
        ({"steps": 101}, "steps are more than 100"),
        ({"model": "sdxl"}, "the law has seen no run of sdxl"),
        ({"gpu": "H100-SXM5-80GB"}, "the law has seen no run on H100-SXM5-80GB"),
        ({"model": "sdxl", "gpu": "L40S"}, "no run of sdxl, nor on L40S"),
        ({"size": "128x128"}, "sides outside the 256 to 2048 pixels"),
        ({"gpu": "RTX 4090"}, "do not fit the 24 GB"),
        ({"precision": "fp32", "gpu": "RTX 6000 Ada"}, "67.5 GB in fp32"),
        ({"gpu": "T4", "boundary": "dynamic", "model": "sd1.5"}, "idle power"),
        ({"gpu": "RTX 3090", "boundary": "dynamic", "model": "sd1.5"}, "idle power of RTX 3090 is unknown"),
    ],
)
def test_what_is_warned_of(given: dict[str, Any], words: str) -> None:
    answer = estimate(**{"model": "flux.1-dev", "gpu": "A100-SXM4-80GB", "law": LAW, **given})
    assert warned(answer, words), answer.warnings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"model": "sdxl", "true_cfg_scale": 4},
            ["the pipeline of sdxl has no true_cfg_scale: it was read as"],
        ),
        (
            {"model": "sdxl", "true_cfg_scale": 4, "guidance": 1},
            ["no true_cfg_scale: guidance_scale was taken"],
        ),
        ({"model": "sd3-medium", "true_cfg_scale": 1}, ["the pipeline of sd3-medium has no true_cfg_scale"]),
        ({"model": "flux.1-dev", "true_cfg_scale": 1}, []),
        ({"model": "qwen-image", "true_cfg_scale": 1}, []),
    ],
)
def test_a_scale_that_the_pipeline_does_not_have_is_told(given: dict[str, Any], words: list[str]) -> None:
    told = [note for note in estimate(gpu="H100-SXM5-80GB", law=LAW, **given).notes if "no true_cfg" in note]
    assert len(told) == len(words)
    assert all(one in note for one, note in zip(words, told, strict=True))


@pytest.mark.parametrize(
    ("steps", "words"), [(1, "1024x1024, 1 step x 2 passes,"), (2, "2 steps x 2 passes,"), (21, "21 steps x")]
)
def test_one_step_is_one(steps: int, words: str) -> None:
    assert words in str(estimate("sdxl", "H100-SXM5-80GB", steps=steps, law=LAW)).splitlines()[0]


def test_the_rendered_size_is_told() -> None:
    answer = flux(size="1000x1000")
    assert (answer.workload.width, answer.rendered_width, answer.rendered_height) == (1000, 992, 992)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "fluxx"}, "or flux.1-dev?"),
        ({"model": "black-forest-labs/FLUX.1-dv"}, "black-forest-labs/FLUX.1-dev"),
        ({"model": ""}, "name or profile file"),
        ({"model": 7}, "name or profile file"),
        ({"gpu": "A1000"}, "see `joulecast gpus`"),
        ({"gpu": None}, "name or file"),
        ({"precision": "fp8"}, "fp16, bf16, fp32"),
        ({"boundary": "net"}, "gross, dynamic"),
        ({"law": "nope"}, "unknown law"),
        ({"size": "1024"}, "WIDTHxHEIGHT"),
        ({"size": "0x0"}, "between 16"),
        ({"size": "99999x64"}, "between 16"),
        ({"size": "1024x1024", "width": 512}, "not both"),
        ({"size": None, "width": 512}, "height is missing"),
        ({"size": (1, 2, 3)}, "pair"),
        ({"steps": 0}, "steps must be between"),
        ({"steps": -4}, "steps must be between"),
        ({"steps": 2.5}, "whole number"),
        ({"steps": "many"}, "whole number"),
        ({"steps": float("nan")}, "whole number"),
        ({"steps": 10**30}, "between"),
        ({"passes": 3}, "between 1 and 2"),
        ({"passes": 0}, "between 1 and 2"),
        ({"batch_size": 0}, "batch size"),
        ({"text_tokens": 0}, "text tokens"),
        ({"text_tokens": 4000}, "at most 512"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": -1}, "guidance"),
        ({"guidance": "strong"}, "guidance"),
        ({"model": "sd1.5", "size": "500x500"}, "multiples of 8"),
        ({"model": "sd1.5", "text_tokens": 20}, "always encodes 77"),
    ],
)
def test_bad_values_are_one_line(given: dict[str, Any], words: str) -> None:
    whole = {"model": "flux.1-dev", "gpu": "A100-SXM4-80GB", "size": "1024x1024", "law": LAW, **given}
    with pytest.raises(JoulecastError) as error:
        estimate(**whole)
    assert words in one_line(error)


@given(
    st.dictionaries(
        st.sampled_from(
            ["steps", "passes", "batch_size", "text_tokens", "guidance", "width", "height", "size"]
        ),
        st.none() | st.integers() | st.floats() | st.text(max_size=8) | st.booleans(),
        max_size=4,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_values_give_an_estimate_or_one_line(given: dict[str, Any]) -> None:
    answer, message = None, ""
    try:
        answer = estimate("sd3.5-medium", "L40S", law=LAW, **given)
    except JoulecastError as error:
        message = str(error)
    assert answer.energy_j > 0 if answer else message
    assert "\n" not in message


# --- profiles by name ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["flux.1-dev", "FLUX.1-dev", "flux1dev", "flux", "black-forest-labs/FLUX.1-dev", "Flux_Dev"]
)
def test_a_model_by_any_of_its_names(name: str) -> None:
    assert load_profile(name) is load_profile("flux.1-dev")


def test_a_model_by_its_file(tmp_path: Path) -> None:
    path = packaged("sd1.5", tmp_path)
    profile = load_profile(path)
    assert profile.name == "sd1.5"
    assert profile.origin == str(path)
    as_file = estimate(str(path), "A100-SXM4-80GB", law=LAW)
    assert as_file.energy_j == estimate("sd1.5", "A100-SXM4-80GB", law=LAW).energy_j


def packaged(name: str, folder: Path) -> Path:
    """A copy of a packaged profile file."""
    from joulecast import data

    path = folder / "mine.json"
    path.write_bytes(data.read_bytes(f"profiles/{name}.json"))
    return path


def test_a_damaged_profile_file_is_refused(tmp_path: Path) -> None:
    path = packaged("sd1.5", tmp_path)
    whole = path.read_bytes()
    damages = {
        whole[: len(whole) // 2]: "not valid JSON",
        whole.replace(b'"steps":50', b'"steps":51'): "changed after it was made",
        whole.replace(b'"version":3', b'"version":4', 1): "version 4",
        b"": "JSON",
        b"\x00\x01": "JSON",
        b"[]": "profile",
    }
    for content, words in damages.items():
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=words) as error:
            load_profile(path)
        assert "mine.json" in one_line(error)


@pytest.mark.parametrize(
    ("path", "words"),
    [("nope.json", "does not exist"), ("./nope", "unknown model"), (".", "unknown"), ("/", "folder")],
)
def test_a_path_that_is_no_profile(path: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        load_profile(path)
    one_line(error)


def test_near_matches_are_carried() -> None:
    with pytest.raises(UnknownNameError) as error:
        load_profile("sd3.5-larg")
    assert error.value.near[0] == "sd3.5-large"


def test_models_and_gpus_are_listed() -> None:
    assert {"sd1.5", "sdxl", "flux.1-dev", "qwen-image", "sana1.5-4.8b"} <= set(NAMES)
    assert all(model.parameters > 5e8 and model.hub_id for model in models())
    assert len(joulecast.gpus()) >= 15
