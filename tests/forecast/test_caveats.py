"""What is said beside a prediction of what the law knows: true of energies and of times, each for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast import estimate, predict
from joulecast.forecast.caveats import Known, not_fitted_on
from joulecast.law.load import load_law
from joulecast.report.estimate_text import estimate_text

H100_FILE = """
name = "H100-SXM5-80GB"
architecture = "Hopper GH100"
process = "TSMC 4N"
tdp_w = 350
memory_gb = 48
bandwidth_gb_per_s = 864
fp16_tflops = 989.4
boost_clock_mhz = 1980
"""


@pytest.mark.parametrize(
    ("model", "gpu", "words"),
    [
        (
            "sdxl",
            "T4",
            "the law has seen no energy on T4, but times: the range of the energy is that for GPUs it has "
            "not seen, the range of the time that for what others measured",
        ),
        ("sdxl", "RTX 3090", "no energy on RTX 3090, but times"),
        ("sdxl", "V100-SXM2", "no energy on V100-SXM2, but times"),
        (
            "sd2",
            "A100-SXM4-80GB",
            "no time of sd2, but energies: the range of the energy is that for what others measured",
        ),
        ("sd2", "T4", "no energy on T4 and no time of sd2: "),
        (
            "sd3.5-medium",
            "T4",
            "no energy of sd3.5-medium, nor on T4 and no time of sd3.5-medium: ",
        ),
        (
            "sdxl",
            "L4",
            "the law has seen no run on L4, only times under other runtimes or in other number formats: the "
            "range is that for GPUs it has not",
        ),
        (
            "sdxl",
            "A100-PCIe-80GB",
            "no run on A100-PCIe-80GB, only runs on A100-SXM4-40GB and A100-SXM4-80GB, of the same chip: ",
        ),
        (
            "sdxl",
            "H200",
            "no run on H200-SXM-141GB, only runs on H100-SXM5-80GB, of the same chip: the range is that",
        ),
        (
            "sdxl",
            "RTX A6000",
            "no run on RTX A6000, only times on RTX 3090 and RTX 3080, of the same chip: the range is that "
            "for GPUs",
        ),
        (
            "sd3.5-medium",
            "A100-SXM4-80GB",
            "no run of sd3.5-medium: the range is that for models it has not seen",
        ),
        (
            "sd3.5-medium",
            "L4",
            "no run of sd3.5-medium, nor on L4, only times under other runtimes or in other number formats: "
            "the range is that for models and",
        ),
    ],
)
def test_what_was_not_fitted_on(model: str, gpu: str, words: str) -> None:
    found = estimate(model, gpu)
    (told,) = [one for one in found.warnings if "the law has seen no" in one]
    assert words in told
    row = predict({"model": [model], "gpu": [gpu], "width": [1024], "height": [1024], "steps": [20]})
    assert words in row["warning"][0]


def test_nothing_is_said_of_what_was_measured() -> None:
    for known in (Known("seen", "seen"), Known("same_source", "seen"), Known("seen", "same_source")):
        assert not_fitted_on("sdxl", "H100", known) == ""
    assert not any("has seen" in words for words in estimate("sdxl", "A100-SXM4-80GB").warnings)


def test_the_errors_beside_are_of_the_same() -> None:
    """Published errors and intervals of a time are those of what was known of times."""
    found, law = estimate("sdxl", "T4"), load_law()
    assert (found.familiarity, found.timed_familiarity) == ("unseen_gpu", "seen")
    error = found.to_dict()["law"]["held_out_error"]
    assert error["energy"] == law.errors["unseen_gpu"].to_dict()["energy"]
    assert error["duration"] == law.errors["seen"].to_dict()["duration"]
    within = law.errors["seen"].duration
    assert within is not None
    assert (
        f"(energy, on chips that it had not seen) and {within.p90:.0f} % (time, on sources that"
        in " ".join(estimate_text(found).split())
    )
    text = " ".join(estimate_text(found, sources=True).split())
    assert (
        "of energies, the law has seen no run on this GPU; of times, this model and this GPU were each"
        in text
    )
    assert "energy, on chips that it had not seen, median" in text
    assert "time, on sources that it had not seen, median" in text
    on = law.fitted_on
    timed = set(on.timed_gpus) - set(on.gpus)
    assert timed
    assert f"on {len(on.gpus)} GPUs, and times on {len(timed)} more" in text


def test_a_file_is_not_the_catalogues_gpu_by_its_name(tmp_path: Path) -> None:
    """A copied entry with a lower power limit is another card: nobody measured it."""
    file = tmp_path / "card.toml"
    file.write_text(H100_FILE)
    found = estimate("sdxl", str(file))
    assert (found.familiarity, found.timed_familiarity) == ("unseen_gpu", "unseen_gpu")
    assert found.gpu.name == "H100-SXM5-80GB (card.toml)"
    assert any("of the same chip" in words or "only datasheet figures" in words for words in found.warnings)


def test_a_file_under_its_own_name_says_nothing_of_others(tmp_path: Path) -> None:
    file = tmp_path / "card.toml"
    file.write_text(H100_FILE.replace("H100-SXM5-80GB", "My H100"))
    found = estimate("sdxl", str(file))
    assert found.gpu.name == "My H100"
    assert any("only runs on H100-SXM5-80GB, of the same chip" in words for words in found.warnings)
