"""Workflows as ComfyUI's interface saves them, as the graph that it would send to the server.

Nodes keep values without names, links are a table, subgraphs are written once and used by instances, and
nodes may be muted or bypassed: all of that is undone here, as the interface does when a workflow is queued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from joulecast.errors import FileFormatError, InputError, as_name, one_line, shown
from joulecast.records import Record
from joulecast.workflows.classes import CONTROL, class_of
from joulecast.workflows.graph import (
    MOST_NODES,
    MOST_OF_A_NAME,
    Graph,
    Link,
    Node,
    Off,
    check_count,
    graph_of,
)

MUTED, BYPASSED = 2, 4
FROM_OUTSIDE: Final = ""  # of a link that comes into a subgraph
OF_THE_SUBGRAPH: Final = "-1"  # in place of a node, of a value that an instance sets of its own input
ENDS_OF_A_SUBGRAPH: Final = {"inputNode": -10, "outputNode": -20}  # their usual numbers
BETWEEN: Final = ":"  # the number of an instance and that of a node in it
SET, GET = "SetNode", "GetNode"  # links without a line, by name (KJNodes)
MOST_DEEP: Final = 32  # subgraphs within each other
_SEEDS: Final = ("seed", "noise_seed")
_AFTER_SEED: Final = ("fixed", "increment", "decrement", "randomize")

Raw = Mapping[str, Any]


class Level(Record):
    """The nodes of the workflow, or of one instance of a subgraph.

    `links` are by number: the node and slot each comes from; `ends` are links that leave it, by slot, `named`
    those of SetNodes, by name. `inputs` are names of what it is given, by slot; `outer` and `instance` are
    where it is used.
    """

    prefix: str
    nodes: Mapping[str, Raw]
    links: Mapping[int, tuple[str, int]]
    ends: Mapping[int, int]
    named: Mapping[str, object]
    inputs: Sequence[str] = ()
    outer: Level | None = None
    instance: str = ""

    __repr__ = object.__repr__


class Constant(Record):
    """A value in place of a link."""

    value: object


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
            for one in _objects(
                _object(value.get("definitions"), "definitions").get("subgraphs"), "subgraphs"
            )
        }
        self.inside: dict[tuple[str, str], Level] = {}
        self.count = 0
        self.off: list[Off] = []
        self.levels: list[Level] = []
        self._expand(self._level(value, "", None, ""), 0)

    def graph(self) -> Graph:
        """All nodes that run, links between them resolved."""
        found = {}
        for level in self.levels:
            for number, raw in level.nodes.items():
                if _mode(raw) == 0 and not self._is_instance(raw) and _type(raw) not in (SET, GET):
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
                if _mode(raw) in (MUTED, BYPASSED):
                    words = "muted" if _mode(raw) == MUTED else "bypassed"
                    self.off.append(Off(level.prefix + number, self._shown_type(raw), words))
                elif self._is_instance(raw):
                    definition = self.definitions[_type(raw)]
                    inner = self._level(definition, f"{level.prefix}{number}{BETWEEN}", level, number)
                    self.inside[level.prefix, number] = inner
                    waiting.append((inner, depth + 1))

    def _level(self, value: Raw, prefix: str, outer: Level | None, instance: str) -> Level:
        listed = _objects(value.get("nodes"), "nodes")
        check_count(len(listed))
        nodes = {as_name(str(raw.get("id"))): raw for raw in listed}
        into, out = (
            str(_object(value.get(key), key).get("id", own)) for key, own in ENDS_OF_A_SUBGRAPH.items()
        )
        links: dict[int, tuple[str, int]] = {}
        ends: dict[int, int] = {}
        for number, source, slot, target, target_slot in _links(value.get("links")):
            links[number] = (FROM_OUTSIDE if outer is not None and source == into else source, slot)
            if outer is not None and target == out:
                ends[target_slot] = number
        named = {
            name: _at(raw.get("inputs"), 0).get("link")
            for raw in listed
            if _type(raw) == SET and isinstance(name := _first(raw.get("widgets_values")), str)
        }
        inputs = [str(one.get("name")) for one in _objects(value.get("inputs"), "inputs")] if outer else []
        return Level(prefix, nodes, links, ends, named, inputs, outer, instance)

    def _is_instance(self, raw: Raw) -> bool:
        return _type(raw) in self.definitions

    def _shown_type(self, raw: Raw) -> str:
        definition = self.definitions.get(_type(raw))
        name = definition.get("name") if definition else _type(raw)
        return as_name(str(name), MOST_OF_A_NAME)

    def _node(self, level: Level, number: str, raw: Raw) -> Node:
        values: dict[str, object] = dict(self._values(raw) | self._promoted(level, number))
        links: dict[str, Link] = {}
        for place, entry in enumerate(_objects(raw.get("inputs"), f"inputs of node {number}")):
            if entry.get("link") is None:
                continue
            name = str(entry.get("name", place))
            source = self._source(level, _number(entry["link"], f"a link of node {number}"))
            if isinstance(source, Link):
                links[name] = source
                values.pop(name, None)
            elif source is not None:
                values[name] = source.value
        title = raw.get("title")
        return Node(
            id=level.prefix + number,
            class_name=one_line(_type(raw), f"the type of node {number}", MOST_OF_A_NAME),
            title=title.strip() if isinstance(title, str) and title.strip().isprintable() else "",
            values=values,
            links=links,
        )

    def _source(self, level: Level, link: int) -> Link | Constant | None:
        """What a link brings: a node's output that runs, a constant, or nothing, of a node that is muted."""
        for _ in range(MOST_NODES):
            if link not in level.links:
                raise InputError(
                    f"{self.what}: link {link} is not there; is the workflow cut, or of another version?"
                )
            number, slot = level.links[link]
            if number == FROM_OUTSIDE:
                outer, instance = level.outer, level.instance
                if outer is None:
                    return None
                name = level.inputs[slot] if slot < len(level.inputs) else ""
                entry = _input(outer.nodes[instance], name)
                if entry.get("link") is None:
                    return _set_by(outer.nodes[instance], name)
                level, link = outer, _number(entry["link"], f"a link of node {instance}")
                continue
            raw = level.nodes.get(number)
            if raw is None:
                raise InputError(f"{self.what}: link {link} leads to node {number}, which is not there")
            following = self._behind(level, number, raw, slot)
            if following is None:
                return (
                    None if _mode(raw) == MUTED or self._goes_on(raw) else Link(level.prefix + number, slot)
                )
            level, link = following
        raise InputError(f"{self.what}: the links go in a circle at node {level.prefix}{number}")

    def _goes_on(self, raw: Raw) -> bool:
        """Whether a node is only a way to another."""
        return _mode(raw) == BYPASSED or self._is_instance(raw) or _type(raw) == GET

    def _behind(self, level: Level, number: str, raw: Raw, slot: int) -> tuple[Level, int] | None:
        """The link behind a node that is only a way to another; None behind one that runs, or nothing."""
        if _mode(raw) == BYPASSED:
            link = _bypass(raw, slot)
            return None if link is None else (level, link)
        if _mode(raw) == 0 and self._is_instance(raw):
            inner = self.inside[level.prefix, number]
            return (inner, inner.ends[slot]) if slot in inner.ends else None
        if _mode(raw) == 0 and _type(raw) == GET:
            name = _first(raw.get("widgets_values"))
            named = level.named.get(name) if isinstance(name, str) else None
            return None if named is None else (level, _number(named, "a link of a SetNode"))
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
        known = class_of(_type(raw))
        return dict(zip(known.widgets if known else (), values, strict=False))

    @staticmethod
    def _promoted(level: Level, number: str) -> dict[str, object]:
        """Values that the instance of a subgraph shows in place of a node's own."""
        if level.outer is None:
            return {}
        shown_there = _proxies(level.outer.nodes[level.instance])
        return {name: value for (node, name), value in shown_there.items() if node == number}


