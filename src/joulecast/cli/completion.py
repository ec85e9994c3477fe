"""A script that lets a shell complete commands, options and names: bash, zsh or fish."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from joulecast.cli.commands import COMMANDS
from joulecast.cli.options import ASKED
from joulecast.errors import UnknownNameError

_CHOICES = re.compile(r"\{([\w.,-]+)\}")


def add_options(command: argparse.ArgumentParser) -> None:
    """What `completion` takes."""
    command.add_argument_group(ASKED).add_argument(
        "shell",
        metavar="{bash,zsh,fish}",
        help='of which shell; e.g. in ~/.bashrc: eval "$(joulecast completion bash)"',
    )


def run(options: argparse.Namespace) -> int:
    """Print the script of a shell."""
    writers: dict[str, Callable[[Sequence[Completed]], Iterator[str]]] = {
        "bash": bash, "zsh": zsh, "fish": fish
    }  # fmt: skip
    if options.shell not in writers:
        raise UnknownNameError("shell", options.shell, writers, f"known: {', '.join(writers)}")
    print("\n".join(writers[options.shell](completed())))
    return 0


class Argument(NamedTuple):
    """An argument: its spellings, none where its place tells it; the values known for it; its help."""

    spellings: tuple[str, ...]
    values: tuple[str, ...]
    takes_value: bool
    help: str


class Completed(NamedTuple):
    """A command with its summary and its arguments."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]

    @property
    def options(self) -> tuple[Argument, ...]:
        """The arguments that have spellings."""
        return tuple(one for one in self.arguments if one.spellings)

    @property
    def words(self) -> tuple[str, ...]:
        """Values of the arguments told by their place."""
        return tuple(word for one in self.arguments if not one.spellings for word in one.values)


def completed() -> list[Completed]:
    """Every command, as its parser says."""
    from joulecast.cli.parser import commands

    names = _names()
    return [
        Completed(
            name, COMMANDS[name].summary, tuple(_argument(action, names) for action in command._actions)
        )
        for name, command in commands().items()
    ]


def _names() -> dict[str, tuple[str, ...]]:
    """Names that an argument may be, by its destination; a blank in one is written as a hyphen."""
    from joulecast.hardware import gpus
    from joulecast.law.load import law_names
    from joulecast.question.gpus import vendors
    from joulecast.question.models import known_names
    from joulecast.runtime import CACHE, ENGINE, QUANTIZATION, parts

    known = tuple(gpu.name.replace(" ", "-") for gpu in gpus())
    named = known_names()
    return {
        "gpu": known,
        "names": known,
        "vendor": vendors(),
        "model": named,
        "models": named,
        "law": tuple(law_names()),
        **{kind: tuple(parts(kind)) for kind in (ENGINE, QUANTIZATION, CACHE)},
    }


def _argument(action: argparse.Action, names: dict[str, tuple[str, ...]]) -> Argument:
    choices = _CHOICES.fullmatch(str(action.metavar or ""))
    listed = tuple(map(str, action.choices)) if action.choices else ()
    return Argument(
        spellings=tuple(action.option_strings),
        values=listed or (tuple(choices[1].split(",")) if choices else names.get(action.dest, ())),
        takes_value=action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction),
        help=" ".join((action.help or "").replace("%%", "%").split()),
    )


# --- scripts --------------------------------------------------------------------------------------


def bash(commands: Sequence[Completed]) -> Iterator[str]:
    """For bash: a function of the command and the word before."""
    yield from (
        "# joulecast completion for bash",
        "_joulecast() {",
        '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" words=""',
        "  COMPREPLY=()",
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f'    COMPREPLY=($(compgen -W "{_joined(_first(commands))}" -- "$cur"))',
        "    return",
        "  fi",
        '  case "${COMP_WORDS[1]} $prev" in',
    )
    files = 'COMPREPLY=($(compgen -f -- "$cur"))'
    yield from _cases(commands, 'COMPREPLY=($(compgen -W "{}" -f -- "$cur"))', files)
    yield from ("  esac", '  case "${COMP_WORDS[1]}" in')
    for command in commands:
        options = _joined(word for one in command.options for word in one.spellings)
        yield f'    {command.name}) words="{_joined(command.words)}"'
        yield f'      [[ "$cur" == -* ]] && words="{options}";;'
    yield from (
        "  esac",
        '  if [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        '  else COMPREPLY=($(compgen -W "$words" -f -- "$cur")); fi',
        "}",
        "complete -o filenames -F _joulecast joulecast",
    )


def zsh(commands: Sequence[Completed]) -> Iterator[str]:
    """For zsh: the same cases."""
    yield from (
        "#compdef joulecast",
        "_joulecast() {",
        '  local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}"',
        "  if (( CURRENT == 2 )); then",
        f"    compadd -- {_joined(_first(commands))}",
        "    return",
        "  fi",
        '  case "${words[2]} $prev" in',
    )
    yield from _cases(commands, "compadd -- {}; _files", "_files")
    yield from ("  esac", '  case "${words[2]}" in')
    for command in commands:
        options = _joined(word for one in command.options for word in one.spellings)
        words = f"compadd -- {_joined(command.words)}; " if command.words else ""
        yield f"    {command.name}) if [[ $cur == -* ]]; then compadd -- {options}; else {words}_files; fi;;"
    yield from ("  esac", "}", "compdef _joulecast joulecast")


def fish(commands: Sequence[Completed]) -> Iterator[str]:
    """For fish: a line for each option of each command."""
    yield "# joulecast completion for fish"
    for command in commands:
        yield (
            f"complete -c joulecast -n __fish_use_subcommand -f -a {command.name} "
            f"-d {_quoted(command.summary)}"
        )
    for command in commands:
        of = f'complete -c joulecast -n "__fish_seen_subcommand_from {command.name}"'
        if command.words:
            yield f"{of} -a {_quoted(_joined(command.words))}"
        for one in command.options:
            spelled = " ".join(
                f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}" for word in one.spellings
            )
            values = f" -a {_quoted(_joined(one.values))}" if one.values else ""
            yield f"{of} {spelled}{' -r' if one.takes_value else ''}{values} -d {_quoted(one.help)}"


def _cases(commands: Sequence[Completed], offer: str, else_offer: str) -> Iterator[str]:
    """For bash and zsh: what completes each option that takes a value.

    `offer` has a place for the values where some are known, `else_offer` offers the names of files.
    """
    valued = [(command.name, one) for command in commands for one in command.options if one.takes_value]
    for name, one in sorted(valued, key=lambda pair: not pair[1].values):
        pattern = "|".join(f'"{name} {word}"' for word in one.spellings)
        offered = offer.format(_joined(one.values)) if one.values else else_offer
        yield f"    {pattern}) {offered}; return;;"


def _first(commands: Sequence[Completed]) -> Iterator[str]:
    yield from (command.name for command in commands)
    yield from ("help", "--help", "--version")


def _joined(words: Iterator[str] | Sequence[str]) -> str:
    return " ".join(words)


def _quoted(text: str) -> str:
    """A text as fish takes it: between single quotes, where a backslash escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
