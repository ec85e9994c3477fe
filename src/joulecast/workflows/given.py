"""What one node of a workflow is given: by the name of its input, or by what its class says that means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from joulecast.errors import InputError
from joulecast.workflows.handed import BY_SLOT, KINDS, NOTHING, Handed, Picture

if TYPE_CHECKING:
    from joulecast.workflows.classes import NodeClass
    from joulecast.workflows.flow import Flow
    from joulecast.workflows.graph import Node

MOST_CLASSES_NAMED: Final = 3
T = TypeVar("T")


class Given:
    """A node in the flow, and what it is given."""

    def __init__(self, flow: Flow, node: Node, known: NodeClass | None) -> None:
        self.flow, self.node = flow, node
        self.says = known.says if known else {}
        self.literals = known.literals if known else {}

    def input(self, key: str) -> str:
        """The name of the input that says something."""
        return self.says.get(key, key)

    def what(self, key: str) -> str:
        """That input as errors call it: ``node 3 (KSampler): steps``."""
        return f"{self.node.name}: {self.input(key)}"

    def handed(self, key: str) -> Handed:
        """What the input that says something is handed; of steps and numbers those of its slot alone."""
        handed, slot = self.flow.handed(self.node, self.input(key))
        return _of_slot(handed, slot)

    def value(self, key: str) -> object:
        """A constant, of the class, the node or a node before it; None where there is none."""
        if key in self.literals:
            return self.literals[key]
        name = self.input(key)
        if name not in self.node.links:
            return self.node.values.get(name)
        return next(iter(self.handed(key).numbers), None)

    def said(self, key: str, read: Callable[[object, str], T]) -> T:
        """The value of an input, read. Raises InputError where it is not said, or is no such value."""
        value = self.value(key)
        if value is None:
            why = (
                f"comes from {self._source(key)}, which is not read" if self._is_linked(key) else "is missing"
            )
            raise InputError(f"{self.what(key)} {why}; set it in the node itself")
        return read(value, self.what(key))

    def said_or(self, key: str, read: Callable[[object, str], T], default: T) -> T:
        """The same, or a default where the node has no such input."""
        is_there = key in self.literals or self._is_linked(key) or self.input(key) in self.node.values
        return self.said(key, read) if is_there else default

    def needed(self, key: str, kind: str) -> Handed:
        """What an input is handed. Raises InputError where that is nothing of a kind."""
        found = self.handed(key)
        if not getattr(found, kind):
            raise InputError(f"{self.what(key)}: {self._missing(key)}")
        return found

    def _missing(self, key: str) -> str:
        """Why nothing is known of what an input is handed."""
        if not self._is_linked(key):
            return "nothing is linked to it"
        graph, source = self.flow.graph, self.node.links[self.input(key)].node
        unread = [
            graph.nodes[number].name for number in graph.upstream([source]) if self.flow.is_unread(number)
        ]
        before = sorted(set(unread) - {graph.nodes[source].name})
        by = f" (before it, {', '.join(before[:MOST_CLASSES_NAMED])})" if before else ""
        return f"what {graph.nodes[source].name} gives it is not known{by}"

    @property
    def picture(self) -> Picture | None:
        """The picture that the node is given; None where nothing is known of it."""
        return self.handed("picture").picture

    def passed(self) -> Handed:
        """All that the node is handed: of each kind the first, or what the class says; all prompts."""
        given = {name: _of_slot(*self.flow.handed(self.node, name)) for name in self.node.links}
        found: dict[str, object] = {}
        for kind in KINDS:
            chosen = [given[self.says[kind]]] if self.says.get(kind) in given else given.values()
            found[kind] = next(
                (value for one in chosen if (value := getattr(one, kind))), getattr(NOTHING, kind)
            )
        found["texts"] = frozenset().union(*(one.texts for one in given.values()))
        return Handed(**found)  # type: ignore[arg-type]

    def _is_linked(self, key: str) -> bool:
        return self.input(key) in self.node.links

    def _source(self, key: str) -> str:
        """The node that an input is linked to, as errors call it."""
        return self.flow.graph.nodes[self.node.links[self.input(key)].node].name


def _of_slot(handed: Handed, slot: int) -> Handed:
    """What is handed on from one slot."""
    if not (handed.steps or handed.numbers):
        return handed
    own = {kind: getattr(handed, kind)[slot : slot + 1] for kind in BY_SLOT}
    return Handed(**({kind: getattr(handed, kind) for kind in KINDS} | own))
