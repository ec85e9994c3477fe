"""What runtimes make of the reference's costs: what each of their parts may and may not do."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError
from joulecast.forecast.caveats import way_of
from joulecast.law.conduct import UNKNOWN_CACHE_SHARE, RuntimeEffects, conduct, facts_of
from joulecast.law.dataset import Dataset
from joulecast.law.fit_roofline import Search
from joulecast.law.law import FAMILIARITY, GpuColumns, LawInput
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.roofline import RooflineLaw
from joulecast.law.work import plain
from joulecast.question.gpus import gpu
from joulecast.runtime import REFERENCE, STRATA, Runtime, read_parallel

WORK = {"width": 1024, "height": 1024, "steps": 28, "batch_size": 4}


@cache
def law() -> RooflineLaw:
    found = load_law("roofline")
    assert isinstance(found, RooflineLaw)
    return found


def asked(
    runtime: Runtime, model: str = "flux.1-dev", device: str = "H100", passes: int = 1, batch: int = 4
) -> tuple[float, float]:
    """Energy of one image [J] and time of a batch [s]."""
    work = WorkloadColumns.from_values(WORK | {"passes": passes, "batch_size": batch})
    on = GpuColumns.of(gpu(device), 1)
    found = law().predict(LawInput(packaged_profile(model), work, "bf16", on, runtime))
    return float(found.energy_j[0]), float(found.duration_s[0])


def shared(text: str) -> Runtime:
    parallel = read_parallel(text)
    return Runtime(gpus=int(np.prod([degree for _, degree in parallel])), parallel=parallel)


# --- the reference -------------------------------------------------------------------------------


def test_the_reference_changes_nothing() -> None:
    how = conduct(facts_of((REFERENCE,)), law().parameters.shared)
    ones = (how.share, how.total, how.calls, how.arithmetic_time, how.memory, how.kernels, how.host, how.gpus)
    assert all((table == 1).all() for table in ones)
    nothing = (how.exchanged, how.copied, how.exchanges, how.quantising, how.dequantising, how.attention)
    assert not any(table.any() for table in nothing)
    assert how.is_plain


@pytest.mark.parametrize("model", ["flux.1-dev", "sdxl", "wan2.1-t2v-1.3b"])
def test_the_short_way_for_the_reference_is_the_long_way(model: str) -> None:
    """Without the rows that only other runtimes ask for, and with them."""
    profile, on = packaged_profile(model), GpuColumns.of(gpu("A100"), 1)
    work = WorkloadColumns.from_values({"width": 832, "height": 480, "steps": 20})
    short = law().settled(LawInput(profile, work, "bf16", on, REFERENCE))
    one_of_two = Runtime(
        engine="an-engine-of-ones-own"
    )  # no effect, not fused: the reference by another name
    assert not one_of_two.is_reference
    long = law().settled(LawInput(profile, work, "bf16", on, one_of_two))
    np.testing.assert_allclose(long.duration_s, short.duration_s, rtol=1e-12)
    np.testing.assert_allclose(long.static_j, short.static_j, rtol=1e-12)
    np.testing.assert_allclose(long.dynamic_j, short.dynamic_j, rtol=1e-12)
    case = profile.evaluation(work, "bf16").parts[0].case
    weighed = law()._weighed(case, "bf16")
    assert len(plain(weighed)) < len(weighed.table)


def test_xdit_on_one_gpu_runs_diffusers_kernels() -> None:
    assert Runtime("xdit").is_reference
    assert asked(Runtime("xdit")) == asked(REFERENCE)
    assert not Runtime("sglang").is_reference


# --- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["flux.1-dev", "qwen-image", "sdxl", "sana1.5-1.6b"])
@pytest.mark.parametrize("device", ["H100", "A100", "RTX 4090", "T4"])
def test_fused_kernels_save_time_and_energy(model: str, device: str) -> None:
    (energy, seconds), (eager_j, eager_s) = (
        asked(r, model, device) for r in (Runtime(compile=True), REFERENCE)
    )
    assert 0.3 * eager_s < seconds < eager_s
    assert 0.3 * eager_j < energy < eager_j


def test_an_engine_fuses_every_component_and_compile_the_denoiser() -> None:
    how = conduct(facts_of((Runtime(compile=True), Runtime("sglang"))), law().parameters.shared)
    assert how.memory[0, 0] < 1 == how.memory[1, 0]
    assert how.memory[0, 1] == how.memory[1, 1] < 1


def test_flash_attention_3_is_of_hopper() -> None:
    """On a video, which is mostly attention, an engine that brings it gains more on Hopper than elsewhere."""

    def gain(device: str) -> float:
        work = WorkloadColumns.from_values({"width": 1280, "height": 720, "frames": 81, "steps": 10})
        on, profile = GpuColumns.of(gpu(device), 1), packaged_profile("wan2.1-t2v-1.3b")
        eager, served = (
            law().gross(LawInput(profile, work, "bf16", on, Runtime(e))).duration_s[0]
            for e in ("diffusers", "sglang")
        )
        return float(served / eager)

    assert gain("H100") < gain("A100")


def test_weights_alone_speed_up_little_and_8_bit_arithmetic_more() -> None:
    compiled = asked(Runtime(compile=True))[1]
    for bits in ("int8", "fp8"):
        whole, alone = (
            asked(Runtime(quantization=name, compile=True))[1] for name in (bits, f"{bits}-weights")
        )
        assert whole < compiled
        assert alone > 0.9 * compiled  # as fitted: smaller weights cross the memory a little faster


def test_8_bits_help_no_gpu_without_them() -> None:
    """An A100 has no fp8: its products take 16 bits' time, and scaling comes on top."""
    fast, slow = (
        asked(Runtime(quantization="fp8", compile=True), device=device)[1]
        / asked(Runtime(compile=True), device=device)[1]
        for device in ("H100", "A100")
    )
    assert fast < 1 <= slow


