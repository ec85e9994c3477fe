"""The catalogue's GPUs: figures that are possible together, names as drivers print them, laws that answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from joulecast import data, estimate
from joulecast.errors import InputError, UnknownNameError, fold
from joulecast.hardware import Gpu, gpus, process_nodes
from joulecast.question.gpus import gpu, gpus_of, model_number, vendors
from joulecast.question.question import ambiguous_gpu

# fp32 lanes a multiprocessor, by architecture or generation; 128 else (two operations a lane of RDNA).
LANES = {"Ampere GA100": 64, "Pascal GP100": 64, "Volta": 64, "Turing": 64, "CDNA2": 64}
# The datasheets' fp32 peaks are rounded to three digits or fewer.
FP32_ROUNDING = 0.01
# Dense fp16 peak over that of fp32 lanes, by architecture or generation, as their white papers have it; two
# where GeForce cards have half of their chip's rate.
RATIOS: dict[str, set[float]] = {
    "Volta": {8},
    "Turing": {4, 8},
    "Ampere GA100": {16},
    "Ampere GA10B": {8},
    "Ampere": {2, 4},
    "Ada": {2, 4},
    "Hopper": {14.8, 13.9, 3.75},  # tensor cores at a lower clock than lanes; H20, its rate cut
    "Blackwell GB100": {30},
    "Blackwell GB110": {30},
    "Blackwell": {2, 4},
    "CDNA2": {8},
    "CDNA3": {8},
    "CDNA4": {16},
    "RDNA3": {2},
    "RDNA4": {4},
    "Xe2": {8},
}
RATIO_TOLERANCE = 0.06  # peaks are rounded; boost clocks of lanes and tensor cores differ a little
PEAK_ROUNDING = 0.02
# Whose figure is nowhere less than that of the GPU before: what a board adds, it does not take away.
RISING = [
    ("L4", "L40S"),
    ("P100-PCIe-16GB", "V100-PCIe-16GB", "A100-PCIe-40GB", "A100-PCIe-80GB", "H100-PCIe-80GB"),
    ("V100-SXM2", "A100-SXM4-40GB", "A100-SXM4-80GB", "H100-SXM5-80GB", "H200-SXM-141GB", "B200-SXM"),
    ("H200-SXM-141GB", "GB200", "GB300"),
    ("B200-SXM", "B300-SXM", "GB300"),
    ("MI210", "MI300X", "MI325X", "MI350X", "MI355X"),
    ("RTX 3060 8GB", "RTX 3060", "RTX 3060 Ti", "RTX 3070 Ti", "RTX 3080", "RTX 3080 Ti", "RTX 3090 Ti"),
    ("RTX 4060", "RTX 4060 Ti 8GB", "RTX 4060 Ti 16GB", "RTX 4070", "RTX 4070 Super", "RTX 4070 Ti"),
    ("RTX 4070 Ti", "RTX 4070 Ti Super", "RTX 4080", "RTX 4080 Super", "RTX 4090 D", "RTX 4090", "RTX 5090"),
    ("RTX 5060", "RTX 5060 Ti 8GB", "RTX 5060 Ti 16GB", "RTX 5070", "RTX 5070 Ti", "RTX 5080", "RTX 5090"),
    ("RTX 3060 Laptop", "RTX 3060"),
    ("RTX 4060 Laptop", "RTX 4070 Laptop", "RTX 4090 Laptop", "RTX 4090"),
    ("RTX A4000", "RTX A5000", "RTX A6000", "RTX 6000 Ada", "RTX PRO 6000"),
    ("RTX 5000 Ada", "RTX 6000 Ada"),
    ("PRO 6000 Max-Q", "PRO 6000 Server"),
    ("A16", "A10"),
    ("R9700", "RX 9070 XT"),
    ("Gaudi 2", "Gaudi 3"),
]
# Faster, with less memory.
SMALLER_MEMORY = {
    ("RTX 3060", "RTX 3060 Ti"),
    ("RTX 4060 Ti 16GB", "RTX 4070"),
    ("RTX 5060 Ti 16GB", "RTX 5070"),
    ("R9700", "RX 9070 XT"),
}
ROUNDED = 0.99  # of an equal board, another source's figure


@pytest.mark.parametrize("known", gpus(), ids=lambda known: known.name)
def test_figures_are_possible_together(known: Gpu) -> None:
    assert 30 <= known.tdp_w <= 1400
    assert 6e9 <= known.memory_bytes <= 288e9
    assert 200e9 <= known.bandwidth_byte_per_s <= 8e12
    assert known.idle_power_w is None or 0.03 < known.idle_power_w / known.tdp_w < 0.3
    assert known.process in process_nodes()
    # Operations a joule at the power limit: 0.04 TFLOP (P40 in fp32) to 2.3 (B300).
    peak = known.peak_flop_per_s(known.precisions[0])
    assert 0.03e12 < peak / known.tdp_w < 2.5e12
    # From 40 operations a byte (P100 in fp32) to 490 (Gaudi 3).
    assert 10 < peak / known.bandwidth_byte_per_s < 500


@pytest.mark.parametrize("known", [one for one in gpus() if one.sm_count], ids=lambda known: known.name)
def test_fp32_peak_follows_from_lanes_and_clock(known: Gpu) -> None:
    assert known.sm_count
    assert known.boost_clock_hz
    lanes = LANES.get(known.architecture, LANES.get(known.generation, 128))
    computed = known.sm_count * lanes * 2 * known.boost_clock_hz
    assert computed == pytest.approx(known.peak_flop_per_s("fp32"), rel=FP32_ROUNDING)


@pytest.mark.parametrize(
    "known", [one for one in gpus() if one.fp16_flop_per_s], ids=lambda known: known.name
)
def test_peaks_stand_in_the_ratio_of_their_architecture(known: Gpu) -> None:
    fp16 = known.peak_flop_per_s("fp16")
    ratios = RATIOS.get(known.architecture) or RATIOS[known.generation]
    ratio = fp16 / known.peak_flop_per_s("fp32")
    assert any(ratio == pytest.approx(one, rel=RATIO_TOLERANCE) for one in ratios), ratio
    if known.bf16_flop_per_s:
        assert known.bf16_flop_per_s == pytest.approx(fp16, rel=PEAK_ROUNDING)
    if known.tf32_flop_per_s:
        assert known.tf32_flop_per_s == pytest.approx(fp16 / 2, rel=PEAK_ROUNDING)
    if known.fp8_flop_per_s:
        assert known.fp8_flop_per_s == pytest.approx(2 * fp16, rel=PEAK_ROUNDING)
    if known.fp16_accumulate_flop_per_s:
        assert known.fp16_accumulate_flop_per_s == pytest.approx(2 * fp16, rel=PEAK_ROUNDING)


def test_every_geforce_card_accumulates_at_half_rate() -> None:
    """Whatever table a figure is from: a whole rate there would halve a prediction's time."""
    geforce = [one for one in gpus() if any("GeForce" in alias for alias in one.aliases)]
    assert len(geforce) > 25
    assert all(one.fp16_accumulate_flop_per_s for one in geforce)


