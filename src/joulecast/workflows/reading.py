"""Workflow files: JSON as ComfyUI's API takes it or its interface saves it, or the image that holds it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from joulecast.errors import FileFormatError, InputError, as_name, one_line, shown
from joulecast.files.documents import parse_json
from joulecast.files.paths import shown_path, user_bytes
from joulecast.workflows.graph import MOST_OF_A_NAME, Graph, Link, Node, check_count, graph_of
from joulecast.workflows.png import PNG, texts_of
from joulecast.workflows.ui import is_saved_by_the_interface, read_saved

MOST_BYTES: Final = 64 * 2**20
HOW_TO_SAVE: Final = "in ComfyUI, save it with Workflow > Export, or Export (API)"
# Under which keys programs wrap a workflow: a request to /prompt, and the interface's own export of both.
WRAPPED: Final = ("prompt", "output", "workflow")


def read_workflow(path: str | os.PathLike[str]) -> Graph:
    """The graph of a workflow file: JSON of either format, or a PNG image that ComfyUI saved.

    Raises
    ------
    InputError
        There is no such file, or its nodes and links cannot be.
    FileFormatError
        It holds no workflow.
    """
    what = f"workflow {shown_path(path)}"
    content = user_bytes(path, "workflow", MOST_BYTES)
    if content.startswith(PNG):
        found = texts_of(content, what)
        text = found.get("prompt") or found.get("workflow")
        if text is None:
            raise FileFormatError(f"{what} is an image without a workflow; {HOW_TO_SAVE}")
        return graph_in(_parsed(text, f"the workflow in image {shown_path(path)}"), what)
    return graph_in(_parsed(content, what), what)


def _parsed(content: bytes | str, what: str) -> object:
    if isinstance(content, bytes) and not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        raise FileFormatError(f"{what} is no JSON and no PNG image with a workflow in it; {HOW_TO_SAVE}")
    # widgets that were never set are NaN in what the interface saves
    return parse_json(content, what, takes_nan=True)


def graph_in(value: object, what: str) -> Graph:
    """The graph of a parsed workflow. Errors as of `read_workflow`."""
    for key in WRAPPED:
        if isinstance(value, dict) and isinstance(value.get(key), dict) and "class_type" not in value[key]:
            value = value[key]
            break
    if not isinstance(value, dict) or not value:
        raise FileFormatError(f"{what} is {_kind(value)}; expected a workflow's nodes: {HOW_TO_SAVE}")
    if is_saved_by_the_interface(value):
        return read_saved(value, what)
    if not any(isinstance(node, dict) and "class_type" in node for node in value.values()):
        raise FileFormatError(
            f"{what} is no workflow of ComfyUI: it has neither nodes with a class_type (API format) nor a "
            f"list of nodes; {HOW_TO_SAVE}"
        )
    check_count(len(value))
    return graph_of({str(number): _node(str(number), node) for number, node in value.items()})


def _node(number: str, node: object) -> Node:
    """A node of the API's format."""
    where = f"node {as_name(number)}"
    if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
        raise FileFormatError(f"{where} has no class_type: expected nodes of the API's format alone")
    inputs = node.get("inputs", {})
    if not isinstance(inputs, dict):
        raise FileFormatError(f"{where}: its inputs are {shown(inputs)}; expected an object of names")
    links = {name: link for name, value in inputs.items() if (link := _link(value)) is not None}
    return Node(
        id=as_name(number),
        class_name=one_line(node["class_type"], f"the class_type of {where}", MOST_OF_A_NAME),
        title=title_of(node.get("_meta"), node["class_type"]),
        values={name: value for name, value in inputs.items() if name not in links},
        links=links,
    )


def _link(value: object) -> Link | None:
    """A link as the API writes it, ``["4", 0]``; None for a constant."""
    if not isinstance(value, list) or len(value) != 2 or type(value[1]) is not int:
        return None
    return Link(as_name(str(value[0])), value[1]) if type(value[0]) in (str, int) else None


def title_of(meta: object, class_name: str) -> str:
    """What the author called a node; empty where that is its class, or nothing that can be printed."""
    title = meta.get("title") if isinstance(meta, Mapping) else None
    if not isinstance(title, str) or title.strip() == class_name:
        return ""
    try:
        return one_line(title, "title", MOST_OF_A_NAME)
    except InputError:
        return ""


def _kind(value: object) -> str:
    return "empty" if value == {} else f"a {type(value).__name__}"
