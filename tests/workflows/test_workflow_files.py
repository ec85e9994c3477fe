"""Workflow files of both formats and in images, and those that are none: told in one line."""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import comfy_graphs as graphs
import pytest
from comfy_graphs import Canvas

from command import Command, refused
from joulecast import data
from joulecast.errors import InputError, JoulecastError
from joulecast.workflows.classes import class_of, sampler_of
from joulecast.workflows.estimate import WorkflowEstimate, estimate_workflow
from joulecast.workflows.graph import MOST_NODES
from joulecast.workflows.roles import ROLES
from joulecast.workflows.understood import UNKNOWN

GPU = "RTX 4070"
Change = Callable[[dict[str, Any]], object]


def taken(workflow: Mapping[str, Any], folder: Path) -> WorkflowEstimate:
    return estimate_workflow(graphs.save(workflow, folder), {"gpu": GPU})


def as_saved(**more: Any) -> Canvas:
    """SD 1.5 as the interface saves it, but for what is changed."""
    canvas = Canvas()
    add = canvas.add
    add(1, "CheckpointLoaderSimple", ["v1-5-pruned-emaonly.safetensors"], "MODEL CLIP VAE")
    add(2, "CLIPTextEncode", ["a lighthouse"], "CONDITIONING", clip=(1, 1))
    add(3, "CLIPTextEncode", ["blurry"], "CONDITIONING", clip=(1, 1))
    add(4, "EmptyLatentImage", [512, 512, 1], "LATENT")
    links = {"model": (1, 0), "positive": (2, 0), "negative": (3, 0), "latent_image": (4, 0), **more}
    add(5, "KSampler", [7, "randomize", 20, 8, "euler", "normal", 1], "LATENT", **links)
    add(6, "VAEDecode", [], "IMAGE", samples=(5, 0), vae=(1, 2))
    add(7, "SaveImage", ["ComfyUI"], images=(6, 0))
    return canvas


# --- both formats say the same ------------------------------------------------------------------------


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    saved, sent = taken(as_saved().saved(), tmp_path), taken(graphs.sd15(), tmp_path)
    assert saved.energy == sent.energy
    assert [(node.id, node.status) for node in saved.nodes] == [(node.id, node.status) for node in sent.nodes]


def test_a_node_that_is_bypassed_hands_on_what_is_of_its_type(tmp_path: Path) -> None:
    """Of several inputs of the type that of the output's own place."""
    canvas = as_saved(model=(8, 0), positive=(9, 0), negative=(9, 1))
    loader = canvas.add(
        8, "LoraLoader", ["a.safetensors", 1, 1], "MODEL CLIP", mode=4, model=(1, 0), clip=(1, 1)
    )
    both = "CONDITIONING CONDITIONING"
    canvas.add(9, "ControlNetApplyAdvanced", [1, 0, 1], both, mode=4, positive=(2, 0), negative=(3, 0))
    answer = taken(canvas.saved(), tmp_path)
    assert answer.samplers[0].asked.sampling.texts == {"2", "3"}
    assert answer.energy == taken(graphs.sd15(), tmp_path).energy
    assert {node.id: (node.status, node.words) for node in answer.nodes}["8"] == ("not run", "bypassed")
    loader["mode"] = 0
    told = {node.id: node for node in taken(canvas.saved(), tmp_path).nodes}["8"]
    assert told.status == "not counted"
    assert "LoRA" in told.words


def test_a_node_that_is_muted_gives_nothing(tmp_path: Path) -> None:
    canvas = as_saved()
    canvas.nodes[3]["mode"] = 2
    with pytest.raises(InputError, match=r"node 5 \(KSampler\): latent_image: nothing is linked to it"):
        taken(canvas.saved(), tmp_path)


def test_numbers_from_primitive_nodes_and_reroutes(tmp_path: Path) -> None:
    canvas = as_saved()
    canvas.add(20, "PrimitiveNode", [31, "fixed"], "INT")
    canvas.add(21, "Reroute", [], "INT", steps=(20, 0))
    number = canvas.link((21, 0), (5, 4), "INT")
    canvas.nodes[4]["inputs"].append(
        {"name": "steps", "type": "INT", "widget": {"name": "steps"}, "link": number}
    )
    (one,) = taken(canvas.saved(), tmp_path).samplers
    assert one.asked.sampling.steps == 31