@pytest.mark.parametrize("bits", ["int8", "fp8"])
def test_nothing_is_faster_for_arithmetic_that_a_gpu_does_not_have(bits: str) -> None:
    """Neither the format's peak nor its kernels: a T4 has no fp8, a V100 no int8."""
    device = {"int8": "V100", "fp8": "T4"}[bits]
    plain_s = asked(Runtime(compile=True), device=device)[1]
    assert asked(Runtime(quantization=bits, compile=True), device=device)[1] >= plain_s


def test_kernels_of_quantised_products_are_their_engines_own() -> None:
    """What torchao's kernels lose is nothing of another engine's, of which nobody measured any."""
    names = ("int8", "int4-weights")
    eager, served, another = (
        [asked(Runtime(engine, quantization=name))[1] / asked(Runtime(engine))[1] for name in names]
        for engine in ("diffusers", "vllm-omni", "webui")
    )
    assert min(eager) > 5
    assert max(*served, *another) < 1.5
    profile, on = packaged_profile("flux.1-dev"), (gpu("H100"),)
    for engine in ("vllm-omni", "webui"):
        for name in names:
            runtime = Runtime(engine, quantization=name)
            assert law().familiarity(profile, on, "bf16", runtime) == ["unseen_runtime"]


def test_a_cache_leaves_a_share_of_the_denoiser() -> None:
    how = conduct(facts_of((Runtime(cache="deepcache"), REFERENCE)), law().parameters.shared)
    assert how.calls.tolist() == [[UNKNOWN_CACHE_SHARE, 1.0], [1.0, 1.0]]  # no run tells of this one
    (energy, seconds), (all_j, all_s) = (asked(r) for r in (Runtime(cache="cache-dit"), REFERENCE))
    assert seconds < 0.7 * all_s
    assert energy < 0.7 * all_j


