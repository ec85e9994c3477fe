"""A command as tests run it: in their own process, for starting another takes longer than most commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from joulecast.cli import main


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
