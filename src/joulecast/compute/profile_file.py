"""Profile files: a compute profile as JSON, with a checksum over its content.

Layout (version 3): the fields of `ComputeProfile`; each component carries its `calls` (the fields of
`CallGroup`, by mode: ``1`` or ``2`` denoiser passes in a step, ``1 negative`` or ``2 negative`` where a
negative prompt makes other calls), the index of its operator tables by precision, and the tables.
Version 1 had ``per_image`` in place of a call's ``images``. A component's ``memory``, which files from
before it was traced lack, has by precision the bytes of its `weights`, of these as it is `called`, and the
index of its ``peaks``: for each condition what may be the most alive at an operator, the same without the
scratch that a library may leave out, and what is held, each a list of ``[monomial index, coefficient]``.
Its ``linears`` are the layers that a LoRA adapts: ``[inputs, outputs, count, rows]``, the rows a list of
``[monomial, coefficient]``, and when their input is copied, if ever: ``several`` or ``always``.
An operator row is ``[name, family, dtype, head_dim, launches, flop, bytes_read, bytes_written]``; each cost
is a list of ``[monomial index, coefficient]``, as the launches are where they rise with the workload: from
version 3 on, in which `frames` are the pipeline's rule for videos. 1 multiply-accumulate is 2 FLOP.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from joulecast import data
from joulecast.architecture.workload import LIMITS, PRECISIONS
from joulecast.compute.operators import (
    COPIED,
    IMAGES,
    MEMORY,
    NEVER,
    ROLES,
    Array,
    CallGroup,
    Component,
    LinearLayers,
    OperatorTable,
    mode_of,
)
from joulecast.compute.peak_file import decode_memory, encode_memory
from joulecast.compute.polynomial import ONE, parse_condition, parse_monomial
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import (
    OFF_GRID,
    ONLY,
    STRENGTHS,
    TRUE_CFG,
    WHOLE_STEPS,
    Defaults,
    FrameRule,
    GuidanceRule,
    ImageRule,
    SizeRule,
    TextRule,
)
from joulecast.errors import FileFormatError, shown
from joulecast.files import signed_json
from joulecast.files.paths import shown_path

VERSION = 3
READ_VERSIONS = (2, VERSION)
FAMILIES = ("gemm", "convolution", "attention", MEMORY)
MODES: Mapping[int, str] = {
    mode_of(passes, negative): f"{passes} negative" if negative else str(passes)
    for negative in (False, True)
    for passes in (1, 2)
}
FRAME_RATES = (0.1, 1000.0)  # frames a second
FLOP_CONVENTION = "1 multiply-accumulate = 2 FLOP"


def write_profile(profile: ComputeProfile, path: Path) -> None:
    """Write a profile file; a half-written file is never left in its place."""
    signed_json.write(encode_profile(profile), "profile", VERSION, path, _layout)


def read_profile(path: Path) -> ComputeProfile:
    """Read a profile file.

    Raises
    ------
    FileFormatError
        The file is missing, truncated, edited, of another version, no profile, or of what cannot be.
    """
    return checked_profile(signed_json.read_bytes(path, "profile"), shown_path(path), origin=str(path))


def checked_profile(content: bytes, where: str, origin: str) -> ComputeProfile:
    """A profile from the bytes of a stranger's file; errors as of `read_profile`."""
    from joulecast.compute.profile_meaning import check_profile  # packaged profiles need it not

    profile = parse_profile(content, where, origin)
    with signed_json.understanding(where, "profile"):
        check_profile(profile)
    return profile


def parse_profile(content_bytes: bytes, where: str, origin: str) -> ComputeProfile:
    """A profile from the bytes of its file; see `read_profile`."""
    return _decoded(signed_json.parse(content_bytes, where, "profile", *READ_VERSIONS), where, origin)


