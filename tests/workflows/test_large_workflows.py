"""Large workflows of the interface are read in a time that grows with their size, not with its square."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from joulecast.workflows.graph import Graph, Link
from joulecast.workflows.ui import read_saved

NODES = 5_000
# Reading takes 0.1 to 0.3 s here; what followed every link anew, or looked through all of an instance's
# values for each node, took 8 to 17 s.
MOST_S = 3.0

Saved = dict[str, Any]


def node(number: int, kind: str = "Note", **more: object) -> Saved:
    return {"id": number, "type": kind, "inputs": [], "outputs": [], **more}


def read_quickly(saved: Saved) -> Graph:
    start = time.process_time()
    graph = read_saved(saved, "a workflow")
    assert time.process_time() - start < MOST_S
    return graph


def in_a_subgraph(definition: Saved, **instance: object) -> Saved:
    inside = {"id": "D", "name": "D", "inputNode": {"id": -10}, "outputNode": {"id": -20}, **definition}
    return {"nodes": [node(1, "D", **instance)], "links": [], "definitions": {"subgraphs": [inside]}}


def values_shown_outside() -> tuple[Saved, Callable[[Graph], bool]]:
    """An instance that sets a value of each node."""
    saved = in_a_subgraph(
        {"nodes": [node(number) for number in range(NODES)], "links": []},
        properties={"proxyWidgets": [[str(number), "text"] for number in range(NODES)]},
        widgets_values=list(range(NODES)),
    )
    return saved, lambda graph: all(graph.nodes[f"1:{n}"].values == {"text": n} for n in range(NODES))


def values_of_inputs() -> tuple[Saved, Callable[[Graph], bool]]:
    """An instance that sets an input for each node."""
    given = [{"name": "steps", "widget": {"name": "steps"}, "link": number} for number in range(NODES)]
    names = [f"i{number}" for number in range(NODES)]
    saved = in_a_subgraph(
        {
            "nodes": [node(number, inputs=[given[number]]) for number in range(NODES)],
            "links": [[number, -10, number, number, 0, "INT"] for number in range(NODES)],
            "inputs": [{"name": name} for name in names],
        },
        inputs=[{"name": name, "widget": {"name": name}, "link": None} for name in names],
        widgets_values=list(range(NODES)),
    )
    return saved, lambda graph: all(graph.nodes[f"1:{n}"].values == {"steps": n} for n in range(NODES))


def a_long_way() -> tuple[Saved, Callable[[Graph], bool]]:
    """Nodes that are bypassed in a row, and as many that are given what comes out of the last."""
    ways = range(1, NODES)
    readers = range(NODES, 2 * NODES)
    a = {"name": "a", "type": "A"}
    off = [node(n, mode=4, inputs=[{**a, "link": n}], outputs=[{"type": "A"}]) for n in ways]
    saved = {
        "nodes": [
            node(0, outputs=[{"type": "A"}]),
            *off,
            *(node(n, inputs=[{**a, "link": n}]) for n in readers),
        ],
        "links": [
            *([n, n - 1, 0, n, 0, "A"] for n in ways),
            *([n, NODES - 1, 0, n, 0, "A"] for n in readers),
        ],
    }
    return saved, lambda graph: all(graph.nodes[str(n)].links == {"a": Link("0", 0)} for n in readers)


def a_node_of_many_inputs() -> tuple[Saved, Callable[[Graph], bool]]:
    """A node that is bypassed, of whose inputs the last is of the type that all outputs have."""
    readers = range(2, 2 + NODES)
    inputs = [{"name": f"b{n}", "type": "B", "link": 0} for n in range(NODES)]
    off = node(1, mode=4, inputs=[*inputs, {"name": "a", "type": "A", "link": 1}])
    off["outputs"] = [{"type": "A"} for _ in readers]
    read = [node(n, inputs=[{"name": "a", "type": "A", "link": n}]) for n in readers]
    links = [[0, 0, 0, 1, 0, "B"], [1, 0, 1, 1, NODES, "A"], *([n, 1, n - 2, n, 0, "A"] for n in readers)]
    saved = {"nodes": [node(0), off, *read], "links": links}
    return saved, lambda graph: all(graph.nodes[str(n)].links == {"a": Link("0", 1)} for n in readers)


@pytest.mark.parametrize(
    "made",
    [values_shown_outside, values_of_inputs, a_long_way, a_node_of_many_inputs],
    ids=lambda it: it.__name__,
)
def test_five_thousand_nodes_are_read_at_once(
    made: Callable[[], tuple[Saved, Callable[[Graph], bool]]],
) -> None:
    saved, is_as_made = made()
    assert is_as_made(read_quickly(saved))