def _proxies(instance: Raw) -> dict[tuple[str, str], object]:
    """Values that an instance of a subgraph shows and are set, by the node in it and the widget's name."""
    pairs = _object(instance.get("properties"), "properties").get("proxyWidgets")
    values = instance.get("widgets_values")
    if not isinstance(pairs, list) or not isinstance(values, list) or len(values) != len(pairs):
        return {}
    return {
        (str(pair[0]), str(pair[1])): value
        for pair, value in zip(pairs, values, strict=True)
        if isinstance(pair, list) and len(pair) >= 2 and value is not None
    }


def _input(instance: Raw, name: str) -> Raw:
    """An input of an instance by its name: those that have widgets need not be there."""
    return next((one for one in _objects(instance.get("inputs"), "inputs") if one.get("name") == name), {})


def _set_by(instance: Raw, name: str) -> Constant | None:
    """What an instance sets its own input to, whose widget it shows; None where that is not said."""
    value = _proxies(instance).get((OF_THE_SUBGRAPH, name))
    widgets = [one for one in _objects(instance.get("inputs"), "inputs") if one.get("widget")]
    values, entry = instance.get("widgets_values"), _input(instance, name)
    if value is None and entry in widgets and isinstance(values, list) and len(values) == len(widgets):
        value = values[widgets.index(entry)]
    return None if value is None else Constant(value)