def _decoded(content: dict[str, Any], where: str, origin: str) -> ComputeProfile:
    """A profile from the content of its file, of any version that is read."""
    with signed_json.understanding(where, "profile"):
        if content["version"] < VERSION:
            content.setdefault("frames", None)
            content.setdefault("images", {"arguments": [], "strength": ""})
        return decode_profile(content, origin)


def has_profile(name: str) -> bool:
    """Whether a profile of a catalogue model is packaged; a model just added has none yet."""
    return data.is_there(f"profiles/{name}.json")


@cache
def packaged_profile(name: str) -> ComputeProfile:
    """The packaged profile of a catalogue model, by its exact name.

    Raises
    ------
    FileFormatError
        There is none, or its file is damaged.
    """
    where = f"profiles/{name}.json"
    if not has_profile(name):
        raise FileFormatError(f"no profile of {name}: python tools/make_profiles.py {name}")
    return _decoded(data.read_json(where), where, origin="catalogue")


def encode_profile(profile: ComputeProfile) -> dict[str, Any]:
    """The JSON content of a profile, without its format, version and checksum."""
    return {
        "flop_convention": FLOP_CONVENTION,
        "name": profile.name,
        "hub_id": profile.hub_id,
        **({} if profile.revision is None else {"revision": profile.revision}),
        "pipeline": profile.pipeline,
        "made_with": dict(profile.made_with),
        "notes": list(profile.notes),
        "defaults": dataclasses.asdict(profile.defaults),
        "size": dataclasses.asdict(profile.size),
        "frames": None if profile.frames is None else dataclasses.asdict(profile.frames),
        "images": {
            key: value for key, value in dataclasses.asdict(profile.images).items() if value is not None
        },
        "text": dataclasses.asdict(profile.text),
        "guidance": dataclasses.asdict(profile.guidance),
        "call_exceptions": {str(steps): surplus for steps, surplus in profile.call_exceptions.items()},
        "components": [_encode_component(component) for component in profile.components],
    }


def decode_profile(content: Mapping[str, Any], origin: str) -> ComputeProfile:
    """The inverse of `encode_profile`; structural errors surface as built-in exceptions."""
    size = dict(content["size"])
    size["bins"] = tuple((float(r), int(h), int(w)) for r, h, w in size["bins"])
    size["native"] = None if size["native"] is None else tuple(size["native"])
    defaults = dict(content["defaults"])
    if content["guidance"]["parameter"] == TRUE_CFG:  # of a file from before there were two scales
        defaults.setdefault(TRUE_CFG, defaults["guidance"])
    profile = ComputeProfile(
        name=_text(content["name"]),
        hub_id=content["hub_id"],
        revision=content.get("revision"),
        pipeline=content["pipeline"],
        made_with=content["made_with"],
        notes=tuple(content["notes"]),
        defaults=_record(Defaults, defaults),
        size=_record(SizeRule, size),
        text=_record(TextRule, content["text"]),
        images=_decode_images(content["images"]),
        frames=None if content["frames"] is None else _record(FrameRule, content["frames"]),
        guidance=_record(GuidanceRule, content["guidance"]),
        call_exceptions={int(steps): int(surplus) for steps, surplus in content["call_exceptions"].items()},
        components=tuple(_decode_component(part) for part in content["components"]),
        origin=origin,
    )
    if not profile.components or profile.size.unit < 1:
        raise ValueError("no components, or no size unit")
    for rule, ways in ((profile.size, (*OFF_GRID, ONLY)), (profile.frames, (*OFF_GRID, WHOLE_STEPS))):
        if rule is not None and rule.off_grid not in ways:
            raise ValueError(f"off_grid {shown(rule.off_grid)}")
    _check_frames(profile)
    return profile


def _decode_images(values: Mapping[str, Any]) -> ImageRule:
    if values["strength"] not in STRENGTHS:
        raise ValueError(f"strength {shown(values['strength'])}")
    arguments = tuple(map(_text, values["arguments"]))
    rule: ImageRule = _record(ImageRule, {**values, "arguments": arguments})
    return rule


