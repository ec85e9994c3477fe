"""Workflows of the kinds that public repositories have, written anew in both formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Api = dict[str, dict[str, Any]]
Graph = dict[str, Any]


def node(class_type: str, **inputs: object) -> dict[str, Any]:
    """A node of the API's format."""
    return {"class_type": class_type, "inputs": inputs}


def save(workflow: Mapping[str, Any], folder: Path, name: str = "workflow.json") -> str:
    """A workflow as a file; its path."""
    path = folder / name
    path.write_text(json.dumps(workflow), encoding="utf-8")
    return str(path)


def sampler(number: str, latent: str, model: str = "1", **changes: object) -> Api:
    """A KSampler, as its examples set it."""
    return {
        number: node(
            "KSampler",
            **{
                "model": [model, 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": [latent, 0],
                "seed": 7, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal",
                "denoise": 1.0, **changes,
            },
        )
    }  # fmt: skip


def text_to_image(checkpoint: str, width: int, height: int, batch: int = 1, **changes: Any) -> Api:
    """A checkpoint, two prompts, an empty latent, a sampler, a decoder: what ComfyUI opens with."""
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "2": node("CLIPTextEncode", clip=["1", 1], text="a lighthouse"),
        "3": node("CLIPTextEncode", clip=["1", 1], text="blurry"),
        "4": node("EmptyLatentImage", width=width, height=height, batch_size=batch),
        **sampler("5", "4", **changes),
        "6": node("VAEDecode", samples=["5", 0], vae=["1", 2]),
        "7": node("SaveImage", images=["6", 0], filename_prefix="a"),
    }


def sd15(batch: int = 1, **changes: Any) -> Api:
    """SD 1.5 at its own size."""
    return text_to_image("v1-5-pruned-emaonly-fp16.safetensors", 512, 512, batch, **changes)


def base_and_refiner() -> Api:
    """SDXL and its refiner: 20 steps of 25, then the other 5 by another model."""
    halves = {"add_noise": "enable", "noise_seed": 7, "steps": 25, "cfg": 8.0, "sampler_name": "euler"}
    halves |= {"scheduler": "normal", "return_with_leftover_noise": "enable"}
    found = text_to_image("sd_xl_base_1.0.safetensors", 1024, 1024)
    found["5"] = node(
        "KSamplerAdvanced", model=["1", 0], positive=["2", 0], negative=["3", 0], latent_image=["4", 0],
        **{**halves, "start_at_step": 0, "end_at_step": 20},
    )  # fmt: skip
    found |= {
        "11": node("CheckpointLoaderSimple", ckpt_name="sd_xl_refiner_1.0.safetensors"),
        "12": node("CLIPTextEncode", clip=["11", 1], text="a lighthouse"),
        "13": node("CLIPTextEncode", clip=["11", 1], text="blurry"),
        "15": node(
            "KSamplerAdvanced", model=["11", 0], positive=["12", 0], negative=["13", 0],
            latent_image=["5", 0],
            **{
                **halves, "add_noise": "disable", "start_at_step": 20, "end_at_step": 10000,
                "return_with_leftover_noise": "disable",
            },
        ),
    }  # fmt: skip
    found["6"]["inputs"]["samples"] = ["15", 0]
    return found


def hires_fix() -> Api:
    """SDXL, its latent half as large again, and some steps more on that."""
    found = text_to_image("sd_xl_base_1.0.safetensors", 832, 1216)
    found["8"] = node("LatentUpscaleBy", samples=["5", 0], upscale_method="nearest-exact", scale_by=1.5)
    found |= sampler("9", "8", steps=14, denoise=0.5, sampler_name="dpmpp_sde", scheduler="karras")
    found["6"]["inputs"]["samples"] = ["9", 0]
    return found