def test_links_without_a_line(tmp_path: Path) -> None:
    """SetNode and GetNode, by a name."""
    canvas = as_saved(model=(9, 0))
    canvas.add(8, "SetNode", ["base"], "*", model=(1, 0))
    canvas.add(9, "GetNode", ["base"], "MODEL")
    assert taken(canvas.saved(), tmp_path).energy == taken(graphs.sd15(), tmp_path).energy


def test_values_that_the_interface_names(tmp_path: Path) -> None:
    """Of newer exports: each widget is an input with its name, in another order than the class has here."""
    canvas = as_saved()
    node = canvas.nodes[4]
    names = ["steps", "seed", "cfg", "denoise", "scheduler", "sampler_name"]
    node["inputs"] += [
        {"name": name, "type": "INT", "widget": {"name": name}, "link": None} for name in names
    ]
    node["widgets_values"] = [17, 7, "fixed", 1, 1, "normal", "heun"]
    (one,) = taken(canvas.saved(), tmp_path).samplers
    assert (one.asked.sampling.calls, one.asked.sampling.passes) == (33, 1)


def test_an_instance_of_a_subgraph_may_be_bypassed_or_set_values_in_it(tmp_path: Path) -> None:
    workflow = graphs.qwen_in_a_subgraph()
    instance = workflow["nodes"][1]
    instance["inputs"] = instance["inputs"][:1]
    instance["properties"] = {"proxyWidgets": [["3", "steps"], ["6", "text"]]}
    instance["widgets_values"] = [11, "a harbour"]
    (one,) = taken(workflow, tmp_path).samplers
    assert one.asked.sampling.steps == 11
    instance["properties"] = {"proxyWidgets": [["-1", "steps"], ["3", "seed"], ["3", "cfg"]]}
    instance["widgets_values"] = [12, None, 1.0]
    (one,) = taken(workflow, tmp_path).samplers
    assert (one.asked.sampling.steps, one.asked.sampling.passes) == (12, 1)
    instance["mode"] = 4
    with pytest.raises(InputError, match="muted or bypassed"):
        taken(workflow, tmp_path)


def test_what_a_program_sends_is_read_too(tmp_path: Path) -> None:
    assert taken({"client_id": "a", "prompt": graphs.sd15()}, tmp_path).samplers


def test_an_unknown_node_is_named_and_left_out(tmp_path: Path, run: Command) -> None:
    """And what it hands on of a model is taken as it was given."""
    workflow = graphs.sd15()
    workflow["8"] = graphs.node("FancyPatch", model=["1", 0], strength=0.5)
    workflow["5"]["inputs"]["model"] = ["8", 0]
    answer = taken(workflow, tmp_path)
    assert [(node.id, node.status) for node in answer.unknown] == [("8", UNKNOWN)]
    assert answer.energy == taken(graphs.sd15(), tmp_path).energy
    shown = run("comfy", graphs.save(workflow, tmp_path), "--gpu", GPU).out
    assert "Unknown nodes: not known, and left out of the sum: FancyPatch" in shown


@pytest.mark.parametrize(
    "class_type", ["ControlNetApplyAdvanced", "FaceDetailer", "PerturbedAttentionGuidance"]
)
def test_what_is_known_and_not_counted_is_said(class_type: str, tmp_path: Path, run: Command) -> None:
    workflow = graphs.sd15()
    given: dict[str, object] = {
        "ControlNetApplyAdvanced": {"positive": ["2", 0], "negative": ["3", 0]},
        "FaceDetailer": {"image": ["6", 0]},
        "PerturbedAttentionGuidance": {"model": ["1", 0]},
    }[class_type]  # type: ignore[assignment]
    workflow["8"] = {"class_type": class_type, "inputs": given}
    target = {"ControlNetApplyAdvanced": ("5", "positive"), "FaceDetailer": ("7", "images")}
    number, name = target.get(class_type, ("5", "model"))
    workflow[number]["inputs"][name] = ["8", 0]
    done = run("comfy", graphs.save(workflow, tmp_path), "--gpu", GPU, "--json")
    nodes = {node["node"]: node for node in json.loads(done.out)["nodes"]}
    assert nodes["8"]["status"] == "not counted"
    assert nodes["8"]["words"]


