"""Names that others give to what is asked for: of columns and arguments, precisions and models.

They are rows of ``data/vocabulary.csv``, whose kinds its README explains. A name is understood, or
refused in words that say what would work; what is in no row is the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from joulecast import data
from joulecast.errors import fold, shown
from joulecast.records import Record

TABLE: Final = "vocabulary.csv"
KEY, LABEL, WORK, OF_CLIPS, PRECISION = "key", "label", "work", "clip", "precision"
CONTROL: Final = "control"
MODEL, PART, RUN, CALL = "model", "part", "run", "call"
NOTHING: Final = frozenset({"no", "none", "false", "off", "0"})  # what "no" stands for among values
YES: Final = frozenset({"yes", "true", "on", "1"})


class Name(Record):
    """A name of another vocabulary.

    Attributes
    ----------
    name : as others write it.
    means : the key or precision that it stands for; empty where it is refused. Of work and clips those
        beside which it is the user's own, with semicolons between them.
    harmless, harmful : values that change nothing, or that alone change something; of work alone.
    words : why it is refused, and what would work.
    """

    name: str
    means: str
    harmless: tuple[str, ...]
    harmful: tuple[str, ...]
    words: str

    def refusal(self, value: object) -> str:
        """Why a value of this name is refused, or an empty string. A missing value never is."""
        from joulecast.files.columns import is_missing  # few estimates ask

        is_refused = not is_missing(value) and self.changes(value)
        return f"{self.name} is {shown(value)}: {self.words}" if is_refused else ""

    def changes(self, value: object) -> bool:
        """Whether a value asks for something: one of the harmful, or none of the harmless ones."""
        is_known = any(_is_same(value, one) for one in self.harmful or self.harmless)
        return is_known if self.harmful else not is_known


def meant(kind: str, name: str) -> Name | None:
    """The row of a kind for a name, whatever its case and punctuation; None without one."""
    return _rows(kind).get(fold(name))


def refused_name(name: str) -> Name | None:
    """The row of a name which asks for what is not predicted, or does not say what; None without one."""
    return meant(WORK, name) or meant(OF_CLIPS, name)


def value_meant(kind: str, value: object) -> str:
    """The value of an engine, quantisation or cache that another's name for it stands for, else as it is."""
    text = str(value)
    found = meant(kind, text)
    return found.means if found else text


def yes_or_no(value: object) -> bool | None:
    """What a value says, as a word or as a boolean; None of another word."""
    text = str(value).strip().casefold()
    return True if text in YES else False if text in NOTHING else None


def key_meant(name: str, weakly: bool = True) -> str | None:
    """The key that another vocabulary's name of a column or argument stands for; None without one.

    `weakly` also takes labels, which may be the user's own: a table of them asks where no column has the key.
    """
    found = meant(KEY, name) or (meant(LABEL, name) if weakly else None)
    return found.means if found else None


@cache
def names_of_keys() -> Mapping[str, str]:
    """Every name in folded form, and the key that it stands for."""
    return {folded: row.means for kind in (KEY, LABEL) for folded, row in _rows(kind).items()}


@cache
def _rows(kind: str) -> Mapping[str, Name]:
    return {
        fold(row["name"]): Name(
            row["name"], row["means"], _values(row["harmless"]), _values(row["harmful"]), row["words"]
        )
        for row in data.read_table(TABLE)
        if row["kind"] == kind
    }


def _values(cell: str) -> tuple[str, ...]:
    return tuple(value for value in cell.split(";") if value)


def _is_same(value: object, known: str) -> bool:
    """Whether a value says what a table's cell does: as a number, as text, or as nothing."""
    text = str(value).strip().casefold()
    try:
        return float(text) == float(known)
    except ValueError:
        pass
    if known == "no":
        return text in NOTHING or fold(text) == ""
    # samplers come with a name of their noise levels behind, "DPM++ 2M Karras", which is no other sampler
    return fold(text).removesuffix("karras").removesuffix("exponential") == fold(known)
