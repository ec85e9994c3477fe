"""What differs in the GPU alone is told once."""

from __future__ import annotations

from joulecast.report.merged import merged


def test_one_sentence_for_all_gpus() -> None:
    told = [
        "no run on L4, only a figure",
        "no run on RTX 3090 Ti, only a figure",
        "no run on L4, only a figure",
    ]
    assert merged(told) == ["no run on L4 and RTX 3090 Ti, only a figure"]


def test_the_longest_name_is_the_gpus_and_a_file_is_its_own() -> None:
    told = [
        "of RTX 3090: a",
        "of RTX 3090 Ti: a",
        "of V100-PCIe-16GB: a",
        "of L4 (card.toml): a",
        "of L40: a",
    ]
    assert merged(told) == ["of RTX 3090, RTX 3090 Ti, V100-PCIe-16GB and L40: a", "of L4 (card.toml): a"]


def test_memory_stays_with_its_gpu() -> None:
    told = [f"m does not run on {gpu}: its weights are 33.7 GB" for gpu in ("T4 (16 GB)", "L4 (24 GB)")]
    assert merged(told) == ["m does not run on T4 (16 GB) and L4 (24 GB): its weights are 33.7 GB"]


def test_the_first_gpu_alone_differs() -> None:
    told = ["no run on A10G, only times on RTX 3090", "no run on RTX A5000, only times on RTX 3090"]
    assert merged(told) == ["no run on A10G and RTX A5000, only times on RTX 3090"]
    other = ["GPU 'H100' was taken as H100-SXM5-80GB", "nothing of a GPU", "nothing of a GPU"]
    assert merged(other) == other[:2]


def test_different_figures_are_not_one_sentence() -> None:
    told = ["idle power of L40S: 45.5 W was taken", "idle power of RTX 4090: 58.5 W was taken"]
    assert merged(told) == told
