"""Commands as the tests run them: what they print, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


def refused(done: Done, *words: str) -> None:
    """The command ended in one line of error and exit status 2."""
    assert done.status == 2, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err
