"""Compute profiles: known FLOP, the pipelines' calls, their rules for sizes, text and guidance."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import joulecast
from joulecast.architecture.catalogue import model_names
from joulecast.architecture.workload import PRECISIONS, Workload, WorkloadColumns
from joulecast.compute.operators import DECODER, DENOISER, MEMORY, ONCE, TEXT_ENCODER, OperatorCosts
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.compute.profile_rules import GuidanceRule, SizeRule, TextRule
from joulecast.errors import InputError


def workload(**changes: Any) -> Workload:
    return Workload(**{"width": 1024, "height": 1024, "steps": 20, **changes})


def one_call(model: str, component: str, asked: Workload) -> OperatorCosts:
    """The costs of the only kind of call that the pipeline makes of a component."""
    costs = packaged_profile(model).costs(asked.columns(), asked.precision)
    (found,) = [cost for cost in costs if cost.component.name == component]
    return found


def calls(model: str, **changes: Any) -> dict[str, int]:
    counts = packaged_profile(model).calls(workload(**changes).columns())
    return {name: int(count[0]) for name, count in counts.items()}


def error(model: str, **changes: Any) -> str:
    profile = packaged_profile(model)
    (text,) = profile.errors(workload(**changes).columns())
    if text:
        with pytest.raises(InputError) as caught:
            profile.check(workload(**changes))
        assert str(caught.value) == text
    else:
        profile.check(workload(**changes))
    return text


def rendered(model: str, width: int, height: int) -> tuple[int, int]:
    wide, high = packaged_profile(model).size.rendered(np.array([width]), np.array([height]))
    return int(wide[0]), int(high[0])


@pytest.mark.parametrize(
    ("model", "component", "asked", "tflop"),
    [
        ("flux.1-dev", "transformer", workload(precision="bf16", text_tokens=512), 74.3847),
        ("flux.1-dev", "text_encoder_2", workload(precision="bf16", text_tokens=512), 4.8447),
        ("flux.1-dev", "vae", workload(precision="bf16"), 10.4722),
        ("sd3.5-large", "transformer", workload(precision="bf16"), 31.1211),
        ("sd2.1", "unet", workload(width=768, height=768), 2.1491),
        ("sd2", "unet", workload(width=512, height=512), 0.8043),
    ],
)
def test_known_flop_of_one_call(model: str, component: str, asked: Workload, tflop: float) -> None:
    assert round(one_call(model, component, asked).flop.sum() / 1e12, 4) == tflop


def test_flux_denoiser_flop_by_hand() -> None:
    # FluxTransformer2DModel: width 3072 = 24 heads of 128, mlp ratio 4, 19 double and 38 single blocks.
    width = 24 * 128
    image, text = (1024 // 16) ** 2, 512  # a token is 16x16 pixels
    tokens = image + text
    attention = 4 * tokens**2 * width  # scores and their product with the values, over all heads
    # Double block, for each token: queries, keys, values, output (4 d^2), MLP up and down (2 * 4 d^2).
    double = 19 * (2 * tokens * (4 + 8) * width**2 + attention)
    # Single block: queries, keys, values (3 d^2), MLP up (4 d^2); output and MLP down as one (5 d^2).
    single = 38 * (2 * tokens * (3 + 4 + 5) * width**2 + attention)
    # Embeddings: 64 latent values a token in and out, 4096 values of T5 a text token.
    embedding = 2 * image * 64 * width * 2 + 2 * text * 4096 * width
    # Modulation, one vector for an image: 6 d for each of the two streams, 3 d, and 2 d at the end.
    modulation = 2 * width * width * (19 * 12 + 38 * 3 + 2)
    # Two-layer embeddings of the timestep (256), the guidance (256) and the pooled text (768).
    conditions = 2 * width * (256 + 256 + 768 + 3 * width)
    flop = int(one_call("flux.1-dev", "transformer", workload(precision="bf16", text_tokens=512)).flop.sum())
    assert double + single == pytest.approx(flop, rel=0.005)
    assert double + single + embedding + modulation + conditions == flop


def test_t5_flop_by_hand() -> None:
    # T5-XXL encoder: 24 blocks, d = 4096 = 64 heads of 64, gated MLP of 10240. Its attention is no fused
    # call but two batched products, 2 * 64 * n^2 * 64 FLOP each.
    tokens, width = 512, 4096
    block = 2 * tokens * (4 * width**2 + 3 * width * 10240) + 2 * 2 * tokens**2 * width
    cost = one_call("flux.1-dev", "text_encoder_2", workload(precision="bf16", text_tokens=tokens))
    assert 24 * block == int(cost.flop.sum())


@pytest.mark.parametrize("model", ["sd2.1", "sdxl", "sd3.5-large", "pixart-sigma"])
def test_batched_guidance_doubles_the_batch_not_the_calls(model: str) -> None:
    (denoiser,) = [c.name for c in packaged_profile(model).components if c.role == DENOISER]
    size = packaged_profile(model).defaults.width
    one, two = (workload(width=size, height=size, passes=passes) for passes in (1, 2))
    assert calls(model, passes=1)[denoiser] == calls(model, passes=2)[denoiser] == 20
    images = workload(width=size, height=size, batch_size=2)
    assert one_call(model, denoiser, two).flop.sum() == one_call(model, denoiser, images).flop.sum()
    assert one_call(model, denoiser, two).flop.sum() > 1.9 * one_call(model, denoiser, one).flop.sum()


@pytest.mark.parametrize("model", ["flux.1-dev", "flux.1-schnell", "qwen-image"])
def test_sequential_guidance_doubles_the_calls_not_the_batch(model: str) -> None:
    assert calls(model, passes=1)["transformer"] == 20
    assert calls(model, passes=2)["transformer"] == 40
    one, two = (one_call(model, "transformer", workload(passes=passes)) for passes in (1, 2))
    assert one.flop.sum() == two.flop.sum()


def test_text_is_encoded_again_for_the_second_pass_and_decoded_once() -> None:
    assert calls("flux.1-dev", passes=2) == {
        "text_encoder": 2,
        "text_encoder_2": 2,
        "transformer": 40,
        "vae": 1,
    }
    # SDXL's pipelines fill the empty negative prompt with zeros instead of encoding it.
    assert calls("sdxl", passes=2) == {"text_encoder": 1, "text_encoder_2": 1, "unet": 20, "vae": 1}


def test_a_negative_prompt_is_encoded_where_the_pipeline_does() -> None:
    """As counted by running the pipelines: SDXL's encode it when they guide, SD's the empty one as well."""
    given = {"negative_prompt": True}
    for model in ("sdxl", "sdxl-turbo", "ssd-1b"):
        guided = calls(model, passes=2, **given)
        assert guided == {"text_encoder": 2, "text_encoder_2": 2, "unet": 20, "vae": 1}
        assert calls(model, passes=1, **given) == calls(model, passes=1)
    for model in ("sd1.5", "sd3-medium", "pixart-sigma", "flux.1-dev", "qwen-image"):
        assert [calls(model, passes=n, **given) for n in (1, 2)] == [calls(model, passes=n) for n in (1, 2)]


def test_rows_with_and_without_a_negative_prompt_stand_in_one_table() -> None:
    table = WorkloadColumns.from_values(
        {"width": 1024, "height": 1024, "steps": 20, "passes": [2, 2, 1, 1], "negative_prompt": [0, 1, 0, 1]}
    )
    assert packaged_profile("sdxl").calls(table)["text_encoder"].tolist() == [1, 2, 1, 1]


@pytest.mark.parametrize(("steps", "count"), [(1, 1), (2, 3), (3, 4), (50, 51)])
def test_pndm_makes_one_call_more_than_steps(steps: int, count: int) -> None:
    # PNDM (skip_prk_steps) evaluates its second step twice; at one step there is no second.
    assert calls("sd1.5", steps=steps)["unet"] == count
    assert calls("sd2", steps=steps)["unet"] == count
    assert calls("sd2.1", steps=steps)["unet"] == steps  # DDIM


@pytest.mark.parametrize(
    ("images", "made", "of_one"), [("batched", 1, 4), ("one_by_one", 4, 4), ("once", 1, 1)]
)
def test_how_a_component_is_given_the_images_of_a_batch(images: str, made: int, of_one: int) -> None:
    """Calls for 4 images, and their FLOP over those for one."""
    whole = packaged_profile("sd2.1")
    encoder = next(c for c in whole.components if c.role == TEXT_ENCODER)
    groups = {
        passes: tuple(dataclasses.replace(group, images=images) for group in some)
        for passes, some in encoder.calls.items()
    }
    encoder = dataclasses.replace(encoder, calls=groups)
    profile = dataclasses.replace(whole, components=(encoder,))
    one, four = (workload(width=768, height=768, batch_size=batch).columns() for batch in (1, 4))
    assert profile.calls(four)[encoder.name] == made * profile.calls(one)[encoder.name]
    flop = [profile.flop(columns, "fp16")[encoder.name].item() for columns in (one, four)]
    assert flop[1] == of_one * flop[0]
    (costs,) = profile.costs(four, "fp16")
    assert (costs.calls * costs.flop.sum()).item() == flop[1]


def test_sizes_off_the_grid() -> None:
    sides = np.array([1, 63, 64, 100, 1000, 1024])
    for off_grid, made, refused in (
        ("refuse", None, [True, True, False, True, True, False]),
        ("irregular", None, [True, True, False, True, True, False]),
        ("round_down", [0, 0, 64, 64, 960, 1024], [True, True, False, False, False, False]),
        ("round_up", [64, 64, 64, 128, 1024, 1024], [False] * 6),
    ):
        rule = SizeRule(unit=64, off_grid=off_grid)
        assert rule.refused(sides, np.full(6, 512)).tolist() == refused
        assert rule.refused(np.full(6, 512), sides).tolist() == refused
        if made is not None:
            assert rule.rendered(sides, sides)[0].tolist() == made
            smaller = SizeRule(unit=64, off_grid=off_grid, largest=960)
            assert smaller.refused(sides, sides).tolist() == [*refused[:4], True, True]


def test_a_profile_says_that_it_does_not_hold_off_an_irregular_grid() -> None:
    whole = packaged_profile("sd2.1")
    profile = dataclasses.replace(whole, size=SizeRule(unit=128, off_grid="irregular"))
    (text,) = profile.errors(workload(width=1000).columns())
    assert text == (
        "the profile of sd2.1 does not hold at 1000x1024; it holds for sides that are multiples of "
        "128 pixels, e.g. 896x1024 or 1024x1024"
    )


def test_a_profile_of_one_size_holds_for_no_other() -> None:
    rule = SizeRule(unit=16, off_grid="only", bins=((480 / 720, 480, 720),))
    sides = np.array([720, 480, 1440, 704, 720])
    assert rule.refused(sides, np.array([480, 720, 960, 480, 464])).tolist() == [False, *[True] * 4]
    profile = dataclasses.replace(packaged_profile("sd2.1"), size=rule)
    texts = profile.errors(workload(width=1280, height=720).columns())
    assert texts == ["the profile of sd2.1 does not hold at 1280x720; it holds for 720x480 alone"]
    assert profile.errors(workload(width=720, height=480).columns()) == [""]
    assert (rule.expected(), rule.nearest(64, 64)) == ("720x480 alone", "720x480")


def test_roles_select_components() -> None:
    columns = workload().columns()
    profile = packaged_profile("sd3.5-large")
    by_role = {
        role: {c.component.name for c in profile.costs(columns, "bf16") if c.component.role == role}
        for role in (TEXT_ENCODER, DENOISER, DECODER)
    }
    assert by_role == {
        TEXT_ENCODER: {"text_encoder", "text_encoder_2", "text_encoder_3"},
        DENOISER: {"transformer"},
        DECODER: {"vae"},
    }


@pytest.mark.parametrize(
    ("model", "asked", "made"),
    [
        ("flux.1-dev", (1000, 1000), (992, 992)),
        ("flux.1-dev", (1024, 1039), (1024, 1024)),
        ("sd3.5-large", (1024, 768), (1024, 768)),
        ("pixart-sigma", (512, 512), (1024, 1024)),
        ("sana1.5-1.6b", (512, 512), (1024, 1024)),
        ("sana1.5-4.8b", (512, 512), (1024, 1024)),
    ],
)
def test_rendered_size(model: str, asked: tuple[int, int], made: tuple[int, int]) -> None:
    assert rendered(model, *asked) == made
    width, height = asked
    assert error(model, width=width, height=height) == ""
    profile = packaged_profile(model)
    flop = [
        profile.flop(workload(width=w, height=h).columns(), "bf16")["transformer"].item()
        for w, h in (asked, made)
    ]
    assert flop[0] == flop[1]


def test_bins_keep_the_aspect_ratio() -> None:
    rule = SizeRule(unit=16, off_grid="refuse", bins=((0.5, 704, 1408), (1.0, 1024, 1024), (2.0, 1408, 704)))
    width, height = rule.rendered(np.array([2000, 500, 100]), np.array([1000, 500, 220]))
    # height / width: 0.5, 1, 2.2
    assert width.tolist() == [1408, 1024, 704]
    assert height.tolist() == [704, 1024, 1408]
    assert not rule.refused(np.array([17]), np.array([16384])).any()
    wide, high = rendered("pixart-sigma", 2048, 1024)
    assert wide > high


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (
            "sd3.5-large",
            {"width": 1000},
            "sd3.5-large refuses 1000x1024; it takes sides that are multiples of 16 pixels up to 3072, "
            "e.g. 992x1024 or 1008x1024",
        ),
        (
            "sd3.5-large",
            {"height": 3088},
            "sd3.5-large refuses 1024x3088; it takes sides that are multiples of 16 pixels up to 3072, "
            "e.g. 1024x3072",
        ),
        ("sd3.5-large", {"width": 3072, "height": 3072}, ""),
        (
            "sd1.5",
            {"width": 1004},
            "sd1.5 refuses 1004x1024; it takes sides that are multiples of 8 pixels, "
            "e.g. 1000x1024 or 1008x1024",
        ),
        ("sd1.5", {"text_tokens": 77}, ""),
        ("sd1.5", {"text_tokens": 78}, "sd1.5 always encodes 77 text tokens, not 78"),
        ("sd1.5", {"text_tokens": 76}, "sd1.5 always encodes 77 text tokens, not 76"),
        ("flux.1-dev", {"text_tokens": 512}, ""),
        ("flux.1-dev", {"text_tokens": 1}, ""),
        (
            "flux.1-dev",
            {"text_tokens": 513},
            "flux.1-dev takes at least 1 and at most 512 text tokens, not 513",
        ),
        # SD3: 77 tokens of CLIP, then at least 1 and at most 512 of T5.
        ("sd3-medium", {"text_tokens": 78}, ""),
        ("sd3-medium", {"text_tokens": 589}, ""),
        (
            "sd3-medium",
            {"text_tokens": 77},
            "sd3-medium takes at least 78 and at most 589 text tokens, not 77",
        ),
        (
            "sd3-medium",
            {"text_tokens": 590},
            "sd3-medium takes at least 78 and at most 589 text tokens, not 590",
        ),
        ("pixart-sigma", {"text_tokens": 5000}, ""),
        ("sdxl", {"frames": 2}, "sdxl makes images; frames must be 1, not 2"),
        # The first reason is the one that is told.
        ("sd1.5", {"text_tokens": 5, "frames": 2}, "sd1.5 always encodes 77 text tokens, not 5"),
        ("sd1.5", {"passes": 2}, ""),
    ],
)
def test_errors_name_what_would_work(model: str, changes: dict[str, Any], message: str) -> None:
    assert error(model, **changes) == message


def test_errors_come_by_row() -> None:
    columns = WorkloadColumns.from_values({"width": [1024, 1000, 1024], "height": 1024, "steps": 4})
    texts = packaged_profile("sdxl").errors(columns)
    assert texts == ["", "", ""]  # 1000 is a multiple of 8
    texts = packaged_profile("sd3.5-large").errors(columns)
    assert [bool(text) for text in texts] == [False, True, False]


def test_a_pipeline_without_a_second_pass_says_so() -> None:
    profile = packaged_profile("sdxl")
    single = [dataclasses.replace(part, calls={1: part.calls[1]}) for part in profile.components]
    never = dataclasses.replace(profile, name="never", components=tuple(single))
    assert never.errors(workload(passes=2).columns()) == [
        "never never makes a second denoiser pass; passes must be 1"
    ]
    never.check(workload(passes=1))


@pytest.mark.parametrize(
    ("model", "default"),
    [("sd3-medium", 333), ("sd3.5-large", 333), ("flux.1-dev", 512), ("sd1.5", 77), ("pixart-sigma", 300)],
)
def test_default_text(model: str, default: int) -> None:
    profile = packaged_profile(model)
    assert profile.text_tokens(workload().columns()).tolist() == [default]
    assert profile.text_tokens(workload(text_tokens=100).columns()).tolist() == [100]
    assert profile.flop(workload().columns(), "bf16") == profile.flop(
        workload(text_tokens=default).columns(), "bf16"
    )


@pytest.mark.parametrize(
    ("multiple", "encoded"), [(1, [1, 15, 16, 17, 33]), (16, [16, 16, 16, 32, 48]), (8, [8, 16, 16, 24, 40])]
)
def test_padded_text_is_rounded_up(multiple: int, encoded: list[int]) -> None:
    rule = TextRule(default=77, adjustable=True, multiple=multiple)
    assert rule.padded_to_multiple(np.array([1, 15, 16, 17, 33])).tolist() == encoded


@pytest.mark.parametrize(
    ("rule", "guidance", "negative", "passes"),
    [
        (GuidanceRule(None), 7.5, True, 1),
        (GuidanceRule("guidance_scale"), None, True, 1),
        (GuidanceRule("guidance_scale"), 1.0, False, 1),
        (GuidanceRule("guidance_scale"), 0.0, False, 1),
        (GuidanceRule("guidance_scale"), float("nan"), False, 1),
        (GuidanceRule("guidance_scale"), 1.01, False, 2),
        (GuidanceRule("guidance_scale"), 7.5, True, 2),
        (GuidanceRule("true_cfg_scale", needs_negative_prompt=True), 4.0, False, 1),
        (GuidanceRule("true_cfg_scale", needs_negative_prompt=True), 4.0, True, 2),
        (GuidanceRule("true_cfg_scale", needs_negative_prompt=True), 1.0, True, 1),
    ],
)
def test_guidance_passes(rule: GuidanceRule, guidance: float | None, negative: bool, passes: int) -> None:
    assert rule.passes(guidance, negative) == passes


def test_sdxl_decodes_in_fp32_when_loaded_in_fp16() -> None:
    # SDXL's VAE overflows in fp16 (force_upcast); bf16 has the range of fp32.
    def dtypes(precision: str) -> set[str]:
        table = one_call("sdxl", "vae", workload(precision=precision)).table
        rows = zip(table.families, table.dtypes, strict=True)
        return {dtype for family, dtype in rows if family == "convolution"}

    assert dtypes("fp16") == {"fp32"}
    assert dtypes("bf16") == {"half"}
    assert dtypes("fp32") == {"fp32"}


@pytest.mark.parametrize(("precision", "size"), [("fp16", 2), ("bf16", 2), ("fp32", 4)])
def test_weights_take_the_bytes_of_their_precision(precision: str, size: int) -> None:
    profile = packaged_profile("sdxl")
    assert profile.weight_bytes(precision) == size * profile.parameters


def test_parameters_add_up() -> None:
    profile = packaged_profile("flux.1-dev")
    assert profile.parameters == sum(part.parameters for part in profile.components)
    # 11.90 billion in the transformer, as its authors state 12.
    assert [part.parameters for part in profile.components if part.role == DENOISER] == [11_901_408_320]


@st.composite
def questions(draw: st.DrawFn) -> tuple[ComputeProfile, Workload]:
    """A catalogue model and a workload that it accepts."""
    profile = packaged_profile(draw(st.sampled_from(model_names())))
    unit = profile.size.unit
    sides = st.integers(1, 2048 // unit).map(lambda steps: max(steps * unit, 16))
    text = None
    if profile.text.adjustable:
        low = 1 + max(profile.text.denoiser_offset, 0)
        high = min(512, profile.text.largest or 512) + profile.text.denoiser_offset
        text = draw(st.none() | st.integers(low, high))
    asked = Workload(
        width=draw(sides),
        height=draw(sides),
        steps=draw(st.integers(1, 100)),
        passes=draw(st.integers(1, 2 if profile.guidance.parameter else 1)),
        batch_size=draw(st.integers(1, 16)),
        precision=draw(st.sampled_from(PRECISIONS)),
        text_tokens=text,
    )
    return profile, asked


@cache
def flop_by_component(profile_name: str, asked: Workload) -> dict[str, float]:
    profile = packaged_profile(profile_name)
    return {name: flop.item() for name, flop in profile.flop(asked.columns(), asked.precision).items()}


@settings(deadline=None)
@given(questions())
def test_operators_add_up_to_the_total(question: tuple[ComputeProfile, Workload]) -> None:
    profile, asked = question
    profile.check(asked)
    total = flop_by_component(profile.name, asked)
    added = dict.fromkeys(total, 0.0)
    made = dict.fromkeys(total, 0.0)
    for cost in profile.costs(asked.columns(), asked.precision):
        added[cost.component.name] += float(cost.flop.sum() * cost.calls[0])
        made[cost.component.name] += float(cost.calls[0])
        assert cost.rows.tolist() == [0]
        assert cost.launches > cost.arithmetic_launches > 0
        assert len(cost.arithmetic) == sum(family != MEMORY for family in cost.table.families)
        assert (cost.flop > 0).all()
        assert (cost.bytes > 0).all()
        assert (cost.memory_bytes > 0).all()
    assert added == pytest.approx(total, rel=1e-12)
    if any("one after the other" in note for note in profile.notes):
        return  # beyond the batches that were traced, a call's costs are scaled
    counts = profile.calls(asked.columns())
    assert made == {name: count.item() for name, count in counts.items()}


@settings(deadline=None)
@given(questions())
def test_flop_grow_with_steps_and_batch(question: tuple[ComputeProfile, Workload]) -> None:
    profile, asked = question
    now = flop_by_component(profile.name, asked)
    longer = flop_by_component(profile.name, dataclasses.replace(asked, steps=asked.steps + 1))
    larger = flop_by_component(profile.name, dataclasses.replace(asked, batch_size=asked.batch_size + 1))
    for component in profile.components:
        name = component.name
        if component.role == DENOISER and component.is_called:
            assert longer[name] > now[name]
        else:
            assert longer[name] == now[name]
        if all(group.images == ONCE for group in component.calls[1]):
            assert larger[name] == now[name]
        else:
            assert larger[name] > now[name]


@settings(deadline=None, max_examples=30)
@given(st.lists(questions(), min_size=2, max_size=6))
def test_a_table_of_workloads_equals_its_rows(questions: list[tuple[ComputeProfile, Workload]]) -> None:
    profile = questions[0][0]
    rows = [dataclasses.replace(asked, text_tokens=None, precision="fp16") for _, asked in questions]
    table = WorkloadColumns(
        **{
            field.name: np.concatenate([getattr(row.columns(), field.name) for row in rows])
            for field in dataclasses.fields(WorkloadColumns)
        }
    )
    together = profile.flop(table, "fp16")
    for place, row in enumerate(rows):
        alone = flop_by_component(profile.name, row)
        assert {name: flop[place] for name, flop in together.items()} == pytest.approx(alone, rel=1e-12)


def test_a_denoiser_that_takes_over_has_weights_and_no_calls() -> None:
    profile = packaged_profile("wan2.2-t2v-a14b")
    first, second = (part for part in profile.components if part.role == DENOISER)
    assert (first.name, second.name) == profile.denoising_modules == ("transformer", "transformer_2")
    assert (first.is_called, second.is_called) == (True, False)
    assert profile.denoisers == (first,)
    assert first.parameters == second.parameters == 14_288_491_584
    assert profile.parameters == sum(part.parameters for part in profile.components)
    told = joulecast.estimate("wan2.2-t2v-a14b", gpu="H100-SXM5-80GB")
    assert [part.calls for part in told.components if part.role == DENOISER] == [80]
