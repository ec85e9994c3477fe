"""What samplers of workflows ask for is what `joulecast.estimate` is asked for by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import comfy_graphs as graphs
import pytest

import joulecast
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.units import gigabytes
from joulecast.workflows import asking, estimate
from joulecast.workflows.estimate import WorkflowEstimate, estimate_workflow
from joulecast.workflows.handed import Assumed

GPU = "RTX 4070"
KEYS = {"gpu": GPU}
SPLIT_PARTS = 0.02  # energies of a pipeline's parts, one at a time, against those of the whole: see below
Taken = Callable[..., WorkflowEstimate]


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    """What a workflow takes."""

    def found(workflow: Mapping[str, Any], *models: str, **more: Any) -> WorkflowEstimate:
        keys = {**KEYS, **more.pop("keys", {})}
        return estimate_workflow(graphs.save(workflow, tmp_path), keys, models=models, **more)

    return found


# The scheduler of SD 1.5's pipeline (PNDM) makes a call more than it has steps; ComfyUI's samplers do not.
WHOLE: dict[str, tuple[Mapping[str, Any], dict[str, Any]]] = {
    "sd1.5": (graphs.sd15(), {"size": "512x512", "steps": 19, "passes": 2}),
    "flux.1-dev": (graphs.flux_dev(), {"size": "1024x1024", "steps": 20, "quantization": "fp8-weights"}),
    "sd1.5 ": (
        graphs.image_to_image(),
        {"size": "768x512", "input_image": "768x512", "steps": 19, "passes": 2},
    ),
    "wan2.1-t2v-1.3b": (
        graphs.wan_text_to_video(),
        {"size": "832x480", "frames": 33, "steps": 30, "passes": 2},
    ),
    "qwen-image": (
        graphs.qwen_in_a_subgraph(),
        {"size": "1328x1328", "steps": 28, "passes": 2, "quantization": "fp8-weights"},
    ),
}


@pytest.mark.parametrize("model", WHOLE)
def test_a_whole_pipeline_is_what_is_asked_by_hand(taken: Taken, model: str) -> None:
    workflow, by_hand = WHOLE[model]
    expected = joulecast.estimate(model.strip(), GPU, **by_hand)
    answer = taken(workflow)
    (one,) = answer.samplers
    assert one.estimate.energy == expected.energy == answer.energy
    assert one.estimate.duration == expected.duration == answer.duration
    assert one.estimate.memory == expected.memory
    assert (answer.outputs, answer.output) == (1, expected.output)
    assert set(expected.warnings) == set(answer.warnings)
    assert not answer.unknown


def test_a_batch_is_of_all_its_images(taken: Taken) -> None:
    answer = taken(graphs.sd15(batch=4))
    one = joulecast.estimate("sd1.5", GPU, size="512x512", steps=19, passes=2, batch_size=4)
    assert answer.outputs == 4
    assert answer.energy.value == pytest.approx(4 * one.energy_j)
    assert answer.energy_per_output.value == pytest.approx(one.energy_j)
    assert answer.duration == one.duration


def flop_of(estimate: joulecast.Estimate, *roles: str) -> float:
    return sum(part.flop for part in estimate.components if part.role in roles)


def test_base_and_refiner_share_the_steps_and_one_decoding(taken: Taken) -> None:
    """With SDXL in place of the refiner it is SDXL's 25 steps, and its text twice."""
    answer = taken(graphs.base_and_refiner(), "11=sdxl")
    whole = joulecast.estimate("sdxl", GPU, size="1024x1024", steps=25, passes=2)
    base, refiner = answer.samplers
    assert [one.asked.sampling.calls for one in answer.samplers] == [20, 5]
    assert flop_of(base.estimate, "decoder") == 0
    assert flop_of(refiner.estimate, "decoder") == flop_of(whole, "decoder") > 0
    both = flop_of(base.estimate, "denoiser") + flop_of(refiner.estimate, "denoiser")
    assert both == pytest.approx(flop_of(whole, "denoiser"))
    assert answer.energy.value == pytest.approx(whole.energy_j, rel=SPLIT_PARTS)
    assert answer.duration.value == pytest.approx(whole.duration_s, rel=SPLIT_PARTS)
    assert answer.outputs == 1


