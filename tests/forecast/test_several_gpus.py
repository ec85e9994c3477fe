"""Several GPUs: energy and GPU time are of all boards, time is of the slowest, wherever a forecast goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import joulecast
from command import Command
from fake_law import IDLE_W, FakeLaw
from joulecast.footprint.account import footprint_of
from joulecast.footprint.site import site
from joulecast.footprint.tables.columns import Sites, footprint_columns
from joulecast.footprint.tables.row import row_footprint
from joulecast.law.law import LawInput, Prediction
from joulecast.plan import demand, tradeoff
from joulecast.plan.demand import demand_of
from joulecast.plan.tradeoff import outcome, outcomes, possible_outcomes
from joulecast.plan.whatif import what_if

ONE: dict[str, Any] = {"model": "flux.1-dev", "gpu": "A100-SXM4-80GB", "batch_size": 4}
TWO = {**ONE, "gpus": 2}
SAME = 1e-12  # of two sums in another order
PLACE = site("FR", price_per_gpu_hour=2.0)


class SharingLaw(FakeLaw):
    """Shares all work, for no energy: two GPUs take half the time."""

    def predict(self, asked: LawInput) -> Prediction:
        found = super().predict(asked)
        return found._replace(
            duration_s=found.duration_s / asked.runtime.gpus,
            idle_power_w=found.idle_power_w * asked.runtime.gpus,
        )


LAW = SharingLaw()


def test_two_gpus_at_half_the_time_cost_the_same_gpu_hours() -> None:
    one, two = (joulecast.estimate(**keys, law=LAW) for keys in (ONE, TWO))
    assert two.duration_s == pytest.approx(one.duration_s / 2, rel=SAME)
    assert two.energy_j == pytest.approx(one.energy_j, rel=SAME)
    assert two.gpu_seconds.value == pytest.approx(one.gpu_seconds.value, rel=SAME)
    assert one.gpu_seconds.value == pytest.approx(one.duration_s / 4, rel=SAME)
    alone, shared = (footprint_of(guess, PLACE) for guess in (one, two))
    assert shared.embodied_carbon.amount.value == pytest.approx(alone.embodied_carbon.amount.value, rel=SAME)
    assert alone.money is not None
    assert shared.money is not None
    assert shared.money.amount.value == pytest.approx(alone.money.amount.value, rel=SAME)


def test_power_is_of_all_boards_and_so_is_its_limit() -> None:
    two = joulecast.estimate(**TWO, law=LAW)
    assert two.power_w == pytest.approx(2 * 0.9 * 400, rel=1e-6)
    assert two.limit_of_boards_w == 2 * 400
    assert two.idle_power_w == 2 * IDLE_W
    assert not any("power limit" in words for words in two.warnings)
    limited = joulecast.estimate(**TWO, power_limit_w=300, law=LAW)
    assert limited.limit_of_boards_w == 2 * 300
    assert any("exceed the board's power limit" in words for words in limited.warnings)


@pytest.mark.parametrize("place", [{}, {"region": "FR", "price_per_gpu_hour": 2.0}])
def test_outcomes_count_the_time_of_all_gpus(place: dict[str, object]) -> None:
    given = [{**keys, **place, "law": LAW} for keys in (ONE, TWO)]
    for one, two in (outcomes(given), [outcome(keys) for keys in given]):
        assert two.measures["latency_s"] == pytest.approx(one.measures["latency_s"] / 2, rel=SAME)
        for name in {*one.measures} - {"latency_s"}:
            assert two.measures[name] == pytest.approx(one.measures[name], rel=SAME), name


def test_a_change_to_two_gpus_costs_nothing_where_they_take_half_the_time() -> None:
    found = what_if({**ONE, "region": "FR", "price_per_gpu_hour": 2.0, "law": LAW}, {"gpus": 2})
    ratios = {delta.measure: delta.ratio.value for delta in found.deltas}
    assert ratios["latency_s"] == pytest.approx(0.5, rel=SAME)
    for measure in ("energy_j", "carbon_g", "cost"):
        assert ratios[measure] == pytest.approx(1.0, rel=SAME)
    assert [(one.key, one.before, one.after) for one in found.keys] == [("gpus", 1, 2)]


def test_a_plan_fills_the_time_of_all_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "resolve_law", lambda _: LAW)
    configuration = {"model": "flux.1-dev", "batch_sizes": [1]}
    content = {
        "services": [{"images_per_day": 10, "configurations": [configuration, {**configuration, "gpus": 2}]}],
        "gpus": [{"name": "A100-SXM4-80GB"}],
        "regions": [{"name": "FR"}],
    }
    one, two = demand_of(content).problem.options
    assert two.seconds == pytest.approx(one.seconds, rel=SAME)
    assert two.latency_s == pytest.approx(one.latency_s / 2, rel=SAME)
    assert two.label == f"{one.label}, diffusers, 2 GPUs (ulysses=2)"
    content["gpus"] = [{"name": "A100-SXM4-80GB", "max_count": 1}]
    few = demand_of(content)
    assert len(few.problem.options) == 1
    assert any("on 2 GPUs does not run on the 1 of A100-SXM4-80GB on offer" in told for told in few.warnings)


@pytest.mark.parametrize(
    "said",
    [{"gpus": "2"}, {"num_gpus": "2"}, {"gpu": "2 x A100-SXM4-80GB"}, {"parallel": "ulysses=2"}],
)
def test_a_footprint_of_a_predicted_table_counts_the_gpus_that_it_says(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    """However the table says them, and with the columns that `predict` adds."""
    monkeypatch.chdir(tmp_path)
    row = {"model": "flux.1-dev", "gpu": "A100-SXM4-80GB", **said}
    Path("w.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    assert run("predict", "w.csv", "--out", "p.csv").status == 0
    done = run("footprint", "p.csv", "--region", "FR", "--price-per-gpu-hour", "2", "--out", "f.csv")
    assert done.status == 0, done.err
    written = dict(zip(*(line.split(",") for line in _plain("f.csv")), strict=True))
    guess = joulecast.estimate("flux.1-dev", "A100-SXM4-80GB", gpus=2)
    assert float(written["money"]) == pytest.approx(2 * 2 * guess.duration_s / 3600, rel=1e-9)


def _plain(name: str) -> list[str]:
    """Header and row of a table, without the cells that hold commas."""
    import csv

    with Path(name).open(newline="") as file:
        return [",".join(cell.replace(",", ";") for cell in row) for row in csv.reader(file)]


@pytest.mark.parametrize(
    ("row", "gpus"),
    [
        ({"gpu": "H100", "parallel": "ulysses=2,cfg=2"}, 4),
        ({"gpu": "2 x H100", "parallel": "nonsense"}, 2),
        ({"gpu": "H100", "gpu_count": "3", "parallel": "nonsense"}, 3),
        ({"gpu": "H100", "parallel": ""}, 1),
        ({"gpu": "H100"}, 1),
    ],
)
def test_how_many_gpus_a_row_says(row: dict[str, str], gpus: int) -> None:
    cells = {"energy_j": "1000", "duration_s": "2", **row}
    alone = row_footprint(cells, PLACE)
    columns = footprint_columns({name: [cell] for name, cell in cells.items()}, Sites(PLACE))
    assert alone.money is not None
    assert alone.money.amount.value == pytest.approx(gpus * 2 * 2.0 / 3600, rel=1e-12)
    assert columns["money"][0] == alone.money.amount.value


def test_a_split_that_cannot_be_read_is_the_rows_error() -> None:
    cells = {"energy_j": ["1000"], "duration_s": ["2"], "gpu": ["H100"], "parallel": ["nonsense"]}
    (error,) = footprint_columns(cells, Sites(PLACE))["footprint_error"]
    assert error.startswith("unknown split 'nonsense'")


def test_settings_that_cannot_be_shared_are_left_out() -> None:
    given = [{"model": model, "gpu": "A100-SXM4-80GB", "gpus": 4} for model in ("sdxl", "flux.1-dev")]
    found, left_out = possible_outcomes(given)
    assert [one.setting["model"] for one in found] == ["flux.1-dev"]
    assert "sdxl on A100-SXM4-80GB: 4 GPUs cannot share the work" in left_out[0]


def test_what_does_not_fit_one_gpu_may_fit_several(monkeypatch: pytest.MonkeyPatch) -> None:
    big = {"model": "flux.1-dev", "gpu": "L4", "size": "512x512", "steps": 4}
    assert not possible_outcomes([big])[0]
    found, left_out = possible_outcomes([{**big, "gpu": "4xL4"}, {**big, "quantization": "int4-weights"}])
    assert (len(found), left_out) == (2, ())
    assert all(any("may not fit the 24 GB of L4" in words for words in one.warnings) for one in found)
    assert tradeoff.output_of_all(found) == "image"


def test_the_record_of_the_gpu_is_of_one() -> None:
    one, eight = (
        joulecast.estimate("flux.1-dev", f"{count}xH100-SXM5-80GB").to_dict()["gpu"] for count in (1, 8)
    )
    assert one == eight


def test_a_power_limit_that_is_set_is_warned_of() -> None:
    limited = joulecast.estimate("flux.1-dev", "H100-SXM5-80GB", power_limit_w=400)
    assert any("few runs were measured under a power limit" in words for words in limited.warnings)
