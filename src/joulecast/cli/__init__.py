"""The command line: parse, call the library, print text or JSON; one module a command."""

from joulecast.cli.parser import main

__all__ = ["main"]
