"""The command line: parse, call the library, print text or JSON."""

from joulecast.cli.parser import main

__all__ = ["main"]