def test_no_cache_leaves_anything_out_of_the_first_step() -> None:
    profile, on = packaged_profile("wan2.1-t2v-1.3b"), GpuColumns.of(gpu("H100"), 4)
    work = WorkloadColumns.from_values(
        {"width": 832, "height": 480, "frames": 81, "steps": np.array([1, 2, 4, 50])}
    )
    whole, cached = (
        law().settled(LawInput(profile, work, "bf16", on, r)).duration_s
        for r in (REFERENCE, Runtime(cache="teacache"))
    )
    assert cached[0] == pytest.approx(whole[0], rel=1e-12)
    assert (np.diff(cached / whole) < 0).all()


@pytest.mark.parametrize("model", ["flux.1-dev", "qwen-image", "pixart-sigma"])
def test_several_gpus_save_time_and_cost_energy(model: str) -> None:
    one, *others = (asked(r, model) for r in (REFERENCE, *(shared(f"ulysses={n}") for n in (2, 4, 8))))
    times = [one[1], *(seconds for _, seconds in others)]
    energies = [one[0], *(energy for energy, _ in others)]
    assert all(np.diff(energies) > 0)
    assert times[1] < times[0]
    assert all(n * seconds > one[1] for n, (_, seconds) in zip((2, 4, 8), others, strict=True))


def test_passes_are_shared_without_an_exchange() -> None:
    """Two GPUs for the two passes of guidance: no attention crosses the link."""
    how = conduct(facts_of((shared("cfg=2"), shared("ulysses=2"), shared("ring=2"))), law().parameters.shared)
    assert how.exchanged[0] == how.exchanges[0] == 0
    assert (how.exchanged[1:] > 0).all()
    assert (
        asked(shared("cfg=2"), "qwen-image", passes=2)[1]
        < asked(shared("ulysses=2"), "qwen-image", passes=2)[1]
    )


def test_a_slow_link_slows_what_is_exchanged() -> None:
    fast, slow = gpu("A100-SXM4-80GB"), dataclasses.replace(gpu("A100-SXM4-80GB"), link_byte_per_s=16e9)
    work = WorkloadColumns.from_values(WORK)
    profile, runtime = packaged_profile("flux.1-dev"), shared("ulysses=4")
    seconds = [
        law().gross(LawInput(profile, work, "bf16", GpuColumns.of(device, 1), runtime)).duration_s[0]
        for device in (fast, slow)
    ]
    assert seconds[1] > 1.1 * seconds[0]


def test_an_exchange_is_among_the_gpus_of_one_pass() -> None:
    """Where guidance's two passes have GPUs of their own, each GPU sends the keys of one pass alone."""
    for way in ("ulysses=2", "ring=4", "ulysses=2,ring=2", "tensor=2"):
        alone, beside = (
            conduct(facts_of((shared(text),)), law().parameters.shared) for text in (way, f"cfg=2,{way}")
        )
        assert beside.exchanged[0] == alone.exchanged[0] / 2 > 0, way
        assert beside.copied[0] == alone.copied[0] / 2, way


def test_layers_of_a_pass_are_exchanged_by_the_tokens_a_gpu_has() -> None:
    """By hand: of 4 boards, in 2 groups by tokens of 2 by layers, each sends an attention's bytes once over
    2, and of half the heads a quarter of what 2 alone would send."""
    how = conduct(facts_of((shared("tensor=2,ulysses=2"),)), law().parameters.shared)
    assert how.exchanged[0] == pytest.approx((1 - 1 / 2) / 4 + 2 * (1 - 1 / 2) / 2)