def test_a_model_that_is_left_out_is_said(taken: Taken) -> None:
    answer = taken(graphs.base_and_refiner(), "11=none")
    (one,) = answer.samplers
    assert (one.asked.sampling.node.id, [out.node.id for out in answer.left_out]) == ("5", ["15"])
    assert any("node 15" in words and "left out" in words for words in answer.warnings)
    assert {node.id: node.status for node in answer.nodes}[
        "6"
    ] == "not counted"  # what it decodes is of node 15
    assert answer.outputs == 1


def test_a_second_pass_is_of_its_own_size_and_encodes_no_text(taken: Taken) -> None:
    """14 steps of a sampler that calls the model twice, but for the last."""
    answer = taken(graphs.hires_fix())
    first, second = answer.samplers
    by_hand = joulecast.estimate("sdxl", GPU, size="1248x1824", steps=27, passes=2)
    assert flop_of(second.estimate, "text_encoder") == 0
    assert flop_of(second.estimate, "denoiser", "decoder") == flop_of(by_hand, "denoiser", "decoder")
    assert second.estimate.energy_j == pytest.approx(by_hand.energy_j, rel=SPLIT_PARTS)
    assert flop_of(first.estimate, "text_encoder") == flop_of(by_hand, "text_encoder")
    assert answer.energy.low == first.energy.low + second.energy.low
    assert answer.largest is second


def test_pixels_are_upscaled_by_what_a_file_says_and_encoded_again(taken: Taken) -> None:
    workflow = graphs.sd15()
    workflow["8"] = graphs.node("UpscaleModelLoader", model_name="RealESRGAN_x2.pth")
    workflow["9"] = graphs.node("ImageUpscaleWithModel", upscale_model=["8", 0], image=["6", 0])
    workflow["10"] = graphs.node("VAEEncodeTiled", pixels=["9", 0], vae=["1", 2], tile_size=512)
    workflow |= graphs.sampler("11", "10", steps=10, denoise=0.4)
    workflow["12"] = graphs.node("VAEDecodeTiled", samples=["11", 0], vae=["1", 2], tile_size=512)
    workflow["13"] = graphs.node("SaveImage", images=["12", 0])
    answer = taken(workflow)
    first, second = answer.samplers
    assert (first.asked.decodes, second.asked.decodes) == (1, 1)
    assert (second.estimate.workload.width, second.estimate.workload.height) == (1024, 1024)
    by_hand = joulecast.estimate("sd1.5", GPU, size="1024x1024", input_image="1024x1024", steps=9, passes=2)
    assert flop_of(second.estimate, "image_encoder") == flop_of(by_hand, "image_encoder") > 0
    told = {node.id: (node.status, node.words) for node in answer.nodes}
    assert told["9"] == ("not counted", "an upscaler is a network of its own")
    assert told["12"][0] == "counted"
    assert "tiles overlap" in told["12"][1]
    assert answer.outputs == 1


@pytest.mark.parametrize(
    ("sampler", "steps", "cfg", "calls", "passes"),
    [
        ("euler", 20, 1.0, 20, 1),
        ("euler", 20, 1.01, 20, 2),
        ("euler_cfg_pp", 20, 1.0, 20, 2),
        ("heun", 20, 7, 39, 2),
        ("heun", 1, 7, 1, 2),
        ("heunpp2", 20, 7, 57, 2),
        ("dpmpp_2s_ancestral", 10, 7, 19, 2),
        ("seeds_3", 10, 7, 28, 2),
        ("uni_pc", 10, 7, 10, 2),
    ],
)
def test_calls_of_samplers(
    taken: Taken, sampler: str, steps: int, cfg: float, calls: int, passes: int
) -> None:
    """By hand, from the loops of ComfyUI's samplers: a second call of all steps but the last, of most."""
    workflow = graphs.text_to_image(
        "sd_xl_base_1.0.safetensors", 1024, 1024, steps=steps, cfg=cfg, sampler_name=sampler
    )
    (one,) = taken(workflow).samplers
    assert (one.asked.sampling.calls, one.estimate.workload.steps, one.estimate.workload.passes) == (
        calls,
        calls,
        passes,
    )