def test_a_footprint_is_of_what_comes_out(tmp_path: Path, run: Command) -> None:
    """Of the images of one run, or of as many as are asked for."""
    path = graphs.save(graphs.sd15(batch=4), tmp_path)
    asked = ("comfy", path, "--gpu", GPU, "--intensity", "100", "--json")
    footprint = json.loads(run(*asked).out)["footprint"]
    assert footprint["images"] == 4
    energy_j = json.loads(run(*asked).out)["energy_j"]
    assert footprint["gpu_energy_kwh"]["value"] == pytest.approx(energy_j / 3.6e6)
    many = json.loads(run(*asked, "--images", "400").out)["footprint"]
    assert many["carbon_g"]["value"] == pytest.approx(100 * footprint["carbon_g"]["value"])
    shown = run("comfy", path, "--gpu", GPU, "--region", "FR", "--explain").out
    assert "energy per image" in shown
    assert "4 images in France" in shown


def test_memory_of_what_is_shared_or_quantised_is_at_most_that(tmp_path: Path, run: Command) -> None:
    path = graphs.save(graphs.flux_dev(), tmp_path)
    assert "memory of each board is as if it were not quantised, an upper bound" in " ".join(
        run("comfy", path, "--gpu", "H100").out.split()
    )
    assert "as if it were of one GPU" in run("comfy", path, "--gpu", "2xH100", "--quantization", "none").out


