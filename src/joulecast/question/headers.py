"""Which column of a table says which key, and which columns ask for work that is not predicted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np

from joulecast.errors import InputError, fold, shown
from joulecast.files.columns import Words, distinct, text_of
from joulecast.question.setting import FOLDED_KEYS, SIDES, is_gpu_time, key_of, own_key_of
from joulecast.question.vocabulary import WORK, key_meant, meant, names_of_keys, refused_name

NEARLY = 0.8  # likeness of a column's name and a key, of 1, from which it is taken for a slip of the pen
MORE_NEARLY = 0.9  # of a column's name and another's name for a key: there are many
MOST_NAME = 40  # characters of a name that are compared
COMMON = ("fps", "seconds")  # words of which users' own columns are full: gpu_seconds is no slip


def keys_of(names: Collection[str]) -> dict[str, str]:
    """The column of each key of a setting, by key.

    A label (``model_name``) is a key's column where no other says the key. InputError where two columns
    mean the same, or one is nearly called like a key that no column has.
    """
    found: dict[str, str] = {}
    for name in names:
        key = own_key_of(name) or key_meant(name, weakly=False)
        if key is not None and key in found:
            raise InputError(
                f"the columns {shown(found[key])} and {shown(name)} both say the {key}: keep one"
            )
        if key is not None:
            found[key] = name
    for size, sides in SIDES.items():
        twice = [side for side in sides if side in found]
        if size in found and twice:
            told = f"{shown(found[size])} and {shown(found[twice[0]])}"
            raise InputError(f"the columns {told} both say the {size.replace('_', ' ')}")
    for name in names:
        key = key_meant(name)
        if key is not None and key not in said_by(found):
            found[key] = name
    _refuse_slips(names, said_by(found))
    return found


def is_surely(key: str, name: str) -> bool:
    """Whether a column's name says a key, and is no label, which may be the user's own."""
    return key in (own_key_of(name), key_meant(name, weakly=False))


def said_by(keys: Collection[str]) -> set[str]:
    """The keys that columns of `keys` say: both sides say the size, and a size both sides."""
    said = set(keys)
    for size, sides in SIDES.items():
        if size in said or said.issuperset(sides):
            said.update((size, *sides))
    return said


def _refuse_slips(names: Collection[str], said: Collection[str]) -> None:
    """InputError for a column that is nearly called like a key which no column says."""
    for name in names:
        key = "" if is_gpu_time(name) else _nearly(fold(name)[:MOST_NAME])
        if key and key not in (*said, *COMMON) and key_of(name) is None and refused_name(name) is None:
            raise InputError(f"is the column {shown(name)} the {key}? Name it so, or unlike it")


@lru_cache(maxsize=1024)
def _nearly(name: str) -> str:
    """The key that is nearly called so, by its own name or, more nearly, another's; or an empty string."""
    for known, cutoff in ((FOLDED_KEYS, NEARLY), (names_of_keys(), MORE_NEARLY)):
        near = get_close_matches(name, known, n=1, cutoff=cutoff)
        if near:
            return known[near[0]]
    return ""


def refusals_of(columns: Mapping[str, Any], said: set[str], kind: str = WORK) -> Iterator[Words]:
    """Why rows are refused that ask for work which is not predicted, a column after the other.

    Of the kind OF_CLIPS, rows of models that make clips: the unit of what they ask for is not known.

    A column that only says in another way what a key of `said` says (``aspect_ratio``) is the user's own.
    """
    for name, column in columns.items():
        known = meant(kind, name)
        if known is None or said.intersection(known.means.split(";")):
            continue
        cells = distinct(column)
        words = np.array([known.refusal(text_of(cell)) for cell in cells.values], dtype=object)
        if len(words):
            yield words[cells.index]
