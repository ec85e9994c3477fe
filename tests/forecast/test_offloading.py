"""Model offloading: the bytes that move, the time and energy they take, what fits, and what is said of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import joulecast
from command import Command
from joulecast.compute.memory import left_beside
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError
from joulecast.forecast.caveats import says_wider
from joulecast.forecast.memory import NO, WOULD_FIT, YES, bytes_by_module, weight_bytes
from joulecast.forecast.offloading import assumed, moved_bytes, moving_s, moving_w
from joulecast.hardware import UNKNOWN_IDLE_SHARE, idle_power_w
from joulecast.law.own_runs import left_out_because
from joulecast.plan.tradeoff import possible_outcomes
from joulecast.plan.whatif import what_if
from joulecast.question.gpus import gpu
from joulecast.report.decisions.rows import estimate_steps
from joulecast.report.decisions.what_if_text import ADDED, notes
from joulecast.runs import packaged_runs
from joulecast.runtime import MODEL_OFFLOAD, REFERENCE, Runtime

SAME = 1e-12  # of two sums in another order
FLUX: dict[str, Any] = {"model": "flux.1-dev", "gpu": "RTX 4090"}
OFFLOADED = Runtime(offload=MODEL_OFFLOAD)


def both(**keys: Any) -> tuple[joulecast.Estimate, joulecast.Estimate]:
    """An estimate without and with offloading."""
    return joulecast.estimate(**keys), joulecast.estimate(**keys, offload="model")


def test_the_weights_go_there_and_back_once_a_batch() -> None:
    """FLUX: 33.76 GB, by hand at 3, 8 and 20 GB/s there and 1.5, 3.5 and 12 GB/s back."""
    plain, offloaded = both(**FLUX)
    moved = sum(moved_bytes(packaged_profile("flux.1-dev"), "bf16", OFFLOADED).values())
    assert moved == weight_bytes(packaged_profile("flux.1-dev"), "bf16")
    assert moved / 1e9 == pytest.approx(33.76, abs=0.01)
    for end, by_hand in (("low", 4.50), ("value", 13.86), ("high", 33.76)):
        gained = getattr(offloaded.duration, end) - getattr(plain.duration, end)
        assert gained == pytest.approx(by_hand, abs=0.01)
    few, many = both(**FLUX, steps=4, batch_size=3)
    assert many.duration_s - few.duration_s == pytest.approx(offloaded.duration_s - plain.duration_s)


def test_the_board_draws_from_idle_to_a_third_of_its_limit_meanwhile() -> None:
    """450 W: idle 58.5 W, by hand 90 and 157.5 W; a batch of 2 shares the joules."""
    plain, offloaded = both(**FLUX, batch_size=2)
    gained = {end: getattr(offloaded.energy, end) - getattr(plain.energy, end) for end in ("low", "high")}
    assert gained["low"] == pytest.approx(4.501 * 58.5 / 2, rel=1e-3)
    assert offloaded.energy_j - plain.energy_j == pytest.approx(13.866 * 90 / 2, rel=1e-3)
    assert gained["high"] == pytest.approx(33.76 * 157.5 / 2, rel=1e-3)


def test_the_dynamic_boundary_leaves_idle_power_out_of_it() -> None:
    plain, offloaded = both(**FLUX, boundary="dynamic")
    assert offloaded.energy_j - plain.energy_j == pytest.approx(13.866 * (90 - 58.5), rel=1e-3)
    assert offloaded.energy_low_j == pytest.approx(plain.energy_low_j)  # at the least it idles
    assert offloaded.power_w < joulecast.estimate(**FLUX, offload="model").power_w


@pytest.mark.parametrize("model", ["flux.1-dev", "sdxl", "sdxl-controlnet", "wan2.2-t2v-a14b", "svd-xt"])
@pytest.mark.parametrize("boundary", ["gross", "dynamic"])
def test_components_add_up_to_the_whole(model: str, boundary: str) -> None:
    plain, offloaded = both(model=model, gpu="H100-SXM5-80GB", boundary=boundary)
    assert sum(part.energy_j for part in offloaded.components) == pytest.approx(offloaded.energy_j)
    assert all(
        after.energy_j >= before.energy_j
        for before, after in zip(plain.components, offloaded.components, strict=True)
    )
    *_, total = estimate_steps(offloaded)
    assert total["energy"] == pytest.approx(offloaded.energy_j)


def test_ranges_hold_those_of_the_law_and_grow() -> None:
    plain, offloaded = both(**FLUX)
    assert offloaded.energy_low_j > plain.energy_low_j
    for before, after in ((plain.energy, offloaded.energy), (plain.duration, offloaded.duration)):
        assert after.high / after.value > before.high / before.value
        assert after.value / after.low > before.value / before.low


def test_quantised_weights_are_fewer_bytes() -> None:
    """nf4: a quarter of the 16 bits of the denoiser alone."""
    profile = packaged_profile("flux.1-dev")
    whole = bytes_by_module(profile, "bf16")
    quarter = moved_bytes(profile, "bf16", dataclasses.replace(OFFLOADED, quantization="nf4-weights"))
    assert quarter.pop("transformer") == whole.pop("transformer") / 4
    assert quarter == whole


def test_what_takes_over_from_a_denoiser_moves_too() -> None:
    moved = moved_bytes(packaged_profile("wan2.2-t2v-a14b"), "bf16", OFFLOADED)
    assert moved["transformer_2"] == moved["transformer"]
    a_half = dataclasses.replace(OFFLOADED, quantization="fp8-weights")
    halved = moved_bytes(packaged_profile("wan2.2-t2v-a14b"), "bf16", a_half)
    assert halved["transformer_2"] == halved["transformer"] == moved["transformer"] / 2


def test_a_slow_link_slows_it() -> None:
    """A link of 4 GB/s, by hand: 0.8 of it there; back 3.2 of the 3.5 GB/s."""
    slow = dataclasses.replace(gpu("RTX 4090"), link_byte_per_s=4e9)
    assert moving_s(1e9, slow).value == pytest.approx(1 / 3.2 + 1 / 3.2)
    assert moving_s(1e9, slow).low == pytest.approx(2 / (0.87 * 4))
    unknown = dataclasses.replace(slow, link_byte_per_s=None)
    assert moving_s(1e9, unknown) == moving_s(1e9, gpu("H100-SXM5-80GB"))  # NVLink bounds nothing
    assert moving_s(1e9, gpu("T4")).low == pytest.approx(1 / 12 + 1 / (0.87 * 15.75), rel=0.05)


def test_power_stays_between_idle_and_the_limit() -> None:
    card = gpu("RTX 4090")
    assert moving_w(card, REFERENCE).low == idle_power_w(card) == UNKNOWN_IDLE_SHARE * 450
    limited = moving_w(card, dataclasses.replace(OFFLOADED, power_limit_w=120.0))
    assert (limited.value, limited.high) == (90, 120)


def test_assumptions_are_ranges_in_order() -> None:
    for name in ("to_gpu", "to_host", "link_share", "waiting_power"):
        found = assumed(name)
        assert 0 < found.low < found.value < found.high
    assert assumed("to_gpu").value > assumed("to_host").value  # memory is made anew on the way back


def test_it_is_said_that_nothing_of_it_was_measured() -> None:
    plain, offloaded = both(**FLUX)
    (told,) = [words for words in offloaded.warnings if "no run with offloading was measured" in words]
    assert "33.8 GB" in told
    assert "in 4.5 to 34 s, at 58 to 158 W" in told
    assert says_wider(told)
    assert not [words for words in plain.warnings if "offloading" in words]
    assert offloaded.familiarity == plain.familiarity  # the law is asked the same


# --- memory ---------------------------------------------------------------------------------------


def test_memory_is_that_of_one_component_at_a_time() -> None:
    keys: dict[str, Any] = {"model": "qwen-image", "gpu": "RTX A6000"}
    plain, offloaded = both(**keys)
    assert (plain.memory.fits, offloaded.memory.fits) == (NO, YES)
    assert offloaded.memory.peak_bytes == plain.memory.offloaded_peak_bytes
    assert (plain.memory.largest_batch, offloaded.memory.largest_batch) == (0, 6)
    assert WOULD_FIT in plain.warnings
    assert not [words for words in offloaded.warnings if "fit" in words.replace("fitted", "")]
    rows = joulecast.predict({name: [value] * 2 for name, value in keys.items()} | {"offload": ["", "model"]})
    assert rows["peak_memory_bytes"].tolist() == [plain.memory.peak_bytes, offloaded.memory.peak_bytes]
    assert rows["energy_high_j"].tolist() == [plain.energy_high_j, offloaded.energy_high_j]
    assert [WOULD_FIT in words for words in rows["warning"]] == [True, False]


@pytest.mark.parametrize("keys", [{"engine": "sglang"}, {"batch_size": 64}, {"gpus": 2}])
def test_it_is_offered_only_where_it_would_do(keys: dict[str, Any]) -> None:
    found = joulecast.estimate("qwen-image", "RTX A6000", **keys)
    assert WOULD_FIT not in found.warnings


def test_choices_leave_out_what_does_not_fit_and_keep_what_does() -> None:
    settings = [
        {"model": "qwen-image", "gpu": "RTX A6000", "offload": way, "batch_size": batch}
        for way in ("none", "model")
        for batch in (1, 64)
    ]
    kept, left_out = possible_outcomes(settings)
    assert [one.setting.get("offload") for one in kept] == ["model"]
    assert any("40.9 GB at once with offload model" in words for words in left_out)
    assert any(words.startswith("a batch of 64") for words in left_out)
    asked = {"model": "flux.1-schnell", "gpu": "A100-PCIe-40GB", "batch_size": 8}
    none, (told,) = possible_outcomes([asked])
    assert (none, told.endswith(WOULD_FIT)) == ((), True)
    assert len(possible_outcomes([{**asked, "offload": "model"}])[0]) == 1


def test_what_waits_for_its_turn_stays_on_the_gpu() -> None:
    """A decoder that encoded the input, and a ControlNet, which has no turn of its own."""
    for model, beside in (
        ("flux.1-dev", {}),
        ("flux.1-dev-img2img", {"transformer": ["vae"], "text_encoder": ["vae"]}),
        ("sdxl-controlnet", {"unet": ["controlnet"], "controlnet": ["unet"], "vae": ["controlnet"]}),
        ("flux.1-dev-controlnet", {"transformer": ["vae", "controlnet"], "vae": ["controlnet"]}),
    ):
        profile = packaged_profile(model)
        weights = bytes_by_module(profile, profile.defaults.precision)
        for part in profile.components:
            if part.name in (*beside, "transformer"):
                expected = sum(weights[name] for name in beside.get(part.name, []))
                assert left_beside(part, profile.components, weights) == expected, (model, part.name)


# --- what changes ---------------------------------------------------------------------------------


def test_what_if_knows_no_error_of_it() -> None:
    """Pairs of runs tell how sure a ratio is, and none has offloading."""
    change = what_if({"model": "sdxl", "gpu": "L4"}, {"offload": "model", "steps": 20})
    assert change.basis.kinds is None
    key, *_ = change.keys
    assert (key.key, key.before, key.after) == ("offload", "none", "model")
    more = what_if({"model": "sdxl", "gpu": "L4", "offload": "model"}, {"steps": 20})
    assert more.basis.kinds is None
    with pytest.raises(InputError, match="nothing changes"):
        what_if({"model": "sdxl", "gpu": "L4", "offload": "model"}, {"cpu_offload": "yes"})


def test_laws_are_of_runs_without_it() -> None:
    run = packaged_runs()[0]
    assert left_out_because(run) == ""
    assert "offload model" in left_out_because(dataclasses.replace(run, offload="model"))
    assert not any(run.offload != "none" for run in packaged_runs())


def test_commands_tell_it(run: Command) -> None:
    found = json.loads(run("estimate", "sdxl", "--gpu", "L4", "--offload", "model", "--json").out)
    assert found["runtime"]["offload"] == "model"
    assert found["runtime"]["label"] == "diffusers, model offloading"
    assert np.isclose(found["memory"]["peak_bytes"], found["memory"]["offloaded_peak_bytes"])
    told = run("pareto", "sdxl", "--gpu", "L4", "--offload", "none,model", "--all")
    assert "offload" in told.out
    refused = run("estimate", "sdxl", "--gpu", "L4", "--offload", "modle")
    assert (refused.status, "did you mean model" in refused.err) == (2, True)


@pytest.mark.parametrize(("before", "change"), [("none", "model"), ("model", "none")])
def test_a_change_of_offloading_alone_is_what_is_added(before: str, change: str) -> None:
    """The law's error is the same on both sides; what moves has a range of its own, and never saves."""
    asked = {"model": "flux.1-dev", "gpu": "RTX A6000"}
    found = joulecast.what_if({**asked, "offload": before}, {"offload": change})
    none, model = (joulecast.estimate("flux.1-dev", "RTX A6000", offload=way) for way in ("none", "model"))
    sign = 1 if change == "model" else -1
    for delta, less, more in zip(
        found.deltas, (none.energy, none.duration), (model.energy, model.duration), strict=True
    ):
        ends = sorted(sign * (getattr(more, end) - getattr(less, end)) for end in ("low", "high"))
        assert (delta.difference.low, delta.difference.high) == pytest.approx(ends)
        assert delta.difference.value == pytest.approx(sign * (more.value - less.value))
        assert (delta.ratio.low > 1) if sign == 1 else (delta.ratio.high < 1)
    assert notes(found) == (ADDED,)
    more_steps = joulecast.what_if({**asked, "offload": before}, {"offload": change, "steps": 20})
    assert not more_steps.basis.is_added