def _check_frames(profile: ComputeProfile) -> None:
    """ValueError for numbers of frames that nobody can ask for, or a rate that is none."""
    rule, rate = profile.frames, profile.defaults.frame_rate
    counts = [profile.defaults.frames, *([] if rule is None else [rule.step, rule.first])]
    least, most = LIMITS["frames"]
    if not all(least <= count <= most for count in counts):
        raise ValueError(f"frames, the first of them or their step is not from {least} to {most}")
    slowest, fastest = FRAME_RATES
    if rate is not None and not slowest <= rate <= fastest:
        raise ValueError(f"frame_rate {shown(rate)} is not from {slowest:g} to {fastest:g}")


def _encode_component(component: Component) -> dict[str, Any]:
    tables: list[tuple[OperatorTable, ...]] = []
    index = {}
    for precision, table in component.tables.items():
        if not any(table is known for known in tables):
            tables.append(table)
        index[precision] = next(i for i, known in enumerate(tables) if known is table)
    encoded = {
        "name": component.name,
        "class": component.class_name,
        "role": component.role,
        "parameters": component.parameters,
        "calls": {
            MODES[mode]: [dataclasses.asdict(g) for g in groups] for mode, groups in component.calls.items()
        },
        "tables_by_precision": index,
        "tables": [[_encode_table(variant) for variant in table] for table in tables],
    }
    memory = {"memory": encode_memory(component.memory)} if component.memory else {}
    linears = {"linears": [_encode_linears(some) for some in component.linears]} if component.linears else {}
    return encoded | memory | linears


def _encode_linears(some: LinearLayers) -> list[Any]:
    rows = [[monomial, _number(coefficient)] for monomial, coefficient in some.rows]
    copied = [] if some.copied == NEVER else [some.copied]
    return [some.inputs, some.outputs, some.count, rows, *copied]


def _decode_linears(values: Sequence[Any]) -> LinearLayers:
    inputs, outputs, count, rows, *copied = values
    if len(copied) > 1 or not set(copied) <= set(COPIED):
        raise ValueError(f"linear layers copied {shown(copied)}")
    for size in (inputs, outputs, count):
        if type(size) is not int or size < 1:
            raise ValueError(f"linear layers of {shown(size)}")
    for monomial, _ in rows:
        parse_monomial(monomial)
    found = tuple((str(monomial), float(coefficient)) for monomial, coefficient in rows)
    if not found or not all(math.isfinite(coefficient) for _, coefficient in found):
        raise ValueError("linear layers without rows")
    return LinearLayers(inputs, outputs, count, found, *copied)


def _decode_component(part: Mapping[str, Any]) -> Component:
    if part["role"] not in ROLES:
        raise ValueError(f"role {part['role']!r}")
    tables = [tuple(_decode_table(variant) for variant in table) for table in part["tables"]]
    chosen = part["tables_by_precision"]
    if set(chosen) != set(PRECISIONS) or not all(0 <= index < len(tables) for index in chosen.values()):
        raise ValueError("a precision without its operators")
    if MODES[1] not in part["calls"] or not set(part["calls"]) <= set(MODES.values()):
        raise ValueError("no calls for one denoiser pass, or calls of an unknown mode")
    return Component(
        name=_text(part["name"]),
        class_name=_text(part["class"]),
        role=part["role"],
        parameters=int(part["parameters"]),
        calls={
            mode: tuple(_decode_calls(group) for group in part["calls"][name])
            for mode, name in MODES.items()
            if name in part["calls"]
        },
        tables={precision: tables[index] for precision, index in chosen.items()},
        memory=decode_memory(part.get("memory")),
        linears=tuple(map(_decode_linears, part.get("linears", ()))),
    )


