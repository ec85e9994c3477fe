"""Bodies as gateways and engines hold them: OpenAI's shape, and what vLLM-Omni and SGLang add to it.

The examples are shaped as the three projects document them: OpenAI's API reference (images, videos),
vLLM-Omni's ``docs/serving`` and ``entrypoints/openai/protocol``, SGLang's ``docs/diffusion/api/openai_api``
and ``multimodal_gen/runtime/entrypoints/openai/protocol.py``.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from starlette.testclient import TestClient

import joulecast

H100 = "H100-SXM5-80GB"
SECRET = "a calico cat in a moonlit library, by nobody in particular"

# POST /v1/images/generations of vLLM-Omni: OpenAI's fields and its own.
VLLM_OMNI_IMAGE: dict[str, Any] = {
    "model": "Qwen/Qwen-Image",
    "prompt": SECRET,
    "negative_prompt": "blurry, low quality",
    "n": 2,
    "size": "1024x1024",
    "response_format": "b64_json",
    "user": "user-1234",
    "num_inference_steps": 50,
    "guidance_scale": 1.0,
    "true_cfg_scale": 4.0,
    "seed": 42,
    "vae_use_slicing": False,
}
# POST /v1/images/generations of SGLang, whose sides may stand beside a size.
SGLANG_IMAGE: dict[str, Any] = {
    "model": "black-forest-labs/FLUX.1-dev",
    "prompt": SECRET,
    "n": 1,
    "quality": "auto",
    "response_format": "url",
    "style": "vivid",
    "background": "auto",
    "output_format": None,
    "user": None,
    "width": 768,
    "height": 1024,
    "num_inference_steps": 28,
    "guidance_scale": 3.5,
    "seed": 1024,
    "generator_device": "cuda",
    "enable_teacache": False,
}
# POST /v1/images/edits as JSON.
OPENAI_EDIT: dict[str, Any] = {
    "model": "Qwen/Qwen-Image-Edit",
    "prompt": SECRET,
    "images": [{"image_url": "data:image/png;base64,iVBORw0KGgo="}],
    "size": "auto",
    "n": 1,
    "quality": "high",
    "input_fidelity": "high",
    "moderation": "low",
    "output_format": "png",
}
# POST /v1/videos, OpenAI's: seconds are text.
OPENAI_VIDEO: dict[str, Any] = {
    "model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "prompt": SECRET,
    "seconds": "4",
    "size": "832x480",
}
# POST /v1/videos of vLLM-Omni, with its nested block.
VLLM_OMNI_VIDEO: dict[str, Any] = {
    **OPENAI_VIDEO,
    "video_params": {"width": 832, "height": 480, "num_frames": 33, "fps": 16},
    "num_inference_steps": 40,
    "guidance_scale": 4.0,
    "guidance_scale_2": 4.0,
    "boundary_ratio": 0.875,
    "flow_shift": 5.0,
    "negative_prompt": "",
    "seed": 42,
}


def asked(client: TestClient, body: object, query: str = "", headers: dict[str, str] | None = None) -> Any:
    """The answer to a body."""
    found = client.post(f"/v1/estimate/openai{query}", json=body, headers=headers)
    assert found.status_code == 200, found.text
    assert SECRET[:12] not in found.text
    return found.json()


def test_vllm_omni_images(client: TestClient) -> None:
    answer = asked(client, VLLM_OMNI_IMAGE, "?engine=vllm-omni")
    expected = joulecast.estimate(
        "qwen-image", H100, size="1024x1024", steps=50, guidance=1.0, true_cfg_scale=4.0,
        negative_prompt=True, batch_size=2, engine="vllm-omni",
    )  # fmt: skip
    assert answer["energy_j"] == expected.energy_j
    assert answer["batch_energy_j"] == 2 * expected.energy_j
    assert answer["duration_s"] == expected.duration_s
    assert answer["workload"]["passes"] == 2
    assert answer["runtime"]["engine"] == "vllm-omni"
    assert "n 2: generated together, as one batch" in answer["notes"]
    assert "the prompt was not read: the model's usual number of text tokens was taken" in answer["notes"]
    assert "not read: response_format, seed, user, vae_use_slicing" in answer["notes"]


def test_sglang_images(client: TestClient) -> None:
    answer = asked(client, SGLANG_IMAGE, "?engine=sglang")
    expected = joulecast.estimate("flux.1-dev", H100, width=768, height=1024, steps=28, engine="sglang")
    assert answer["energy_j"] == expected.energy_j
    assert answer["runtime"]["cache"] == "none"
    told = next(note for note in answer["notes"] if note.startswith("not read: "))
    assert told == "not read: background, generator_device, quality, response_format, seed, style"


def test_a_cache_that_a_body_asks_for(client: TestClient) -> None:
    answer = asked(client, {**SGLANG_IMAGE, "enable_teacache": True}, "?engine=sglang")
    expected = joulecast.estimate(
        "flux.1-dev", H100, width=768, height=1024, steps=28, engine="sglang", cache="teacache"
    )
    assert answer["energy_j"] == expected.energy_j < asked(client, SGLANG_IMAGE, "?engine=sglang")["energy_j"]


def test_openai_edits(client: TestClient) -> None:
    answer = asked(client, OPENAI_EDIT)
    assert answer["energy_j"] == joulecast.estimate("qwen-image-edit", H100).energy_j
    assert any(note.startswith("the size of the input image is not in the body") for note in answer["notes"])
    assert "size is left to the model" in answer["notes"]


def test_openai_videos(client: TestClient) -> None:
    answer = asked(client, OPENAI_VIDEO)
    expected = joulecast.estimate("wan2.1-t2v-1.3b", H100, size="832x480", seconds=4)
    assert answer["energy_j"] == expected.energy_j
    assert answer["output"] == "clip"
    assert any(note.startswith("a length in seconds and no fps") for note in answer["notes"])


def test_vllm_omni_videos(client: TestClient) -> None:
    """Frames are taken, not seconds, as the engine does; an empty negative prompt is none that is given."""
    answer = asked(client, VLLM_OMNI_VIDEO)
    expected = joulecast.estimate(
        "wan2.1-t2v-1.3b", H100, size="832x480", frames=33, fps=16, steps=40, guidance=4.0
    )
    assert answer["energy_j"] == expected.energy_j
    assert answer["video"]["frame_rate"] == 16
    assert "num_frames was taken, and not seconds" in answer["notes"]


def test_what_stands_beside_a_block_goes_before_it(client: TestClient) -> None:
    answer = asked(client, {**VLLM_OMNI_VIDEO, "num_frames": 17})
    assert answer["workload"]["frames"] == 17


@pytest.mark.parametrize("where", ["query", "header", "default"])
def test_the_gpu_and_the_engine_are_said_beside_the_body(
    where: str, client: TestClient, bare: TestClient
) -> None:
    told = {"gpu": "L4", "engine": "sglang"}
    if where == "query":
        answer = asked(bare, SGLANG_IMAGE, "?gpu=L4&engine=sglang")
    elif where == "header":
        answer = asked(bare, SGLANG_IMAGE, "", {f"x-joulecast-{name}": value for name, value in told.items()})
    else:
        answer, told = asked(client, SGLANG_IMAGE), {"gpu": H100, "engine": "diffusers"}
    assert (answer["gpu"]["name"], answer["runtime"]["engine"]) == (told["gpu"], told["engine"])


def test_a_query_goes_before_a_header(client: TestClient) -> None:
    assert asked(client, SGLANG_IMAGE, "?gpu=L4", {"x-joulecast-gpu": "T4"})["gpu"]["name"] == "L4"


def test_a_body_without_a_model_takes_the_one_that_is_served(client: TestClient) -> None:
    """Engines serve one model, and their bodies need not name it."""
    body = {key: value for key, value in SGLANG_IMAGE.items() if key != "model"}
    named = asked(client, SGLANG_IMAGE)["energy_j"]
    assert asked(client, body, "?model=flux.1-dev")["energy_j"] == named
    assert asked(client, body, "", {"x-joulecast-model": "flux.1-dev"})["energy_j"] == named


def test_how_it_is_deployed_may_be_in_the_query(client: TestClient) -> None:
    query = "?gpu=2xH100-SXM5-80GB&parallel=ulysses=2&quantization=fp8&region=FR&engine=sglang"
    answer = asked(client, SGLANG_IMAGE, query)
    assert answer["runtime"]["gpus"] == 2
    assert answer["runtime"]["quantization"] == "fp8"
    assert answer["footprint"]["grid"]["region"] == "France"


def test_text_tokens_that_are_given_are_taken(client: TestClient) -> None:
    answer = asked(client, {"model": "qwen-image", "prompt": SECRET}, "?text_tokens=100")
    assert answer["workload"]["text_tokens"] == 100


@pytest.mark.parametrize("said", [1, "true", "Yes", "on", True])
def test_a_cache_is_asked_for_by_any_yes(client: TestClient, said: object) -> None:
    answer = asked(client, {**SGLANG_IMAGE, "enable_teacache": said}, "?engine=sglang")
    assert answer["runtime"]["cache"] == "teacache"


@pytest.mark.parametrize("said", [0, "false", "no", None])
def test_and_not_by_any_no(client: TestClient, said: object) -> None:
    answer = asked(client, {**SGLANG_IMAGE, "enable_teacache": said}, "?engine=sglang")
    assert answer["runtime"]["cache"] == "none"


def test_one_thing_said_alike_by_two_fields_is_one_thing(client: TestClient) -> None:
    body = {**SGLANG_IMAGE, "n": 4, "batch_size": "4", "enable_teacache": 1, "cache": "teacache"}
    answer = asked(client, body, "?engine=sglang")
    assert answer["outputs"] == 4
    assert answer["runtime"]["cache"] == "teacache"
    assert "n 4: generated together, as one batch" in answer["notes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 2, "batch_size": 4}, "n and batch_size both say batch_size, and not alike: give one of them"),
        ({"num_images_per_prompt": 4, "n": 2}, "n and num_images_per_prompt both say batch_size, and not"),
        ({"enable_teacache": True, "cache": "none"}, "enable_teacache and cache both say cache, and not"),
        ({"cache": "cache-dit", "enable_teacache": "yes"}, "enable_teacache and cache both say cache"),
        ({"enable_teacache": "maybe"}, "enable_teacache is yes or no, not 'maybe'"),
        ({"enable_teacache": [1]}, "enable_teacache is yes or no, not [1]"),
        ({"image": "x", "input_images": 2}, "the body's image and input_images both say input_images, and"),
        ({"enable_upscaling": True}, "another network enlarges what is made"),
        ({"enable_frame_interpolation": True}, "another network makes frames between others"),
        ({"max_sequence_length": 256}, "name the text tokens"),
        ({"n": 0}, "batch size must be between 1 and 4096, not 0"),
        ({"num_inference_steps": 0}, "steps"),
        ({"size": "1024"}, "size"),
        ({"guidance_scale": "high"}, "guidance"),
        ({"images": ["a", "b"]}, "one input image is predicted, not 2"),
        ({"num_inference_steps": 1e999}, "cannot be read"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    client: TestClient, change: dict[str, object], words: str
) -> None:
    body = {**SGLANG_IMAGE, **change}
    content = json.dumps(body).replace("Infinity", "1e999")
    found = client.post("/v1/estimate/openai", content=content, headers={"content-type": "application/json"})
    assert found.status_code == 422, found.text
    assert words in found.json()["detail"]
    assert SECRET[:12] not in found.text


def test_a_key_said_twice_is_refused(client: TestClient) -> None:
    found = client.post("/v1/estimate/openai?width=512", json=SGLANG_IMAGE)
    assert found.json()["detail"] == "width is given twice: in the body and beside it"
    assert found.status_code == 422


def test_prompts_are_neither_logged_nor_kept(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    from joulecast.web import asking

    caplog.set_level(logging.DEBUG)
    bodies = (
        {**SGLANG_IMAGE, "negative_prompt": SECRET, "steps": 31},
        {**SGLANG_IMAGE, "prompt": [SECRET]},
        {**SGLANG_IMAGE, "negative_prompt": 12345678},
        {**SGLANG_IMAGE, "size": "bad"},
    )
    for body in bodies:
        found = client.post("/v1/estimate/openai", json=body)
        assert SECRET[:12] not in found.text
        assert "12345678" not in found.text
    assert SECRET[:12] not in caplog.text
    before = asking.answered.cache_info().misses
    for prompt in ("one", "another"):
        asked(client, {**SGLANG_IMAGE, "prompt": prompt, "negative_prompt": prompt, "steps": None, "seed": 7})
    assert asking.answered.cache_info().misses <= before + 1
