"""Parsing, errors and exit statuses of the command line.

Exit status: 0; 1 when rows of a file could not be done, something is over its budget or tasks of a
campaign are left; 2 for an error, told in one line.
Only the command that is asked for is imported, and it imports the library when it runs: what is not
needed is not loaded. The parser is the standard library's: a whole estimate takes little longer than
importing numpy, and the imports of a richer parser would take as long again.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from joulecast import __version__
from joulecast.cli.commands import COMMANDS, load
from joulecast.cli.help import HelpFormatter, listed, usage
from joulecast.cli.streams import visible_streams
from joulecast.errors import InputError, JoulecastError, did_you_mean, near_matches, shown

DESCRIPTION = "The energy and time of an image or clip made by a diffusion model, before it is made."
# Arguments that may be the path of a file to read: `-` is standard input there.
READ = frozenset({"file", "runs", "series", "hourly", "trace", "law", "gpu", "names", "model", "models"})
WORDS = {"help": "--help", "version": "--version"}  # said as commands
ELSEWHERE = {
    "track": "a script is tracked from Python, `with joulecast.track(pipe) as t:` (docs/measuring.md)"
}
ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141

# Between two looks for garbage: what a command loads lives until it ends, and to look through it again and
# again took a fifteenth of the time of a short one.
ALLOCATIONS = 50_000


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; every error ends as one line on standard error."""
    if arguments is None:
        gc.set_threshold(ALLOCATIONS)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    with visible_streams():
        status = _run(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        gc.freeze()  # the process ends: a last walk over all it holds is for nothing
    sys.exit(status)


# --- parsers --------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line, with near matches, exit status 2."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog, description=description, formatter_class=HelpFormatter, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Raise the message as an InputError."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def parser() -> argparse.ArgumentParser:
    """The parser of what comes before a command; its help lists the commands."""
    root = Parser("joulecast", DESCRIPTION)
    root.usage = "joulecast COMMAND ... (see `joulecast COMMAND --help`)"
    root.add_argument("-V", "--version", action="version", version=f"joulecast {__version__}")
    root.epilog = "commands:\n" + listed((name, command.summary) for name, command in COMMANDS.items())
    return root


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    made = Parser(f"joulecast {name}", COMMANDS[name].summary)
    load(name).add_options(made)
    made.usage = usage(made).replace("%", "%%")
    return made


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name."""
    return {name: command_parser(name) for name in COMMANDS}


# --- parsing and errors ---------------------------------------------------------------------------


def _run(arguments: list[str]) -> int:
    try:
        status = _command(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)
    except JoulecastError as error:
        return _tell(str(error))
    except MemoryError:
        return _tell("not enough memory for this")
    except OSError as error:
        where = f"{shown(error.filename)}: " if error.filename else ""
        return _tell(f"{where}{error.strerror or error}")


def _command(arguments: list[str]) -> int:
    """Run what the arguments ask for; its exit status."""
    if arguments and arguments[0] in WORDS:
        arguments = [*arguments[1:2], WORDS[arguments[0]]]
    place = next((i for i, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
    before, name, after = arguments[:place], arguments[place : place + 1], arguments[place + 1 :]
    try:
        if before or not name:
            root = parser()
            _parse(root, before)
        if not name:
            root.print_help()
            return 0
        from joulecast.files.paths import guarding_inputs  # --help and --version read no file
        from joulecast.files.streams import streams

        command = _known(name[0])
        with guarding_inputs(), streams() as as_file:
            return load(command).run(_with_files(_parse(command_parser(command), after), as_file))
    except SystemExit as done:  # how argparse ends after --help and --version
        return int(done.code or 0)


def _known(name: str) -> str:
    """`name` if it is a command, else InputError with a near match."""
    if name in COMMANDS:
        return name
    if name in ELSEWHERE:
        raise InputError(f"{name} is no command: {ELSEWHERE[name]}")
    raise InputError(f"unknown command {shown(name)}; {did_you_mean(name, COMMANDS, 'commands')}")


def _parse(command: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """The options of a command; InputError, with near matches, for one that is not there."""
    options, unknown = command.parse_known_args(arguments)
    if unknown:
        raise InputError(f"unknown argument {shown(unknown[0])}; {_better(command, unknown[0])}")
    return options


def _better(command: argparse.ArgumentParser, unknown: str) -> str:
    """What would work instead of an argument that is not there."""
    from joulecast.question.setting import key_of
    from joulecast.question.vocabulary import refused_name

    see = f"see `{command.prog} --help`"
    name = unknown.partition("=")[0]
    if not name.startswith("-"):
        return see
    meaning = key_of(name)
    meaning = "size" if meaning in ("width", "height") else meaning
    same = [action.option_strings for action in command._actions if meaning and action.dest == meaning]
    known = [option for action in command._actions for option in action.option_strings]
    exact = [options[0] for options in same if options]
    refused = refused_name(name)
    if refused and not exact:
        return refused.words
    near = exact or near_matches(name, known, most=1)
    return f"did you mean {near[0]}?" if near else see


def _with_files(options: argparse.Namespace, as_file: Callable[[str], str]) -> argparse.Namespace:
    """Options in which what comes through a pipe is a file."""
    from joulecast.files.streams import is_stream

    def read(text: str) -> str:
        return ",".join(as_file(part) if is_stream(part) else part for part in text.split(","))

    for name in READ & vars(options).keys():
        value = getattr(options, name)
        if value is not None:
            setattr(options, name, [read(text) for text in value] if isinstance(value, list) else read(value))
    return options


def _tell(message: str, status: int = ERROR) -> int:
    """One line on standard error, and the exit status."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return status
