"""What one request used: each rule by numbers that are reckoned by hand here."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.ledger import accounting as acc
from joulecast.ledger import answers as of
from joulecast.ledger.meanings import CONCURRENCY, EXECUTION, IMAGES, LATENCY, MEASURED

# 1,000 J (800 to 1,300) and 4 s of a batch of two images; 100 W of idling and at most 700 W.
PREDICTED = {
    of.ENERGY: 1000.0, of.ENERGY_LOW: 800.0, of.ENERGY_HIGH: 1300.0,
    of.TIME_S: 4.0, of.TIME_LOW: 3.0, of.TIME_HIGH: 5.0,
    of.BATCH: 2.0, of.GPUS: 1.0, of.LIMIT_W: 700.0, of.IDLE_W: 100.0,
}  # fmt: skip
NOTHING_LOGGED = dict.fromkeys((IMAGES, CONCURRENCY, LATENCY, EXECUTION, MEASURED))


def accounted(clip_s: float | None = 0.0, **logged: float) -> dict[str, float]:
    row = {**PREDICTED, of.CLIP_S: clip_s, **NOTHING_LOGGED, **logged}
    frame = pl.DataFrame(
        {name: [value] for name, value in row.items()}, schema=dict.fromkeys(row, pl.Float64)
    )
    return acc.accounted(frame.lazy()).collect().row(0, named=True)


def energies(found: dict[str, float]) -> tuple[float, float, float]:
    return found[acc.ENERGY_LOW_J], found[acc.ENERGY_J], found[acc.ENERGY_HIGH_J]


def test_without_a_log_of_its_running_a_request_is_as_predicted() -> None:
    found = accounted()
    assert found[acc.OUTPUTS] == 2  # a batch
    assert energies(found) == (1600, 2000, 2600)
    assert (found[acc.GPU_S_LOW], found[acc.GPU_S], found[acc.GPU_S_HIGH]) == (3, 4, 5)
    assert not any(found[name] for name in acc.COUNTS)


def test_longer_than_predicted_is_waiting_at_idle_power_or_working_longer() -> None:
    found = accounted(execution_s=10.0)  # 6 s more, 600 J more, 300 J of each image
    assert energies(found) == (2200, 2600, 6500)  # at most 2.5 times the 1,300 J of each
    assert found[acc.GPU_S_LOW] == found[acc.GPU_S] == found[acc.GPU_S_HIGH] == 10
    assert found[acc.BY_TIME]


def test_shorter_than_predicted_was_not_waiting_or_did_less() -> None:
    found = accounted(execution_s=3.6)  # 0.4 s less, 40 J less, 20 J of each image
    assert energies(found) == pytest.approx((1440, 1960, 2520))  # at least 0.9 times the 800 J; at most 700 W


def test_energy_lies_between_idling_and_the_power_limit() -> None:
    found = accounted(execution_s=2.0)  # at most 1,400 J, of both images
    assert energies(found) == (800, 1400, 1400)  # at least half of the 800 J
    found = accounted(execution_s=100.0)  # 9,600 J more
    assert energies(found) == (11_200, 11_600, 65_000)


def test_a_latency_may_hold_waiting_and_only_bounds() -> None:
    assert energies(accounted(latency_s=50.0)) == (1600, 2000, 2600)
    found = accounted(latency_s=3.0)
    assert energies(found) == (1200, 2000, 2100)  # the cap is above what is predicted; 3/4 of the 1,600 J
    found = accounted(latency_s=2.5)
    assert energies(found) == (1000, 1750, 1750)  # an execution of 2.5 s may have drawn 2.5/4 of the 1,600 J
    assert (found[acc.GPU_S_LOW], found[acc.GPU_S], found[acc.GPU_S_HIGH]) == (1.875, 2.5, 2.5)
    assert found[acc.BY_LATENCY]
    assert not accounted(latency_s=3.0)[acc.BY_LATENCY]
    assert not accounted(latency_s=50.0)[acc.BY_LATENCY]


@given(st.floats(1e-3, 4.0), st.floats(1.0, 40.0))
def test_a_latency_tells_no_more_than_an_execution_of_that_time(seconds: float, concurrency: float) -> None:
    """Of what is no longer than predicted: a longer one may be a queue's."""
    low, _, high = energies(accounted(latency_s=seconds, concurrency=concurrency))
    least, _, most = energies(accounted(execution_s=seconds, concurrency=concurrency))
    assert low <= least * (1 + 1e-12)
    assert most <= high * (1 + 1e-12)


def test_seconds_of_video_are_known_or_counted() -> None:
    known, unknown = accounted(clip_s=2.5), accounted(clip_s=None)
    assert (known[acc.VIDEO_S], known[acc.UNTIMED]) == (5, False)  # of two clips
    assert (unknown[acc.VIDEO_S], unknown[acc.UNTIMED]) == (0, True)


def test_execution_goes_before_latency() -> None:
    assert energies(accounted(execution_s=10.0, latency_s=2.5)) == (2200, 2600, 6500)


@given(st.floats(1e-3, 1e4), st.booleans(), st.floats(1.0, 40.0))
def test_a_logged_time_never_makes_an_energy_certain(seconds: float, ran: bool, concurrency: float) -> None:
    found = accounted(**{"execution_s" if ran else "latency_s": seconds}, concurrency=concurrency)
    low, value, high = energies(found)
    assert low < high
    assert low <= value * (1 + 1e-12)
    assert value <= high * (1 + 1e-12)


def test_a_meter_goes_before_all_and_is_compared() -> None:
    found = accounted(energy_j=1500.0, execution_s=10.0)
    assert energies(found) == (1500, 1500, 1500)
    said = found[acc.SAID_LOW_J], found[acc.SAID_J], found[acc.SAID_HIGH_J]
    assert (found[acc.MEASURED_J], *said) == (1500, 2200, 2600, 6500)
    assert found[acc.BY_METER]
    assert not found[acc.BY_TIME]
    assert accounted()[acc.MEASURED_J] == 0


@pytest.mark.parametrize(
    ("logged", "seconds"),
    [
        ({"execution_s": 10.0, "concurrency": 2.0}, 5.0),  # two requests beside each other
        ({"execution_s": 30.0, "images": 6.0}, 30.0),  # three batches, one after the other
        ({"execution_s": 10.0, "images": 1.0}, 5.0),  # half of a batch that another request fills
    ],
)
def test_a_second_of_a_gpu_is_attributed_once(logged: dict[str, float], seconds: float) -> None:
    assert accounted(**logged)[acc.GPU_S] == pytest.approx(seconds)


def test_requests_of_several_batches_take_several_executions() -> None:
    whole, part = accounted(execution_s=30.0, images=6.0), accounted(execution_s=10.0)
    assert whole[acc.ENERGY_J] == pytest.approx(3 * part[acc.ENERGY_J])
