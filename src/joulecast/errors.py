"""Every error joulecast raises on purpose, and how its message is made.

    JoulecastError
    ├── InputError              a value the caller gave cannot be used
    │   └── UnknownNameError    a name that no table lists; carries near matches
    ├── FileFormatError         a file is not what it should be (truncated, edited, another version)
    ├── TraceError              a pipeline cannot be built or traced
    ├── FitError                the runs cannot support the fit that was asked for
    ├── MeasureError            nothing can be measured here, or a measurement is not sound
    └── MissingExtraError       an optional dependency is not installed

Messages are one line: what was wrong, what was expected, what would work. The command line prints
them and exits with status 2.

Words from outside (names in files, cells, messages of other packages) may hold characters that move a
cursor, set a title or turn a line around: `visible` shows them, `one_line` refuses them in names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache


class JoulecastError(Exception):
    """Root of all errors joulecast raises on purpose; each can come from another process as it is."""

    def for_others(self) -> str:
        """The message for who asks from elsewhere: nothing of this computer's is in it."""
        return str(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(
    kind: type[JoulecastError], args: tuple[object, ...], said: dict[str, object]
) -> JoulecastError:
    """An error of its message: what made the message is not made again."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(said)
    return error


class InputError(JoulecastError, ValueError):
    """A value the caller gave cannot be used."""


class UnknownNameError(InputError):
    """A name that no table lists.

    Parameters
    ----------
    kind : what was looked up, e.g. ``"GPU"``.
    name : what the caller wrote.
    choices : every name that would have been found.
    hint : one more sentence on what would work, e.g. ``"see `joulecast gpus`"``.
    """

    def __init__(self, kind: str, name: object, choices: Iterable[str], hint: str = "") -> None:
        self.kind = kind
        self.name = name
        self.near = near_matches(str(name), choices)
        message = f"unknown {kind} {shown(name)}"
        if self.near:
            message += "; did you mean " + " or ".join(self.near) + "?"
        if hint:
            message += ("" if self.near else ";") + " " + hint
        super().__init__(message)


class FileFormatError(JoulecastError, ValueError):
    """A file is not what it should be: truncated, edited, binary, or of another version."""


class TraceError(JoulecastError, RuntimeError):
    """A pipeline cannot be built from its configs, or cannot be traced."""


class FitError(JoulecastError, ValueError):
    """The runs cannot support the fit that was asked for."""


class MeasureError(JoulecastError, RuntimeError):
    """Nothing can be measured here (no GPU, no permission), or a measurement is not sound."""


class MissingExtraError(JoulecastError, ImportError):
    """Optional dependencies are not installed.

    Parameters
    ----------
    extra : the name of the extra that installs them, e.g. ``"trace"``, or the names of several.
    purpose : what needs them, e.g. ``"tracing a pipeline"``.
    """

    def __init__(self, extra: str | tuple[str, ...], purpose: str) -> None:
        from joulecast.extras import install_command  # where one is missing, not before

        self.extra = extra
        extras = (extra,) if isinstance(extra, str) else extra
        named = ("the extra " if len(extras) == 1 else "the extras ") + " and ".join(f"`{e}`" for e in extras)
        self.need = f"{purpose} needs {named}"
        super().__init__(f"{self.need}: {install_command(extras)}")

    def for_others(self) -> str:
        """What is needed, and no command with this computer's folders."""
        return f"{self.need}, which is not installed where joulecast answers"


def check_extras(purpose: str, *extras: str) -> None:
    """Raise MissingExtraError that names all of some extras that are missing."""
    from joulecast.extras import missing

    if absent := missing(extras):
        raise MissingExtraError(absent, purpose)


def near_matches(name: str, choices: Iterable[str], most: int = 3) -> list[str]:
    """Names close to `name`, best first, ignoring case and punctuation between words."""
    import difflib  # where a name was wrong, not before

    names = list(choices)
    folded = {fold(choice): choice for choice in names}
    wanted = fold(name[:100])
    near = [folded[match] for match in difflib.get_close_matches(wanted, folded, n=most, cutoff=0.6)]
    contained = [choice for key, choice in folded.items() if len(wanted) >= 3 and wanted in key]
    return list(dict.fromkeys(near + contained))[:most]


def did_you_mean(name: str, choices: Collection[str], otherwise: str = "known") -> str:
    """The nearest of some names as a question, ``did you mean steps?``, or all: ``known: steps, size``."""
    near = near_matches(name, choices, most=1)
    return f"did you mean {near[0]}?" if near else f"{otherwise}: {', '.join(choices)}"


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """The form in which names are compared: lower case, letters and digits only."""
    return "".join(character for character in name.casefold() if character.isalnum())


def shown(value: object, most: int = 60) -> str:
    """A caller's value as an error may show it: quoted, on one line, cut when long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = "a number of thousands of digits"
    except RecursionError:
        text = f"a {type(value).__name__} nested too deep to show"
    return text if len(text) <= most else text[: most - 1] + "…"


# Controls (but for tab and newline), line and paragraph separators, what turns the direction of text,
# halves of characters, invisible tags, and the mark of a byte order. None of them is printable.
_UNSEEN = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Text as a terminal or a page may have it: what would not be seen but act is written as an escape."""
    if text.replace("\n", "").isprintable():  # mostly, and then the pattern need not be compiled
        return text
    return re.sub(_UNSEEN, lambda found: repr(found[0])[1:-1], text)


# What Python raises where a value of a file is of another kind than expected.
DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


def in_short(error: object, most: int = 200) -> str:
    """The first line of what an exception or a package says, for another message to quote; else its kind."""
    lines = str(error).strip().splitlines()
    return visible(" ".join(lines[0].split())[:most]) if lines else type(error).__name__


def kind_in_short(error: BaseException) -> str:
    """The same with the exception's kind before it: ``KeyError: 'name'``."""
    words = in_short(error)
    kind = type(error).__name__
    return words if words == kind else f"{kind}: {words}"


def as_name(text: str, most: int = 60) -> str:
    """A name from outside as words may hold it: bare where it is short and is seen, else as `shown`."""
    return text if text.isprintable() and len(text) <= most else shown(text, most)


def one_line(value: object, what: str, most: int = 200) -> str:
    """A name or another short text of a file, without blanks around it.

    Raises InputError, which calls it `what`, where it is no text, is empty, is longer than `most`
    characters, or holds line ends or characters that are not seen.
    """
    if isinstance(value, str) and 0 < len(value.strip()) <= most and value.strip().isprintable():
        return value.strip()
    raise InputError(
        f"{what} is {shown(value)}; expected one line of 1 to {most} characters that can be seen"
    )
