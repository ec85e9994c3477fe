"""Outlines are packaged profiles without what costs time to read."""

from __future__ import annotations

import dataclasses

import pytest

from joulecast import data, models
from joulecast.architecture.catalogue import model_names
from joulecast.compute import profile_file
from joulecast.compute.outline import packaged_outline
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FileFormatError


@pytest.mark.parametrize("name", model_names())
def test_an_outline_is_the_profile_without_operators(name: str) -> None:
    outline, profile = packaged_outline(name), packaged_profile(name)
    for field in dataclasses.fields(ComputeProfile):
        if field.name != "components":
            assert getattr(outline, field.name) == getattr(profile, field.name), field.name
    assert outline.parameters == profile.parameters
    for bare, whole in zip(outline.components, profile.components, strict=True):
        for key in ("name", "class_name", "role", "parameters", "calls"):
            assert getattr(bare, key) == getattr(whole, key), key
        assert set(bare.tables.values()) == {()}
        assert all(whole.tables.values())


def test_the_list_of_models_reads_no_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(part: object) -> None:
        raise AssertionError("an operator table was read")

    packaged_outline.cache_clear()
    monkeypatch.setattr(profile_file, "_decode_table", fail)
    monkeypatch.setattr("joulecast.question.models.packaged_profile", fail)  # one that was read before
    assert [model.name for model in models()] == list(model_names())


def test_a_damaged_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "read_json", lambda where: {"components": [{}]})
    with pytest.raises(FileFormatError, match=r"profiles/none\.json is not a whole profile"):
        packaged_outline("none")