@pytest.mark.parametrize(
    ("model", "tokens", "joined"),
    [
        ("sd3.5-large", 333, 333),  # joined to the image, and of an odd number
        ("flux.1-dev", 512, 512),
        ("hunyuanvideo", 256, 256),
        ("cogvideox-5b", 226, 226),
        ("pixart-sigma", 300, 0),  # which the image attends to
        ("wan2.1-t2v-1.3b", 512, 0),
        ("sdxl", 77, 0),
    ],
)
def test_what_of_a_text_is_joined_to_the_image(model: str, tokens: int, joined: int) -> None:
    profile = packaged_profile(model)
    work = WorkloadColumns.from_values({"steps": np.array([4, 4]), "text_tokens": np.array([-1, tokens])})
    assert profile.joined_text(work).tolist() == [joined] * 2


def test_gpus_work_on_all_of_a_text_that_they_cannot_share() -> None:
    """By hand: of 8 boards, 4 for each of the two passes, each works on all of its pass's text where it is
    not joined to the image, or its tokens are not a multiple of 4."""
    how = conduct(facts_of((shared("cfg=2,ulysses=2,ring=2"),)), law().parameters.shared)
    over = how.take(np.array([0, 0, 0])).over(np.full(3, 10.0), np.array([0.0, 333.0, 512.0]))
    assert over.text_again.tolist() == [3 / 8, 3 / 8, 0]
    for way in ("tensor=4", "cfg=2", "pipefusion=4"):
        assert not conduct(facts_of((shared(way),)), law().parameters.shared).text_again.any(), way


def test_a_text_that_is_not_shared_costs_what_its_matrix_products_do() -> None:
    """SD 3.5 on 3 GPUs, which share 333 tokens, and on 2, which do not: FLOP by hand, from the profile."""
    profile, on = packaged_profile("sd3.5-large"), GpuColumns.of(gpu("H100"), 1)
    work = WorkloadColumns.from_values({"width": 1024, "height": 1024, "steps": 10, "batch_size": 4})
    without = WorkloadColumns.from_values(
        {"width": 1024, "height": 1024, "steps": 10, "batch_size": 4, "text_tokens": 78}
    )
    asked = LawInput(profile, work, "bf16", on, shared("ulysses=2"))
    setup, _ = law().setup(asked)
    assert setup.how.text_again == pytest.approx([0.5])
    alone = setup._replace(how=setup.how._replace(text_again=np.zeros(1)))
    evaluation = profile.evaluation(work, "bf16")
    busy, energy, host, waiting = (
        law().demands(evaluation, "bf16", setup) - law().demands(evaluation, "bf16", alone)
    )[:, [part.role == "denoiser" for part in profile.components].index(True), 0]
    assert host == waiting == 0
    gemm = {
        text: sum(
            float(costs.calls @ costs.flop[:, place])
            for costs in profile.costs(columns, "bf16")
            if costs.component.role == "denoiser"
            for place, group in enumerate(costs.table.arithmetic)
            if costs.table.families[group] == "gemm"
        )
        for text, columns in ((333, work), (78, without))
    }
    text_flop = (gemm[333] - gemm[78]) * 333 / (333 - 78)
    p = law().parameters.shared
    at_least = 0.5 * 2 * text_flop * p["energy_per_flop_j"]  # beside what its memory-bound operators move
    assert at_least < energy < 1.5 * at_least
    seconds = 0.5 * text_flop * setup.rate.s_per_flop[0, 0]
    assert seconds < busy < 2 * seconds


@pytest.mark.parametrize("degree", [2, 4, 8])
def test_a_pipeline_fills_in_its_first_step(degree: int) -> None:
    """PipeFusion: of N steps each GPU does its share, and in the first waits for the others' shares too."""
    profile, on = packaged_profile("flux.1-dev"), GpuColumns.of(gpu("H100"), 3)
    work = WorkloadColumns.from_values(WORK | {"steps": np.array([1, 4, 50])})
    setup, _ = law().setup(LawInput(profile, work, "bf16", on, shared(f"pipefusion={degree}")))
    denoiser = [part.role == "denoiser" for part in profile.components].index(True)
    busy, _, _, waiting = law().demands(profile.evaluation(work, "bf16"), "bf16", setup)[:, denoiser]
    own = busy - waiting
    np.testing.assert_allclose(waiting / own, (degree - 1) / np.array([1, 4, 50]), rtol=1e-12)
    single = law().settled(LawInput(profile, work, "bf16", on)).duration_s
    several = law().settled(LawInput(profile, work, "bf16", on, shared(f"pipefusion={degree}"))).duration_s
    assert several[0] > 0.9 * single[0]  # one step goes through the GPUs one after the other
    assert (np.diff(single / several) > 0).all()


