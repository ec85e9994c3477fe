"""What Prometheus reads of a ledger is what the ledger says; what is not known is no 0."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("polars")

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from command import Command, refused
from joulecast.ledger.folder import read_ledger
from joulecast.ledger.totals import total
from joulecast.web.ledger_metrics import create_ledger_app, metrics_of

LOG = """model,gpu,n,region
sdxl,H100,2,FR
sdxl,H100,1,nowhere
wan2.1-t2v-1.3b,L40S,1,FR
"""


@pytest.fixture
def ledger(run: Command, tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    assert run("ledger", "log.csv", "--out", "made").status == 0
    return tmp_path / "made"


def series(content: str) -> dict[tuple[str, str], float]:
    """The value of each metric of each model."""
    return {
        (sample.name.removeprefix("joulecast_ledger_"), sample.labels["model"]): sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
        if "model" in sample.labels
    }


def test_the_sums_are_the_ledgers(ledger: Path) -> None:
    client = TestClient(create_ledger_app(ledger))
    found = series(client.get("/metrics").text)
    cells, _ = read_ledger(ledger)
    for model, outputs in (("sdxl", 3), ("wan2.1-t2v-1.3b", 1)):
        of = total(cells.filter(cells["model"] == model), "roofline")
        assert found["outputs", model] == of.outputs == outputs
        assert found["requests", model] == of.requests
        assert found["energy_joules", model] == of.energy_j.value
        assert found["energy_low_joules", model] == of.energy_j.low < of.energy_j.value
        assert found["energy_high_joules", model] == of.energy_j.high > of.energy_j.value
        assert found["gpu_seconds", model] == of.gpu_s.value
        assert found["gpu_low_seconds", model] == of.gpu_s.low < of.gpu_s.value
        assert found["gpu_high_seconds", model] == of.gpu_s.high > of.gpu_s.value
        assert found["measured_requests", model] == 0
    assert ("carbon_grams", "sdxl") not in found  # of one of its requests nobody knows it
    low, value, high = (found[f"carbon{end}_grams", "wan2.1-t2v-1.3b"] for end in ("_low", "", "_high"))
    assert 0 < low < value < high
    assert value == pytest.approx(cells.filter(cells["model"] == "wan2.1-t2v-1.3b")["carbon_g"].sum())


def test_a_ledger_that_is_made_again_is_told_anew_and_none_is_no_zero(ledger: Path) -> None:
    client = TestClient(create_ledger_app(ledger))
    before = client.get("/metrics")
    (ledger / "cells.parquet").rename(ledger / "aside")
    answer = client.get("/metrics")
    assert answer.status_code == 503
    assert "cannot be read" in answer.text
    (ledger / "aside").rename(ledger / "cells.parquet")
    assert client.get("/metrics").text == before.text
    assert before.headers["cache-control"] == "no-store"


def test_an_empty_ledger_has_no_series(run: Command, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("model,gpu\nnobody-knows,H100\n")
    run("ledger", "log.csv", "--out", "made")
    content = metrics_of(tmp_path / "made").decode()
    assert series(content) == {}
    assert 'joulecast_ledger_info{law="roofline"' in content


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve",), "serve takes the folder of a ledger, not 0: joulecast ledger serve FOLDER"),
        (("serve", "a", "b"), "not 2"),
        (("serve", "nowhere"), "'nowhere' is no ledger"),
        (("serve", "made", "--model", "sdxl"), "leave out --model"),
        (("serve", "made", "--port", "65536"), "--port must be between 0 and 65535"),
        (("log.csv", "--out", "x", "--port", "99"), "--port is where `ledger serve FOLDER` listens"),
        (("diff", "made", "made", "--host", "::1"), "leave out --host"),
    ],
)
def test_what_cannot_be_served_is_refused(
    run: Command, ledger: Path, words: tuple[str, ...], said: str
) -> None:
    refused(run("ledger", *words), said)
