"""Diffusers-format folders: good ones read back whole, bad ones are refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.architecture.catalogue import model_entry, model_names
from joulecast.architecture.pipeline_config import (
    IGNORED_COMPONENTS,
    MAX_CONFIG_BYTES,
    MAX_INTEGER,
    MAX_LAYERS,
    check_sane,
    pipeline_config_from_catalogue,
    read_config_file,
    read_pipeline_folder,
)
from joulecast.errors import FileFormatError, InputError
from joulecast.files.paths import shown_path
from pipeline_folder import edit, write_folder

MODEL = "sd1.5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(MODEL, tmp_path / "model")


def refusal(folder: Path, kind: type[Exception] = FileFormatError) -> str:
    """What the error says that reading the folder raises: one line, not too long."""
    with pytest.raises(kind) as caught:
        read_pipeline_folder(folder)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize("model", model_names())
def test_a_folder_reads_back_to_the_catalogue_entry(model: str, tmp_path: Path) -> None:
    read = read_pipeline_folder(write_folder(model, tmp_path / model))
    known = pipeline_config_from_catalogue(model_entry(model))
    assert read.components == known.components
    assert (read.name, read.pipeline) == (model, known.pipeline)
    assert read.settings == {
        k: v for k, v in known.settings.items() if isinstance(v, bool | int | float | str)
    }
    assert (known.name, read.hub_id) == (model, None)
    assert known.hub_id == model_entry(model)["hub_id"]


def test_what_takes_no_part_in_an_image_is_left_out(folder: Path) -> None:
    before = read_pipeline_folder(folder)
    unused: dict[str, Any] = {key: ["diffusers", "Anything"] for key in IGNORED_COMPONENTS}
    edit(
        folder / "model_index.json",
        **unused,
        text_encoder_2=[None, None],
        _diffusers_version="0.36.0",
        _ignored=["somewhere", "Else"],
        force_zeros_for_empty_prompt=True,
        long_list=[1, 2, 3],  # a setting: the pipeline's constructor may take it
    )
    after = read_pipeline_folder(folder)
    assert after.components == before.components
    added = {"force_zeros_for_empty_prompt": True, "text_encoder_2": None, "long_list": [1, 2, 3]}
    assert after.settings == {**before.settings, **added}


@pytest.mark.parametrize("part", ["scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json"])
def test_schedulers_and_tokenizers_may_lack_their_file(folder: Path, part: str) -> None:
    (folder / part).unlink()
    assert read_pipeline_folder(folder).components[Path(part).parts[0]].config == {}
    (folder / part).write_text("{")
    assert f"{part}' is not valid JSON" in refusal(folder)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere", InputError)
    assert message == (
        f"{str(tmp_path / 'nowhere')!r} is not a folder; a diffusers-format model folder was expected"
    ) or message.endswith("… is not a folder; a diffusers-format model folder was expected")


def test_a_file_in_place_of_the_folder(folder: Path) -> None:
    assert "is not a folder" in refusal(folder / "model_index.json", InputError)


def test_a_folder_without_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()
    message = refusal(folder, InputError)
    assert message.startswith(
        f"{shown_path(folder)} holds no model_index.json; a diffusers-format folder has one"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "model_index.json' is not valid JSON"),
        (b"not json", "model_index.json' is not valid JSON"),
        (b'{"_class_name": "A', "model_index.json' is not valid JSON"),
        (b"\xff\xfe\x00\x80", "model_index.json' is not valid JSON"),
        (b"\x00" * 100, "model_index.json' is not valid JSON"),
        (b"[" * 100_000, "model_index.json' is nested deeper than"),
        (b"[1, 2]", "model_index.json' holds list, not a JSON object"),
        (b'"text"', "model_index.json' holds str, not a JSON object"),
        (b"null", "model_index.json' holds NoneType, not a JSON object"),
        (b"{}", "model_index.json' names no pipeline (`_class_name`), e.g. FluxPipeline"),
        (b'{"_class_name": ["A"]}', "model_index.json' names no pipeline (`_class_name`), e.g. FluxPipeline"),
        (b'{"x": 1e999}', "x is inf; no architecture has a number beyond 16777216"),
        (b" " * (MAX_CONFIG_BYTES + 1), f"is larger than {MAX_CONFIG_BYTES:,} bytes"),
    ],
    ids=lambda value: value[:20].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_bad_index(folder: Path, content: bytes, message: str) -> None:
    (folder / "model_index.json").write_bytes(content)
    assert message in refusal(folder)


def test_an_index_that_is_a_folder(folder: Path) -> None:
    (folder / "model_index.json").unlink()
    (folder / "model_index.json").mkdir()
    assert "holds no model_index.json" in refusal(folder, InputError)


@pytest.mark.parametrize(
    "component",
    [
        ["pipeline_code", "MyUNet"],
        ["os", "system"],
        ["diffusers.models", "UNet2DConditionModel"],
        ["diffusers", None],
        ["diffusers", 5],
        [None, "UNet2DConditionModel"],
        [["diffusers"], "UNet2DConditionModel"],
        [{}, "x" * 10_000],
    ],
)
def test_only_classes_of_known_libraries_are_named(folder: Path, component: list[Any]) -> None:
    edit(folder / "model_index.json", unet=component)
    message = refusal(folder)
    assert "component unet is " in message
    assert "only classes of diffusers and transformers can be built" in message


def test_a_component_without_config(folder: Path) -> None:
    (folder / "unet" / "config.json").unlink()
    assert refusal(folder).endswith("unet/config.json' does not exist; each component needs its config.json")
    shutil.rmtree(folder / "unet")
    assert refusal(folder).endswith("unet/config.json' does not exist; each component needs its config.json")
    (folder / "unet").write_text("a file")
    assert "unet/config.json' does not exist" in refusal(folder)


def test_a_config_that_is_a_folder(folder: Path) -> None:
    (folder / "unet" / "config.json").unlink()
    (folder / "unet" / "config.json").mkdir()
    assert "unet/config.json' is a folder" in refusal(folder)


def test_a_config_cut_in_half(folder: Path) -> None:
    path = folder / "unet" / "config.json"
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "unet/config.json' is not valid JSON" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\x00\x01\x02", "is not valid JSON"),
        ("[" * 100_000, "is nested deeper than"),
        ('{"a":' * 100_000, "is nested deeper than"),
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "is nested deeper than"),
        ("[]", "holds list, not a JSON object"),
        ('{"num_layers": 1000000000}', "num_layers is 1000000000; at most 512 layers make sense"),
        ('{"num_layers": -1}', "num_layers is -1; at most 512 layers make sense"),
        ('{"text": {"num_hidden_layers": 513}}', "config.json': text: num_hidden_layers is 513; at most 512"),
        ('{"sample_size": NaN}', "NaN is no number"),
        ('{"num_train_timesteps": 1000000000}', "num_train_timesteps is 1000000000; at most 100,000"),
        ('{"sample_size": -Infinity}', "-Infinity is no number"),
        ('{"width": 16777217}', "width is 16777217; no architecture has a number beyond 16777216"),
        ('{"width": [1, [2, -16777217]]}', "width is -16777217; no architecture has a number"),
        ('{"width": 1e300}', r"width is 1e+300; no architecture has a number"),
        ('{"width": ' + "9" * 4000 + "}", "has a number of more than 300 digits"),
        (
            '{"blocks": [' + "1," * 19_999 + "1]}",
            "blocks is a list of 20000 items; no config has one so long",
        ),
    ],
    ids=lambda value: value[:30].encode("ascii", "replace").decode().replace("\0", "0"),
)
def test_bad_config(folder: Path, content: str, message: str) -> None:
    path = folder / "unet" / "config.json"
    path.write_text(content, encoding="utf-8")
    refused = refusal(folder)
    assert shown_path(path) in refused
    assert message in refused


def test_a_binary_config(folder: Path) -> None:
    (folder / "unet" / "config.json").write_bytes(bytes(range(256)))
    assert "unet/config.json' is not valid JSON" in refusal(folder)


@pytest.mark.parametrize("part", ["unet/config.json", "scheduler/scheduler_config.json"])
def test_an_integer_of_thousands_of_digits(folder: Path, part: str) -> None:
    (folder / part).write_text('{"width": ' + "9" * 5000 + "}")
    assert part in refusal(folder)


def test_a_config_nested_deeper_than_python_recurses(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text('{"a":' + "[" * 1200 + "]" * 1200 + "}")
    assert "unet/config.json" in refusal(folder)


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "a\nb"], ids=["null", "surrogate", "line-break"])
def test_a_component_whose_name_is_no_file_name(folder: Path, key: str) -> None:
    edit(folder / "model_index.json", **{key: ["diffusers", "UNet2DConditionModel"]})
    refusal(folder)


@pytest.mark.parametrize("content", ['{"num_layers": ' + "9" * 4000 + "}", '{"a\\nb": NaN}'])
def test_a_message_is_one_short_line(folder: Path, content: str) -> None:
    (folder / "unet" / "config.json").write_text(content)
    refusal(folder)


def test_limits_are_inclusive() -> None:
    check_sane(
        {"num_layers": MAX_LAYERS, "width": MAX_INTEGER, "low": -MAX_INTEGER, "n": [0] * 10_000}, "here"
    )
    check_sane({"bos_token_id": 10**12, "flag": True, "nothing": None, "text": "9" * 100}, "here")
    check_sane({"text_config": {"rope_theta": 1e9, "eos_token_id": [2, 10**12]}}, "here")  # as FLUX.2-dev has
    for wrong in ({"num_layers": MAX_LAYERS + 1}, {"width": MAX_INTEGER + 1}, {"n": [0] * 10_001}):
        with pytest.raises(FileFormatError, match=r"^here: "):
            check_sane(wrong, "here")


# Keys without control characters: see `test_a_message_is_one_short_line`.
KEYS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@settings(deadline=None)
@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_config_raises_anything_but_a_file_format_error(scratch: Path, content: bytes) -> None:
    path = scratch / "config.json"
    path.write_bytes(content)
    try:
        value = read_config_file(path)
    except FileFormatError:
        return
    assert value == json.loads(content)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["_class_name", "unet", "vae", "scheduler", "tokenizer", "safety_checker", "x"]),
        JSON_VALUES
        | st.lists(st.sampled_from(["diffusers", "transformers", "A", None]), min_size=2, max_size=2),
    )
)
def test_no_index_raises_anything_but_a_file_format_error(scratch: Path, index: dict[str, Any]) -> None:
    (scratch / "model_index.json").write_text(json.dumps(index))
    try:
        config = read_pipeline_folder(scratch)
    except FileFormatError as error:
        raised = str(error)
    else:
        raised = ""
        assert config.pipeline == index["_class_name"]
        assert set(config.components) <= {"scheduler", "tokenizer"}  # the others need a config.json
    assert "\n" not in raised