# --- what is in the file ---------------------------------------------------------------------------


def _own_names(raw: Raw, values: Sequence[object]) -> Iterator[str]:
    """Names of a node's widgets by its inputs, and of what follows a seed, which no input has."""
    place = 0
    for entry in _objects(raw.get("inputs"), "inputs"):
        if isinstance(entry.get("widget"), dict):
            name = str(entry["widget"].get("name"))
            yield name
            place += 1
            if name in _SEEDS and place < len(values) and values[place] in _AFTER_SEED:
                yield CONTROL
                place += 1


def _bypass(raw: Raw, slot: int) -> int | None:
    """The link that goes around a node: of the input of the output's type, that of the same place first."""
    wanted = _at(raw.get("outputs"), slot).get("type")
    inputs = _objects(raw.get("inputs"), "inputs")
    order = [*inputs[slot : slot + 1], *inputs]
    link = next(
        (one["link"] for one in order if one.get("type") == wanted and one.get("link") is not None), None
    )
    return None if link is None else _number(link, "a link")


def _links(value: object) -> Iterator[tuple[int, str, int, str, int]]:
    """Links as rows or as objects: number, node and slot they come from, node and slot they lead to."""
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            cells = [one.get(key) for key in keys]
        elif isinstance(one, list) and len(one) >= 5:
            cells = one[:5]
        else:
            raise FileFormatError(f"a link is {shown(one)}; expected its number and what it connects")
        number, source, slot, target, target_slot = cells
        yield (
            _number(number, "the number of a link"),
            as_name(str(source)),
            _number(slot, "the slot of a link"),
            as_name(str(target)),
            _number(target_slot, "the slot of a link"),
        )


def _number(value: object, what: str) -> int:
    if type(value) is int and value >= 0:
        return value
    raise FileFormatError(f"{what} is {shown(value)}; expected a whole number")


def _type(raw: Raw) -> str:
    found = raw.get("type")
    if not isinstance(found, str):
        raise FileFormatError(f"node {shown(raw.get('id'))} has the type {shown(found)}; expected a name")
    return found


def _mode(raw: Raw) -> int:
    """0 of a node that runs, MUTED or BYPASSED."""
    found = raw.get("mode", 0)
    return found if found in (MUTED, BYPASSED) and type(found) is int else 0


def _object(value: object, what: str) -> Raw:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FileFormatError(f"{what} is {shown(value)}; expected an object")
    return value


def _objects(value: object, what: str) -> list[Raw]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise FileFormatError(f"{what} is {shown(value)}; expected a list of objects")
    return value


def _at(value: object, place: int) -> Raw:
    """An object of a list by its place; an empty one where there is none."""
    found = value[place] if isinstance(value, list) and place < len(value) else {}
    return found if isinstance(found, dict) else {}


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None
