"""A workflow as a graph: nodes that run, what they are given, and the order in which they can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final

from joulecast.errors import InputError, shown
from joulecast.records import Record

MOST_NODES: Final = 20_000
MOST_OF_A_NAME: Final = 120  # characters
_MOST_OF_A_CIRCLE: Final = 4


class Link(Record):
    """Where an input comes from: a node, and which of its outputs."""

    node: str
    slot: int


class Node(Record):
    """A node that runs.

    Attributes
    ----------
    id : its number; of a node in a subgraph those of the nodes around it before it, ``57:3``.
    class_name, title : what it is, and what its author called it; empty where that is nothing else.
    values, links : what its inputs are given, by name: a constant, or another node's output.
    """

    id: str
    class_name: str
    title: str
    values: Mapping[str, object]
    links: Mapping[str, Link]

    @property
    def name(self) -> str:
        """As errors call it: ``node 3 (KSampler)``."""
        return f"node {self.id} ({self.class_name})"


class Off(Record):
    """A node that does not run: its number, its class and why."""

    id: str
    class_name: str
    words: str


class Graph(Record):
    """The nodes of a workflow by number, and those that are switched off."""

    nodes: Mapping[str, Node]
    off: tuple[Off, ...] = ()

    def ordered(self) -> list[Node]:
        """The nodes, each after all that it is given. Raises InputError where they go in a circle."""
        sources = {node.id: {link.node for link in node.links.values()} for node in self.nodes.values()}
        try:
            return [self.nodes[number] for number in TopologicalSorter(sources).static_order()]
        except CycleError as error:
            circle = [self.nodes[number].name for number in error.args[1]]
            told = [*circle[:_MOST_OF_A_CIRCLE], *(["..."] if len(circle) > _MOST_OF_A_CIRCLE else [])]
            raise InputError(f"the links go in a circle: {', '.join(told)}; ComfyUI runs none") from None

    def upstream(self, of: Iterable[str]) -> set[str]:
        """Some nodes, and all that they are made from."""
        found: set[str] = set()
        waiting = list(of)
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += [link.node for link in self.nodes[number].links.values()]
        return found

    @property
    def ends(self) -> set[str]:
        """The nodes that no other is given."""
        given = {link.node for node in self.nodes.values() for link in node.links.values()}
        return set(self.nodes) - given


def graph_of(nodes: Mapping[str, Node], off: Iterable[Off] = ()) -> Graph:
    """A graph of nodes. Raises InputError where an input leads to a node that is not there, and where there
    are too many."""
    check_count(len(nodes))
    for node in nodes.values():
        for name, link in node.links.items():
            if link.node not in nodes:
                raise InputError(
                    f"{node.name}: its input {shown(name)} is linked to node {link.node}, which is not there"
                )
    return Graph(nodes, tuple(off))


def check_count(count: int) -> None:
    """Raise InputError for more nodes than a workflow may have."""
    if count > MOST_NODES:
        raise InputError(f"the workflow has more than {MOST_NODES:,} nodes")
