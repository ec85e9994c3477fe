"""LoRA adapters that are not fused: a profile with them equals a trace of the pipeline with them, to the last
digit, whether they are peft's (where it is installed) or the same written out here."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from test_exactness import Point, profile_costs, request_and_workload, traced_costs
from tiny import PIPELINES, write_folder
from tiny_families import WAN

from joulecast.architecture.pipeline_config import read_pipeline_folder
from joulecast.compute import profiler
from joulecast.compute.adapters import adapted_layers, lora_parameters, takes_lora, with_lora
from joulecast.compute.capture import PipelineCapture, weight_bytes
from joulecast.compute.linears import TARGETS, with_linears
from joulecast.compute.operators import DENOISER
from joulecast.compute.peaks import peak_of
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile, read_profile, write_profile
from joulecast.compute.profiler import make_profile

pytestmark = [pytest.mark.trace, pytest.mark.slow]
POINTS = [
    Point(batch=1, height=36, width=24, text=111, frames=5),
    Point(batch=3, height=20, width=32, text=71, guided=True, steps=3, frames=6),
]
ADAPTERS, RANK = 2, 6
FAMILIES = {name: PIPELINES[name] for name in ("sd", "sdxl", "flux", "sd3")} | {
    "wan": ("WanPipeline", WAN, {})
}


class Adapted(torch.nn.Module):  # type: ignore[misc]
    """A linear layer with adapters beside it, as peft's ``lora.Linear`` computes it."""

    def __init__(self, base: Any, adapters: int, rank: int) -> None:
        super().__init__()
        self.base = base
        kind = {"device": "meta", "dtype": base.weight.dtype, "bias": False}
        self.a = torch.nn.ModuleList(torch.nn.Linear(base.in_features, rank, **kind) for _ in range(adapters))
        self.b = torch.nn.ModuleList(
            torch.nn.Linear(rank, base.out_features, **kind) for _ in range(adapters)
        )

    def forward(self, x: Any) -> Any:
        result = self.base(x)
        for a, b in zip(self.a, self.b, strict=True):
            result = result + b(a(x)) * 0.5
        return result


def written_out(module: Any) -> None:
    """Put adapters beside the layers, as written out above."""
    found = [(path, one) for path, one in module.named_modules() if isinstance(one, torch.nn.Linear)]
    for path, one in found:
        if path.endswith(TARGETS):
            parent, _, name = path.rpartition(".")
            module.get_submodule(parent)._modules[name] = Adapted(one, ADAPTERS, RANK)


