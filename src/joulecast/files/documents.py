"""Small files in JSON, TOML and CSV, parsed within bounds: what is deep, long or no number is an error.

The parsers beneath take any nesting, any number of digits and any number of dots in a key; a small file of
these takes minutes, or ends somewhere else in an error of its own.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from joulecast.errors import FileFormatError, in_short, shown

MOST_DEPTH: Final = 64  # of lists and objects within each other
DIGITS_OF_A_NUMBER: Final = 300  # more make no floating-point number
MOST_KEY_PARTS: Final = 32  # of a dotted TOML key, whose time to read goes with the square

# Every digit as 0 and all else as a blank: numbers of too many digits are looked for ten times faster.
_DIGITS: Final = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_TOO_MANY: Final = b"0" * (DIGITS_OF_A_NUMBER + 1)
# Each begins where a number or a key does, and gives nothing back: to look for them takes time in proportion.
_LONG_NUMBER = re.compile(rf"(?<![\w-])[0-9a-fA-FoxOX_]{{{DIGITS_OF_A_NUMBER + 1}}}")
_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MOST_KEY_PARTS}}}")
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:e[+-]?[0-9]+)?", re.IGNORECASE)
# Strings and comments; one that nobody closes ends with the text.
_TOML_STRINGS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z|\\\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+(?:"|\n|\Z|\\)'
    r"|'[^'\n]*+(?:'|\n|\Z)"
    r"|\#[^\n]*+",
    re.DOTALL,
)


def parse_json(content: bytes | str, what: str, *, takes_nan: bool = False) -> Any:
    """A value from JSON.

    Raises FileFormatError, which calls the file `what`, where it is no JSON, says NaN or Infinity (but where
    it `takes_nan`: other tools write it for what is not known), has numbers of more than DIGITS_OF_A_NUMBER
    digits, or nests deeper than MOST_DEPTH.
    """
    try:
        coded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        if _TOO_MANY in coded.translate(_DIGITS):
            raise FileFormatError(f"{what} has a number of more than {DIGITS_OF_A_NUMBER} digits")
        value = json.loads(text, parse_constant=float if takes_nan else _no_number)
    except FileFormatError:
        raise
    except RecursionError:
        _too_deep(what)
    except ValueError as error:
        raise FileFormatError(f"{what} is not valid JSON ({in_short(error)}); is it cut short?") from None
    _check_depth(value, what)
    return value


def parse_toml(text: str, what: str, example: str = "name = 1") -> dict[str, Any]:
    """The table that a TOML text is; `example` is a line that would be right.

    Raises FileFormatError, which calls the file `what`, where it is no TOML, a key has more than
    MOST_KEY_PARTS parts or a number more than DIGITS_OF_A_NUMBER digits, or it nests deeper than MOST_DEPTH.
    """
    import tomllib  # takes a while to load, and few estimates are of a TOML file

    bare = _TOML_STRINGS.sub("s", text)
    if _LONG_KEY.search(bare):
        raise FileFormatError(f"{what} has a key of more than {MOST_KEY_PARTS} parts between dots")
    if _LONG_NUMBER.search(bare):
        raise FileFormatError(f"{what} has a number, or a key, of more than {DIGITS_OF_A_NUMBER} digits")
    try:
        value = tomllib.loads(text)
    except RecursionError:
        _too_deep(what)
    except ValueError as error:
        raise FileFormatError(
            f"{what} is not TOML: {in_short(error)}; expected lines like {example}"
        ) from error
    _check_depth(value, what)
    return value


def parse_csv(text: str, what: str, separator: str = ",") -> list[tuple[int, list[str]]]:
    """(row number, cells) of the lines of a CSV text that are not blank; rows are counted from 1.

    Raises FileFormatError, which calls the file `what`, where it is no CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found: list[tuple[int, list[str]]] = []
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            if cells:
                found.append((number, cells))
    except csv.Error as error:
        raise FileFormatError(f"{what}, row {number + 1} is not CSV: {error}") from error
    return found


def parse_csv_records(text: str, what: str) -> list[tuple[int, dict[str, str]]]:
    """(row number, cells by column) below the header; a row with fewer or more cells is an error.

    Raises FileFormatError as of `parse_csv`, and where a column is named twice.
    """
    rows = parse_csv(text, what)
    header = [name.strip() for name in rows[0][1]] if rows else []
    check_distinct(header, what)
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise FileFormatError(
                f"{what}, row {number} has {len(cells)} cells, the header {len(header)}; is the row cut off?"
            )
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in rows[1:]]


def check_distinct(names: Sequence[str], where: str) -> None:
    """FileFormatError where two columns of the table `where` have one name."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None and _NUMBER.fullmatch(twice):
        raise FileFormatError(f"{where}: the first line has numbers; expected the names of the columns")
    if twice is not None:
        raise FileFormatError(f"{where} has two columns named {shown(twice)}; each name may occur once")


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _too_deep(what: str) -> NoReturn:
    raise FileFormatError(f"{what} is nested deeper than {MOST_DEPTH} levels")


def _check_depth(value: object, what: str) -> None:
    """Level by level, without recursion.

    Parsers make no subclasses, and to ask for the very type takes a third of the time of `isinstance`.
    """
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(MOST_DEPTH):
        level = [
            item
            for one in level
            for item in (one.values() if type(one) is dict else one)
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return
    _too_deep(what)
