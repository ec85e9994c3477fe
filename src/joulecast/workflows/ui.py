"""Workflows as ComfyUI's interface saves them, as the graph that it would send to the server.

Nodes keep values without names, links are a table, subgraphs are written once and used by instances, and
nodes may be muted or bypassed: all of that is undone here, as the interface does when a workflow is queued.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from joulecast.errors import InputError, as_name, one_line
from joulecast.records import Record
from joulecast.workflows.classes import CONTROL, class_of
from joulecast.workflows.fields import (
    BYPASSED,
    MUTED,
    Raw,
    at,
    first_of,
    links_of,
    mode_of,
    number_of,
    object_of,
    objects_of,
    type_of,
)
from joulecast.workflows.graph import (
    MOST_OF_A_NAME,
    Graph,
    Link,
    Node,
    Off,
    check_count,
    graph_of,
)

FROM_OUTSIDE: Final = ""  # of a link that comes into a subgraph
OF_THE_SUBGRAPH: Final = "-1"  # in place of a node, of a value that an instance sets of its own input
ENDS_OF_A_SUBGRAPH: Final = {"inputNode": -10, "outputNode": -20}  # their usual numbers
BETWEEN: Final = ":"  # the number of an instance and that of a node in it
SET, GET = "SetNode", "GetNode"  # links without a line, by name (KJNodes)
MOST_DEEP: Final = 32  # subgraphs within each other
_SEEDS: Final = ("seed", "noise_seed")
_AFTER_SEED: Final = ("fixed", "increment", "decrement", "randomize")


class Instance(Record):
    """What an instance of a subgraph gives it: `links` and `values` by the name of its own input, `shown`
    values of nodes in it, by node and widget."""

    links: Mapping[str, object]
    values: Mapping[str, object]
    shown: Mapping[str, Mapping[str, object]]


class Level(Record):
    """The nodes of the workflow, or of one instance of a subgraph.

    `links` are by number: the node and slot each comes from; `ends` are links that leave it, by slot, `named`
    those of SetNodes, by name. `inputs` are names of what it is given, by slot; `outer`, `instance` and
    `given` are where it is used, and what it is given there.
    """

    nodes: Mapping[str, Raw]
    links: Mapping[int, tuple[str, int]]
    ends: Mapping[int, int]
    named: Mapping[str, object]
    inputs: Sequence[str] = ()
    prefix: str = ""
    outer: Level | None = None
    instance: str = ""
    given: Instance | None = None

    __repr__ = object.__repr__


class Constant(Record):
    """A value in place of a link."""

    value: object


Place = tuple[str, str, int]  # an output: of a level, by its prefix, a node and a slot
Source = Link | Constant | None


def is_saved_by_the_interface(value: Raw) -> bool:
    """Whether a workflow has a list of nodes."""
    return isinstance(value.get("nodes"), list)


def read_saved(value: Raw, what: str) -> Graph:
    """The graph that would be queued. Raises FileFormatError and InputError for one that cannot be."""
    return _Saved(value, what).graph()


class _Saved:
    """A saved workflow, its subgraphs by their names, and the instances of them that were met."""

    def __init__(self, value: Raw, what: str) -> None:
        self.what = what
        self.definitions = {
            str(one.get("id")): one
            for one in objects_of(
                object_of(value.get("definitions"), "definitions").get("subgraphs"), "subgraphs"
            )
        }
        self.inside: dict[tuple[str, str], Level] = {}
        self.known: dict[Place, Source] = {}  # what outputs bring that were followed
        self._read: dict[int, Level] = {}  # definitions, by where they are in memory
        self._given: dict[int, Instance] = {}  # instances, likewise
        self._around: dict[int, Mapping[str, object]] = {}  # of nodes that are bypassed, likewise
        self.count = 0
        self.off: list[Off] = []
        self.levels: list[Level] = []
        self._expand(_level(value, is_inside=False), 0)

    def graph(self) -> Graph:
        """All nodes that run, links between them resolved."""
        found = {}
        for level in self.levels:
            for number, raw in level.nodes.items():
                if mode_of(raw) == 0 and not self._is_instance(raw) and type_of(raw) not in (SET, GET):
                    node = self._node(level, number, raw)
                    found[node.id] = node
        return graph_of(found, self.off)

    def _expand(self, level: Level, depth: int) -> None:
        """Take in a level and the instances in it, whose own are taken in after it."""
        waiting = [(level, depth)]
        while waiting:
            level, depth = waiting.pop()
            if depth > MOST_DEEP:
                raise InputError(f"{self.what}: subgraphs lie more than {MOST_DEEP} deep within each other")
            self.levels.append(level)
            self.count += len(level.nodes)
            check_count(self.count)
            for number, raw in level.nodes.items():
                if mode_of(raw) in (MUTED, BYPASSED):
                    words = "muted" if mode_of(raw) == MUTED else "bypassed"
                    self.off.append(Off(level.prefix + number, self._shown_type(raw), words))
                elif self._is_instance(raw):
                    definition = self.definitions[type_of(raw)]
                    inner = self._inner(definition, level, number)
                    self.inside[level.prefix, number] = inner
                    waiting.append((inner, depth + 1))

    def _inner(self, definition: Raw, outer: Level, number: str) -> Level:
        """The level of an instance of a subgraph, whose definition and itself are read once."""
        here, raw = id(definition), outer.nodes[number]
        if here not in self._read:
            self._read[here] = _level(definition, is_inside=True)
        if id(raw) not in self._given:
            self._given[id(raw)] = _instance(raw)
        return dataclasses.replace(
            self._read[here],
            prefix=f"{outer.prefix}{number}{BETWEEN}",
            outer=outer,
            instance=number,
            given=self._given[id(raw)],
        )

    def _is_instance(self, raw: Raw) -> bool:
        return type_of(raw) in self.definitions

    def _shown_type(self, raw: Raw) -> str:
        definition = self.definitions.get(type_of(raw))
        name = definition.get("name") if definition else type_of(raw)
        return as_name(str(name), MOST_OF_A_NAME)

    def _node(self, level: Level, number: str, raw: Raw) -> Node:
        shown_outside = level.given.shown.get(number, {}) if level.given else {}
        values: dict[str, object] = {**self._values(raw), **shown_outside}
        links: dict[str, Link] = {}
        for place, entry in enumerate(objects_of(raw.get("inputs"), f"inputs of node {number}")):
            if entry.get("link") is None:
                continue
            name = str(entry.get("name", place))
            source = self._source(level, number_of(entry["link"], f"a link of node {number}"))
            if isinstance(source, Link):
                links[name] = source
                values.pop(name, None)
            elif source is not None:
                values[name] = source.value
        title = raw.get("title")
        return Node(
            id=level.prefix + number,
            class_name=one_line(type_of(raw), f"the type of node {number}", MOST_OF_A_NAME),
            title=title.strip() if isinstance(title, str) and title.strip().isprintable() else "",
            values=values,
            links=links,
        )

    def _source(self, level: Level, link: int) -> Source:
        """What a link brings: a node's output that runs, a constant, or nothing, of a node that is muted.

        What is met on the way is known from then on.
        """
        met: dict[Place, None] = {}
        while True:
            if link not in level.links:
                raise InputError(
                    f"{self.what}: link {link} is not there; is the workflow cut, or of another version?"
                )
            place = (level.prefix, *level.links[link])
            if place in met:
                raise InputError(f"{self.what}: the links go in a circle at node {''.join(place[:2])}")
            met[place] = None
            following = self.known[place] if place in self.known else self._behind(level, link)
            if not isinstance(following, tuple):
                self.known.update(dict.fromkeys(met, following))
                return following
            level, link = following

    def _behind(self, level: Level, link: int) -> tuple[Level, int] | Source:
        """What is behind a link: the one that goes on from there, or what it brings."""
        number, slot = level.links[link]
        if number == FROM_OUTSIDE:
            return _from_outside(level, slot)
        raw = level.nodes.get(number)
        if raw is None:
            raise InputError(f"{self.what}: link {link} leads to node {number}, which is not there")
        following = self._going_on(level, number, raw, slot)
        if following is None and mode_of(raw) != MUTED and not self._goes_on(raw):
            return Link(level.prefix + number, slot)
        return following

    def _goes_on(self, raw: Raw) -> bool:
        """Whether a node is only a way to another."""
        return mode_of(raw) == BYPASSED or self._is_instance(raw) or type_of(raw) == GET

    def _going_on(self, level: Level, number: str, raw: Raw, slot: int) -> tuple[Level, int] | None:
        """The link behind a node that is only a way to another; None behind one that runs, or nothing."""
        if mode_of(raw) == BYPASSED:
            if id(raw) not in self._around:
                self._around[id(raw)] = _links_by_type(raw)
            link = _bypass(raw, slot, self._around[id(raw)])
            return None if link is None else (level, link)
        if mode_of(raw) == 0 and self._is_instance(raw):
            inner = self.inside[level.prefix, number]
            return (inner, inner.ends[slot]) if slot in inner.ends else None
        if mode_of(raw) == 0 and type_of(raw) == GET:
            name = first_of(raw.get("widgets_values"))
            named = level.named.get(name) if isinstance(name, str) else None
            return None if named is None else (level, number_of(named, "a link of a SetNode"))
        return None

    def _values(self, raw: Raw) -> dict[str, object]:
        """A node's values by name: as it names them itself, or by what is known of its class."""
        given = raw.get("widgets_values")
        if isinstance(given, dict):
            return {str(name): value for name, value in given.items()}
        values = given if isinstance(given, list) else []
        own = list(_own_names(raw, values))
        if len(own) == len(values) and own:
            return dict(zip(own, values, strict=True))
        known = class_of(type_of(raw))
        return dict(zip(known.widgets if known else (), values, strict=False))