def of_peft(module: Any) -> None:
    """The same by peft."""
    peft = pytest.importorskip("peft")
    names = [path for path, one in module.named_modules() if isinstance(one, torch.nn.Linear)]
    config = peft.LoraConfig(r=RANK, lora_alpha=3, target_modules=[n for n in names if n.endswith(TARGETS)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # several adapters of one module are meant
        for number in range(ADAPTERS):
            peft.inject_adapter_in_model(config, module, adapter_name=f"number{number}")
    dtype = next(module.parameters()).dtype
    for layer in module.modules():
        if hasattr(layer, "set_adapter") and hasattr(layer, "lora_A"):
            layer.set_adapter([f"number{number}" for number in range(ADAPTERS)])
            layer.to("meta", dtype)  # as diffusers loads them


@pytest.fixture(
    scope="module",  # a clip takes most of a minute
    params=[
        pytest.param(name, marks=[pytest.mark.every_model] if name == "wan" else []) for name in FAMILIES
    ],
)
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A small pipeline of a family, and its profile in one precision."""
    pipeline, components, settings = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp("lora") / request.param
    write_folder(folder, pipeline, components, settings)
    config = read_pipeline_folder(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiler, "PRECISIONS", ("bf16",))
        yield config, make_profile(config)


@pytest.mark.parametrize("adapt", [written_out, of_peft])
def test_a_profile_with_adapters_is_that_of_the_pipeline_with_them(
    traced: Any, adapt: Callable[[Any], None]
) -> None:
    config, profile = traced
    assert takes_lora(profile)
    adapted = with_lora(profile, ADAPTERS, RANK)
    capture = PipelineCapture(config, "bf16", replay=False)
    capture.arguments.unguided_scale = profile.guidance.threshold
    for part in profile.components:
        if part.linears:
            adapt(capture.modules[part.name])
    for point in POINTS:
        if point.guided and profile.guidance.parameter is None:
            continue
        request, workload = request_and_workload(adapted, point, "bf16")
        calls = capture.run(request)
        assert traced_costs(calls) == profile_costs(adapted, workload)
        assert traced_costs(calls) != profile_costs(profile, workload)
        use = adapted.memory(workload.columns(), "bf16")
        assert (use is None) == (profile.memory(workload.columns(), "bf16") is None)
        for place, part in enumerate(adapted.components):
            most = max((peak_of(call.spans) for call in calls if call.component == part.name), default=0)
            assert use is None or use.alive[place, 0] >= most, part.name
    for part in adapted.components:
        module = capture.modules[part.module]
        assert part.parameters == sum(p.numel() for p in module.parameters())
        assert part.memory["bf16"].weights == weights_of(module)


def weights_of(module: Any) -> int:
    """Its weights as torch's allocator counts them, found anew."""
    module.__dict__.pop("_joulecast_weights", None)
    return int(weight_bytes(module))


def test_a_profile_file_keeps_the_layers(traced: Any, tmp_path: Path) -> None:
    _, profile = traced
    write_profile(dataclasses.replace(profile, components=with_all(profile)), tmp_path / "p.json")
    read = read_profile(tmp_path / "p.json")
    assert [part.linears for part in read.components] == [part.linears for part in profile.components]


def with_all(profile: ComputeProfile) -> tuple[Any, ...]:
    """The components with tables of every precision."""
    return tuple(
        dataclasses.replace(
            part, tables=dict.fromkeys(("fp16", "bf16", "fp32"), part.tables["bf16"]), memory={}
        )
        for part in profile.components
    )


def test_layers_that_are_not_the_profiles_are_left_out(traced: Any) -> None:
    """A profile of other layers than the pipeline's says nothing of a LoRA."""
    config, profile = traced
    capture = PipelineCapture(config, "bf16")
    other = dataclasses.replace(
        profile,
        components=tuple(
            dataclasses.replace(
                part,
                linears=(),
                tables={
                    p: tuple(dataclasses.replace(t, bytes_written=2 * t.bytes_written) for t in some)
                    for p, some in part.tables.items()
                },
            )
            if part.role == DENOISER
            else part
            for part in profile.components
        ),
    )
    assert not takes_lora(with_linears(other, capture))
    assert takes_lora(with_linears(profile, capture))


def test_a_pipeline_that_loads_no_lora_has_no_layers_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiler, "PRECISIONS", ("bf16",))
    pipeline, components, settings = PIPELINES["pixart"]
    write_folder(tmp_path / "it", pipeline, components, settings)
    assert not takes_lora(make_profile(read_pipeline_folder(tmp_path / "it")))


@pytest.mark.parametrize(
    ("model", "layers", "parameters"),
    [
        # by hand: 19 double blocks of 8 layers, 38 single ones of 3, all from 3072 to 3072 numbers
        ("flux.1-dev", 266, 266 * (3072 + 3072)),
        # 16 transformer blocks, each of two attentions of 4 layers; keys and values of text from 768 numbers
        ("sd1.5", 128, 797_184 // 4),
        # as diffusers' own training script of rank 4 prints it for SDXL: 70 blocks of 8 layers
        ("sdxl", 560, 5_806_080 // 4),
    ],
)
def test_the_layers_of_models_in_use(model: str, layers: int, parameters: int) -> None:
    profile = packaged_profile(model)
    assert adapted_layers(profile) == layers
    assert sum(lora_parameters(part, 1) for part in profile.components) == parameters