def flux_dev(weight_dtype: str = "fp8_e4m3fn") -> Api:
    """FLUX by its parts: no second pass, guidance as an input of the model."""
    return {
        "1": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype=weight_dtype),
        "2": node("DualCLIPLoader", clip_name1="t5xxl_fp16.safetensors", clip_name2="clip_l.safetensors"),
        "3": node("CLIPTextEncode", clip=["2", 0], text="a lighthouse"),
        "4": node("FluxGuidance", conditioning=["3", 0], guidance=3.5),
        "5": node("EmptySD3LatentImage", width=1024, height=1024, batch_size=1),
        "6": node("BasicGuider", model=["12", 0], conditioning=["4", 0]),
        "7": node("BasicScheduler", model=["12", 0], scheduler="simple", steps=20, denoise=1.0),
        "8": node("KSamplerSelect", sampler_name="euler"),
        "9": node("RandomNoise", noise_seed=7),
        "10": node(
            "SamplerCustomAdvanced", noise=["9", 0], guider=["6", 0], sampler=["8", 0], sigmas=["7", 0],
            latent_image=["5", 0],
        ),
        "12": node("ModelSamplingFlux", model=["1", 0], max_shift=1.15, base_shift=0.5),
        "13": node("VAEDecode", samples=["10", 0], vae=["14", 0]),
        "14": node("VAELoader", vae_name="ae.safetensors"),
        "15": node("SaveImage", images=["13", 0], filename_prefix="a"),
    }  # fmt: skip


def image_to_image() -> Api:
    """SD 1.5 of an image that is scaled first."""
    found = sd15(denoise=0.87, sampler_name="dpmpp_2m")
    found["8"] = node("LoadImage", image="example.png")
    found["9"] = node(
        "ImageScale", image=["8", 0], upscale_method="lanczos", width=768, height=512, crop="center"
    )
    found["4"] = node("VAEEncode", pixels=["9", 0], vae=["1", 2])
    return found


# --- as the interface saves them ---------------------------------------------------------------------

TYPES = {
    "model": "MODEL", "positive": "CONDITIONING", "negative": "CONDITIONING", "conditioning": "CONDITIONING",
    "latent_image": "LATENT", "samples": "LATENT", "clip": "CLIP", "vae": "VAE", "images": "IMAGE",
    "image": "IMAGE", "video": "VIDEO", "steps": "INT",
}  # fmt: skip


class Canvas:
    """A workflow that is put together as the interface does: nodes with slots, a table of links."""

    def __init__(self, as_objects: bool = False) -> None:
        self.nodes: list[Graph] = []
        self.links: list[Any] = []
        self.as_objects = as_objects

    def add(
        self,
        number: int,
        kind: str,
        values: object,
        outputs: str = "",
        mode: int = 0,
        **inputs: tuple[int, int],
    ) -> Graph:
        """A node; inputs are (node, slot) by name, outputs their types."""
        slots = []
        for place, (name, source) in enumerate(inputs.items()):
            slots.append(
                {"name": name, "type": TYPES[name], "link": self.link(source, (number, place), TYPES[name])}
            )
        made = {
            "id": number, "type": kind, "pos": [0, 0], "mode": mode, "inputs": slots,
            "widgets_values": values,
            "outputs": [{"name": one, "type": one, "links": []} for one in outputs.split()],
        }  # fmt: skip
        self.nodes.append(made)
        return made

    def link(self, source: tuple[int, int], target: tuple[int, int], kind: str) -> int:
        """A link; its number."""
        number = len(self.links) + 1
        if self.as_objects:
            keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
            self.links.append(dict(zip(keys, (number, *source, *target, kind), strict=True)))
        else:
            self.links.append([number, *source, *target, kind])
        return number

    def saved(self, **more: object) -> Graph:
        """The file."""
        return {"version": 0.4, "nodes": self.nodes, "links": self.links, "groups": [], "extra": {}, **more}


