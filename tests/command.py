"""A command as tests run it: in their own process, for starting another takes longer than most commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from joulecast.cli import main
from joulecast.errors import visible


class Done(NamedTuple):
    """How a command ended: its exit status and what it wrote."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]  # takes the arguments that follow `joulecast`


def exit_status(*arguments: str) -> int:
    """Run a command; what it writes goes where this process writes."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def refused(done: Done, *words: str) -> str:
    """The command ended with exit status 2 and one line of error, which is returned and has the words."""
    assert (done.status, done.out) == (2, ""), done
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == done.err.count("\n") == 1
    assert visible(done.err) == done.err
    for word in words:
        assert word in done.err
    return done.err