def test_heun_that_leaves_noise_calls_twice_in_its_last_step_too(taken: Taken) -> None:
    workflow = graphs.base_and_refiner()
    for number in ("5", "15"):
        workflow[number]["inputs"]["sampler_name"] = "heun"
    base, refiner = taken(workflow, "11=sdxl").samplers
    assert (base.asked.sampling.calls, refiner.asked.sampling.calls) == (40, 9)


def test_denoise_takes_no_steps_away(taken: Taken) -> None:
    """ComfyUI makes the last of a longer schedule: as many steps at less noise."""
    assert taken(graphs.sd15(denoise=0.3)).energy == taken(graphs.sd15()).energy


def test_steps_that_are_split(taken: Taken) -> None:
    workflow = graphs.flux_dev()
    workflow["20"] = graphs.node("SplitSigmas", sigmas=["7", 0], step=12)
    workflow["21"] = graphs.node("Reroute", **{"": ["20", 1]})
    workflow["10"]["inputs"]["sigmas"] = ["20", 0]
    second = {**workflow["10"]["inputs"], "sigmas": ["21", 0], "latent_image": ["10", 0], "noise": ["23", 0]}
    workflow["22"] = graphs.node("SamplerCustomAdvanced", **second)
    workflow["23"] = graphs.node("DisableNoise")
    workflow["13"]["inputs"]["samples"] = ["22", 0]
    answer = taken(workflow)
    assert [one.asked.sampling.calls for one in answer.samplers] == [12, 8]
    assert [one.asked.decodes for one in answer.samplers] == [0, 1]


def test_guidance_with_a_scale_makes_two_passes_of_flux(taken: Taken) -> None:
    workflow = graphs.flux_dev("default")
    workflow["6"] = graphs.node("CFGGuider", model=["12", 0], positive=["4", 0], negative=["3", 0], cfg=3.5)
    (one,) = taken(workflow).samplers
    by_hand = joulecast.estimate("flux.1-dev", GPU, size="1024x1024", steps=20, passes=2)
    assert one.estimate.energy == by_hand.energy


def test_a_pipeline_without_a_second_pass_is_called_twice_as_often(taken: Taken) -> None:
    (one,) = taken(graphs.text_to_image("flux-2-klein-4b.safetensors", 1024, 1024, cfg=2.0, steps=4)).samplers
    assert (one.estimate.workload.passes, one.estimate.workload.steps) == (1, 8)
    assert any("never makes a second pass" in note for note in one.asked.notes)