# --- images -------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*texts: bytes) -> bytes:
    """An image of one pixel with chunks of text."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    rest = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(texts) + rest


def test_an_image_of_comfyui_holds_its_workflow(tmp_path: Path) -> None:
    sent = json.dumps(graphs.sd15()).encode()
    saved = json.dumps(as_saved().saved()).encode()
    path = tmp_path / "a.png"
    for texts in (
        (chunk(b"tEXt", b"prompt\0" + sent), chunk(b"tEXt", b"workflow\0{}")),
        (chunk(b"tEXt", b"workflow\0" + saved),),
        (chunk(b"iTXt", b"prompt\0\0\0\0\0" + sent),),
    ):
        path.write_bytes(png(*texts))
        assert estimate_workflow(path, {"gpu": GPU}).energy == taken(graphs.sd15(), tmp_path).energy


@pytest.mark.parametrize(
    "content", [png(), png(chunk(b"zTXt", b"prompt\0\0aa")), png(chunk(b"iTXt", b"prompt\0\1"))]
)
def test_an_image_without_a_workflow(content: bytes, tmp_path: Path, run: Command) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refused(
        run("comfy", str(tmp_path / "a.png"), "--gpu", GPU), "an image without a workflow", "Export (API)"
    )


def test_an_image_that_is_cut(tmp_path: Path, run: Command) -> None:
    (tmp_path / "a.png").write_bytes(png(chunk(b"tEXt", b"prompt\0" + b"{" * 99))[:80])
    refused(run("comfy", str(tmp_path / "a.png"), "--gpu", GPU), "is cut short")


# --- what is no workflow --------------------------------------------------------------------------------

NOT_ONE: dict[str, tuple[bytes, *tuple[str, ...]]] = {
    "no json": (b"steps: 20", "is no JSON"),
    "a jpeg": (b"\xff\xd8\xff\xe0", "is no JSON", "Export (API)"),
    "cut": (b'{"1": {"class_type":', "is not valid JSON"),
    "empty": (b"{}", "expected a workflow's nodes"),
    "a list": (b"[1, 2]", "expected a workflow's nodes"),
    "others": (b'{"model": "sdxl", "steps": 20}', "neither nodes with a class_type"),
    "deep": (b'{"a":' * 500 + b"1" + b"}" * 500, "nested deeper"),
    "no class": (b'{"1": {"class_type": "KSampler"}, "2": {"inputs": {}}}', "node 2 has no class_type"),
    "inputs": (b'{"1": {"class_type": "KSampler", "inputs": [1]}}', "node 1: its inputs"),
    "a class of signs": (b'{"1": {"class_type": "a\\u0007b"}}', "the class_type of node 1"),
    "a link": (b'{"nodes": [], "links": [[1, 2]]}', "a link is [1, 2]"),
    "nodes": (b'{"nodes": [3]}', "nodes is [3]"),
    "a type": (b'{"nodes": [{"id": 1}]}', "node 1 has the type None"),
    "no sampler": (
        b'{"1": {"class_type": "LoadImage"}, "2": {"class_type": "MagicSampler"}}',
        "no sampler that is known", "'MagicSampler'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_ONE)
def test_what_is_no_workflow(name: str, tmp_path: Path, run: Command) -> None:
    content, *words = NOT_ONE[name]
    (tmp_path / "w.json").write_bytes(content)
    refused(run("comfy", str(tmp_path / "w.json"), "--gpu", GPU), *words)


def test_no_file(run: Command) -> None:
    refused(run("comfy", "nothing.json", "--gpu", GPU), "workflow 'nothing.json' does not exist")


def change(number: str, **inputs: object) -> Change:
    return lambda workflow: workflow[number]["inputs"].update(inputs)


BAD: dict[str, tuple[Change, *tuple[str, ...]]] = {
    "a link to nowhere": (change("5", model=["99", 0]), "node 5 (KSampler)", "node 99, which is not there"),
    "a circle": (change("2", clip=["5", 0]), "go in a circle", "(KSampler)"),
    "steps": (change("5", steps=10**9), "node 5 (KSampler): steps", "between 1 and 10000"),
    "steps of words": (change("5", steps="many"), "node 5 (KSampler): steps"),
    "no steps": (
        lambda workflow: workflow["5"]["inputs"].pop("steps"),
        "node 5 (KSampler): steps is missing",
    ),
    "a size": (change("4", width=10**12), "node 4 (EmptyLatentImage): width"),
    "no size": (change("4", width=float("nan")), "node 4 (EmptyLatentImage): width"),
    "a batch": (change("4", batch_size=-1), "node 4 (EmptyLatentImage): batch_size"),
    "guidance": (change("5", cfg="high"), "node 5 (KSampler): cfg"),
    "a sampler": (change("5", sampler_name="eulerr"), "sampler 'eulerr'", "did you mean euler?"),
    "an adaptive one": (change("5", sampler_name="dpm_adaptive"), "whatever the steps", "--calls"),
    "no file": (change("1", ckpt_name=7), "node 1 (CheckpointLoaderSimple): ckpt_name is 7"),
    "an unknown file": (
        change("1", ckpt_name="merge.ckpt"),
        "'merge.ckpt'",
        "--model 1=NAME",
        "--model 1=none",
    ),
    "no latent": (lambda workflow: workflow["5"]["inputs"].pop("latent_image"), "nothing is linked to it"),
    "a size that is refused": (change("4", width=16, height=16384), "node 5 (KSampler): "),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be(name: str, tmp_path: Path, run: Command) -> None:
    made, *words = BAD[name]
    workflow = copy.deepcopy(graphs.text_to_image("sd3.5_large.safetensors", 1024, 1024))
    made(workflow)
    refused(run("comfy", graphs.save(workflow, tmp_path), "--gpu", GPU), *words)


def test_a_size_by_a_node_that_is_not_known(tmp_path: Path, run: Command) -> None:
    workflow = graphs.sd15()
    workflow["8"] = graphs.node("RandomSize", seed=1)
    workflow["4"]["inputs"]["width"] = ["8", 0]
    path = graphs.save(workflow, tmp_path)
    refused(run("comfy", path, "--gpu", GPU), "width comes from node 8 (RandomSize), which is not read")
    workflow["4"] = graphs.node("FancyLatent", width=512)
    path = graphs.save(workflow, tmp_path)
    refused(run("comfy", path, "--gpu", GPU), "latent_image: what node 4 (FancyLatent) gives it is not known")


def test_a_video_of_any_length_is_no_picture(tmp_path: Path, run: Command) -> None:
    """Its frames are not in the workflow: whatever the size, it is not taken for one image."""
    workflow = graphs.image_to_image()
    workflow["8"] = graphs.node("VHS_LoadVideo", video="a.mp4")
    path = graphs.save(workflow, tmp_path)
    words = ("what node 4 (VAEEncode) gives it is not known", "before it, node 8 (VHS_LoadVideo)")
    refused(run("comfy", path, "--gpu", GPU, "--size", "768x512"), *words)


def test_what_no_sampler_is_made_from_need_not_be_known(tmp_path: Path) -> None:
    """A reference that some node encodes of something."""
    workflow = graphs.sd15()
    workflow["20"] = graphs.node("FancyImage")
    workflow["21"] = graphs.node("VAEEncode", pixels=["20", 0], vae=["1", 2])
    workflow["22"] = graphs.node("ReferenceLatent", conditioning=["2", 0], latent=["21", 0])
    workflow["5"]["inputs"]["positive"] = ["22", 0]
    answer = taken(workflow, tmp_path)
    assert answer.energy == taken(graphs.sd15(), tmp_path).energy
    assert {node.id: node.status for node in answer.nodes}["21"] == "not counted"


def test_an_image_that_an_unknown_node_changes(tmp_path: Path, run: Command) -> None:
    """Its size is asked for; how many there are is as before it."""
    workflow = graphs.image_to_image()
    workflow["10"] = graphs.node("FancyCrop", image=["9", 0])
    workflow["4"]["inputs"]["pixels"] = ["10", 0]
    path = graphs.save(workflow, tmp_path)
    refused(run("comfy", path, "--gpu", GPU), "node 10 (FancyCrop) is not known", "--size WIDTHxHEIGHT")
    answer = json.loads(run("comfy", path, "--gpu", GPU, "--size", "768x512", "--json").out)
    assert answer["energy_j"] == taken(graphs.image_to_image(), tmp_path).energy.value


def test_three_passes_are_refused(tmp_path: Path, run: Command) -> None:
    workflow = graphs.flux_dev()
    workflow["6"] = graphs.node(
        "DualCFGGuider", model=["12", 0], cond1=["4", 0], cond2=["4", 0], negative=["3", 0]
    )
    refused(run("comfy", graphs.save(workflow, tmp_path), "--gpu", GPU), "3 passes of the denoiser a step")


def test_options_that_do_not_fit(tmp_path: Path, run: Command) -> None:
    path = graphs.save(graphs.sd15(), tmp_path)
    refused(run("comfy", path, "--gpu", GPU, "--model", "9=sdxl"), "--model '9=sdxl'", "1 ('v1-5-pruned")
    refused(run("comfy", path, "--gpu", GPU, "--model", "1=sdxxl"), "node 5 (KSampler)", "sdxl")
    refused(run("comfy", path, "--gpu", "RTX 40700"), "unknown GPU")
    refused(run("comfy", path, "--gpu", GPU, "--model", "1=none"), "every sampler is left out")
    refused(run("comfy", path, "--gpu", GPU, "--calls", "0"), "--calls must be between 1 and 10")


@pytest.mark.parametrize("made", [
    lambda w: w["links"].pop(0),
    lambda w: w["nodes"].pop(0),
    lambda w: w["definitions"]["subgraphs"][0]["links"].pop(),
    lambda w: w["nodes"][0].update(inputs="none"),
    lambda w: w["nodes"][1].update(type=["a"]),
])  # fmt: skip
def test_what_a_saved_workflow_lacks(made: Change, tmp_path: Path, run: Command) -> None:
    workflow = graphs.qwen_in_a_subgraph()
    made(workflow)
    refused(run("comfy", graphs.save(workflow, tmp_path), "--gpu", GPU))


def nested(times: int) -> graphs.Graph:
    """Subgraphs with two of the next in each, `times` deep."""
    levels = [
        {
            "id": f"level {depth}", "name": "x", "links": [],
            "nodes": [{"id": place, "type": f"level {depth + 1}"} for place in (1, 2)],
        }
        for depth in range(times)
    ]  # fmt: skip
    return {"nodes": [{"id": 1, "type": "level 0"}], "links": [], "definitions": {"subgraphs": levels}}


def test_subgraphs_that_never_end(tmp_path: Path, run: Command) -> None:
    """One in itself, one of a million nodes in a few lines, and one that is deep."""
    own = {"id": "a", "nodes": [{"id": 1, "type": "a"}], "links": []}
    itself = {"nodes": [{"id": 1, "type": "a"}], "definitions": {"subgraphs": [own]}}
    refused(run("comfy", graphs.save(itself, tmp_path), "--gpu", GPU), "deep within each other")
    refused(run("comfy", graphs.save(nested(20), tmp_path), "--gpu", GPU), f"more than {MOST_NODES:,} nodes")


def test_reroutes_in_a_circle(tmp_path: Path, run: Command) -> None:
    canvas = as_saved(model=(8, 0))
    canvas.add(8, "Reroute", [], "MODEL", mode=4, model=(9, 0))
    canvas.add(9, "Reroute", [], "MODEL", mode=4, model=(8, 0))
    refused(run("comfy", graphs.save(canvas.saved(), tmp_path), "--gpu", GPU), "go in a circle")


def test_five_thousand_nodes(tmp_path: Path, run: Command) -> None:
    """In a row: each is given what the one before it makes."""
    workflow = graphs.sd15()
    last = "1"
    for number in range(100, 5100):
        workflow[str(number)] = graphs.node("ModelSamplingDiscrete", model=[last, 0])
        last = str(number)
    workflow["5"]["inputs"]["model"] = [last, 0]
    done = run("comfy", graphs.save(workflow, tmp_path), "--gpu", GPU)
    assert done.status == 0
    assert "nodes more (--json has all)" in done.out
    many = {str(number): graphs.node("Note") for number in range(MOST_NODES + 1)}
    refused(run("comfy", graphs.save(many, tmp_path), "--gpu", GPU), f"more than {MOST_NODES:,} nodes")


def told_of(workflow: Mapping[str, Any], folder: Path) -> str:
    """What is printed of a workflow, or of its error."""
    try:
        return str(taken(workflow, folder))
    except JoulecastError as error:
        return str(error)


def test_damaged_workflows_end_in_a_line(tmp_path: Path) -> None:
    """Every value of two workflows in turn is something else: an answer, or an error of ours."""
    draw = random.Random(17)
    others: list[object] = [None, -1, 1e308, "", "x", [], {}, True, [["a"]], {"a": 1}, "\x1b[2J", 10**30]
    for workflow in (graphs.hires_fix(), graphs.qwen_in_a_subgraph()):
        for _ in range(60):
            damaged = copy.deepcopy(workflow)
            place: Any = damaged
            while True:
                keys = list(place) if isinstance(place, dict) else list(range(len(place)))
                key = draw.choice(keys)
                if draw.random() < 0.3 or not isinstance(place[key], dict | list) or not place[key]:
                    place[key] = draw.choice(others)
                    break
                place = place[key]
            told = told_of(damaged, tmp_path)
            assert "\x1b" not in told
            assert "\n" not in told or "energy of a run" in told


# --- tables -------------------------------------------------------------------------------------------


def test_every_class_has_roles_that_are_known() -> None:
    for row in data.read_table("comfy_nodes.csv"):
        known = class_of(row["class"])
        assert known is not None
        assert known.roles, row
        assert set(known.roles) <= set(ROLES), row
        assert ("uncounted" in known.roles) <= bool(known.words), row


def test_every_sampler_has_its_calls_or_says_why_not() -> None:
    for row in data.read_table("comfy_samplers.csv"):
        assert bool(row["calls"]) != bool(row["words"])
        if row["calls"]:
            found = sampler_of(row["sampler"], "")
            assert found.calls_of(20, True) <= found.calls_of(20, False) <= found.calls * 20
            assert found.calls_of(1, True) >= 1


def test_every_file_is_of_a_model_that_is_listed() -> None:
    from joulecast.architecture.catalogue import model_names

    assert {row["model"] for row in data.read_table("comfy_checkpoints.csv")} <= set(model_names())
