"""Changes of values, structures, bytes and lines, for `tools/fuzz_files.py`."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

Json = Any

# --- what takes the place of a value -----------------------------------------------------------------

NUMBERS: Final = (
    0, 1, -1, 2, 0.5, 1.9, -0.0, 1e-300, 1e300, -1e300, 10**15, 10**30, 10**400, 2**31, 2**63, 8192, -(10**9),
    4097,
)  # fmt: skip
TEXTS: Final = (
    "", " ", "x", "\x1b]0;owned\x07", "\x1b[2J", "sd2\non H100: 1 J", "=cmd|' /C calc'!A0", "\u202eabc",
    "\ud800", "[a](javascript:alert(1))", "![a](http://x.invalid/a)", "<script>", "../../etc/passwd", "nan",
    "inf", "-1",
    "0001-01-01T00:00+14:00", "9999-12-31T23:00-12:00", "9" * 400, "9" * 5000, "a" * 200_000, "fp16", "batch",
    "sd2", "H100", "\0", "1e400", "0x10", "１２", "a,b", '"',
)  # fmt: skip


def value_of(draw: random.Random) -> Json:
    """Something that is seldom right."""
    kind = draw.randrange(8)
    if kind < 3:
        return draw.choice(NUMBERS)
    if kind < 5:
        return draw.choice(TEXTS)
    if kind == 5:
        return draw.choice((None, True, False, float("nan"), float("inf")))
    if kind == 6:
        return draw.choice(([], {}, [[]], [None], {"x": 1}, [1, 2], [1] * 3000, "batch*height^4*width^4"))
    deep: Json = 0
    for _ in range(draw.choice((3, 70, 300))):
        deep = [deep]
    return deep


# --- changes of a structure --------------------------------------------------------------------------


def _places(value: Json) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in a structure."""
    level = [value]
    while level:
        one = level.pop()
        items = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, item in items:
            yield one, key
            if isinstance(item, dict | list):
                level.append(item)


def change(value: Json, draw: random.Random) -> None:
    """Change one thing of a structure: what is there, its sign or size, its place, its key, its number."""
    places = list(_places(value))
    # The few keys near the top matter as much as the thousands of coefficients beneath.
    one, key = draw.choice(places[: draw.choice((len(places), 60))])
    old, how = one[key], draw.randrange(10)
    if isinstance(old, int | float) and not isinstance(old, bool) and how < 5:
        one[key] = (
            old * draw.choice((-1, 0, 2, 0.5, 1e3, 1e-3, 1e9, 1e-9)) if how else old + draw.choice((-1, 1))
        )
    elif how < 7:
        one[key] = value_of(draw)
    elif how == 7:
        del one[key]
    elif isinstance(one, list):
        one.insert(draw.randrange(len(one) + 1), old)
    else:
        other, place = draw.choice(places)
        one[key], other[place] = other[place], one[key]  # may lie in itself: then it cannot be written


# --- changes of bytes and lines ----------------------------------------------------------------------


def damage(content: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, put in."""
    if not content:
        return b"\0"
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 2, 10, 1000)))
    put_in = draw.choice(
        (
            b"\0",
            b"\xff",
            b"[" * 5000,
            b"a." * 50_000,
            b"9" * 5000,
            b"\r",
            b"\n",
            b'"',
            b"\xef\xbb\xbf",
            b"\x1b[2J",
            b",",
        )
    )
    how = draw.randrange(5)
    if how == 0:
        return content[:start] + bytes([draw.randrange(256)]) + content[start + 1 :]
    if how == 1:
        return content[:start] + content[end:]
    if how == 2:
        return content[:end] + content[start:end] * draw.choice((1, 20)) + content[end:]
    return content[:start] + put_in + content[start if how == 3 else end :]


def _toml_value(value: Json) -> str:
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode()).replace("\\u007f", "\\u007F")
    if isinstance(value, float):
        return repr(value).replace("e+", "e")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, int) and abs(value) > 10**30:
        return "9" * _digits(value)
    return "{}" if value is None or isinstance(value, dict) else str(value)


def _digits(value: int) -> int:
    """Digits of a number, which Python may refuse to print."""
    return 1 + int(value.bit_length() * 0.30103)


def change_toml(text: str, draw: random.Random) -> str:
    """Change one line of a TOML text: its value, its key, its place, or whether it is there."""
    lines = text.splitlines()
    place = draw.randrange(len(lines))
    key, equals, old = lines[place].partition("=")
    how = draw.randrange(8)
    if equals and how < 5:
        value = old.strip()
        scaled = draw.choice(
            ("-" + value, value + "0" * draw.choice((1, 9, 400)), f"[{value}]", f"[{value}, {value}]")
        )
        lines[place] = f"{key}= {scaled if how == 0 else _toml_value(value_of(draw))}"
    elif how == 5:
        del lines[place]
    elif how == 6:
        lines.insert(draw.randrange(len(lines)), lines[place])
    else:
        lines.insert(
            place,
            draw.choice(
                ("a" + ".a" * 50_000 + " = 1", "x = " + "[" * 5000, "x = " + "9" * 5000, "[[x]]", "y = 1")
            ),
        )
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def any_length() -> Iterator[None]:
    """Cells of any length are read; what is tried in this process keeps the limit that users have."""
    before = csv.field_size_limit(10**9)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def records(file: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a table."""
    with any_length():
        return list(csv.DictReader(file))


def change_csv(text: str, draw: random.Random) -> str:
    """Change one cell, a column or a row of a CSV text."""
    with any_length():
        rows = list(csv.reader(io.StringIO(text)))
    columns = min(map(len, rows), default=0)
    if not columns:  # blank lines, or an earlier change took the last column
        return text
    row, column = draw.randrange(len(rows)), draw.randrange(columns)
    how = draw.randrange(10)
    if how < 6:
        value = value_of(draw)
        short = not isinstance(value, int) or abs(value) < 10**300
        rows[row][column] = str(value) if short else "9" * _digits(value)
    elif how == 6:
        rows = [cells[:column] + cells[column + 1 :] for cells in rows]
    elif how == 7:
        rows = [[*cells, cells[column]] for cells in rows]
    elif how == 8:
        rows.insert(draw.randrange(len(rows)), rows[row])
    else:
        rows[0][column] = draw.choice(
            ("", "dtype", "batch", "frames", "energy_j", "\x1b[2J", "=1+1", "error")
        )
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def mangled(text: str, draw: random.Random, changed: Callable[[str, random.Random], str]) -> bytes:
    """A text changed in its own way, or in one case of four as bytes."""
    if draw.randrange(4) == 0:
        return damage(text.encode(), draw)
    for _ in range(draw.choice((1, 1, 2))):
        text = changed(text, draw)
    return text.encode("utf-8", "surrogatepass")


def changed_json(content: Json, draw: random.Random) -> bytes:
    """A structure changed, as JSON, in one case of four damaged as bytes too."""
    change(content, draw)
    try:
        written = json.dumps(content).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):  # it holds itself, or is too deep to be written
        written = b"[" * 100_000
    return damage(written, draw) if draw.randrange(4) == 0 else written
