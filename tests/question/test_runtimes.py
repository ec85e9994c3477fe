"""What is asked of a runtime is made whole in one place, for a setting and for a table's rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from joulecast.architecture.catalogue import model_names
from joulecast.errors import JoulecastError
from joulecast.question.gpus import gpu
from joulecast.question.models import load_profile
from joulecast.question.question import Question, ask
from joulecast.question.questions import Questions, questions_of
from joulecast.question.runtimes import (
    NOTHING_ASKED,
    Asked,
    Told,
    read_compile,
    read_split,
    runtime_of,
)
from joulecast.question.setting import Setting
from joulecast.question.table import TableReader
from joulecast.runs import packaged_runs
from joulecast.runtime import REFERENCE, Runtime

FLUX, QWEN, SDXL = (load_profile(name) for name in ("flux.1-dev", "qwen-image", "sdxl"))
H100, A100 = gpu("H100-SXM5-80GB"), gpu("A100-SXM4-80GB")


def asked(model: str = "flux.1-dev", device: str = "H100-SXM5-80GB", **keys: Any) -> Question:
    return ask(Setting.of({"model": model, "gpu": device, **keys}))


def table(**columns: list[object]) -> Questions:
    rows = len(next(iter(columns.values())))
    return TableReader().read({"model": ["flux.1-dev"] * rows, "gpu": ["H100-SXM5-80GB"] * rows, **columns})


def test_nothing_asked_is_the_reference() -> None:
    assert runtime_of(NOTHING_ASKED, FLUX, H100, "bf16", 1) == Told(REFERENCE)
    assert asked().runtime is REFERENCE
    assert not any("runtime" in note for note in asked().notes)


@pytest.mark.parametrize(
    ("keys", "runtime"),
    [
        ({"engine": "SGLang"}, Runtime("sglang")),
        ({"engine": "diffusers-compiled"}, Runtime(compile=True)),
        ({"compile": "yes", "engine": "sglang"}, Runtime("sglang", compile=True)),
        ({"quantization": "none", "cache": "off"}, REFERENCE),
        ({"cache": "cache-dit", "power_limit_w": "450"}, Runtime(cache="cache-dit", power_limit_w=450.0)),
        (
            {"gpus": 4, "parallel": "ring=2,ulysses=2"},
            Runtime(gpus=4, parallel=(("ring", 2), ("ulysses", 2))),
        ),
        ({"gpus": 1}, REFERENCE),
        ({"offload": "Model"}, Runtime(offload="model")),
        ({"cpu_offload": "yes"}, Runtime(offload="model")),
        ({"enable_model_cpu_offload": True}, Runtime(offload="model")),
        ({"enable_model_cpu_offload": "false"}, REFERENCE),
        ({"offload": "none", "enable_sequential_cpu_offload": "no"}, REFERENCE),
        ({"offload": "model", "compile": "yes"}, Runtime(compile=True, offload="model")),
    ],
)
def test_keys_as_people_write_them(keys: dict[str, Any], runtime: Runtime) -> None:
    assert asked(**keys).runtime == runtime
    in_rows = table(**{key: [value] for key, value in keys.items()})
    assert in_rows.error[0] == ""
    assert in_rows.runtimes[in_rows.runtime[0]] == runtime


def test_the_name_of_the_gpu_may_say_how_many() -> None:
    for name in ("8xH100-SXM5-80GB", "8 x H100-SXM5-80GB"):
        found = asked(device=name)
        assert found.gpu == H100
        assert found.runtime == Runtime(gpus=8, parallel=(("ulysses", 8),))
    assert asked(device="2xH100-SXM5-80GB", gpus=2).runtime.gpus == 2
    assert asked(device="2xH100").warnings[0].startswith("GPU '2xH100' was taken as H100-SXM5-80GB")
    assert not asked(device="1xH100-SXM5-80GB").notes
    with pytest.raises(JoulecastError, match=r"gpus is 4, and the name of the GPU says 8"):
        asked(device="8xH100", gpus=4)


def test_how_gpus_share_is_taken_and_said() -> None:
    note = "how 2 GPUs share the work was not given: parallel {} was taken"
    assert note.format("ulysses=2") in asked(gpus=2).notes
    assert note.format("cfg=2") in asked("qwen-image", gpus=2).notes
    assert asked("qwen-image", gpus=4).runtime.parallel == (("ulysses", 4),)
    assert asked("sd3.5-large", gpus=8).runtime.parallel == (("ring", 4), ("ulysses", 2))  # of 38 heads
    assert note.format("ulysses=2") in table(gpus=["2"]).assumed[0]


def test_a_gpu_without_the_arithmetic_quantises_the_weights_alone() -> None:
    found = asked(device="A100-SXM4-80GB", quantization="fp8")
    assert found.runtime.quantization == "fp8-weights"
    assert "fp8 was taken as fp8-weights" in found.notes[-1]
    assert asked(device="A100-SXM4-80GB", quantization="int8").runtime.quantization == "int8"
    assert runtime_of(Asked(quantization="fp8"), FLUX, None, "bf16", 1).runtime.quantization == "fp8"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"engine": "sglan"}, "did you mean sglang"),
        ({"quantization": "fp7"}, "unknown quantization"),
        ({"cache": "teecache"}, "did you mean teacache"),
        ({"offload": "modle"}, "did you mean model"),
        ({"offload": "sequential"}, "tensor by tensor in every call of every layer.*; model would work"),
        (
            {"offload": "model", "engine": "sglang"},
            "engine sglang moves weights, if at all, in ways of its own",
        ),
        ({"offload": "model", "engine": "xdit"}, "offload none or engine diffusers would work"),
        ({"offload": "model", "gpus": 2}, "2 GPUs share the work; offload none or one GPU would work"),
        ({"enable_sequential_cpu_offload": "yes"}, "offload model would work"),
        ({"offload": "none", "enable_group_offload": "yes"}, "only no is taken"),
        ({"gpus": 2, "parallel": "ulises=2"}, "did you mean ulysses"),
        ({"gpus": 3, "parallel": "ulysses=2"}, "gpus is 3, but parallel ulysses=2 is for 2"),
        ({"gpus": "3.5"}, "whole number"),
        ({"gpus": 0}, "positive number"),
        ({"compile": "perhaps"}, "compile is yes or no"),
        ({"engine": "diffusers-compiled", "compile": "no"}, "leave one out"),
        ({"parallel": "cfg=2"}, "makes one a step here; ulysses=2 would work"),
        ({"model": "sdxl", "parallel": "ulysses=2"}, "the denoiser of sdxl is a U-Net"),
        ({"model": "sd1.5", "gpus": 4}, "the denoiser of sd1.5 is a U-Net"),
        ({"model": "sd1.5", "parallel": "pipefusion=2"}, "parallel pipefusion is made for a transformer"),
        ({"cache": "deepcache"}, "cache deepcache is made for a U-Net"),
        ({"model": "sdxl", "engine": "hunyuan"}, "engine hunyuan runs hunyuanvideo, and not sdxl; diffusers"),
        ({"engine": "wan"}, r"engine wan runs wan2\.1-t2v-1\.3b, .*, and not flux\.1-dev"),
        (
            {"model": "sd3.5-large", "parallel": "ulysses=4"},
            "parallel ulysses=4 shares out attention heads, and the 38 of sd3.5-large cannot be divided "
            "by 4; ring=2,ulysses=2 would work",
        ),
        (
            {"parallel": "ulysses=4,tensor=4"},
            "the 24 of flux.1-dev cannot be divided by 16; ring=2,ulysses=8",
        ),
        ({"gpu": "MI300X", "engine": "tensorrt"}, "engine tensorrt runs on GPUs of NVIDIA"),
        ({"quantization": "fp8", "precision": "fp32"}, "give precision bf16 or fp16 with it"),
        ({"power_limit_w": 701}, "draws up to 700 W; expected 175 to 700"),
        ({"power_limit_w": 174}, "expected 175 to 700"),
        ({"power_limit_w": "much"}, "power_limit_w"),
    ],
)
def test_what_cannot_be_run_so_is_told_the_same_everywhere(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(JoulecastError, match=words) as told:
        asked(**keys)
    assert "\n" not in str(told.value)
    assert table(**{key: [value] for key, value in keys.items()}).error[0] == str(told.value)


@pytest.mark.parametrize(("engine", "model"), [("hunyuan", "hunyuanvideo"), ("wan", "wan2.2-ti2v-5b")])
def test_an_engine_of_one_family_runs_it_and_what_is_made_of_it(engine: str, model: str) -> None:
    """By the names of the table, and a profile of one's own by the class of its denoiser."""
    profile = load_profile(model)
    assert asked(model, engine=engine).runtime == Runtime(engine)
    mine = dataclasses.replace(profile, name="my-tune", origin="mine.json")
    assert runtime_of(Asked(engine=engine), mine, None, "bf16", 1).runtime.engine == engine


