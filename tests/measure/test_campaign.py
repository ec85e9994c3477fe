"""Plans, campaigns on the replay meter, exports and comparisons."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_samples import ENVIRONMENT, RESULT

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FileFormatError, InputError, UnknownNameError
from joulecast.forecast.estimate import resolve_law
from joulecast.forecast.preregistered import predict_plan, write_predictions
from joulecast.measure import campaign_plan as plan
from joulecast.measure import compare, export
from joulecast.measure.campaign import Progress, run_campaign
from joulecast.measure.campaign_plan import Plan, parse_plan, read_plan
from joulecast.measure.expected_time import call_s
from joulecast.measure.protocol import Settings
from joulecast.measure.records import TaskSpec
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace
from joulecast.measure.store import NewTask, Store
from joulecast.measure.task import ComponentWork, Dissection, TooLargeError
from joulecast.measure.virtual import VirtualSubject
from joulecast.question.question import workload_of
from joulecast.question.setting import Setting
from joulecast.report.measured_text import describe
from joulecast.runs import RunTable

SMALL = """
name = "small"
[protocol]
window_s = 1.0
[[grid]]
model = ["sd2", "flux.1-dev"]
size = ["256x256", "512x512"]
steps = [10, 20]
passes = 1
"""
QUICK = Settings()


def run(
    store: Store,
    made: Plan,
    budget_s: float | None = None,
    wrap: Callable[[VirtualSubject], Any] = lambda subject: subject,
    gpu: str | None = None,
) -> tuple[int, list[Progress], VirtualClock]:
    clock = VirtualClock()
    told: list[Progress] = []
    store.note("name", made.name)
    store.add(made.tasks)
    finished = run_campaign(
        store,
        wrap(VirtualSubject(clock)),
        ReplayMeter(packaged_trace(), clock),
        made.settings,
        gpu=gpu,
        budget_s=budget_s,
        on_progress=told.append,
    )
    return finished, told, clock


# --- plans ----------------------------------------------------------------------------------------


def test_a_grid_is_every_combination_once() -> None:
    made = parse_plan(SMALL + '[[grid]]\nmodel = "sd2"\nsize = "256x256"\nsteps = 10\npasses = 1\n', "small")
    assert len(made.tasks) == 8
    assert made.settings == Settings(window_s=1.0)
    assert {task.spec.precision for task in made.tasks if task.spec.model == "flux.1-dev"} == {"bf16"}
    assert all(task.cost_s > 0 for task in made.tasks)


REQUESTS = st.fixed_dictionaries(
    {"model": st.sampled_from(["sd1.5", "sdxl-turbo", "flux.1-dev", "qwen-image", "pixart-sigma"])},
    optional={
        "size": st.sampled_from(["512x512", "768x1024"]),
        "num_inference_steps": st.integers(1, 60),
        "passes": st.integers(1, 2),
        "guidance": st.sampled_from([0.0, 1.0, 7.0]),
        "negative_prompt": st.booleans(),
        "batch": st.sampled_from([1, "4"]),
        "precision": st.sampled_from(["fp16", "bfloat16"]),
    },
)


@given(REQUESTS)
def test_a_grid_asks_what_any_request_asks(request: dict[str, object]) -> None:
    grid = "\n".join(f"{key} = {json.dumps(value)}" for key, value in request.items())
    (task,) = parse_plan(f"[[grid]]\n{grid}\n", "x").tasks
    profile = packaged_profile(str(request["model"]))
    assert task.spec.workload == workload_of(Setting.of(request), profile)
    assert task.refused == profile.errors(task.spec.workload.columns())[0]


def test_what_a_grid_does_not_say_is_the_models_own() -> None:
    assert plan.make_spec({"model": "qwen-image"}).passes == 2
    assert plan.make_spec({"model": "sd2"}).passes == 2
    spec = plan.make_spec({"model": "flux", "size": "default", "steps": "default", "passes": "default"})
    own = packaged_profile("flux.1-dev").defaults
    assert (spec.width, spec.height, spec.steps) == (own.width, own.height, own.steps)
    assert (spec.precision, spec.batch_size) == (own.precision, 1)


def test_what_a_pipeline_refuses_is_queued_as_refused() -> None:
    made = parse_plan('[[grid]]\nmodel = "sdxl"\nsize = "257x256"\n', "x.toml")
    assert "sdxl refuses 257x256" in made.tasks[0].refused


def test_packaged_plans() -> None:
    sweep = read_plan("paper-sweep")
    paper = ("sd2", "sd3.5-large", "flux.1-dev", "qwen-image")
    for model in paper:
        cells = [task.spec for task in sweep.tasks if task.spec.model == model]
        assert {(s.width, s.height) for s in cells} >= {(n, n) for n in (256, 512, 768, 1024)}
        assert {s.steps for s in cells} >= {10, 30, 50}
        assert {s.passes for s in cells} == {1, 2}
        assert {s.batch_size for s in cells} == {1, 4, 16}
    assert not [task.refused for task in sweep.tasks if task.refused]
    assert {task.spec.model for task in sweep.tasks[:8]} == set(paper)  # the first round has all
    spent, first = 0.0, []
    for task in sweep.tasks:  # what the first twenty minutes hold
        spent += task.cost_s
        if spent < 1200:
            first.append(task.spec)
    assert {spec.model for spec in first} == {task.spec.model for task in sweep.tasks}
    for model in paper:
        cells = [spec for spec in first if spec.model == model]
        assert {spec.passes for spec in cells} == {1, 2}
        assert {spec.batch_size for spec in cells} >= {1, 4}
        assert {256, 512} <= {spec.width for spec in cells}
        assert any(spec.width != spec.height for spec in cells)
        assert any(spec.components for spec in cells)
    assert {spec.precision for spec in first} == {"fp16", "bf16", "fp32"}
    assert {spec.tf32 for spec in (task.spec for task in sweep.tasks)} == {"default", "on", "off"}
    assert {spec.runtime for spec in (task.spec for task in sweep.tasks)} == {"eager", "compiled"}
    calibrate = read_plan("calibrate")
    assert calibrate.budget_s == 540
    assert sum(task.cost_s for task in calibrate.tasks) < 600


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), max_size=12))
def test_farthest_first_is_an_order(places: list[tuple[float, float]]) -> None:
    assert sorted(plan.farthest_first(places)) == list(range(len(places)))


def test_farthest_first_by_hand() -> None:
    assert plan.farthest_first([(0,), (4,), (5,), (10,)]) == [2, 0, 3, 1]
    # from 5: 0 and 10 are 5 away; at nine times the cost that counts as 5/3, less than 4's 1 / 1 not
    assert plan.farthest_first([(0,), (4,), (5,), (10,)], [1, 1, 1, 9]) == [2, 0, 3, 1]
    assert plan.farthest_first([(0,), (4,), (5,), (10,)], [36, 1, 1, 100]) == [2, 1, 0, 3]


def test_a_grid_may_join_later() -> None:
    grid = '[[grid]]\nmodel = "{}"\nsteps = [5, 10, 20, 40]\n'
    made = parse_plan(grid.format("sdxl") + "later = 1\n" + grid.format("sd2"), "x")
    models = [task.spec.model for task in made.tasks]
    assert models == ["sd2"] * 2 + ["sdxl"] * 2 + ["sd2"] * 2 + ["sdxl"] * 2
    with pytest.raises(InputError, match="later must be a whole number of rounds"):
        parse_plan(grid.format("sd2") + "later = -1\n", "x")


@pytest.mark.parametrize(
    ("text", "seconds"), [("9m", 540), ("90s", 90), ("1h30m", 5400), (45, 45), ("2m 30", 150)]
)
def test_lengths_of_time(text: object, seconds: float) -> None:
    assert plan.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[[grid", FileFormatError, "is not TOML"),
        ("name = 'x'", InputError, r"no \[\[grid\]\]"),
        ("[[grids]]\nmodel='sd2'", InputError, "did you mean grid"),
        ("[[grid]]\nmodels='sd2'", InputError, "did you mean model"),
        ("[[grid]]\nsteps=3", InputError, "has no model"),
        ("[[grid]]\nmodel='sd2'\nbatch=3\nbatch_size=4", InputError, "batch_size is given twice in grid 1"),
        ("[[grid]]\nmodel='sd2'\nsize='512x512'\nwidth=512", InputError, "either size or width and height"),
        ("[[grid]]\nmodel='sd2'\nboundary='gross'", InputError, "unknown key 'boundary'"),
        ("[[grid]]\nmodel='sd2'\ncomponents='yes'", InputError, "components must be true or false"),
        ("[[grid]]\nmodel='sd22222'", UnknownNameError, "unknown model"),
        ("[[grid]]\nmodel='flux.1-dev'\nparallel='ulysses=2'", InputError, "parallel is .* measured here is"),
        ("[[grid]]\nmodel='flux.1-dev'\nengine='sgl-diffusion'", InputError, "engine is .* measured here is"),
        ("[[grid]]\nmodel='sd2'\nsteps=0", InputError, "grid 1 .* steps must be"),
        ("[[grid]]\nmodel='sd2'\nsize='big'", InputError, "not WIDTHxHEIGHT"),
        ("[[grid]]\nmodel='sd2'\ntf32='yes'", UnknownNameError, "unknown tf32"),
        ("[[grid]]\nmodel='sd2'\nruntime='slow'", UnknownNameError, "unknown runtime"),
        ("[[grid]]\nmodel='sd2'\n[protocol]\nwindows_s=1", InputError, "did you mean window_s"),
        ("order='random'\n[[grid]]\nmodel='sd2'", UnknownNameError, "unknown order"),
        ("budget='soon'\n[[grid]]\nmodel='sd2'", InputError, "no length of time"),
        ("name='a b'\n[[grid]]\nmodel='sd2'", InputError, "plan name"),
    ],
)
def test_what_is_no_plan(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_plan(text, "x.toml")


def test_plans_are_found_by_name_or_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL)
    assert read_plan(file).name == "small"
    assert read_plan("calibrate.toml").name == "calibrate"
    with pytest.raises(UnknownNameError, match="did you mean calibrate"):
        read_plan("calibrat")


# --- campaigns ------------------------------------------------------------------------------------


def test_a_budget_ends_a_campaign_and_it_goes_on_later(tmp_path: Path) -> None:
    made = parse_plan(SMALL, "small")
    with Store(tmp_path / "s.db") as store:
        first, told, clock = run(store, made, budget_s=60)
        assert 0 < first < 8
        assert clock.now() < 60 * 1.2
        assert (told[-1].done, told[-1].total) == (first, 8)
        assert told[-1].left_s > 0
        second, told, _ = run(store, made)
        assert first + second == 8
        assert told[-1].left_s == 0
        assert run(store, made)[0] == 0
        assert len(store.results()) == 8


def test_results_are_those_of_the_trace(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        run(store, parse_plan(SMALL, "small"))
        for result in store.results():
            found = result.result
            assert found.energy_j == pytest.approx(400 * found.duration_s, rel=0.02)
            assert found.idle_power_w == pytest.approx(75, rel=0.02)
            assert found.duration_s == pytest.approx(call_s(result.spec), rel=1e-6)
            assert result.environment.is_real is False


class Breaking:
    """A subject whose large images do not fit and whose 20 steps always fail."""

    def __init__(self, subject: VirtualSubject) -> None:
        self._subject = subject

    def load(self, spec: TaskSpec) -> None:
        if spec.width == 512:
            raise TooLargeError("out of memory: 2 TiB")
        if spec.steps == 20:
            raise ValueError("broken")
        self._subject.load(spec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)


def test_what_goes_wrong_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        assert run(store, parse_plan(SMALL, "small"), wrap=Breaking)[0] == 2
        assert store.counts() == {
            "pending": 0, "running": 0, "done": 2, "too_large": 4, "failed": 2, "refused": 0
        }  # fmt: skip
        assert "failed: ValueError: broken" in {task.message for task in store.tasks()}


def test_an_interrupted_task_is_given_back(tmp_path: Path) -> None:
    class Interrupted(Breaking):
        def load(self, spec: TaskSpec) -> None:
            raise KeyboardInterrupt

    with Store(tmp_path / "s.db") as store:
        with pytest.raises(KeyboardInterrupt):
            run(store, parse_plan(SMALL, "small"), wrap=Interrupted)
        assert store.counts()["pending"] == 8


def test_an_interrupt_is_told_as_one_where_the_store_fails_too(tmp_path: Path) -> None:
    class Interrupted(Breaking):
        def load(self, spec: TaskSpec) -> None:
            store._db.change(
                "create trigger full before update on tasks begin select raise(fail, 'full'); end"
            )
            raise KeyboardInterrupt

    with Store(tmp_path / "s.db") as store, pytest.raises(KeyboardInterrupt):
        run(store, parse_plan(SMALL, "small"), wrap=Interrupted)


def test_tasks_for_another_gpu_are_left_alone(tmp_path: Path) -> None:
    text = '[[grid]]\nmodel = "sd2"\nsteps = 5\ngpu = ["H100", "A100"]\n'
    with Store(tmp_path / "s.db") as store:
        assert run(store, parse_plan(text, "x"), gpu="H100-SXM5-80GB")[0] == 1
        assert [task.gpu for task in store.tasks() if task.state == "pending"] == ["A100-SXM4-80GB"]


def test_a_component_that_fails_is_unresolved(tmp_path: Path) -> None:
    class Odd(Breaking):
        def load(self, spec: TaskSpec) -> None:
            self._subject.load(spec)

        def dissect(self) -> Dissection:
            return Dissection((ComponentWork("vae", 1, 1, "1x4", lambda: 1 / 0),))

    text = '[[grid]]\nmodel = "sd2"\nsteps = 5\ncomponents = true\n'
    with Store(tmp_path / "s.db") as store:
        assert run(store, parse_plan(text, "x"), wrap=Odd)[0] == 1
        part = store.results()[0].result.components[0]
        assert not part.is_resolved
        assert "ZeroDivisionError" in part.problem
        assert part.role == "decoder"


# --- export and comparison ------------------------------------------------------------------------


def test_an_export_is_a_run_table_with_all_repeats_beside_it(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        run(store, parse_plan(SMALL + "components = true\nbatch_size = 4\n", "small"))
        files = export.export(store, tmp_path / "runs.csv", boundary="both", gpu="H200")
        results, repeats = store.results(), store.repeats()
    names = [
        "runs.csv",
        "runs-repeats.csv",
        "runs-components.csv",
        "runs-steps.csv",
        "runs-environments.json",
    ]
    assert [path.name for path in files] == names
    table = RunTable.read(files[0])
    assert len(table) == 16
    assert set(table.column("source")) == {export.DRY}
    assert table.column("is_invented").all()
    assert set(table.column("gpu")) == {"H200-SXM-141GB"}
    gross = [run for run in table if run.boundary == "gross"]
    assert [run.energy_j for run in gross] == [r.result.energy_j / 4 for r in results]
    with files[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(repeats)
    assert {row["in_result"] for row in rows} == {"1"}
    assert {"power_mean_w", "temperature_end_c", "calls", "energy_j"} <= set(rows[0])
    assert {row["run_id"] for row in rows} == {run.run_id.removesuffix("-gross") for run in gross}
    with files[2].open(newline="") as file:
        shares: dict[str, float] = {}
        for row in csv.DictReader(file):
            shares[row["run_id"]] = shares.get(row["run_id"], 0.0) + float(row["share"])
    assert all(math.isclose(share, 1, rel_tol=0.05) for share in shares.values())
    with files[3].open(newline="") as file:
        steps = list(csv.DictReader(file))
    for result in results:
        count = result.spec.steps
        of_run = [
            row for row in steps if row["run_id"] == export.run_id("small", result.spec, "H200-SXM-141GB")
        ]
        denoiser = next(c for c in result.result.components if c.role == "denoiser").measured
        assert denoiser is not None
        assert len(of_run) in (count, count + 1)  # PNDM makes one call more
        assert sum(float(row["energy_j"]) for row in of_run) == pytest.approx(denoiser.energy_j)
    environments = json.loads(files[4].read_text())
    assert {row["environment"] for row in rows} == set(environments)


def test_exports_that_cannot_be(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        with pytest.raises(InputError, match="no finished run yet"):
            export.export(store, tmp_path / "runs.csv")
        with pytest.raises(InputError, match="written as CSV"):
            export.export(store, tmp_path / "runs.db")
        run(store, parse_plan(SMALL, "small"))
        with pytest.raises(InputError, match="does not know the GPU of these runs"):
            export.export(store, tmp_path / "runs.csv")
        with pytest.raises(UnknownNameError, match="unknown boundary"):
            export.runs_of(store, boundary="net")


def test_a_negative_prompt_is_another_run(tmp_path: Path) -> None:
    text = '[[grid]]\nmodel = "sdxl"\nsize = "512x512"\nsteps = 10\nnegative_prompt = [false, true]\n'
    with Store(tmp_path / "s.db") as store:
        run(store, parse_plan(text, "x"))
        export.export(store, tmp_path / "runs.csv", gpu="H200")
        found = compare.compare(store, "negative_prompt=no", "negative_prompt=yes")
    assert len(found.pairs) == 1
    assert found.ratio == pytest.approx(1, rel=0.1)
    assert found.pairs[0].spec.negative_prompt is False
    without, given = RunTable.read(tmp_path / "runs.csv")
    assert given.run_id == without.run_id.replace("-fp16", "-neg-fp16")
    assert (without.negative_prompt, given.negative_prompt) == (False, True)
    energies = predict_plan("x", parse_plan(text, "x").tasks, "H200", resolve_law(None))
    assert energies["negative_prompt"] == [False, True]
    write_predictions(energies, tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run_id"], row["negative_prompt"]) for row in rows] == [
        (without.run_id, "no"), (given.run_id, "yes"),
    ]  # fmt: skip
    assert float(rows[0]["energy_j"]) != float(rows[1]["energy_j"])
    assert describe(parse_plan(text, "x").tasks[1].spec).count("negative prompt") == 1


def test_tf32_is_another_runtime() -> None:
    spec = plan.make_spec({"model": "sd2", "precision": "fp32", "tf32": "on"})
    assert export.runtime_of(spec) == "eager, tf32 on"
    assert export.run_id("x", spec, "H200").endswith("-fp32-tf32-on")
    half = plan.make_spec({"model": "sd2", "precision": "fp16", "tf32": "on"})
    assert half.tf32 == "default"


def test_a_comparison_is_paired(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        run(store, parse_plan(SMALL, "small"))
        found = compare.compare(store, "steps=10", "steps=20")
        assert len(found.pairs) == 4
        assert 1.5 < found.ratio < 2.1
        assert found.is_clear
        one = compare.compare(store, "model=sd2,size=256x256,steps=10", "model=sd2 size=256x256 steps=20")
        assert len(one.pairs) == 1
        assert one.ratio_high / one.ratio < 1.02
        with pytest.raises(InputError, match="no two finished runs"):
            compare.compare(store, "runtime=eager", "runtime=compiled")


def test_log_ratio_interval_by_hand() -> None:
    a, b = [99.0, 101.0], [198.0, 202.0]  # both s/mean = sqrt(2) %; Welch's degrees of freedom: 2
    assert compare.log_ratio_half_width(a, b) == pytest.approx(4.303 * 0.01 * math.sqrt(2), rel=1e-6)
    assert compare.log_ratio_half_width([1.0], b) == math.inf
    assert compare.log_ratio_half_width([1.0, 1.0], [2.0, 2.0]) == 0


def test_trained_weights_are_another_run_and_can_be_compared(tmp_path: Path) -> None:
    made = parse_plan(SMALL, "small")
    with Store(tmp_path / "s.db") as store:
        run(store, made)
        assert store.add(plan.with_weights(made.tasks, None)) == 0
        assert store.add(plan.with_weights(made.tasks, "trained")) == 8
        run(store, made)
        found = compare.compare(store, "weights=random", "weights=trained")
        assert len(found.pairs) == 8
        assert found.ratio == pytest.approx(1, rel=0.01)
        table = export.runs_of(store, gpu="H200")
        assert sorted(map(str, table.column("checkpoint"))) == ["None"] * 8 + ["trained"] * 8
        assert sum(run_id.endswith("-trained") for run_id in table.column("run_id")) == 8
    with pytest.raises(InputError, match="the name of a folder or hub id"):
        plan.with_weights(made.tasks, " ")


def test_runs_of_two_gpus_are_no_pair(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(plan.make_spec({"model": "sd2", "steps": steps})) for steps in (10, 20)])
        for gpu in ("NVIDIA A100-SXM4-80GB", "NVIDIA H200"):
            claim = store.claim()
            assert claim is not None
            environment = store.environment(dataclasses.replace(ENVIRONMENT, gpu=gpu))
            store.finish(claim, RESULT, environment, 1.0)
        with pytest.raises(InputError, match="no two finished runs"):
            compare.compare(store, "steps=10", "steps=20")
        across = compare.compare(store, "steps=10 gpu=A100-SXM4-80GB", "steps=20 gpu=H200")
        assert len(across.pairs) == 1


@pytest.mark.parametrize("text", ["", "step=10", "steps", "size=big"])
def test_selections_that_cannot_be(text: str) -> None:
    with pytest.raises(InputError):
        compare.selection(text)


@pytest.mark.slow
def test_the_papers_sweep_runs_dry_in_under_a_minute(tmp_path: Path) -> None:
    made, start = read_plan("paper-sweep"), time.monotonic()
    with Store(tmp_path / "s.db") as store:
        finished, _, _ = run(store, made)
        assert time.monotonic() - start < 60
        assert finished == len(made.tasks) == store.counts()["done"]