def _level(value: Raw, is_inside: bool) -> Level:
    """The nodes and links of the workflow, or of the definition of a subgraph."""
    listed = objects_of(value.get("nodes"), "nodes")
    check_count(len(listed))
    into, out = (
        str(object_of(value.get(key), key).get("id", own)) for key, own in ENDS_OF_A_SUBGRAPH.items()
    )
    links: dict[int, tuple[str, int]] = {}
    ends: dict[int, int] = {}
    for number, source, slot, target, target_slot in links_of(value.get("links")):
        links[number] = (FROM_OUTSIDE if is_inside and source == into else source, slot)
        if is_inside and target == out:
            ends[target_slot] = number
    return Level(
        nodes={as_name(str(raw.get("id"))): raw for raw in listed},
        links=links,
        ends=ends,
        named={
            name: at(raw.get("inputs"), 0).get("link")
            for raw in listed
            if type_of(raw) == SET and isinstance(name := first_of(raw.get("widgets_values")), str)
        },
        inputs=[str(one.get("name")) for one in objects_of(value.get("inputs"), "inputs")]
        if is_inside
        else [],
    )


def _instance(raw: Raw) -> Instance:
    """What an instance gives its subgraph, of which an input that has a widget need not be there."""
    shown_there: dict[str, dict[str, object]] = {}
    for node, name, value in _proxies(raw):
        shown_there.setdefault(node, {})[name] = value
    inputs = objects_of(raw.get("inputs"), "inputs")
    widgets, given = [one for one in inputs if one.get("widget")], raw.get("widgets_values")
    if not isinstance(given, list) or len(given) != len(widgets):
        widgets, given = [], []
    values = {id(one): value for one, value in zip(widgets, given, strict=True)}
    named = {
        str(one["name"]): one
        for one in reversed(inputs)  # of two of a name the first
        if isinstance(one.get("name"), str)
    }
    return Instance(
        links={name: one.get("link") for name, one in named.items()},
        values={name: values.get(id(one)) for name, one in named.items()}
        | shown_there.get(OF_THE_SUBGRAPH, {}),
        shown=shown_there,
    )


