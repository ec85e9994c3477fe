"""The node for ComfyUI, against a stand-in of the parts of its interface that it uses."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import comfy_graphs as graphs
import pytest

from joulecast.workflows.classes import class_of
from joulecast.workflows.estimate import estimate_workflow

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
GPU = "RTX 4070"


class Named:
    """What a socket, a schema or an output was made of."""

    def __init__(self, *values: Any, **named: Any) -> None:
        self.values, self.named = values, named


class ComfyNode:
    """A node, whose hidden values the server sets."""

    hidden = SimpleNamespace(prompt=None)


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder as ComfyUI loads it."""
    latest: Any = ModuleType("comfy_api.latest")
    latest.ComfyExtension = type("ComfyExtension", (), {})
    latest.io = SimpleNamespace(
        ComfyNode=ComfyNode,
        Schema=Named,
        NodeOutput=Named,
        String=SimpleNamespace(Input=Named, Output=Named),
        Hidden=SimpleNamespace(prompt="PROMPT"),
    )
    latest.ui = SimpleNamespace(PreviewText=Named)
    monkeypatch.setitem(sys.modules, "comfy_api", ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    spec = importlib.util.spec_from_file_location("joulecast_node", FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def node_of(extension: Any, prompt: object) -> Any:
    """The one node, in a workflow."""
    (node,) = asyncio.run(asyncio.run(extension.comfy_entrypoint()).get_node_list())
    node.hidden = SimpleNamespace(prompt=prompt)
    return node


def test_it_shows_what_the_command_prints(extension: Any, tmp_path: Path) -> None:
    workflow = graphs.sd15()
    workflow["99"] = graphs.node("JoulecastEstimate", gpu=GPU, models="", size="")
    output = node_of(extension, workflow).execute(gpu=GPU, models="", size="")
    (text,) = output.values
    by_hand = str(estimate_workflow(graphs.save(workflow, tmp_path), {"gpu": GPU}))
    assert text.replace("this workflow", "workflow.json") == by_hand
    assert output.named["ui"].values == (text,)
    assert "Unknown nodes" not in text


def test_what_it_is_told_is_used(extension: Any) -> None:
    workflow = graphs.base_and_refiner()
    workflow["11"]["inputs"]["ckpt_name"] = "merge.safetensors"
    node = node_of(extension, workflow)
    assert "--model 11=NAME" in node.execute(gpu=GPU, models="", size="").values[0]
    assert "2 samplers" in node.execute(gpu=GPU, models="11=sdxl", size="").values[0]
    workflow = graphs.image_to_image()
    workflow["4"]["inputs"]["pixels"] = ["8", 0]
    node = node_of(extension, workflow)
    assert "768x512" in node.execute(gpu=GPU, models="", size="768x512").values[0]


@pytest.mark.parametrize("prompt", [None, {}, {"1": {"class_type": "SaveImage", "inputs": {}}}])
def test_a_queue_is_not_stopped(extension: Any, prompt: object) -> None:
    assert node_of(extension, prompt).execute(gpu=GPU, models="", size="").values[0].startswith("joulecast: ")
    (text,) = node_of(extension, graphs.sd15()).execute(gpu="abacus", models="", size="").values
    assert text.startswith("joulecast: unknown GPU 'abacus'")


def test_without_a_name_it_is_this_computers_gpu(extension: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = node_of(extension, graphs.sd15())
    monkeypatch.setattr(extension, "gpu_here", lambda: "NVIDIA GeForce RTX 4070")
    assert "on RTX 4070" in node.execute(gpu="", models="", size="").values[0]
    monkeypatch.setattr(extension, "gpu_here", lambda: "")
    assert "write its name into the node" in node.execute(gpu="", models="", size="").values[0]


def test_it_runs_anew_whenever_it_is_queued_and_is_an_output(extension: Any) -> None:
    node = node_of(extension, {})
    seen = node.fingerprint_inputs(gpu=GPU, models="", size="")
    assert seen != seen
    schema = node.define_schema()
    assert schema.named["is_output_node"] is True
    assert schema.named["hidden"] == ["PROMPT"]
    known = class_of(schema.named["node_id"])
    assert known is not None
    assert known.widgets == tuple(one.values[0] for one in schema.named["inputs"])


def test_its_project_needs_joulecast() -> None:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == ["joulecast"]