@pytest.mark.parametrize("names", RISING, ids=lambda names: names[-1])
def test_better_boards_have_more(names: tuple[str, ...]) -> None:
    figures: dict[str, Callable[[Gpu], float | None]] = {
        "bandwidth": lambda one: one.bandwidth_byte_per_s,
        "fp16": lambda one: one.fp16_flop_per_s,
        "memory": lambda one: one.memory_bytes,
    }
    for less, more in itertools.pairwise(map(gpu, names)):
        for name, figure in figures.items():
            low, high = figure(less), figure(more)
            if low and high and not (name == "memory" and (less.name, more.name) in SMALLER_MEMORY):
                assert high >= ROUNDED * low, (less.name, more.name, name)


def test_names_that_several_have_mean_the_same_model() -> None:
    """NVML has one name for two memories: the first has it, and is of the same model as the others."""
    own = {fold(one.name): one for one in gpus()}
    assert len(own) == len(gpus())
    owners: dict[str, list[Gpu]] = {}
    for one in gpus():
        for name in {fold(alias) for alias in one.aliases} - {fold(one.name)}:
            assert name not in own, name
            owners.setdefault(name, []).append(one)
    for name, some in owners.items():
        assert len({model_number(one.name) for one in some}) == 1, name
        assert gpu(name) is some[0]


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ("NVIDIA GeForce RTX 4070 SUPER", "RTX 4070 Super"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti Super"),
        ("NVIDIA GeForce RTX 4090 D", "RTX 4090 D"),
        ("NVIDIA GeForce RTX 4060 Laptop GPU", "RTX 4060 Laptop"),
        ("NVIDIA GeForce RTX 5060 Ti", "RTX 5060 Ti 16GB"),
        ("NVIDIA GeForce RTX 5070", "RTX 5070"),
        ("NVIDIA RTX 5000 Ada Generation", "RTX 5000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "PRO 6000 Server"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "PRO 6000 Max-Q"),
        ("NVIDIA A16", "A16"),
        ("NVIDIA L20", "L20"),
        ("NVIDIA H20", "H20-96GB"),
        ("NVIDIA H800", "H800-SXM5-80GB"),
        ("NVIDIA A800 80GB PCIe", "A800-PCIe-80GB"),
        ("NVIDIA GH200 480GB", "GH200-96GB"),
        ("NVIDIA GB200", "GB200"),
        ("NVIDIA B300 SXM6 AC", "B300-SXM"),
        ("Tesla P100-PCIE-16GB", "P100-PCIe-16GB"),
        ("Tesla P40", "P40"),
        ("Orin", "Jetson AGX Orin"),
        ("AMD Instinct MI210", "MI210"),
        ("AMD Instinct MI250X", "MI250X-GCD"),
        ("AMD Instinct MI325X", "MI325X"),
        ("AMD Instinct MI355X", "MI355X"),
        ("AMD Radeon RX 7900 XTX", "RX 7900 XTX"),
        ("AMD Radeon RX 9070 XT", "RX 9070 XT"),
        ("AMD Radeon AI PRO R9700", "R9700"),
        ("Intel(R) Arc(TM) B580 Graphics", "Arc B580"),
        ("GAUDI3", "Gaudi 3"),
        ("HL-225", "Gaudi 2"),
    ],
)
def test_names_as_drivers_print_them(printed: str, name: str) -> None:
    assert gpu(printed).name == name
    assert gpu(f"1 x {printed}").name == name
    with pytest.raises(InputError, match="is 4 GPUs"):
        gpu(f"4 x {printed}")