def test_every_measured_run_is_one_that_may_be_asked_for() -> None:
    """Engines of one family, and heads that Ulysses shares out: no source ran what is refused."""
    for run in packaged_runs():
        if run.runtime.parallel or run.engine in ("wan", "hunyuan"):
            profile = load_profile(run.model) if run.model in model_names() else None
            if profile is not None:
                split = Asked(engine=run.engine, parallel=run.runtime.parallel)
                runtime_of(split, profile, None, run.precision, run.passes)


def test_a_u_net_shares_the_passes_of_its_guidance() -> None:
    assert asked("sdxl", gpus=2).runtime.parallel == (("cfg", 2),)


def test_a_power_limit_is_checked_where_the_gpu_is_known() -> None:
    limit = Asked(power_limit_w=10.0)
    assert runtime_of(limit, FLUX, None, "bf16", 1).runtime.power_limit_w == 10.0
    with pytest.raises(JoulecastError, match="draws up to 400 W"):
        runtime_of(Asked(power_limit_w=500.0), FLUX, A100, "bf16", 1)


def test_rows_have_each_their_own_runtime_and_say_it_where_it_was_asked_for() -> None:
    found = table(engine=["sglang", "", "sglang", "nonsense"], gpus=["2", "", "", ""])
    labels = [found.runtimes[place].label for place in found.runtime]
    assert labels[:3] == ["sglang, 2 GPUs (ulysses=2)", "diffusers", "sglang"]
    assert [bool(words) for words in found.error] == [False, False, False, True]
    assert "runtime: sglang, 2 GPUs (ulysses=2)" in found.assumed[0]
    assert "runtime" not in found.assumed[1]


