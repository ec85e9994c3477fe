"""Scores are what they say: by hand, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from joulecast.law.scores import Score, Scores, kendall, score_errors, spearman


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlations_against_scipy(ties: bool) -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=60)
    b = a + rng.normal(size=60)
    if ties:
        a, b = a.round(), b.round()
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)


@pytest.mark.parametrize("correlation", [spearman, kendall])
def test_rank_correlations_of_nothing(correlation: object) -> None:
    assert callable(correlation)
    assert np.isnan(correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])))
    assert np.isnan(correlation(np.ones(5), np.arange(5.0)))


def test_score_by_hand() -> None:
    """Predicted 10 % too high, 10 % too low and right, of calls of 1, e and e^2 joules."""
    errors = np.log([1.1, 0.9, 1.0, np.nan])
    found = score_errors(
        errors, np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1.0, np.nan]), np.full(4, 0.2)
    )
    assert found.runs == 3
    assert found.median == pytest.approx(10)
    assert found.p90 == pytest.approx(10)
    assert found.worst == pytest.approx(10)
    assert found.bias == pytest.approx(100 * np.log(1.1 * 0.9) / 3)
    assert found.r2 == pytest.approx(1 - (np.log(1.1) ** 2 + np.log(0.9) ** 2) / 2)
    assert found.coverage == pytest.approx(200 / 3)
    assert found.width == pytest.approx(np.exp(0.2))
    assert found.spearman == pytest.approx(1)


NOTHING = math.nan
SOME = Score(3, 0.123456, 9.87654, 20.0, 30.0, -1.23456, NOTHING, 0.5, 90.0, 1.23456)


def test_a_score_as_json_has_four_digits_and_no_nan() -> None:
    assert SOME.to_dict() == {
        "runs": 3, "r2": 0.1235, "median": 9.877, "p90": 20.0, "worst": 30.0, "bias": -1.235,
        "spearman": None, "kendall": 0.5, "coverage": 90.0, "width": 1.235,
    }  # fmt: skip
    assert isinstance(SOME.to_dict()["runs"], int)


def test_scores_come_back_from_json_as_they_were_written() -> None:
    """Equal, too, where a figure has no meaning."""
    both = Scores(SOME, None)
    assert Scores.of_dict(both.to_dict()) == both.rounded() != both
    assert Score.of_dict({**{name: getattr(SOME, name) for name in SOME.to_dict()}, "spearman": None}) == SOME
    assert SOME.rounded() != Score.of_dict(SOME.to_dict() | {"runs": 4})
