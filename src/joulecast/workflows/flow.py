"""What a workflow's nodes hand on to each other, followed once from its loaders to what it saves.

Every node hands on what it makes, by kind: a picture (an image or a latent, of which the size matters here),
a model, steps, a sampler's name, guidance, prompts, a number. What its roles make of what it is given is in
`joulecast.workflows.roles`; which class has which role, and which input says what, is a table.
"""

from __future__ import annotations

import dataclasses

from joulecast.workflows.classes import UNCOUNTED, class_of
from joulecast.workflows.given import Given
from joulecast.workflows.graph import Graph, Node
from joulecast.workflows.handed import KINDS, NOTHING, Assumed, Decoding, Handed, Picture, Sampling
from joulecast.workflows.roles import OUTPUT, ROLES, UNREAD


class Flow:
    """A graph that was followed.

    Attributes
    ----------
    graph : what was followed.
    run : numbers of the nodes that run: those something is saved of.
    samplings, decodings : what was met, in the order in which it may run.
    """

    def __init__(self, graph: Graph, assumed: Assumed) -> None:
        self.graph, self.assumed = graph, assumed
        self.samplings: list[Sampling] = []
        self.decodings: list[Decoding] = []
        self._handed: dict[str, Handed] = {}
        ordered = graph.ordered()
        self.run = graph.upstream(number for number in graph.ends if _is_an_end(graph.nodes[number]))
        for node in ordered:
            if node.id in self.run:
                self._handed[node.id] = self._follow(node)

    def _follow(self, node: Node) -> Handed:
        """What a node hands on, of a kind what the first of its roles makes.

        One that is not known hands on all but pictures and numbers, of which it may have made others.
        """
        known = class_of(node.class_name)
        given = Given(self, node, known)
        if known is None:
            return dataclasses.replace(
                given.passed(), picture=_other(given.passed().picture, node), numbers=()
            )
        found = NOTHING
        for role in known.roles:
            made = ROLES[role](given)
            found = Handed(**{kind: getattr(found, kind) or getattr(made, kind) for kind in KINDS})
        return found

    def is_unread(self, number: str) -> bool:
        """Whether a node makes something of its own of which nothing is known: a class that is not known, or
        one of which only what it hands on is."""
        known = class_of(self.graph.nodes[number].class_name)
        return known is None or UNREAD in known.roles or known.roles == (UNCOUNTED,)

    def handed(self, node: Node, name: str) -> tuple[Handed, int]:
        """What an input is handed, and from which slot."""
        link = node.links.get(name)
        return (NOTHING, 0) if link is None else (self._handed[link.node], link.slot)


def _other(picture: Picture | None, node: Node) -> Picture | None:
    """What a node that is not known makes of a picture: one of a size that is not known."""
    if picture is None:
        return None
    why = f"{node.name} is not known, nor is the size of what it makes"
    return dataclasses.replace(picture, width=None, height=None, unknown=why)


def _is_an_end(node: Node) -> bool:
    """Whether something is made that stays: by a node that saves it, or one that nobody here knows."""
    known = class_of(node.class_name)
    return known is None or OUTPUT in known.roles
