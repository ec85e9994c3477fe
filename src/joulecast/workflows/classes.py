"""What is known of node classes: their role, and which of their inputs says what.

Rows of ``data/comfy_nodes.csv``, ``comfy_samplers.csv``: knowledge of nodes is data, not code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from joulecast import data
from joulecast.errors import InputError, did_you_mean, shown
from joulecast.records import Record

NODES: Final = "comfy_nodes.csv"
SAMPLERS: Final = "comfy_samplers.csv"
UNCOUNTED, PASS = "uncounted", "pass"
CONTROL: Final = "control_after_generate"  # a widget that no input has


class NodeClass(Record):
    """A class of nodes.

    Attributes
    ----------
    name : as workflows have it.
    roles : what it does, each one of `joulecast.workflows.flow.ROLES`.
    says : by what is asked of it, the input that says so; one without an entry goes by the same name.
    literals : by what is asked of it, what all nodes of the class say.
    widgets : names of the values that the interface saves without names, in their order.
    words : what is not counted of it, or counted otherwise.
    """

    name: str
    roles: tuple[str, ...]
    says: Mapping[str, str]
    literals: Mapping[str, str]
    widgets: tuple[str, ...]
    words: str


class Sampler(Record):
    """How often a sampler calls the model: `calls` a step, `fewer` in all, which it saves where it ends
    `always`, or at no noise alone; `both_passes` where it makes two whatever the scale of guidance."""

    name: str
    calls: int
    fewer: int
    always: bool
    both_passes: bool

    def calls_of(self, steps: int, to_the_end: bool) -> int:
        """Calls of the model in so many steps, which end at no noise or before."""
        fewer = self.fewer if self.always or to_the_end else 0
        return max(steps, self.calls * steps - fewer)


def class_of(name: str) -> NodeClass | None:
    """What is known of a class of nodes; None where it is not known."""
    return _classes().get(name)


def sampler_of(name: str, where: str, calls: int | None = None) -> Sampler:
    """A sampler by its name; `calls` are those a step of one that is not known.

    Raises InputError, which says `where`, for one that is not known, or whose calls follow from no steps.
    """
    row = _samplers().get(name)
    if row is not None and row["calls"]:
        return Sampler(
            name, int(row["calls"]), int(row["fewer"]), row["when"] == "always", row["both_passes"] == "yes"
        )
    if calls is not None:
        return Sampler(name, calls, 0, False, False)
    problem = row["words"] if row is not None else "it is not known"
    near = "" if row is not None else f"; {did_you_mean(name, _samplers())}"
    raise InputError(
        f"{where}: sampler {shown(name)}: {problem}{near}; say how often it calls the model a step: --calls"
    )


@cache
def _classes() -> Mapping[str, NodeClass]:
    return {row["class"]: _class(row) for row in data.read_table(NODES)}


@cache
def _samplers() -> Mapping[str, Mapping[str, str]]:
    return {row["sampler"]: row for row in data.read_table(SAMPLERS)}


def _class(row: Mapping[str, str]) -> NodeClass:
    said = [entry.partition("=") for entry in row["says"].split() if "=" in entry]
    literal = [entry.partition(":") for entry in row["says"].split() if "=" not in entry]
    return NodeClass(
        name=row["class"],
        roles=tuple(row["role"].split("+")),
        says={key: value for key, _, value in said},
        literals={key: value for key, _, value in literal},
        widgets=tuple(row["widgets"].split()),
        words=row["words"],
    )
