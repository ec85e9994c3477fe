"""A node for ComfyUI that says what the workflow around it takes: energy, time and memory, by joulecast.

No other node gives it anything, and of nodes that can run ComfyUI takes outputs first: its text is there
before a sampler begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import ComfyExtension, io, ui

NAME = "this workflow"
NO_GPU = "this computer's GPU is not known: write its name into the node, e.g. RTX 4070"


def gpu_here() -> str:
    """The name that the driver has for this computer's GPU; empty where there is none."""
    try:
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    except (ImportError, RuntimeError):
        return ""


def told(prompt: Mapping[str, Any], gpu: str, models: str, size: str) -> str:
    """What a workflow takes, or why that is not known: a queue is not stopped for it."""
    from joulecast.errors import JoulecastError
    from joulecast.question.setting import read_size
    from joulecast.workflows.estimate import estimate_graph
    from joulecast.workflows.handed import Assumed
    from joulecast.workflows.reading import graph_in

    try:
        board = gpu.strip() or gpu_here()
        if not board:
            return f"joulecast: {NO_GPU}"
        assumed = Assumed(read_size(size) if size.strip() else None)
        graph = graph_in(dict(prompt), NAME)
        return str(estimate_graph(graph, {"gpu": board}, name=NAME, models=models.split(), assumed=assumed))
    except JoulecastError as error:
        return f"joulecast: {error}"


class JoulecastEstimate(io.ComfyNode):
    """The node: an output of its own, so that it runs whatever else is queued."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Its inputs are what a workflow does not say."""
        return io.Schema(
            node_id="JoulecastEstimate",
            display_name="Energy of this workflow (joulecast)",
            category="joulecast",
            description="Predicted energy, time and memory of this workflow, node by node.",
            inputs=[
                io.String.Input("gpu", default="", tooltip="e.g. RTX 4070; empty: this computer's"),
                io.String.Input("models", default="", tooltip="of unknown files: NODE=NAME, blanks between"),
                io.String.Input("size", default="", tooltip="WIDTHxHEIGHT of images that are loaded"),
            ],
            outputs=[io.String.Output(display_name="estimate")],
            hidden=[io.Hidden.prompt],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: str) -> float:
        """Unlike itself: the workflow around it may have changed, and that is none of its inputs."""
        return float("nan")

    @classmethod
    def execute(cls, gpu: str, models: str, size: str) -> io.NodeOutput:
        """The estimate as text, shown in the node and handed on."""
        text = told(cls.hidden.prompt or {}, gpu, models, size)
        return io.NodeOutput(text, ui=ui.PreviewText(text))


class JoulecastExtension(ComfyExtension):
    """What ComfyUI asks for the nodes of this folder."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The one node."""
        return [JoulecastEstimate]


async def comfy_entrypoint() -> ComfyExtension:
    """Where ComfyUI begins."""
    return JoulecastExtension()
