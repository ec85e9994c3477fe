"""Values as JSON has them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from joulecast.files.plain import finite, json_text, plain


def test_what_is_not_known_is_null() -> None:
    given = {"a": (1, math.inf), "b": {"c": [math.nan, 2.5]}, 3: -math.inf, "d": {"z", "y"}, "e": True}
    assert plain(given) == {"a": [1, None], "b": {"c": [None, 2.5]}, "3": None, "d": ["y", "z"], "e": True}
    assert plain(None) is None


def test_numbers() -> None:
    assert finite(2.5) == 2.5
    assert type(finite(np.float64(2.5))) is float
    assert [finite(x) for x in (math.inf, -math.inf, math.nan)] == [None, None, None]


@pytest.mark.parametrize("value", [object(), [b"x"], {"a": np.int64(3)}])
def test_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(TypeError, match="JSON has no"):
        plain(value)
    with pytest.raises(TypeError, match="JSON has no"):
        json_text(value)


def test_text_reads_back() -> None:
    text = json_text({"b": {3, 1, 2}, "a": [1.5, None]})
    assert json.loads(text) == {"b": [1, 2, 3], "a": [1.5, None]}
    assert text.startswith('{\n  "b": [\n    1,')
    with pytest.raises(ValueError, match="JSON"):
        json_text([math.nan])
