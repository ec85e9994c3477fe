"""An answer and its footprint, printed: as text, or as one JSON object."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from joulecast.cli.options import print_json

if TYPE_CHECKING:
    from joulecast.footprint.account import Footprint


class Answer(Protocol):
    """What says itself as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """The same as one JSON object."""


def print_answer(
    answer: Answer,
    text: Callable[[], str],
    footprint: Footprint | None,
    options: argparse.Namespace,
    with_sources: bool = False,
) -> None:
    """Print an answer as JSON where that is asked for, else as `text` has it, and the footprint with it."""
    if options.json:
        print_json(
            {**answer.to_dict(), **({} if footprint is None else _as_json(footprint, options.explain))}
        )
        return
    print(text())
    if footprint is not None:
        _print_text(footprint, options.explain, with_sources)


def _as_json(footprint: Footprint, explain: bool) -> dict[str, object]:
    sum_of = {"explanation": footprint.explain().splitlines()} if explain else {}
    return {"footprint": {**footprint.to_dict(), **sum_of}}


def _print_text(footprint: Footprint, explain: bool, with_sources: bool) -> None:
    from joulecast.report.footprint_text import footprint_text

    print("\n" + footprint_text(footprint, with_sources))
    if explain:
        print("\n" + footprint.explain())