def wan_text_to_video() -> Graph:
    """Wan 2.1, with a LoRA that is bypassed and a sampler that is muted."""
    canvas = Canvas()
    add = canvas.add
    add(1, "UNETLoader", ["wan2.1_t2v_1.3B_fp16.safetensors", "default"], "MODEL")
    add(2, "CLIPLoader", ["umt5_xxl_fp8_e4m3fn_scaled.safetensors", "wan", "default"], "CLIP")
    add(3, "CLIPTextEncode", ["a fox runs"], "CONDITIONING", clip=(2, 0))
    add(4, "CLIPTextEncode", ["static"], "CONDITIONING", clip=(2, 0))
    add(5, "LoraLoaderModelOnly", ["speed.safetensors", 1.0], "MODEL", mode=4, model=(1, 0))
    add(6, "ModelSamplingSD3", [8], "MODEL", model=(5, 0))
    add(7, "EmptyHunyuanLatentVideo", [832, 480, 33, 1], "LATENT")
    settings = [7, "randomize", 30, 6, "uni_pc", "simple", 1]
    inputs: Any = {"model": (6, 0), "positive": (3, 0), "negative": (4, 0), "latent_image": (7, 0)}
    add(8, "KSampler", settings, "LATENT", **inputs)
    add(9, "VAELoader", ["wan_2.1_vae.safetensors"], "VAE")
    add(10, "VAEDecode", [], "IMAGE", samples=(8, 0), vae=(9, 0))
    add(11, "CreateVideo", [16], "VIDEO", images=(10, 0))
    add(12, "SaveVideo", ["video/a", "auto", "auto"], video=(11, 0))
    add(13, "KSampler", settings, "LATENT", mode=2, **inputs)
    add(14, "MarkdownNote", ["## Models"])
    return canvas.saved()


def qwen_in_a_subgraph() -> Graph:
    """Qwen-Image in a subgraph, whose instance sets the steps and is given the latent."""
    inner = Canvas(as_objects=True)
    add = inner.add
    add(37, "UNETLoader", ["qwen_image_fp8_e4m3fn.safetensors", "default"], "MODEL")
    add(38, "CLIPLoader", ["qwen_2.5_vl_7b_fp8_scaled.safetensors", "qwen_image", "default"], "CLIP")
    add(39, "VAELoader", ["qwen_image_vae.safetensors"], "VAE")
    add(6, "CLIPTextEncode", ["a lighthouse"], "CONDITIONING", clip=(38, 0))
    add(7, "CLIPTextEncode", [""], "CONDITIONING", clip=(38, 0))
    add(66, "ModelSamplingAuraFlow", [3.1], "MODEL", model=(37, 0))
    sampling = add(
        3, "KSampler", [7, "fixed", 20, 2.5, "euler", "simple", 1], "LATENT",
        model=(66, 0), positive=(6, 0), negative=(7, 0), latent_image=(-10, 0),
    )  # fmt: skip
    steps = inner.link((-10, 1), (3, 4), "INT")
    sampling["inputs"].append({"name": "steps", "type": "INT", "widget": {"name": "steps"}, "link": steps})
    add(8, "VAEDecode", [], "IMAGE", samples=(3, 0), vae=(39, 0))
    inner.link((8, 0), (-20, 0), "IMAGE")
    definition = inner.saved(
        id="0e1f7d6a-1111-4222-8333-944444444444", name="Qwen-Image",
        inputNode={"id": -10}, outputNode={"id": -20},
        inputs=[{"name": "latent_image", "type": "LATENT"}, {"name": "steps", "type": "INT"}],
        outputs=[{"name": "IMAGE", "type": "IMAGE"}],
    )  # fmt: skip
    outer = Canvas()
    outer.add(50, "EmptySD3LatentImage", [1328, 1328, 1], "LATENT")
    instance = outer.add(60, definition["id"], [28], "IMAGE", latent_image=(50, 0))
    instance["inputs"].append({"name": "steps", "type": "INT", "widget": {"name": "steps"}, "link": None})
    outer.add(61, "SaveImage", ["ComfyUI"], images=(60, 0))
    return outer.saved(definitions={"subgraphs": [definition]})
