"""Profile files: exact round trips, and one-line refusals of whatever is no whole profile."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast import data
from joulecast.architecture.catalogue import model_names
from joulecast.compute.operators import Component, OperatorTable
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import (
    VERSION,
    decode_profile,
    encode_profile,
    packaged_profile,
    parse_profile,
    read_profile,
    write_profile,
)
from joulecast.compute.profile_rules import LEFT_DOWN, WHOLE_STEPS, FrameRule, ImageRule
from joulecast.errors import FileFormatError, InputError
from joulecast.files import signed_json

MODEL = "sd1.5"
Json = dict[str, Any]


@cache
def packaged_bytes(model: str = MODEL) -> bytes:
    return data.read_bytes(f"profiles/{model}.json")


@cache
def _content() -> Json:
    """A packaged profile with two operators in each table, which keeps the tests fast."""
    content = encode_profile(packaged_profile(MODEL))
    for component in content["components"]:
        for tables in component["tables"]:
            for table in tables:
                del table["operators"][2:]
    return content


def content() -> Json:
    return copy.deepcopy(_content())


def signed(content: Json, **changes: Any) -> bytes:
    """The bytes of a profile file with a right checksum, whatever its content."""
    whole = {"format": "joulecast-profile", "version": VERSION, **content, **changes}
    return json.dumps({**whole, "sha256": signed_json.checksum(whole)}).encode()


def refusal(file: bytes) -> str:
    """What the error says that parsing raises: one line, not too long."""
    with pytest.raises(FileFormatError) as caught:
        parse_profile(file, "some.json", origin="some.json")
    message = str(caught.value)
    assert message.startswith("some.json ") or "monomial" in message or "divisor" in message
    assert "\n" not in message
    assert len(message) < 300
    return message


def message_of(file: bytes) -> str | None:
    """None for a profile, else what its FileFormatError says."""
    try:
        parse_profile(file, "some.json", origin="some.json")
    except FileFormatError as error:
        return str(error)
    return None


def assert_equal(a: ComputeProfile, b: ComputeProfile) -> None:
    """Two profiles are equal in every field but where they came from."""
    for field in dataclasses.fields(ComputeProfile):
        if field.name not in ("components", "origin"):
            assert getattr(a, field.name) == getattr(b, field.name), field.name
    for one, other in zip(a.components, b.components, strict=True):
        for field in dataclasses.fields(Component):
            if field.name != "tables":
                assert getattr(one, field.name) == getattr(other, field.name), field.name
        assert list(one.tables) == list(other.tables)
        for precision, tables in one.tables.items():
            for table, same in zip(tables, other.tables[precision], strict=True):
                assert_equal_tables(table, same)


def assert_equal_tables(a: OperatorTable, b: OperatorTable) -> None:
    for field in dataclasses.fields(OperatorTable):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            assert np.array_equal(x, y), field.name
        else:
            assert x == y, field.name


@pytest.mark.parametrize("model", ["sd3.5-large", "sana1.5-1.6b"])
def test_round_trip(model: str, tmp_path: Path) -> None:
    profile = packaged_profile(model)
    path = tmp_path / "mine.json"
    write_profile(profile, path)
    read = read_profile(path)
    assert_equal(read, profile)
    assert (profile.origin, read.origin) == ("catalogue", str(path))
    assert [file.name for file in tmp_path.iterdir()] == ["mine.json"]
    again = tmp_path / "again.json"
    write_profile(read, again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("model", model_names())
def test_packaged_files_are_as_they_would_be_written(model: str, tmp_path: Path) -> None:
    write_profile(packaged_profile(model), tmp_path / "mine.json")
    assert (tmp_path / "mine.json").read_bytes() == packaged_bytes(model)
    assert packaged_profile(model).name == model


def test_a_profile_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_profile(packaged_profile("sd2"), path)
    write_profile(packaged_profile("sd1.5"), path)
    assert read_profile(path).name == "sd1.5"
    before = path.read_bytes()
    broken = dataclasses.replace(packaged_profile("sd2"), notes=(object(),))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        write_profile(broken, path)
    assert path.read_bytes() == before


def test_precisions_share_their_tables_in_the_file(tmp_path: Path) -> None:
    encoded = encode_profile(packaged_profile(MODEL))
    for part, component in zip(encoded["components"], packaged_profile(MODEL).components, strict=True):
        assert set(part["tables_by_precision"].values()) == set(range(len(part["tables"])))
        decoded = next(c for c in decode_profile(encoded, "x").components if c.name == component.name)
        assert len({id(tables) for tables in decoded.tables.values()}) == len(part["tables"])


def test_an_edited_copy_of_a_signed_profile_is_still_a_profile() -> None:
    assert message_of(signed(content())) is None
    assert message_of(signed(content(), name="another")) is None


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"profile .*missing.json' does not exist"):
        read_profile(tmp_path / "missing.json")
    with pytest.raises(InputError, match="is a folder"):
        read_profile(tmp_path)
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(signed_json.MAX_FILE_BYTES + 1)  # sparse
    with pytest.raises(FileFormatError, match="is larger than 64,000,000 bytes"):
        read_profile(huge)


@settings(deadline=None)
@given(st.data())
def test_a_truncated_file_is_refused(data: st.DataObject) -> None:
    whole = packaged_bytes()
    # Without its final line break the file is still whole.
    length = data.draw(st.integers(0, len(whole) - 2))
    message = refusal(whole[:length])
    assert message.startswith("some.json is not valid JSON (")
    assert message.endswith("; is it cut short?")


@settings(deadline=None)
@given(st.data())
def test_one_changed_byte_is_refused(data: st.DataObject) -> None:
    whole = bytearray(signed(content()))
    place = data.draw(st.integers(0, len(whole) - 1))
    old = whole[place]
    whole[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != old))
    before, after = signed(content()), bytes(whole)
    try:
        same = json.loads(before) == json.loads(after)  # one kind of white space for another
    except ValueError:
        same = False
    if not same:
        refusal(after)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"per_step": 1', b'"per_step": 2'), (b'"steps": 50', b'"steps": 51'), (b"half", b"fp32")],
)
def test_an_edited_number_is_refused(old: bytes, new: bytes) -> None:
    whole = signed(content())
    assert old in whole
    assert refusal(whole.replace(old, new, 1)) == (
        "some.json was changed after it was made (its checksum does not match its content)"
    )


@pytest.mark.parametrize("version", [0, 1, "2", None, [2], 10**30, "x" * 1000])
def test_another_version_is_refused(version: Any) -> None:
    message = refusal(signed(content(), version=version))
    assert message.startswith("some.json is a profile of version ")
    assert message.endswith(f"; this joulecast reads version 2 and {VERSION}: make it again")


@pytest.mark.parametrize("name", ["joulecast-law", "profile", None, 5, ["joulecast-profile"]])
def test_another_format_is_refused(name: Any) -> None:
    assert refusal(signed(content(), format=name)) == "some.json is not a joulecast profile file"


def test_a_checksum_is_needed() -> None:
    whole = json.loads(signed(content()))
    for stated in (None, "", "0" * 64, whole["sha256"].upper(), 5):
        changed = json.dumps({**whole, "sha256": stated}).encode()
        assert "its checksum does not match" in refusal(changed)
    del whole["sha256"]
    assert "its checksum does not match" in refusal(json.dumps(whole).encode())


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\x00",
        b"null",
        b"[]",
        b"{}",
        b'"joulecast-profile"',
        b"NaN",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"format":"joulecast-profile","version":2,"a":' + b"9" * 5000 + b"}",
        b'{"format":"joulecast-profile","version":2,"a":"\\ud800"}',
    ],
    ids=lambda file: repr(file[:10]),
)
def test_what_is_no_profile(file: bytes) -> None:
    refusal(file)


def test_any_depth_of_nesting_is_refused() -> None:
    raised = set()
    for depth in range(100, 1100):
        nested = b"[" * depth + b"]" * depth
        try:
            message_of(b'{"format":"joulecast-profile","version":2,"a":' + nested + b"}")
        except RecursionError:
            raised.add(depth)
    assert raised == set()


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(file: bytes) -> None:
    refusal(file)


def table_of(content: Json) -> Json:
    table: Json = content["components"][0]["tables"][0][0]
    return table


def _break(change: Callable[[Json], Any]) -> bytes:
    broken = content()
    change(broken)
    return signed(broken)


def _set_coefficient(value: Any) -> Callable[[Json], Any]:
    return lambda content: table_of(content)["operators"][0][6][0].__setitem__(1, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["size"].update(unit=-16),
        lambda c: c["size"].update(unit=0),
        lambda c: c["size"].update(unit="16"),
        lambda c: c["size"].update(unit=None),
        lambda c: c["size"].update(surprise=1),
        lambda c: c["size"].update(bins=[[1, 2]]),
        lambda c: c["size"].update(bins="abc"),
        lambda c: c["size"].update(native=5),
        lambda c: c.update(frames={"step": 0, "first": 1, "off_grid": "refuse"}),
        lambda c: c.update(frames={"step": 4, "first": 0, "off_grid": "refuse"}),
        lambda c: c.update(frames={"step": 4, "first": 1, "off_grid": "nearest"}),
        lambda c: c.update(frames={"step": 4, "first": 10**30, "off_grid": "refuse"}),
        lambda c: c["defaults"].update(frames=0),
        lambda c: c["defaults"].update(frames=10**12),
        lambda c: c["defaults"].update(frame_rate=0),
        lambda c: c["defaults"].update(frame_rate=float("inf")),
        lambda c: c.update(components=[]),
        lambda c: c.update(components=[5]),
        lambda c: c.update(components=None),
        lambda c: c.update(defaults=[]),
        lambda c: c.update(call_exceptions={"x": 1}),
        lambda c: c.update(call_exceptions=[1]),
        lambda c: c.update(notes=5),
        lambda c: c["components"][0].update(role="judge"),
        lambda c: c["components"][0].update(parameters="many"),
        lambda c: c["components"][0].update(parameters=float("inf")),
        lambda c: c["components"][0].update(calls={"one": []}),
        lambda c: c["components"][0].update(calls={"1": [{"fixed": 1}]}),
        lambda c: c["components"][0].update(tables_by_precision={"fp16": 99}),
        lambda c: c["components"][0].update(tables_by_precision={"fp16": "0"}),
        lambda c: table_of(c).update(condition={"batch": "one"}),
        lambda c: table_of(c).update(monomials=["1", "batch*depth"]),
        lambda c: table_of(c).update(monomials=["text/2"]),
        lambda c: table_of(c).update(monomials=[]),
        lambda c: table_of(c).update(monomials=[5]),
        lambda c: table_of(c).update(monomials=[["batch"]]),
        lambda c: table_of(c).update(operators=[["mm", "gemm"]]),
        lambda c: table_of(c).update(operators=[5]),
        lambda c: table_of(c)["operators"][0].__setitem__(3, "wide"),
        lambda c: table_of(c)["operators"][0].__setitem__(4, None),
        lambda c: table_of(c)["operators"][0].__setitem__(6, [[99, 5]]),
        lambda c: table_of(c)["operators"][0].__setitem__(6, [["0", 5]]),
        lambda c: table_of(c)["operators"][0].__setitem__(6, [[0]]),
        _set_coefficient(float("nan")),
        _set_coefficient(float("inf")),
        _set_coefficient(10**400),
        _set_coefficient("many"),
        _set_coefficient([1, 2]),
        _set_coefficient({}),
    ],
)
def test_a_broken_structure_with_a_right_checksum_is_refused(change: Callable[[Json], Any]) -> None:
    refusal(_break(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["size"].update(unit=float("nan")),
        lambda c: c["size"].update(unit=16.5),
        lambda c: c["size"].update(largest="3072"),
        lambda c: c["size"].update(off_grid=5),
        lambda c: c["text"].update(default=None),
        lambda c: c["defaults"].update(width="wide"),
        lambda c: c["guidance"].update(parameter=[5]),
        lambda c: c["components"][0].update(name=None),
        lambda c: c["components"][0].update(calls={}),
        lambda c: c["components"][0]["calls"].update({"3": []}),
        lambda c: c["components"][0]["calls"]["1"][0].update(batch_factor="two"),
        lambda c: c["components"][0]["calls"]["1"][0].update(images="twice"),
        lambda c: c["components"][0]["calls"]["1"][0].update(images=True),
        lambda c: c["components"][0].update(tables_by_precision={}),
        lambda c: c["components"][0].update(tables_by_precision={"fp16": -1}),
        lambda c: table_of(c).update(condition={"depth": 1}),
        lambda c: table_of(c)["operators"][0].__setitem__(1, "magic"),
        lambda c: table_of(c)["operators"][0].__setitem__(4, -1),
        lambda c: table_of(c)["operators"][0].__setitem__(6, [[-1, 5]]),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(change: Callable[[Json], Any]) -> None:
    refusal(_break(change))


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a JSON tree is."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def parent_of(content: Json, path: tuple[Any, ...]) -> Any:
    parent: Any = content
    for key in path[:-1]:
        parent = parent[key]
    return parent


@cache
def all_paths() -> list[tuple[Any, ...]]:
    found = [path for path in paths(_content()) if path]
    random.Random(0).shuffle(found)
    return found


# Free text, or with a default.
OPTIONAL = {
    "flop_convention",
    "largest",
    "bins",
    "native",
    "denoiser_offset",
    "padded",
    "needs_negative_prompt",
    "images",
    "multiple",
    "threshold",
    "true_cfg_scale",
    "negative_prompt",
    "frame_rate",
    "memory",  # of files from before it was traced
    "linears",  # of files from before they were looked for
}


def test_every_removed_key_is_noticed() -> None:
    mappings = {"made_with", "call_exceptions", "calls", "tables_by_precision", "by_precision", "condition"}
    fixed = [p for p in all_paths() if isinstance(p[-1], str) and (len(p) < 2 or p[-2] not in mappings)]
    assert len(fixed) > 50
    for path in fixed:
        broken = content()
        del parent_of(broken, path)[path[-1]]
        file = signed(broken)
        needed = path in {("size", "bins"), ("size", "native"), ("images",)}
        if path == ("defaults", "frames") or (path[-1] in OPTIONAL and not needed):
            assert message_of(file) is None, path
        else:
            assert "is not a whole profile (" in refusal(file), path


WRONG: list[Any] = [
    None,
    True,
    -1,
    0.5,
    float("nan"),
    10**400,
    "",
    "x",
    "\ud800",
    [],
    [[]],
    [None],
    {},
    {"x": 1},
]


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from(WRONG))
def test_no_wrong_value_raises_anything_but_a_file_format_error(data: st.DataObject, wrong: Any) -> None:
    path = data.draw(st.sampled_from(all_paths()))
    broken = content()
    parent_of(broken, path)[path[-1]] = wrong
    message = message_of(signed(broken))
    assert message is None or "\n" not in message


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_removed_item_raises_anything_but_a_file_format_error(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(all_paths()))
    broken = content()
    del parent_of(broken, path)[path[-1]]
    message = message_of(signed(broken))
    assert message is None or "\n" not in message


def test_rules_of_videos_and_images_are_kept(tmp_path: Path) -> None:
    profile = dataclasses.replace(
        packaged_profile("sd1.5"),
        frames=FrameRule(4, 1, WHOLE_STEPS, largest=121),
        images=ImageRule(("image", "mask_image"), LEFT_DOWN),
    )
    write_profile(profile, tmp_path / "it.json")
    again = read_profile(tmp_path / "it.json")
    assert (again.frames, again.images) == (profile.frames, profile.images)


def test_a_file_of_version_2_is_of_images_alone() -> None:
    old = content()
    del old["frames"], old["images"]
    profile = parse_profile(signed(old, version=2), "old.json", origin="old.json")
    assert (profile.frames, profile.images, profile.defaults.frames) == (None, ImageRule(), 1)


def test_launches_that_rise_are_kept(tmp_path: Path) -> None:
    profile = packaged_profile("sd1.5")
    first = profile.components[0]
    (table,) = first.tables["fp16"]
    launches = np.stack([np.arange(1.0, table.launches.shape[1] + 1)] * len(table.monomials))
    changed = dataclasses.replace(table, launches=launches)
    component = dataclasses.replace(first, tables=dict.fromkeys(first.tables, (changed,)))
    write_profile(dataclasses.replace(profile, components=(component,)), tmp_path / "it.json")
    again = parse_profile((tmp_path / "it.json").read_bytes(), "it.json", origin="it.json")
    assert again.components[0].tables["fp16"] == (changed,)


@pytest.mark.parametrize("condition", ["frames<=", "frames%0", "depth<", "frames%3%2", "", "frames% 3"])
def test_an_unknown_condition_is_refused(condition: str) -> None:
    broken = content()
    table_of(broken)["condition"] = {condition: 1}
    assert "is not a condition such as frames<" in refusal(signed(broken))