@given(
    st.sampled_from(["flux.1-dev", "sdxl", "qwen-image", "wan2.1-t2v-1.3b"]),
    st.sampled_from(["H100", "A100", "L40S", "RTX 4090", "T4", "B200"]),
    st.sampled_from(["", "ulysses=2", "ring=8", "ulysses=4,ring=2", "cfg=2,ulysses=4", "pipefusion=4"]),
    st.sampled_from([0.25, 0.5, 0.8, 1.0]),
    st.sampled_from([1, 4, 32]),
    st.integers(1, 60),
)
@settings(max_examples=80, deadline=None)
def test_no_board_draws_more_than_its_limit(
    model: str, device: str, parallel: str, share: float, batch: int, steps: int
) -> None:
    """Computing, waiting for others and idling together."""
    board = gpu(device)
    runtime = dataclasses.replace(shared(parallel), power_limit_w=share * board.tdp_w)
    work = WorkloadColumns.from_values(WORK | {"batch_size": batch, "steps": steps, "passes": 2})
    found = law().predict(LawInput(packaged_profile(model), work, "fp16", GpuColumns.of(board, 1), runtime))
    power = found.energy_j[0] * batch / found.duration_s[0]
    assert power <= runtime.power_limit_of(board.tdp_w) * (1 + 1e-9)


@pytest.mark.parametrize("limit", [350.0, 450.0])
def test_a_power_limit_binds(limit: float) -> None:
    """Less power, more time, less energy: of all boards together."""
    for runtime in (REFERENCE, shared("cfg=2")):
        capped = dataclasses.replace(runtime, power_limit_w=limit)
        (energy, seconds), (free_j, free_s) = (asked(r, "qwen-image", passes=2) for r in (capped, runtime))
        share = law().parameters.shared["power_limit_share"]
        assert energy * 4 / seconds == pytest.approx(share * limit * runtime.gpus, rel=0.05)
        assert seconds > free_s
        assert energy < free_j


def test_the_limit_of_the_board_itself_changes_nothing() -> None:
    own = Runtime(power_limit_w=gpu("H100").tdp_w)
    assert asked(own) == pytest.approx(asked(REFERENCE), rel=1e-12)


# --- what is known -------------------------------------------------------------------------------


def test_a_runtime_that_nobody_measured_has_the_widest_interval() -> None:
    profile, work = packaged_profile("flux.1-dev"), WorkloadColumns.from_values(WORK)
    on = GpuColumns.of(gpu("H100"), 1)
    unknown = Runtime("my-engine", quantization="nf4-weights")
    assert law().familiarity(profile, on.gpus, "bf16", unknown) == [FAMILIARITY[-1]]
    assert law().familiarity(profile, on.gpus, "bf16") == ["seen"]
    widths = [
        law().predict(LawInput(profile, work, "bf16", on, r)).log_half_width[0] for r in (REFERENCE, unknown)
    ]
    assert widths[1] > 1.5 * widths[0]


def test_a_way_to_share_work_that_nobody_measured_is_no_seen_runtime() -> None:
    """Four GPUs by tokens were; as a pipeline, or by layers, they were not."""
    profile, on = packaged_profile("flux.1-dev"), (gpu("H100"),)
    for text, known in (
        ("ulysses=4", "seen"),
        ("pipefusion=4", "unseen_runtime"),
        ("tensor=4", "unseen_runtime"),
    ):
        assert law().familiarity(profile, on, "bf16", shared(text)) == [known], text
    assert way_of("bf16", shared("pipefusion=4"), whole=True) == "under diffusers, 4 GPUs (pipefusion=4)"


