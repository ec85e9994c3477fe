"""How a model is executed, as a record: what it is called, what it is of, and what it cannot be."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError, JoulecastError, UnknownNameError
from joulecast.runtime import (
    CACHE,
    ENGINE,
    QUANTIZATION,
    REFERENCE,
    SPLIT,
    Runtime,
    find,
    parts,
    read_engine,
    read_parallel,
    written,
)

SHARED = Runtime("sglang", quantization="fp8", gpus=4, parallel=(("cfg", 2), ("ulysses", 2)))


def test_the_reference_is_what_people_get_without_asking() -> None:
    assert Runtime() == REFERENCE
    assert REFERENCE.is_reference
    assert (REFERENCE.label, REFERENCE.family, REFERENCE.headings, REFERENCE.changes) == (
        "diffusers",
        "diffusers",
        (),
        (),
    )
    assert (REFERENCE.arithmetic, REFERENCE.weight_bits, REFERENCE.attention) == ("", 0, "")


@pytest.mark.parametrize(
    ("runtime", "label", "family"),
    [
        (SHARED, "sglang, fp8, 4 GPUs (cfg=2,ulysses=2)", "sglang, fp8, 4 GPUs"),
        (Runtime(compile=True), "diffusers, compiled", "diffusers, compiled"),
        (Runtime("xdit", cache="teacache"), "xdit, teacache", "diffusers, teacache"),
        (Runtime(power_limit_w=450.0), "diffusers, at 450 W", "diffusers"),
        (
            Runtime(cache="teacache", offload="model"),
            "diffusers, teacache, model offloading",
            "diffusers, teacache",
        ),
        (Runtime("mine"), "mine", "mine"),
    ],
)
def test_labels_say_all_and_families_what_laws_tell_apart(runtime: Runtime, label: str, family: str) -> None:
    assert (runtime.label, runtime.family) == (label, family)
    assert runtime.to_dict()["label"] == label


def test_a_starter_of_anothers_kernels_is_that_engine() -> None:
    assert Runtime("xdit").is_reference
    assert not Runtime("sglang").is_reference
    assert Runtime("xdit").kind == REFERENCE
    assert Runtime(power_limit_w=300.0).is_reference  # the kernels are the same
    assert Runtime(offload="model").kind == REFERENCE
    assert [Runtime(offload="model").may_offload, Runtime("xdit").may_offload, REFERENCE.may_offload] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("ulysses=2,ring=2", (("ring", 2), ("ulysses", 2))),
        (" Ulysses = 4 ; cfg=2", (("cfg", 2), ("ulysses", 4))),
        ("ulysses=1", ()),
        ("", ()),
    ],
)
def test_parallel_as_it_is_written(text: str, degrees: tuple[tuple[str, int], ...]) -> None:
    assert read_parallel(text) == degrees
    assert read_parallel(written(degrees)) == degrees


@pytest.mark.parametrize(
    "text", ["ulysses", "ulysses=", "ulysses=0", "ulysses=-2", "ulysses=2.5", "ring=2,ring=2"]
)
def test_parallel_that_says_no_degree(text: str) -> None:
    with pytest.raises(InputError):
        read_parallel(text)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"gpus": 2}, "e.g. parallel ulysses=2"),
        ({"gpus": 3, "parallel": (("ulysses", 2),)}, "is for 2"),
        ({"parallel": (("ulysses", 2),)}, "leave parallel out"),
        ({"gpus": 4, "parallel": (("cfg", 4),)}, "2 passes to share"),
        ({"gpus": 0}, "gpus must be from 1"),
        ({"gpus": 2000, "parallel": (("ring", 2000),)}, "gpus must be from 1"),
        ({"engine": "SGLang diffusion"}, "no word of small letters"),
    ],
)
def test_what_cannot_be(keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Runtime(**keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "near"),
    [
        ({"quantization": "fp9"}, "fp8"),
        ({"cache": "teacash"}, "teacache"),
        ({"gpus": 2, "parallel": (("ulises", 2),)}, "ulysses"),
    ],
)
def test_unknown_names_carry_near_matches(keys: dict[str, object], near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean {near}"):
        Runtime(**keys)  # type: ignore[arg-type]


def test_an_engines_name_may_say_that_it_is_compiled() -> None:
    assert read_engine("Diffusers-compiled") == ("diffusers", True)
    assert read_engine("sglang") == ("sglang", False)
    with pytest.raises(UnknownNameError, match="did you mean sglang"):
        read_engine("sglan")


@pytest.mark.parametrize("kind", [ENGINE, QUANTIZATION, CACHE, SPLIT])
def test_every_part_is_found_by_its_name_and_has_a_source(kind: str) -> None:
    for name, part in parts(kind).items():
        assert find(kind, name.upper()) is part
        assert part.source.startswith("https://")
        assert part.title


def test_the_power_limit_is_of_all_boards_and_never_above_their_own() -> None:
    four = Runtime(gpus=4, parallel=(("ulysses", 4),), power_limit_w=450.0)
    assert four.power_limit_of(700.0) == 4 * 450.0
    assert four.power_limit_of(400.0) == 4 * 400.0
    assert REFERENCE.power_limit_of(700.0) == 700.0
    assert (four.lowered_limit_w(700.0), four.lowered_limit_w(450.0)) == (450.0, None)


def test_memory_of_one_gpu_alone_is_an_upper_bound_for_others() -> None:
    assert SHARED.memory_is_bound
    assert Runtime(quantization="int8-weights").memory_is_bound
    assert not Runtime("sglang", compile=True, cache="teacache").memory_is_bound


@given(st.text(max_size=30))
def test_no_text_raises_anything_but_a_joulecast_error(text: str) -> None:
    with contextlib.suppress(JoulecastError):
        read_engine(text)
    with contextlib.suppress(JoulecastError):
        assert math.prod(degree for _, degree in read_parallel(text)) >= 1
