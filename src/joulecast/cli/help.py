"""The layout of `--help`: ours, so that it is the same under every version of Python."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

HELP_WIDTH = 80
HELP_COLUMN = 26


class HelpFormatter(argparse.HelpFormatter):
    """Options as ``--batch, --batch-size IMAGES``, in lines that the terminal holds."""

    def __init__(self, prog: str) -> None:
        # without a width, argparse would load shutil
        super().__init__(prog, max_help_position=HELP_COLUMN, width=width())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return names(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def names(action: argparse.Action, options: Sequence[str] | None = None) -> str:
    """How an option is written, by all of its names or the given `options`, with its value's name."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return value
    takes_value = action.nargs is None and not isinstance(action, argparse.BooleanOptionalAction)
    written = action.option_strings if options is None else options
    return ", ".join(written) + (f" {value}" if takes_value else "")


def usage(command: argparse.ArgumentParser) -> str:
    """What a command needs, and what it is told by its place, on one line."""
    told = [action for action in command._actions if action.required or not action.option_strings]
    rest = [action for action in told if action.nargs == argparse.REMAINDER]  # all that is left is its own
    written = [_in_usage(action) for action in told if action not in rest]
    return " ".join([command.prog, *written, "[options]", *map(names, rest)])


def _in_usage(action: argparse.Action) -> str:
    """An argument, in brackets where it may be left out, with dots where there may be several."""
    written = names(action, action.option_strings[:1])
    several = written + " ..." if action.nargs in (argparse.ZERO_OR_MORE, argparse.ONE_OR_MORE) else written
    return f"[{several}]" if action.nargs in (argparse.OPTIONAL, argparse.ZERO_OR_MORE) else several


def listed(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they mean, as lines of two columns."""
    import textwrap

    pairs = list(rows)
    start = max(len(name) for name, _ in pairs) + 4
    lines: list[str] = []
    for name, meaning in pairs:
        first, *rest = textwrap.wrap(meaning, width() - start)
        lines += [f"  {name:<{start - 2}}{first}", *(" " * start + line for line in rest)]
    return "\n".join(lines)


def width() -> int:
    """Characters of a line of help, less a margin."""
    from joulecast.report.lines import SPARE, terminal_width  # where there is help to print, not before

    return (terminal_width() or HELP_WIDTH) - SPARE