@pytest.mark.parametrize(
    ("asked", "others"),
    [
        ("4070", {"RTX 4070 Super", "RTX 4070 Ti", "RTX 4070 Ti Super", "RTX 4070 Laptop"}),
        ("H200", {"H200-NVL-141GB"}),
        ("NVIDIA GeForce RTX 4060 Ti", {"RTX 4060 Ti 8GB"}),
        ("RTX 5060 Ti", {"RTX 5060 Ti 8GB"}),
        ("NVIDIA GeForce RTX 3060", {"RTX 3060 8GB"}),
        ("RTX PRO 6000 Blackwell", {"PRO 6000 Server", "PRO 6000 Max-Q"}),
        ("A100 80GB", {"A100-PCIe-80GB"}),
        ("P100", {"P100-PCIe-16GB"}),
        ("A800", {"A800-PCIe-80GB"}),
        ("4080 Super", set()),
        ("RTX 4070", set()),
        ("NVIDIA GeForce RTX 4070", set()),
        ("H20", set()),
        ("NVIDIA H200", set()),
        ("B200", set()),
    ],
)
def test_what_a_name_could_also_mean_is_said(asked: str, others: set[str]) -> None:
    words = ambiguous_gpu(asked, gpu(asked))
    assert set(words.partition("could also mean ")[2].split(" or ")) - {""} == others


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("GB10", "fp4 with sparsity"),
        ("NVIDIA DGX Spark", "fp4 with sparsity"),
        ("NVIDIA Thor", "fp4 with sparsity"),
        ("AMD Instinct MI300A", "GPU and processor together"),
        ("Arc A770", "no source for its matrix peak"),
        ("Intel(R) Arc(TM) A750 Graphics", "no source for its matrix peak"),
        ("Apple M4 Max", "Apple publishes neither"),
        ("M2 Ultra", "Apple publishes neither"),
    ],
)
def test_a_board_left_out_is_said_so(asked: str, why: str) -> None:
    with pytest.raises(UnknownNameError, match=why) as caught:
        gpu(asked)
    assert "GPU file (.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", ["M4000", "Tesla M40", "MI300", "Arc", "DGX", "Orin Nano"])
def test_what_only_looks_like_a_board_left_out(asked: str) -> None:
    with pytest.raises(UnknownNameError, match="see `joulecast gpus`"):
        gpu(asked)


def test_what_is_left_out_is_not_in_the_catalogue() -> None:
    for row in data.read_table("gpus_left_out.csv"):
        assert row["why"].strip()
        for name in row["names"].split(";"):
            with pytest.raises(UnknownNameError, match=re.escape(row["why"])):
                gpu(name)


def test_gpus_of_a_vendor() -> None:
    assert vendors() == ("NVIDIA", "AMD", "Intel")
    assert sum(len(gpus_of(one)) for one in vendors()) == len(gpus())
    assert {one.vendor for one in gpus_of("amd")} == {"AMD"}
    for wrong in ("nvdia", "", "Radeon", "日本"):
        with pytest.raises(UnknownNameError, match="there are NVIDIA, AMD and Intel"):
            gpus_of(wrong)


@pytest.mark.parametrize("known", gpus(), ids=lambda known: known.name)
def test_the_law_answers_without_nonsense(known: Gpu) -> None:
    for batch in (1, 16):
        found = estimate("sd1.5", known.name, batch_size=batch)
        assert found.duration_low_s < found.duration_s < found.duration_high_s < 3600
        assert found.energy_low_j < found.energy_j < found.energy_high_j
        assert 0.1 * known.tdp_w < found.power_w <= 1.01 * known.tdp_w
        told = [words for words in found.warnings if "power limit" in words]
        assert len(told) == bool(known.limit_note or "tdp" in known.unverified)
        assert all(known.limit_note in words for words in told)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GH200", "the power limit of GH200-96GB, 900 W, is its module's"),
        ("Jetson Orin", "the power limit of Jetson AGX Orin, 60 W, is its module's"),
        ("MI250X", "280 W, is half of its card's"),
        ("A16", "62.5 W, is a quarter of its board's"),
        ("RTX 4090 Laptop", "150 W, is one of many: the laptop's maker sets it"),
        ("H20", "other sources give 400 W"),
        ("MI300X", "has seen no run on MI300X, nor on another GPU of AMD, only datasheet figures"),
        ("Arc B580", "nor on another GPU of Intel"),
        ("RTX 4060", "has seen no run on RTX 4060, only datasheet figures"),
    ],
)
def test_what_is_doubtful_of_a_board_is_told(name: str, words: str) -> None:
    assert any(words in warning for warning in estimate("sdxl", name).warnings)
