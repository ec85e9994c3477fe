"""JSON, TOML and CSV within bounds: what is deep, long or no number is an error of one line, at once."""

from __future__ import annotations

import json
import time

import pytest

from joulecast.errors import FileFormatError
from joulecast.files.documents import (
    parse_csv,
    parse_csv_records,
    parse_json,
    parse_toml,
)

AT_ONCE_S = 5.0  # of a busy machine; the parsers beneath take half a minute and more


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a" + ".a" * 50_000 + " = 1", "a key of more than 32 parts"),
        ("[" + "a." * 50_000 + "b]", "a key of more than 32 parts"),
        ("x = {" + "a . " * 40 + "b = 1}", "a key of more than 32 parts"),
        ("x = " + "[" * 5000, "deeper than 64"),
        ("x = " + "[" * 5000 + "]" * 5000, "deeper than 64"),
        ("x = " + "{a=" * 300 + "1" + "}" * 300, "deeper than 64"),
        ("x = " + "[" * 70 + "]" * 70, "deeper than 64"),
        ("x = " + "9" * 400, "more than 300 digits"),
        ("x = " + "9" * 5000, "more than 300 digits"),
        ("x = 0x" + "f" * 5000, "more than 300 digits"),
        ("x = 1" + "_0" * 400, "more than 300 digits"),
        ("x = 2022-13-45", "is not TOML"),
        ('x = "\x1b[2J"', "is not TOML"),
        ("x", "is not TOML"),
    ],
)
def test_toml_that_is_refused(text: str, words: str) -> None:
    start = time.process_time()
    with pytest.raises(FileFormatError, match=words) as error:
        parse_toml(text, "plan 'p.toml'")
    assert time.process_time() - start < AT_ONCE_S
    assert str(error.value).startswith("plan 'p.toml'")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        'x = """\n' + "a." * 100 + '\n"""',
        "x = '''" + "9" * 400 + "'''",
        'x = "' + "[" * 100 + r'\" a.b"',
        "# " + "a." * 100 + "\nx = [1.5, 2.5, 3.5" + ", 0.25" * 100 + "]",
        "a.b.c = 1 # [[[[",
        "x = [" + ", ".join(["[1]"] * 100) + "]",
    ],
)
def test_toml_whose_text_only_looks_so(text: str) -> None:
    assert parse_toml(text, "a file")


@pytest.mark.parametrize("mark", ['"""', "'''", '"', "'", r'\"""', "a ", "a", "[[a]]\n", "9" * 300 + ","])
def test_toml_of_one_mark_is_looked_through_once(mark: str) -> None:
    start = time.process_time()
    with pytest.raises(FileFormatError):
        parse_toml(mark * (900_000 // len(mark)) + "\0", "a file")
    assert time.process_time() - start < AT_ONCE_S


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "deeper than 64"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "deeper than 64"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("1" + "0" * 400, "more than 300 digits"),
        ("[" + "9" * 5000 + "]", "more than 300 digits"),
        ('{"a": 1', "cut short"),
        (b"\xff\xfe", "not valid JSON"),
        (b"", "not valid JSON"),
    ],
)
def test_json_that_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(FileFormatError, match=words) as error:
        parse_json(text, "'f.json'")
    assert str(error.value).startswith("'f.json'")


def test_json_that_is_read() -> None:
    for value in ([1.5, {"a": None}], json.loads("[" * 63 + "]" * 63), 10**299, "9" * 300):
        assert parse_json(json.dumps(value), "f") == value
    assert parse_json(b"\xef\xbb\xbf[1]", "f") == [1]


@pytest.mark.parametrize("text", ['a\n"b', "a\n" + "x" * 200_000, 'a,"b"c\n'])
def test_csv_that_is_refused(text: str) -> None:
    with pytest.raises(FileFormatError, match=r"'t\.csv', row . is not CSV"):
        parse_csv(text, "'t.csv'")


def test_csv_records() -> None:
    assert parse_csv_records("a, b\n\n1,2\n", "t") == [(3, {"a": "1", "b": "2"})]
    assert parse_csv_records("", "t") == []
    with pytest.raises(FileFormatError, match="row 2 has 1 cells, the header 2"):
        parse_csv_records("a,b\n1\n", "t")
    with pytest.raises(FileFormatError, match="two columns named 'a'"):
        parse_csv_records("a,a\n1,2\n", "t")
