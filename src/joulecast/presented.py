"""How records show themselves: by the text that people see, which `report` writes when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class Presented:
    """A record whose ``str`` is the text people see, and whose ``repr`` is that text's first line.

    `text_by` names the function of `joulecast.report` that writes it, ``"module:function"``; notebooks show
    what `joulecast.report.notebook.html_of` makes.
    """

    text_by: ClassVar[str]

    def __str__(self) -> str:
        return _report(self.text_by)(self)

    def __repr__(self) -> str:
        first = str(self).partition("\n")[0]
        return f"<{type(self).__name__} {first}>"

    def _repr_html_(self) -> str:
        return _report("notebook:html_of")(self)


def _report(name: str) -> Callable[[object], str]:
    from importlib import import_module

    module, _, function = name.partition(":")
    found: Callable[[object], str] = getattr(import_module(f"joulecast.report.{module}"), function)
    return found