def _decode_calls(values: Mapping[str, Any]) -> CallGroup:
    group: CallGroup = _record(CallGroup, values)
    if group.images not in IMAGES:
        raise ValueError(f"images {shown(group.images)}")
    return group


def _encode_table(table: OperatorTable) -> dict[str, Any]:
    costs = (table.flop, table.bytes_read, table.bytes_written)
    launches = [_encode_launches(table.monomials, column) for column in table.launches.T]
    rows = [
        [name, family, dtype, int(head_dim), launches[i], *(_sparse(cost[:, i]) for cost in costs)]
        for i, (name, family, dtype, head_dim) in enumerate(
            zip(table.names, table.families, table.dtypes, table.head_dims, strict=True)
        )
    ]
    return {"condition": dict(table.condition), "monomials": list(table.monomials), "operators": rows}


def _encode_launches(monomials: Sequence[str], column: Array) -> int | list[list[Any]]:
    """A number where they are the same for every workload."""
    sparse = _sparse(column)
    if len(sparse) == 1 and monomials[sparse[0][0]] == ONE:
        return int(sparse[0][1])
    return sparse


def _decode_table(part: Mapping[str, Any]) -> OperatorTable:
    monomials = tuple(part["monomials"])
    if ONE not in monomials:
        monomials += (ONE,)
    for monomial in monomials:
        parse_monomial(monomial)
    rows = part["operators"]
    for condition in part["condition"]:
        parse_condition(condition)
    always = monomials.index(ONE)
    for row in rows:
        if row[1] not in FAMILIES or not (row[4] if isinstance(row[4], list) else row[4] > 0):
            raise ValueError(f"operator {row[0]!r}")
    entries = [
        (kind, index, column, coefficient)
        for column, row in enumerate(rows)
        for kind, cost in enumerate(row[4:8])
        for index, coefficient in (cost if isinstance(cost, list) else [(always, cost)])
    ]
    costs = np.zeros((4, len(monomials), len(rows)))
    if entries:
        kinds, indices, columns, coefficients = zip(*entries, strict=True)
        if min(indices) < 0:
            raise ValueError("a monomial that is not there")
        costs[kinds, indices, columns] = coefficients
    if not np.isfinite(costs).all():
        raise ValueError("a coefficient is not finite")
    return OperatorTable(
        condition={str(symbol): int(value) for symbol, value in part["condition"].items()},
        monomials=monomials,
        names=tuple(row[0] for row in rows),
        families=tuple(row[1] for row in rows),
        dtypes=tuple(row[2] for row in rows),
        head_dims=np.array([float(row[3]) for row in rows]),
        launches=costs[0],
        flop=costs[1],
        bytes_read=costs[2],
        bytes_written=costs[3],
    )


def _record(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A record from its JSON values, each of the type its field declares; else TypeError."""
    for entry in dataclasses.fields(kind):
        allowed = _JSON_TYPES.get(str(entry.type))
        value = values.get(entry.name)
        if allowed and entry.name in values and type(value) not in allowed:
            raise TypeError(f"{entry.name} is {shown(value)}")
    return kind(**values)


_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "str": (str,),
    "bool": (bool,),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
    "float | None": (float, int, type(None)),
}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{shown(value)} is no name")
    return value


def _sparse(column: Any) -> list[list[Any]]:
    return [[int(i), _number(column[i])] for i in np.flatnonzero(column)]


def _number(value: float) -> int | float:
    return int(value) if math.isfinite(value) and float(value).is_integer() else float(value)


def _layout(content: Mapping[str, Any]) -> str:
    """JSON with one line for each operator, so that a change is readable as a diff."""
    text = json.dumps(content, separators=(",", ":"))
    return _LINE_STARTS.sub(r"\n\g<0>", text)


# Where a component, a list of operators, an operator or a table starts.
_LINE_STARTS = re.compile(
    r'\["[a-z_0-9]+","(?:gemm|convolution|attention|memory)"|{"name":|"tables|{"condition"'
)