@pytest.mark.parametrize(
    ("file", "dtype", "model", "quantization"),
    [
        ("flux1-dev.safetensors", "fp8_e4m3fn_fast", "flux.1-dev", "fp8"),
        ("FLUX/flux1-dev-fp8.safetensors", "default", "flux.1-dev", "fp8-weights"),
        ("flux1-dev-Q4_K_S.gguf", "default", "flux.1-dev", "int4-weights"),
        ("flux\\flux1-schnell-Q8_0.gguf", "default", "flux.1-schnell", "int8-weights"),
        ("flux1-dev-kontext_fp8_scaled.safetensors", "default", "flux.1-kontext-dev", "fp8-weights"),
        ("svdq-int4-flux.1-dev.safetensors", "default", "flux.1-dev", "int4"),
        ("sd3_medium_incl_clips_t5xxlfp8.safetensors", "default", "sd3-medium", "none"),
        ("sd3.5_large_fp8_scaled.safetensors", "default", "sd3.5-large", "fp8-weights"),
        ("dreamshaper_8.safetensors", "default", "sd1.5", "none"),
        ("z_image_turbo_bf16.safetensors", "default", "z-image-turbo", "none"),
        ("wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "default", "wan2.2-t2v-a14b", "fp8-weights"),
        ("wan2.1_i2v_480p_14B_fp16.safetensors", "default", "wan2.1-i2v-14b-480p", "none"),
        ("hunyuan_video_t2v_720p_bf16.safetensors", "default", "hunyuanvideo", "none"),
        ("ltx-video-2b-v0.9.5.safetensors", "default", "ltx-video-2b-0.9.5", "none"),
        ("ltxv-13b-0.9.7-distilled-fp8.safetensors", "default", "ltx-video-13b-distilled", "fp8-weights"),
        ("myOwnMerge_v7.safetensors", "default", None, "none"),
        ("wan2.1_t2v_13B.safetensors", "default", None, "none"),
    ],
)
def test_files_are_known_by_their_names(file: str, dtype: str, model: str | None, quantization: str) -> None:
    from joulecast.workflows.checkpoints import checkpoint_of
    from joulecast.workflows.graph import Node
    from joulecast.workflows.handed import LoadedModel

    found = checkpoint_of(LoadedModel(Node("1", "UNETLoader", "", {}, {}), file, dtype))
    assert (found.model, found.quantization) == (model, quantization)


def test_both_experts_of_wan_2_2(taken: Taken) -> None:
    workflow = graphs.base_and_refiner()
    for number, file in (("1", "high"), ("11", "low")):
        workflow[number] = graphs.node(
            "UNETLoader",
            unet_name=f"wan2.2_t2v_{file}_noise_14B_fp8_scaled.safetensors",
            weight_dtype="default",
        )
    workflow["4"] = graphs.node("EmptyHunyuanLatentVideo", width=832, height=480, length=81, batch_size=1)
    answer = taken(workflow, keys={"gpu": "H100"})
    assert [one.estimate.question.profile.name for one in answer.samplers] == ["wan2.2-t2v-a14b"] * 2
    whole = joulecast.estimate(
        "wan2.2-t2v-a14b", "H100", size="832x480", frames=81, steps=25, passes=2, quantization="fp8-weights"
    )
    assert answer.energy.value == pytest.approx(whole.energy_j, rel=SPLIT_PARTS)
    assert (answer.output, answer.outputs) == ("clip", 1)
    first = taken(workflow, "11=none", keys={"gpu": "H100"})  # what it makes is decoded of the other alone
    assert (first.output, first.outputs) == ("clip", 1)


def test_a_peak_that_is_not_known_is_not_that_of_the_others(taken: Taken, tmp_path: Path) -> None:
    sdxl = packaged_profile("sdxl")
    parts = tuple(dataclasses.replace(part, memory={}) for part in sdxl.components)
    path = tmp_path / "mine.json"
    write_profile(dataclasses.replace(sdxl, name="mine", hub_id=None, components=parts), path)
    answer = taken(graphs.base_and_refiner(), f"11={path}")
    assert answer.largest.asked.sampling.node.id == "15"
    memory = answer.to_dict()["memory"]
    assert (memory["node"], memory["peak_bytes"], memory["fits"]) == ("15", None, "unknown")
    (row,) = (line for line in str(answer).splitlines() if "memory at its peak" in line)
    base = answer.samplers[0].estimate.memory.least_peak_bytes
    assert base is not None
    assert f"at least {gigabytes(base)}" in row
    assert "that of node 15 is not known" in row


def test_an_image_to_video_model_is_given_its_image(taken: Taken) -> None:
    workflow = graphs.text_to_image("wan2.1_i2v_480p_14B_fp16.safetensors", 8, 8, steps=20, cfg=6.0)
    workflow["1"] = graphs.node(
        "UNETLoader", unet_name="wan2.1_i2v_480p_14B_fp16.safetensors", weight_dtype="default"
    )
    workflow["8"] = graphs.node("LoadImage", image="a.png")
    workflow["4"] = graphs.node(
        "WanImageToVideo", positive=["2", 0], negative=["3", 0], vae=["9", 0], start_image=["8", 0],
        width=832, height=480, length=33, batch_size=1,
    )  # fmt: skip
    workflow["9"] = graphs.node("VAELoader", vae_name="wan_2.1_vae.safetensors")
    workflow["5"]["inputs"] |= {"positive": ["4", 0], "negative": ["4", 1], "latent_image": ["4", 2]}
    by_hand = joulecast.estimate("wan2.1-i2v-14b-480p", GPU, size="832x480", frames=33, steps=20, passes=2)
    assert taken(workflow).energy == by_hand.energy


def test_what_the_command_line_says_holds_for_all(taken: Taken) -> None:
    answer = taken(graphs.flux_dev(), keys={"gpu": "H100", "engine": "sglang", "quantization": "none"})
    by_hand = joulecast.estimate("flux.1-dev", "H100", size="1024x1024", steps=20, engine="sglang")
    assert answer.energy == by_hand.energy
    assert answer.notes == ()
    compiled = taken(graphs.flux_dev(), keys={"compile": True})
    assert compiled.runtime.compile
    for told in (compiled, taken(graphs.flux_dev())):
        assert any("no run of ComfyUI" in note and "eager" not in note for note in told.notes)


def test_an_engine_of_its_own_is_taken_once_it_is_known(
    taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one of another name, whose kernels are diffusers' too."""
    before = taken(graphs.flux_dev())
    for module in (asking, estimate):
        monkeypatch.setattr(module, "COMFYUI", "xdit")
    answer = taken(graphs.flux_dev())
    assert (answer.runtime.engine, answer.energy, answer.notes) == ("xdit", before.energy, ())
    monkeypatch.setattr(asking, "COMFYUI", "nobody's")
    assert taken(graphs.flux_dev()).runtime.engine == "diffusers"


def test_a_sampler_that_goes_on_from_another_encodes_no_image(taken: Taken) -> None:
    """Also where the model's own pipeline is given one: here that of SDXL, as a refiner."""
    first, second = taken(graphs.base_and_refiner(), "11=sdxl-image-to-image").samplers
    assert second.estimate.question.profile.images.strength
    assert not second.asked.encodes_image
    assert flop_of(second.estimate, "image_encoder") == 0
    assert first.asked.is_last is False


def test_a_size_that_is_not_in_the_workflow(taken: Taken) -> None:
    workflow = graphs.image_to_image()
    workflow["4"]["inputs"]["pixels"] = ["8", 0]
    with pytest.raises(joulecast.InputError, match=r"node 8 \(LoadImage\).*--size WIDTHxHEIGHT"):
        taken(workflow)
    assert taken(workflow, assumed=Assumed(size=(768, 512))).energy == taken(graphs.image_to_image()).energy


def test_an_image_to_edit_is_brought_to_a_size_of_its_model(taken: Taken) -> None:
    """Of those of FLUX.1 Kontext the one of the nearest shape: 3:2 of 1248x832."""
    workflow = graphs.flux_dev("default")
    workflow["1"]["inputs"]["unet_name"] = "flux1-dev-kontext_fp8_scaled.safetensors"
    workflow["20"] = graphs.node("LoadImage", image="a.png")
    workflow["21"] = graphs.node("FluxKontextImageScale", image=["20", 0])
    workflow["22"] = graphs.node("VAEEncode", pixels=["21", 0], vae=["14", 0])
    workflow["23"] = graphs.node("ReferenceLatent", conditioning=["3", 0], latent=["22", 0])
    workflow["4"]["inputs"]["conditioning"] = ["23", 0]
    workflow["10"]["inputs"]["latent_image"] = ["22", 0]
    (one,) = taken(workflow, assumed=Assumed(size=(3000, 2000))).samplers
    by_hand = joulecast.estimate(
        "flux.1-kontext-dev", GPU, size="1248x832", steps=20, quantization="fp8-weights"
    )
    assert one.estimate.energy == by_hand.energy
    assert one.asked.encodes_image


def test_calls_of_a_sampler_that_is_not_known(taken: Taken) -> None:
    workflow = graphs.sd15(sampler_name="res_2s")
    with pytest.raises(joulecast.InputError, match=r"node 5 \(KSampler\): sampler 'res_2s'.*--calls"):
        taken(workflow)
    (one,) = taken(workflow, assumed=Assumed(calls=2)).samplers
    assert one.asked.sampling.calls == 40


def test_only_what_is_saved_is_counted(taken: Taken) -> None:
    workflow = graphs.sd15() | graphs.sampler("9", "4", steps=99)
    answer = taken(workflow)
    assert answer.energy == taken(graphs.sd15()).energy
    assert {node.id: node.status for node in answer.nodes}["9"] == "not run"


def test_two_images_of_one_prompt_encode_it_once(taken: Taken) -> None:
    workflow = graphs.sd15() | graphs.sampler("9", "4", seed=8)
    workflow["10"] = graphs.node("VAEDecode", samples=["9", 0], vae=["1", 2])
    workflow["11"] = graphs.node("SaveImage", images=["10", 0])
    answer = taken(workflow)
    assert answer.outputs == 2
    assert [one.asked.encodes_text for one in answer.samplers].count(True) == 1


@pytest.mark.parametrize(
    ("file", "latent", "by_hand"),
    [
        ("sd3.5_medium.safetensors", (1000, 1000, None), {"size": "1008x1008"}),
        ("flux1-dev.safetensors", (1004, 1024, None), {"size": "1008x1024"}),
        ("v1-5-pruned.ckpt", (515, 775, None), {"size": "512x768"}),
        ("wan2.1_t2v_1.3B_fp16.safetensors", (832, 480, 80), {"size": "832x480", "frames": 77}),
        ("wan2.1_t2v_1.3B_fp16.safetensors", (832, 480, 3), {"size": "832x480", "frames": 1}),
        ("ltx-video-2b-v0.9.safetensors", (720, 500, 97), {"size": "704x480", "frames": 97}),
    ],
)
def test_sizes_and_frames_as_comfyui_makes_them(
    taken: Taken, file: str, latent: tuple[int, int, int | None], by_hand: dict[str, Any]
) -> None:
    """Latents are rounded down to 8 pixels (of LTX-Video 32) and whole steps of frames; sides are padded."""
    width, height, length = latent
    workflow = graphs.text_to_image(file, width, height, cfg=1.0)
    if length is not None:
        name = "EmptyLTXVLatentVideo" if "ltx" in file else "EmptyHunyuanLatentVideo"
        workflow["4"] = graphs.node(name, width=width, height=height, length=length, batch_size=1)
    (one,) = taken(workflow).samplers
    expected = joulecast.estimate(one.estimate.question.profile.name, GPU, **by_hand).workload
    made = one.estimate.workload
    assert (made.width, made.height, made.frames) == (expected.width, expected.height, expected.frames)
    assert f"{one.estimate.rendered_width}x{one.estimate.rendered_height}" == by_hand["size"]


FAMILIES: dict[str, tuple[str, str, dict[str, Any], float, dict[str, Any]]] = {
    "sd3.5-large": (
        "CheckpointLoaderSimple", "sd3.5_large_fp8_scaled.safetensors",
        {"class": "EmptySD3LatentImage", "width": 1024, "height": 1024}, 4.0,
        {"size": "1024x1024", "passes": 2, "quantization": "fp8-weights"},
    ),
    "hunyuanvideo": (
        "UNETLoader", "hunyuan_video_t2v_720p_bf16.safetensors",
        {"class": "EmptyHunyuanLatentVideo", "width": 848, "height": 480, "length": 73}, 1.0,
        {"size": "848x480", "frames": 73, "passes": 1},
    ),
    "ltx-video-2b-0.9.5": (
        "CheckpointLoaderSimple", "ltx-video-2b-v0.9.5.safetensors",
        {"class": "EmptyLTXVLatentVideo", "width": 768, "height": 512, "length": 97}, 3.0,
        {"size": "768x512", "frames": 97, "passes": 2},
    ),
    "z-image-turbo": (
        "UNETLoader", "z_image_turbo_bf16.safetensors",
        {"class": "EmptySD3LatentImage", "width": 1024, "height": 1024}, 1.0,
        {"size": "1024x1024", "passes": 1},
    ),
    "flux.1-schnell": (
        "CheckpointLoaderSimple", "flux1-schnell-fp8.safetensors",
        {"class": "EmptySD3LatentImage", "width": 1024, "height": 768}, 1.0,
        {"size": "1024x768", "passes": 1, "quantization": "fp8-weights"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("model", FAMILIES)
def test_families_by_their_loaders_and_latents(taken: Taken, model: str) -> None:
    loader, file, latent, cfg, by_hand = FAMILIES[model]
    workflow = graphs.text_to_image(file, 8, 8, steps=12, cfg=cfg, scheduler="simple")
    key = "ckpt_name" if loader == "CheckpointLoaderSimple" else "unet_name"
    workflow["1"] = graphs.node(loader, **{key: file})
    inputs = {name: value for name, value in latent.items() if name != "class"}
    workflow["4"] = graphs.node(latent["class"], batch_size=1, **inputs)
    (one,) = taken(workflow, keys={"gpu": "H100"}).samplers
    expected = joulecast.estimate(model, "H100", steps=12, **by_hand)
    assert one.estimate.energy == expected.energy
    assert one.estimate.duration == expected.duration