def test_seen_is_of_a_number_format_too() -> None:
    """fp32 was measured on an A100 alone: what is known of an H100 in 16 bits is not of it."""
    profile = packaged_profile("flux.1-dev")
    gpus = (gpu("A100-SXM4-80GB"), gpu("H100"))
    assert law().familiarity(profile, gpus, "fp32") == ["seen", "unseen_gpu"]
    assert law().familiarity(profile, gpus, "fp16") == ["seen", "seen"]


def test_laws_that_know_no_runtimes_refuse_them() -> None:
    asked_of = (
        packaged_profile("sdxl"),
        WorkloadColumns.from_values(WORK),
        "fp16",
        GpuColumns.of(gpu("A100"), 1),
    )
    for name in ("paper", "tdp_time", "joules_per_flop", "parameters_steps"):
        with pytest.raises(InputError, match="is of diffusers on one GPU, not of sglang"):
            load_law(name).predict(LawInput(*asked_of, Runtime("sglang")))
        with pytest.raises(InputError, match="on one GPU, not of diffusers, at 300 W; another law"):
            load_law(name).predict(LawInput(*asked_of, Runtime(power_limit_w=300.0)))
        load_law(name).predict(LawInput(*asked_of, Runtime("xdit")))


# --- the fit -------------------------------------------------------------------------------------


def test_the_jacobian_is_that_of_the_residuals() -> None:
    """Effects are stepped all at once there, and one at a time here."""
    runs = fitted_runs()[0]
    some = [run for place, run in enumerate(runs) if place % 9 == 0 or run.runtime.cache != "none"]
    problem = Search(Dataset.build(type(runs)(some), packaged_profile))
    x = problem.start(law())
    found, base, step = problem.jacobian(x), problem.residuals(x), 1e-5
    for column in range(len(x)):
        moved = x.copy()
        moved[column] += step
        np.testing.assert_allclose(found[:, column], (problem.residuals(moved) - base) / step, atol=2e-4)


def test_a_run_of_another_runtime_moves_the_fit_less() -> None:
    """The same miss counts most on eager diffusers, less on another runtime, least on several GPUs."""
    every = fitted_runs()[0]
    timed = [run for run in every if run.trust == "A" and run.duration_s is not None]
    runs = [next(run for run in timed if run.runtime.stratum == stratum) for stratum in STRATA]
    more = [run for run in every if run.runtime.is_reference][-8:]
    problem = Search(Dataset.build(type(every)([*runs, *more]), packaged_profile))
    times = len(runs) + len(more)
    twice = problem._of_measured(np.full((2, len(problem.rows.batch)), np.log(2.0)))[times : times + 3]
    assert twice[0] > twice[1] > twice[2] > 0


def test_the_law_conducts_a_runtime_as_its_fit_did() -> None:
    """Effects by name, and of each row: one way to reckon with them."""
    runtimes = (REFERENCE, Runtime("sglang", cache="cache-dit"), Runtime(quantization="int8", compile=True))
    p, facts = law().parameters.shared, facts_of(runtimes)
    by_name = RuntimeEffects.of(
        runtimes, {"sglang": 0.1}, {"diffusers, compiled, int8": -0.3}, {"cache-dit": 0.25}
    )
    how = conduct(facts, p, by_name)
    assert how.arithmetic_time[0] == pytest.approx([1, np.exp(0.1) * p["fused_time"], p["fused_time"]])
    assert how.quantised_time == pytest.approx([1, 1, np.exp(-0.3)])
    assert how.calls[0] == pytest.approx([1, 0.25, 1])
    assert how.over(np.array([1.0, 4.0, 10.0]), np.zeros(3)).calls[0] == pytest.approx(
        [1, 0.25 + 0.75 / 4, 1]
    )
