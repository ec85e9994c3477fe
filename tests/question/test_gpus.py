"""GPUs by the names that people and drivers give them."""

from __future__ import annotations

import pytest

from joulecast.errors import InputError, UnknownNameError
from joulecast.hardware import gpus
from joulecast.question.gpus import count_and_name, gpu


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a100", "A100-SXM4-80GB"),
        ("A100-sxm4_40gb", "A100-SXM4-40GB"),
        ("NVIDIA A100 80GB PCIe", "A100-PCIe-80GB"),
        ("h100", "H100-SXM5-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM5-80GB"),
        ("NVIDIA H200", "H200-SXM-141GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("rtxa6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
    ],
)
def test_lookup_ignores_case_and_punctuation(written: str, name: str) -> None:
    assert gpu(written).name == name
    assert gpu(written).is_named(written) == (written.casefold().replace("_", "-") == name.casefold()) or (
        written == "rtxa6000"
    )


def test_every_gpu_answers_to_all_its_names() -> None:
    for known in gpus():
        assert known.is_named(known.name.lower())
        assert gpu(known.name) is known
        for name in known.aliases:
            assert gpu(name) is next(one for one in gpus() if name in one.aliases)


def test_unknown_name_offers_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"H100-SXM5-80GB.*joulecast gpus") as caught:
        gpu("H100-SXM5-96GB")
    assert caught.value.near
    for name in ("", "+", "日本", "x" * 10_000):
        with pytest.raises(UnknownNameError):
            gpu(name)
    with pytest.raises(InputError, match="name or file"):
        gpu(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("H1000", "H100"), ("H10", "H100"), ("L4OS", "L40S"), ("A1O0", "A100"), ("RTX 409", "RTX 4090"),
     ("H201", "H200")],
)  # fmt: skip
def test_a_slip_in_a_number_is_told(slip: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean .*{meant}"):
        gpu(slip)


@pytest.mark.parametrize("name", ["H50", "A11", "Z100", "G5.xlarge"])
def test_another_number_is_no_slip(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        gpu(name)
    assert not caught.value.near


@pytest.mark.parametrize(
    ("name", "count", "single"),
    [
        ("2 x Tesla V100-PCIE-32GB", 2, "Tesla V100-PCIE-32GB"),
        ("8xH100", 8, "H100"),
        (" 4 × L40S", 4, "L40S"),
        ("H100", 1, "H100"),
        ("0 x H100", 1, "0 x H100"),
        ("4090", 1, "4090"),
        ("7900 XTX", 1, "7900 XTX"),
        ("9070xt", 1, "9070xt"),
        ("7900 XT 20GB", 1, "7900 XT 20GB"),
        ("8xT4", 8, "T4"),
        ("2x7900XTX", 2, "7900XTX"),
    ],
)
def test_how_many_gpus_a_name_says(name: str, count: int, single: str) -> None:
    assert count_and_name(name) == (count, single)