def test_whole_questions_keep_their_runtimes_in_columns() -> None:
    whole = [asked(), asked(engine="sglang"), asked(gpus=2), asked()]
    found = questions_of(whole)
    assert [found.runtimes[place] for place in found.runtime] == [one.runtime for one in whole]


def test_values_that_are_read_twice_stay() -> None:
    setting = Setting.of({"model": "sdxl", "parallel": "ulysses=2,ring=2", "engine": "diffusers-compiled"})
    assert setting.given()["parallel"] == "ring=2,ulysses=2"
    assert Setting.of(setting.given()) == setting
    assert read_split((("ulysses", 2),)) == (("ulysses", 2),)
    assert read_split({"ulysses": 2, "cfg": "2"}) == (("cfg", 2), ("ulysses", 2))
    assert read_split("none") == ()
    assert read_compile(True) is True
    assert read_compile("off") is False


def test_less_memory_may_be_needed_of_several_gpus_and_quantised_weights() -> None:
    assert not NOTHING_ASKED.may_need_less_memory
    for keys in ({"gpus": 2}, {"parallel": (("cfg", 2),)}, {"quantization": "nf4-weights"}):
        assert dataclasses.replace(NOTHING_ASKED, **keys).may_need_less_memory
    assert not Asked(engine="sglang", gpus=1, quantization="none").may_need_less_memory


@pytest.mark.parametrize("value", [{"ulysses": "2x"}, [("ulysses",)], [3], 4, 2.5, True, {"": 1}])
def test_a_split_of_any_shape_is_read_or_refused(value: object) -> None:
    with pytest.raises(JoulecastError):
        read_split(value)
