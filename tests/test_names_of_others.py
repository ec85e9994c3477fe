"""Names of models, GPUs, dtypes, columns and arguments as others write them: what each must mean or say.

The rows are ``tests/others/names.csv``: `means` is what a name stands for, `says` words of its refusal, or
after ``not:`` words that the refusal must not have. A `column` that means ``own`` is the user's; a piece of
`work` that means ``nothing`` asks for nothing, one that asks for something means its key and value. A new
kind is a function in LOOK_UPS.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import joulecast
from joulecast.architecture.catalogue import find_model, listed_names
from joulecast.errors import InputError, JoulecastError
from joulecast.question.gpus import gpu, gpu_and_count
from joulecast.question.headers import keys_of
from joulecast.question.models import catalogue_name, load_profile
from joulecast.question.question import ask
from joulecast.question.runtimes import read_cache, read_engine_name, read_offload, read_quantization
from joulecast.question.setting import Setting, read_precision
from joulecast.question.table import TableReader

with (Path(__file__).parent / "others" / "names.csv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


def meaning_of_a_column(name: str) -> str:
    """Of a column that is alone: a label is taken where no other says the key."""
    return next(iter(keys_of([name])), "own")


def meaning_of_work(text: str) -> str:
    """In a table and in a setting: the same, and the key with its value where it asks for something."""
    name, _, value = text.partition("=")
    pair = {"model": "flux.1-dev", "gpu": "H100"}
    error = TableReader().read({**{key: [own] for key, own in pair.items()}, name: [value]}).error[0]
    if error:
        with pytest.raises(InputError) as told:
            ask(Setting.of({**pair, name: value}))
        assert str(told.value) == error
        raise told.value
    asked = Setting.of({**pair, name: value})
    given = {key: own for key, own in asdict(asked).items() if own is not None and key not in pair}
    return ",".join(f"{key}={own}" for key, own in given.items()) or "nothing"


def meaning_of_boards(name: str) -> str:
    """Where several GPUs may be asked for."""
    board, count = gpu_and_count(name)
    return f"{count} x {board.name}"


LOOK_UPS: dict[str, Callable[[str], str]] = {
    "model": lambda name: load_profile(name).name,
    "gpu": lambda name: gpu(name).name,
    "boards": meaning_of_boards,
    "precision": read_precision,
    "column": meaning_of_a_column,
    "work": meaning_of_work,
    "engine": read_engine_name,
    "quantization": read_quantization,
    "cache": read_cache,
    "offload": read_offload,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['kind']}: {row['name']}")
def test_a_name_means_or_says_what_it_must(row: dict[str, str]) -> None:
    look_up = LOOK_UPS[row["kind"]]
    if row["means"]:
        assert look_up(row["name"]) == row["means"]
        return
    with pytest.raises(JoulecastError) as error:
        look_up(row["name"])
    told = str(error.value)
    unwanted = row["says"].removeprefix("not:")
    assert (unwanted in told) != row["says"].startswith("not:"), told
    assert "\n" not in told


def test_there_are_enough_and_each_once() -> None:
    assert len(ROWS) >= 60
    assert len({(row["kind"], row["name"]) for row in ROWS}) == len(ROWS)
    assert all(bool(row["means"]) != bool(row["says"]) for row in ROWS)
    assert {row["kind"] for row in ROWS} == set(LOOK_UPS)


@pytest.mark.parametrize("name", list(listed_names()))
def test_every_listed_name_of_a_model_resolves(name: str) -> None:
    """With a slash and without, in any case."""
    model = load_profile(name).name
    for written in (name.upper(), name.replace("/", " "), f"https://huggingface.co/{name}", f"{name}.ckpt"):
        assert load_profile(written).name == model


def test_a_label_beside_its_key_is_the_users_own() -> None:
    columns = {"model": ["sdxl"], "model_name": ["Our best"], "gpu": ["L4"], "gpu_name": ["node 7"]}
    assert keys_of(columns) == {"model": "model", "gpu": "gpu"}
    assert not TableReader().read(columns).error[0]
    assert keys_of(["model", "gpu", "width", "height", "resolution"])["width"] == "width"
    assert "size" not in keys_of(["model", "gpu", "width", "height", "resolution"])


def test_what_a_key_says_already_may_be_said_again() -> None:
    columns = {"model": ["sdxl"], "gpu": ["L4"], "size": ["512x512"], "aspect_ratio": ["1:1"]}
    assert not TableReader().read(columns).error[0]


def test_rows_are_refused_one_by_one() -> None:
    """A column whose work is asked for by some rows keeps the others."""
    table = {"model": ["sdxl"] * 4, "gpu": ["L4"] * 4}
    answers = joulecast.predict({**table, "denoise": ["1", "0.5", "", "1.0"]})
    assert [bool(error) for error in answers["error"]] == [False, True, False, False]
    assert answers["error"][1].startswith("denoise is '0.5': image-to-image encodes an image")
    answers = joulecast.predict({**table, "frames": ["1", "16", "", "1.0"]})
    assert [bool(error) for error in answers["error"]] == [False, True, False, False]
    assert answers["error"][1] == "sdxl makes images; frames must be 1, not 16"
    assert answers["energy_j"][0] == answers["energy_j"][3]


def test_a_table_of_a_diffusers_script_is_the_same_as_ours() -> None:
    theirs = {
        "model_id": ["sdxl"], "gpu_name": ["NVIDIA L4"], "height": [512], "width": [768],
        "num_inference_steps": [20], "guidance_scale": [1.0], "num_images_per_prompt": [4],
        "torch_dtype": ["torch.float32"], "negative_prompt": ["blurry, dull"], "prompt": ["a fox"],
    }  # fmt: skip
    ours = {
        "model": ["sdxl"], "gpu": ["L4"], "size": ["768x512"], "steps": [20], "passes": [1],
        "batch_size": [4], "precision": ["fp32"],
    }  # fmt: skip
    assert joulecast.predict(theirs)["energy_j"][0] == joulecast.predict(ours)["energy_j"][0]


def test_torchs_own_dtypes() -> None:
    class dtype:  # noqa: N801 - as torch's is called
        def __str__(self) -> str:
            return "torch.bfloat16"

    assert Setting("sdxl", precision=dtype()).precision == "bf16"  # type: ignore[arg-type]
    for other in (True, 16, object(), ["fp16"]):
        with pytest.raises(InputError):
            read_precision(other)


@pytest.mark.parametrize(
    ("text", "there"), [("blurry", True), ("off", False), ("None", False), (" yes", True)]
)
def test_a_negative_prompt_may_be_its_text(text: str, there: bool) -> None:
    assert Setting("sdxl", negative_prompt=text).negative_prompt is there  # type: ignore[arg-type]


CELLS = st.one_of(
    st.text(max_size=12), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["1", "no", "1e400", "9" * 400, "heun\n", "\x1b[31m"]),
)  # fmt: skip


@given(st.sampled_from([row["name"].partition("=")[0] for row in ROWS if row["kind"] == "work"]), CELLS)
def test_no_value_raises_anything_but_a_joulecast_error(name: str, cell: object) -> None:
    """And a table says to it what a setting says, in one line that shows no control character."""
    error = str(TableReader().read({"model": ["sdxl"], "gpu": ["L4"], name: [cell]}).error[0])
    assert error.isprintable()
    assert len(error) < 400
    with contextlib.suppress(JoulecastError):
        ask(Setting.of({"model": "sdxl", "gpu": "L4", name: cell}))
        assert not error


@given(st.lists(st.text(max_size=20), max_size=6))
def test_no_column_name_raises_anything_but_a_joulecast_error(names: list[str]) -> None:
    with contextlib.suppress(JoulecastError):
        keys_of(names)


@given(st.text(max_size=60))
def test_no_name_of_a_model_or_precision_raises_anything_but_a_joulecast_error(text: str) -> None:
    for look_up in (read_precision, find_model, catalogue_name):
        with contextlib.suppress(JoulecastError):
            look_up(text)


def test_a_gpu_with_other_figures_counts_as_unmeasured() -> None:
    """Under a catalogue's name, as a file that was copied and changed has it."""
    capped = replace(gpu("H100-SXM5-80GB"), tdp_w=350.0)
    known, changed = (joulecast.estimate("sdxl", one) for one in ("H100-SXM5-80GB", capped))
    assert (known.familiarity, changed.familiarity) == ("seen", "unseen_gpu")
    assert changed.gpu.name == "H100-SXM5-80GB (changed)"
