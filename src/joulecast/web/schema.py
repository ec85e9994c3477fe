"""The description of the API (OpenAPI 3.1), made from the records that are decoded, asked and encoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from joulecast import __version__
from joulecast.footprint.place import PLACE_KEYS
from joulecast.question.setting import FIELDS, SIDES, key_of
from joulecast.report.keys import types_of_keys, words_of_keys
from joulecast.web.problems import MEDIA_TYPE as PROBLEM
from joulecast.web.records import Problem

JSON: Final = "application/json"
REF: Final = "#/components/schemas/{name}"
Schema = dict[str, object]

OR_NULL: Final = "null"
TEXT: Final[Schema] = {"type": ["string", OR_NULL]}
SIDES_OF: Final[Schema] = {
    "oneOf": [
        TEXT,
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    ],
    "examples": ["1024x768"],
}
SPLIT: Final[Schema] = {
    "oneOf": [
        TEXT,
        {"type": "object", "additionalProperties": {"type": "integer"}},
    ],
    "examples": ["ulysses=2,cfg=2"],
}
# What takes more than text and numbers.
NESTED: Final[Mapping[str, Schema]] = {**dict.fromkeys(SIDES, SIDES_OF), "parallel": SPLIT}

# Of the fields of engines' bodies, those that are keys by other names.
OF_ENGINES: Final = (
    "width", "height", "num_frames", "num_inference_steps", "fps", "seconds", "guidance_scale",
    "true_cfg_scale",
)  # fmt: skip


class Operation(NamedTuple):
    """One method of a path: what it takes and answers, one of several records where it is a tuple of them.

    `problems` are the statuses that it may answer with besides.
    """

    method: str
    path: str
    summary: str
    answer: object = None
    body: object = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    problems: tuple[HTTPStatus, ...] = ()
    media_type: str = JSON


class Reference(NamedTuple):
    """A schema that is made here, by its name."""

    name: str


ESTIMATE, ESTIMATES, OPENAI, PLAN = (
    Reference(name) for name in ("EstimateRequest", "EstimatesRequest", "OpenAIRequest", "PlanRequest")
)


def document(operations: Sequence[Operation]) -> bytes:
    """The whole description, encoded."""
    types = list(_types(operations))
    schemas, components = msgspec.json.schema_components(
        [*types, Problem], schema_hook=_anything, ref_template=REF
    )
    of_type = dict(zip(map(repr, [*types, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = _operation(one, of_type)
    return msgspec.json.encode({
        "openapi": "3.1.0",
        "info": {
            "title": "joulecast",
            "version": __version__,
            "summary": "Energy, time and carbon of images and videos, before they are made.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": {**_requests(), **components}},
    })  # fmt: skip


def _anything(kind: type) -> Schema:
    """The schema of what is described elsewhere."""
    if kind is object:
        return {"title": "JSON"}
    raise NotImplementedError


def _types(operations: Sequence[Operation]) -> Iterator[object]:
    for given in (kind for one in operations for kind in (one.answer, one.body)):
        if not isinstance(given, Reference):
            yield from given if isinstance(given, tuple) else () if given is None else (given,)


def _operation(one: Operation, of_type: Mapping[str, Any]) -> Schema:
    answer: Schema = {"description": "The answer."}
    if one.media_type == JSON:
        answer["content"] = {JSON: {"schema": _schema(one.answer, of_type)}}
    else:
        answer["content"] = {one.media_type: {"schema": {"type": "string"}}}
    if one.headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in one.headers}
    problem = {PROBLEM: {"schema": _schema(Problem, of_type)}}
    found: Schema = {
        "summary": one.summary,
        "operationId": f"{one.method}{re.sub('[^a-z0-9]+', '_', one.path)}",
        "responses": {
            "200": answer,
            **{
                str(int(status)): {"description": status.phrase, "content": problem}
                for status in one.problems
            },
        },
    }
    if one.query:
        found["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in one.query
        ]
    if one.body is not None:
        content = {JSON: {"schema": _schema(one.body, of_type)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _schema(one: object, of_type: Mapping[str, Any]) -> object:
    if isinstance(one, tuple) and not isinstance(one, Reference):
        return {"oneOf": [_schema(kind, of_type) for kind in one]}
    return {"$ref": REF.format(name=one.name)} if isinstance(one, Reference) else of_type[repr(one)]


# --- requests -------------------------------------------------------------------------------------


def _requests() -> dict[str, Schema]:
    """What is not decoded as a record of its own: the keys of settings and places, from their records."""
    of_rows, of_places = [*FIELDS, *SIDES], [key for key in PLACE_KEYS if key in types_of_keys()]
    keys = {name: _key(name) for name in of_rows}
    one: Schema = {
        "type": "object",
        "description": "The keys of a setting and, where a footprint is asked for, of a place; other tools' "
        "names (num_inference_steps, guidance_scale) are understood too. What is not given takes the "
        "model's default.",
        "properties": {
            **keys,
            **{name: _key(name) for name in (*of_places, "law")},
            "images": {
                "type": ["integer", OR_NULL],
                "description": "how many the footprint is of; 1 by default; of a place alone",
            },
        },
        "required": ["model"],
    }
    row: Schema = {"type": "object", "properties": keys, "required": ["model"]}
    return {
        ESTIMATE.name: one,
        ESTIMATES.name: {
            "oneOf": [
                {"$ref": REF.format(name=ESTIMATE.name)},
                {"type": "array", "items": row, "minItems": 1, "maxItems": 10_000},
                {
                    "type": "object",
                    "properties": {
                        "requests": {"type": "array", "items": row, "minItems": 1, "maxItems": 10_000},
                        "law": TEXT,
                    },
                    "required": ["requests"],
                },
            ]
        },
        OPENAI.name: {
            "type": "object",
            "description": "The body of /v1/images/generations, /v1/images/edits (JSON) or /v1/videos, as "
            "OpenAI, vLLM-Omni and SGLang take it.",
            "properties": {
                "model": {"type": "string"},
                "prompt": {"type": "string"},
                "n": {"type": ["integer", "null"], "minimum": 1},
                "size": {"type": ["string", "null"]},
                **{name: _key(str(key_of(name))) for name in OF_ENGINES},
                "negative_prompt": {"type": ["string", "null"]},
            },
            "required": ["prompt"],
        },
        PLAN.name: {
            "type": "object",
            "description": "The keys of a plan file (docs/planning.md), and time_limit_s [s].",
        },
    }  # fmt: skip


def _key(name: str) -> Schema:
    """What a key takes, null being what is not given, and what is said of it."""
    takes = NESTED.get(name) or {"type": [*types_of_keys()[name], OR_NULL]}
    return {**takes, "description": words_of_keys()[name]}