def _proxies(instance: Raw) -> Iterator[tuple[str, str, object]]:
    """Values that an instance of a subgraph shows and are set: the node in it, the widget, the value."""
    pairs = object_of(instance.get("properties"), "properties").get("proxyWidgets")
    values = instance.get("widgets_values")
    if not isinstance(pairs, list) or not isinstance(values, list) or len(values) != len(pairs):
        return
    for pair, value in zip(pairs, values, strict=True):
        if isinstance(pair, list) and len(pair) >= 2 and value is not None:
            yield str(pair[0]), str(pair[1]), value


def _from_outside(level: Level, slot: int) -> tuple[Level, int] | Constant | None:
    """What a level is given: by a link outside, or the value that its instance sets; None of neither."""
    if level.outer is None or level.given is None:
        return None
    name = level.inputs[slot] if slot < len(level.inputs) else ""
    link = level.given.links.get(name)
    if link is not None:
        return level.outer, number_of(link, f"a link of node {level.instance}")
    value = level.given.values.get(name)
    return None if value is None else Constant(value)


def _own_names(raw: Raw, values: Sequence[object]) -> Iterator[str]:
    """Names of a node's widgets by its inputs, and of what follows a seed, which no input has."""
    place = 0
    for entry in objects_of(raw.get("inputs"), "inputs"):
        if isinstance(entry.get("widget"), dict):
            name = str(entry["widget"].get("name"))
            yield name
            place += 1
            if name in _SEEDS and place < len(values) and values[place] in _AFTER_SEED:
                yield CONTROL
                place += 1


def _bypass(raw: Raw, slot: int, by_type: Mapping[str, object]) -> int | None:
    """The link that goes around a node: of the input of the output's type, that of the same place first."""
    wanted, own = at(raw.get("outputs"), slot).get("type"), at(raw.get("inputs"), slot)
    is_own = own.get("type") == wanted and own.get("link") is not None
    link = own["link"] if is_own else by_type.get(repr(wanted))
    return None if link is None else number_of(link, "a link")


def _links_by_type(raw: Raw) -> dict[str, object]:
    """The first link into a node of each type."""
    entries = [one for one in objects_of(raw.get("inputs"), "inputs") if one.get("link") is not None]
    return {repr(one.get("type")): one["link"] for one in reversed(entries)}
