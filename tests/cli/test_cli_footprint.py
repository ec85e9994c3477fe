"""The commands from joules to decisions: what they print, their exit status, their errors."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.error
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from urllib.request import Request

import pytest

from command import Command, refused
from joulecast import data
from joulecast.forecast.estimate import estimate

WORKLOADS = """model,gpu,width,height,steps,precision,batch_size,where
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,1,FR
sd3.5-large,A100-SXM4-80GB,768,1024,28,fp16,4,PL
"""


@pytest.fixture
def run(run: Command) -> Command:
    Path("w.csv").write_text(WORKLOADS)
    Path("dynamic.csv").write_text("energy_j,duration_s,boundary\n1,1,dynamic\n")
    Path("bad.csv").write_text("energy_j,duration_s\nmuch,1\n")
    return run


ESTIMATE = ("estimate", "flux.1-dev", "--gpu", "H100-SXM5-80GB")


def test_estimate_in_a_region(run: Command) -> None:
    done = run(*ESTIMATE, "--region", "FR", "--pue", "1.2", "--images", "1000000")
    assert done.status == 0
    assert "1,000,000 images in France, location-based, 2024" in done.out
    assert "Ember" in done.out
    assert "energy per image" in done.out
    explained = run(*ESTIMATE, "--region", "FR", "--explain")
    assert "operational_carbon_g [g] = facility_energy_kwh * intensity" in explained.out


def test_a_live_intensity_that_cannot_be_had_is_said(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELECTRICITYMAPS_API_KEY", raising=False)
    done = run(*ESTIMATE, "--region", "FR", "--live")
    assert done.status == 0
    assert "no live intensity of France" in done.out
    assert run(*ESTIMATE, "--live", "--region", "FR", "--intensity", "3").status == 2


def test_estimate_as_json(run: Command) -> None:
    plain = json.loads(run(*ESTIMATE, "--json").out)
    answer = json.loads(run(*ESTIMATE, "--region", "PL", "--json").out)
    assert "footprint" not in plain
    found = answer.pop("footprint")
    assert answer == plain
    assert found["carbon_g"]["low"] < found["carbon_g"]["value"] < found["carbon_g"]["high"]
    assert found["grid"]["year"] == 2024
    assert found["images"] == 1


def test_a_table(run: Command) -> None:
    assert run("predict", "w.csv", "--out", "p.csv").status == 0
    assert run("footprint", "p.csv", "--region-column", "where", "--out", "f.csv").status == 0
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    assert [row["grid_region"] for row in rows] == ["France", "Poland"]
    assert float(rows[0]["carbon_low_g"]) < float(rows[0]["carbon_g"]) < float(rows[0]["carbon_high_g"])
    assert run("footprint", "f.csv", "--region", "FR").status == 2
    Path("p.csv").write_text(Path("p.csv").read_text().replace(",PL,", ",Polnd,"))
    done = run("footprint", "p.csv", "--region-column", "where")
    assert done.status == 1
    assert "data row 2: unknown region 'Polnd'; did you mean Poland" in done.err
    assert "footprints of 1 of 2 rows" in done.err


def test_a_table_says_what_an_estimate_says(run: Command) -> None:
    run("predict", "w.csv", "--out", "p.csv")
    run(
        "footprint",
        "p.csv",
        "--region-column",
        "where",
        "--pue",
        "1.2",
        "--price-per-kwh",
        "0.2",
        "--out",
        "f.csv",
    )
    row = next(csv.DictReader(Path("f.csv").read_text().splitlines()))
    estimate = (*ESTIMATE, "--size", "1024x1024", "--steps", "50", "--precision", "bf16", "--json")
    found = json.loads(run(*estimate, "--region", "FR", "--pue", "1.2", "--price-per-kwh", "0.2").out)[
        "footprint"
    ]
    for name in ("carbon", "water", "facility_energy", "money"):
        unit = {"carbon": "_g", "water": "_l", "facility_energy": "_kwh", "money": ""}[name]
        for end, part in (("value", ""), ("low", "_low"), ("high", "_high")):
            assert float(row[f"{name}{part}{unit}"]) == pytest.approx(found[name + unit][end], rel=1e-12)


def numbers_by_hand(text: str) -> dict[str, float]:
    """The printed sum redone by an auditor with a calculator: every line, from its own numbers."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if " [" in line and " = " in line and not line.startswith(" "):
            name = line.partition(" [")[0]
        if line.startswith("    value "):
            sum_, result = line.removeprefix("    value ").rsplit(" = ", 1)
            assert eval(sum_) == float(result)  # digits and + - * / ( ) alone
            found[name] = float(result)
    return found


def test_the_printed_sum_is_that_of_the_packaged_tables(run: Command) -> None:
    options = (
        "--region",
        "PL",
        "--price-per-kwh",
        "0.1:0.3",
        "--transmission-loss",
        "0.06",
        "--images",
        "1000000",
    )
    answer = json.loads(run(*ESTIMATE, *options, "--json", "--explain").out)
    printed = run(*ESTIMATE, *options, "--explain").out
    assert "\n".join(answer["footprint"]["explanation"]) in printed
    by_hand = numbers_by_hand(printed)
    factors = {row["factor"]: float(row["value"]) for row in data.read_table("factors.csv")}
    kwh = answer["energy_j"] * 1e6 / 3.6e6 * (1 + factors["host_overhead"])
    hours = answer["duration_s"] * 1e6 / 3600
    hardware = hours * (164 + 375) * 1000 / (factors["life"] * 8760 * factors["utilisation"])
    carbon = kwh * factors["pue"] / (1 - 0.06) * 614.98 + hardware
    assert by_hand["carbon_g"] == pytest.approx(carbon, rel=1e-12)
    assert by_hand["sci"] == pytest.approx(carbon / 1e6, rel=1e-12)
    assert by_hand["water_l"] == pytest.approx(kwh * factors["wue"], rel=1e-12)
    assert by_hand["money"] == pytest.approx(kwh * factors["pue"] * 0.2, rel=1e-12)
    assert answer["footprint"]["carbon_g"]["value"] == by_hand["carbon_g"]


def test_every_factor_is_shown(run: Command) -> None:
    shown = " ".join(run(*ESTIMATE, "--region", "FR", "--pue", "1.2", "--sources").out.split())
    for words in (
        "host overhead 0.431 (0.214 to 0.821);",
        "pue 1.20, given;",
        "wue 0.300 L/kWh (0.150 to 1.80)",
        "life 5.00 year (3.00 to 6.00)",
        "utilisation 0.600",
        "embodied gpu 164 kg (164 to 273)",
    ):
        assert words in shown, words


def test_an_hour_of_the_day(run: Command) -> None:
    noon = run(*ESTIMATE, "--hourly", "CISO", "--at", "12:00", "--timezone", "America/Los_Angeles")
    assert "12:00 America/Los_Angeles, mean of 365 days, range of nine in ten" in " ".join(noon.out.split())


def test_a_budget(run: Command) -> None:
    strict = run("budget", "check", "w.csv", "--max-g-per-image", "0.2", "--region", "FR")
    assert strict.status == 1
    assert "1 of 2 over the budget" in strict.out
    assert strict.out.count("OVER") == 1
    assert run("budget", "check", "w.csv", "--max-g-per-image", "2", "--region-column", "where").status == 0
    worst = ("--max-g-per-image", "2", "--region-column", "where", "--bound", "high")
    assert run("budget", "check", "w.csv", *worst).status == 1
    assert run("budget", "check", "w.csv", "--max-wh-per-image", "1.5").status == 1
    assert run("budget", "check", "w.csv", "--max-wh-per-image", "3").status == 0


# --- hourly --------------------------------------------------------------------------------------

HOUR = ("--hourly", "US-CAL-CISO", "--at", "2022-06-01T13:00Z")


def hourly_file(name: str = "fr.csv", start: str = "2024-06-01", hours: int = 48) -> None:
    first = datetime.fromisoformat(f"{start}T00:00+00:00")
    rows = [f"{first + timedelta(hours=i):%Y-%m-%dT%H:%MZ},{50 + i}" for i in range(hours)]
    Path(name).write_text("\n".join(["datetime,g_per_kwh", *rows]) + "\n")


def test_an_hour_a_window_and_a_mean(run: Command) -> None:
    hourly_file()

    def grid(*options: str) -> tuple[float, str, list[str]]:
        answer = json.loads(run(*ESTIMATE, "--hourly", "fr.csv", "--json", *options).out)["footprint"]
        kept = answer["grid"]
        assert answer["sources"]["intensity"].startswith(kept["source"])
        return kept["intensity_g_per_kwh"]["value"], kept["source"], answer["warnings"]

    assert grid("--at", "2024-06-01T13:40Z")[0] == 63
    assert grid("--at", "2024-06-01T13:40", "--timezone", "UTC")[0] == 63
    mean, source, _ = grid("--at", "2024-06-01T00:00Z/2024-06-01T04:00Z")
    assert (mean, "mean of 4 hours from 2024-06-01T00:00Z" in source) == (51.5, True)
    assert grid()[0] == 73.5


def test_hourly_warnings(run: Command) -> None:
    found = json.loads(run(*ESTIMATE, "--hourly", "CISO", "--json").out)["footprint"]["warnings"]
    assert "combustion alone" in found[0]
    assert "no value for 3 hours, first 2022-01-05T10:00Z: its mean leaves them out" in found[1]
    assert "ends in 2022, 2 years before" in found[2]
    found = json.loads(run(*ESTIMATE, *HOUR, "--json").out)["footprint"]["warnings"]
    assert len(found) == 1
    assert "do not compare" in found[0]


def test_hourly_files_of_one_s_own_accounting_and_gaps(run: Command) -> None:
    hourly_file()
    done = run(*ESTIMATE, "--hourly", "fr.csv", "--accounting", "marginal")
    assert "1 image in fr, marginal, 2024" in done.out
    lines = Path("fr.csv").read_text().splitlines()
    Path("gap.csv").write_text("\n".join(lines[:4] + lines[5:]) + "\n")
    refused = run(*ESTIMATE, "--hourly", "gap.csv")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "1 hour missing, first 2024-06-01T03:00Z" in refused.err
    taken = run(*ESTIMATE, "--hourly", "gap.csv", "--allow-gaps")
    assert "no value for 1 hour, first 2024-06-01T03:00Z" in " ".join(taken.out.split())
    inside = run(*ESTIMATE, "--hourly", "gap.csv", "--allow-gaps", "--at", "2024-06-01T03:00Z")
    assert "has no value for 2024-06-01T03:00Z" in inside.err
    Path("two.csv").write_text("time,a,b\n2024-06-01T00:00Z,1,2\n")
    assert "name one of: 'a', 'b'" in run(*ESTIMATE, "--hourly", "two.csv").err
    assert "2.00 g CO2e/kWh" in run(*ESTIMATE, "--hourly", "two.csv", "--hourly-column", "b").out


TIMES = """model,gpu,width,height,steps,precision,where,at
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,CISO,2022-06-01T13:00Z
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,US-TEX-ERCO,2022-06-01T13:00Z
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,FR,2024-06-01T13:00Z/2024-06-01T15:00Z
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,FR,2022-06-01T13:00Z
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,DE,2022-06-01T13:00Z
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,FR,
"""
THREE = ("--hourly", "CISO", "--hourly", "ERCO", "--hourly", "fr.csv")
COLUMNS = ("--region-column", "where", "--time-column", "at")


def test_tables_with_times(run: Command) -> None:
    hourly_file()
    Path("w.csv").write_text(TIMES)
    run("predict", "w.csv", "--out", "p.csv")
    done = run("footprint", "p.csv", *THREE, *COLUMNS, "--out", "f.csv")
    assert done.status == 1
    assert "footprints of 3 of 6 rows" in done.err
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    per_kwh = [float(r["operational_carbon_g"]) / float(r["facility_energy_kwh"]) for r in rows[:3]]
    assert per_kwh == pytest.approx([243.9, 354.5, 63.5], rel=1e-12)
    assert [row["grid_region"] for row in rows[:3]] == ["US-CAL-CISO", "US-TEX-ERCO", "fr"]
    assert "2022-06-01T13:00Z is not in it" in rows[3]["footprint_error"]
    assert "unknown hourly region 'DE'; given: US-CAL-CISO, US-TEX-ERCO, fr" in rows[4]["footprint_error"]
    assert rows[5]["footprint_error"] == "the time is missing"
    assert (rows[3]["carbon_g"], rows[3]["grid_year"]) == ("", "")


def test_a_budget_by_hour(run: Command) -> None:
    Path("w.csv").write_text("\n".join(TIMES.splitlines()[:3]) + "\n")
    budget = ("budget", "check", "w.csv", "--max-g-per-image", "1.2", *THREE[:4], *COLUMNS)
    done = run(*budget)
    assert done.status == 1
    assert [line.split()[-1] for line in done.out.splitlines() if line.endswith(("ok", "OVER"))] == [
        "ok",
        "OVER",
    ]
    assert "counts combustion alone" in done.out


def test_unlike_boundaries_in_a_table_are_said(run: Command) -> None:
    header = "datetime_utc,Zone id,Carbon intensity gCO2eq/kWh (Life cycle)"
    Path("fr.csv").write_text(f"{header}\n2022-06-01 13:00,FR,40\n")
    Path("p.csv").write_text(
        "energy_j,duration_s,where,at\n9,1,France,2022-06-01T13:00Z\n9,1,CISO,2022-06-01T13:00Z\n"
    )
    options = ("--hourly", "CISO", "--hourly", "fr.csv", *COLUMNS)
    done = run("footprint", "p.csv", *options, "--out", "f.csv")
    assert done.status == 0
    assert "some intensities count combustion alone, others whole life cycles" in done.err
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    assert [row["grid_boundary"] for row in rows] == ["life-cycle", "combustion"]
    assert (
        "others whole life cycles" in run("budget", "check", "p.csv", "--max-g-per-image", "9", *options).out
    )
    one = run("footprint", "p.csv", "--hourly", "CISO", "--time-column", "at", "--out", "g.csv")
    assert "whole life cycles" not in one.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hourly", "US-CAL"), "did you mean US-CAL-CISO"),
        (("--hourly", "none.csv"), "does not exist"),
        (("--hourly", "w.csv"), "no column of times"),
        (("--hourly", "CISO", "--region", "FR"), "--hourly or --region, not both"),
        (("--hourly", "CISO", "--year", "2022"), "--hourly or --year, not both"),
        (("--hourly", "CISO", "--intensity", "3"), "--hourly or --intensity, not both"),
        (("--hourly", "CISO", "--live"), "--hourly or --live, not both"),
        (("--hourly", "CISO", "--hourly", "ERCO"), "need --region-column"),
        (("--hourly", "CISO", "--accounting", "marginal"), "--accounting is for files"),
        (("--hourly", "CISO", "--hourly-column", "g"), "--hourly-column is for files"),
        (("--hourly", "CISO", "--at", "noon"), "'noon' is no time"),
        (("--hourly", "CISO", "--at", "2022-06-01T13:00"), "no time zone"),
        (("--hourly", "CISO", "--at", "2023-06-01T13:00Z"), "2023-06-01T13:00Z is not in it"),
        (("--hourly", "CISO", "--at", "2022-01-05T10:00Z"), "no value for 2022-01-05T10:00Z"),
        (("--hourly", "CISO", "--timezone", "Mars"), "unknown time zone 'Mars'"),
        (("--region", "FR", "--at", "2022-06-01T13:00Z"), "--at needs --hourly"),
        (("--region", "FR", "--timezone", "UTC"), "--timezone needs --hourly"),
        (("--region", "FR", "--allow-gaps"), "--allow-gaps needs --hourly"),
        (("--region", "FR", "--live-timeout", "3"), "--live-timeout needs --live"),
        (("--region", "FR", "--live", "--live-timeout", "0"), "--live-timeout must be a positive number"),
        (("--region", "FR", "--live", "--year", "2024"), "--live needs --region"),
        (("--live",), "--live needs --region"),
    ],
)
def test_what_does_not_go_together_is_one_line(run: Command, options: tuple[str, ...], words: str) -> None:
    done = run(*ESTIMATE, *options)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert words in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--region", "FR", "--region-column", "where"), "--region or --region-column, not both"),
        (("--intensity", "3", "--region-column", "where"), "--intensity or --region-column, not both"),
        (("--region", "FR", "--time-column", "at"), "--time-column needs --hourly"),
        (("--hourly", "CISO", "--time-column", "att"), "no column att; is it 'at'?"),
        ((*HOUR, "--time-column", "at"), "--at or --time-column, not both"),
        (("--region-column", "where", "--pue", "0.2"), "PUE"),
        (("--region", "FR", "--out", "p.csv"), "is the input itself"),
        (("--region", "FR", "--out", "none/f.csv"), "there is no folder"),
    ],
)
def test_table_options_that_do_not_go_together(run: Command, options: tuple[str, ...], words: str) -> None:
    Path("p.csv").write_text("energy_j,duration_s,where,at\n1,1,FR,2022-06-01T13:00Z\n")
    done = run("footprint", "p.csv", *options)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert words in done.err


def test_parquet_in_and_out(run: Command) -> None:
    assert run("predict", "w.csv", "--out", "p.parquet").status == 0
    assert run("footprint", "p.parquet", "--region-column", "where", "--out", "f.parquet").status == 0
    assert run("footprint", "f.parquet", "--region", "FR").status == 2
    assert run("footprint", "p.parquet", "--region-column", "where", "--out", "f.csv").status == 0
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    parquet = pytest.importorskip("pyarrow.parquet").read_table("f.parquet").to_pylist()
    assert [row["carbon_g"] for row in parquet] == [float(row["carbon_g"]) for row in rows]
    assert [row["grid_year"] for row in parquet] == [2024, 2024]
    assert run("budget", "check", "f.parquet", "--max-g-per-image", "9", "--region", "FR").status == 0


def test_rows_that_could_not_be_predicted(run: Command) -> None:
    Path("w.csv").write_text(WORKLOADS.replace("sd3.5-large", "sd99"))
    assert run("predict", "w.csv", "--out", "p.csv").status == 1
    done = run("footprint", "p.csv", "--region-column", "where", "--out", "f.csv")
    assert done.status == 1
    assert "footprints of 1 of 2 rows" in done.err
    failed = list(csv.DictReader(Path("f.csv").read_text().splitlines()))[1]
    assert "there is no energy: unknown model 'sd99'" in failed["footprint_error"]
    assert {failed[name] for name in ("carbon_g", "water_l", "grid_region", "grid_year")} == {""}


# --- live ----------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Electricity Maps cannot be reached; the addresses asked for."""
    asked: list[str] = []

    def ask(request: Request, timeout: float) -> NoReturn:
        asked.append(request.full_url)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", ask)
    monkeypatch.setenv("ELECTRICITYMAPS_API_KEY", "secret-key")
    monkeypatch.setenv("JOULECAST_CACHE", str(tmp_path / "cache"))
    return asked


def test_an_unreachable_api_is_asked_once_for_all_regions_of_a_front(
    run: Command, no_network: list[str]
) -> None:
    done = run("pareto", "sdxl", "--gpu", "L4", "--region", "FR,PL,GB", "--live", "--json")
    assert done.status == 0, done.err
    assert len(no_network) == 1
    settings = json.loads(done.out)["settings"]
    assert [one["region"] for one in settings] == ["FR", "PL", "GB"]
    assert all("no live intensity" in "".join(one["warnings"]) for one in settings)
    assert len({one["intensity"] for one in settings}) == 3  # each its own yearly one


def test_an_unreachable_api_is_asked_once_and_said_in_every_row(run: Command, no_network: list[str]) -> None:
    Path("p.csv").write_text("energy_j,duration_s,where\n9,1,FR\n9,1,PL\n9,1,FR\n")
    done = run("footprint", "p.csv", "--live", "--region-column", "where", "--out", "f.csv")
    assert done.status == 0
    assert len(no_network) == 1
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    for row in rows:
        assert "no route to host" in row["footprint_warning"]
        assert "the packaged yearly, life-cycle figure of 2024 was taken" in row["footprint_warning"]
    assert {row["grid_boundary"] for row in rows} == {"life-cycle"}
    assert "secret-key" not in Path("f.csv").read_text() + done.err


def test_a_live_intensity_is_kept_between_calls(
    run: Command, no_network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"zone": "FR", "carbonIntensity": 31, "datetime": datetime.now(UTC).isoformat()}

    def reply(request: Request, timeout: float) -> io.BytesIO:
        no_network.append(request.full_url)
        return io.BytesIO(json.dumps(answer).encode())

    monkeypatch.setattr("urllib.request.urlopen", reply)
    for _ in range(2):
        done = run(*ESTIMATE, "--live", "--region", "FR", "--live-timeout", "1")
        assert "31.0 g CO2e/kWh, Electricity Maps, live" in " ".join(done.out.split())
        assert "packaged" not in done.out
    assert len(no_network) == 1


def test_a_key_that_no_header_can_hold(
    run: Command, no_network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELECTRICITYMAPS_API_KEY", "a\nb")
    done = run(*ESTIMATE, "--live", "--region", "FR")
    assert (done.status, done.err.count("\n"), no_network) == (2, 1, [])
    assert "holds characters that no key has" in done.err


@pytest.mark.parametrize("form", ["markdown", "json", "huggingface"])
def test_cards(run: Command, form: str) -> None:
    run("predict", "w.csv", "--out", "p.csv")
    one = ("--row", "1") if form == "huggingface" else ()
    done = run("card", "p.csv", "--format", form, "--region", "FR", *one)
    assert done.status == 0
    assert "France" in done.out
    if form == "markdown":
        assert "- pue 1.15 (1.09 to 1.58): low: Google" in done.out
        assert "- embodied_gpu of H100-SXM5-80GB 164 kg" in done.out
        assert "- embodied_gpu of A100-SXM4-80GB 143 kg" in done.out
    if form == "json":
        assert len(json.loads(done.out)["entries"]) == 2
    if form == "huggingface":
        assert "co2_eq_emissions:" in done.out
    assert run("card", "p.csv", "--format", "markdown", "--out", "card.md").status == 0
    assert "gross GPU energy" in Path("card.md").read_text()


def test_a_card_of_hostile_text(run: Command) -> None:
    Path("h.csv").write_text('model,energy_j,duration_s\n"<script>|x\n\n# y",100,1\n')
    lines = run("card", "h.csv", "--region", "FR").out.splitlines()
    assert next(line for line in lines if "script" in line).startswith("| &lt;script>/x # y | ")
    assert "# y" not in lines


def test_what_a_budget_was_held_against(run: Command) -> None:
    run("predict", "w.csv", "--out", "p.csv")
    done = run("budget", "check", "p.csv", "--max-wh-per-image", "100", "--bound", "high")
    assert (
        "all 2 within the budget: 100 Wh of the GPU an image, held against the range's high end" in done.out
    )


def test_the_range_of_an_intensity_is_shown(run: Command) -> None:
    done = run(*ESTIMATE, "--intensity", "10:50", "--images", "1000000")
    assert "Grid: 30.0 g CO2e/kWh (10.0 to 50.0), given by the user" in done.out
    assert " kg CO2e " in done.out
    assert " g CO2e/image " in done.out


BOAMPS = ("--format", "boamps", "--infrastructure", "publicCloud")


def test_boamps_reports(run: Command) -> None:
    run("predict", "w.csv", "--out", "p.parquet")
    one = run("card", "p.parquet", *BOAMPS, "--row", "2", "--region", "Poland")
    report = json.loads(one.out)
    assert report["task"]["nbRequest"] == 4
    assert report["environment"]["country"] == "Poland"
    Path("reports").mkdir()
    both = run("card", "p.parquet", *BOAMPS, "--out", "reports")
    assert (both.status, both.out, both.err) == (0, "", "2 reports in reports\n")
    made = [json.loads(Path("reports", f"boamps-{i}.json").read_text()) for i in (1, 2)]
    assert [m["task"]["algorithms"][0]["foundationModelName"] for m in made] == ["flux.1-dev", "sd3.5-large"]
    assert made[0]["header"]["reportId"] != made[1]["header"]["reportId"]
    for folder in ("fresh", "two/levels", "of.2026"):
        assert run("card", "p.parquet", *BOAMPS, "--out", folder).status == 0
        assert len(list(Path(folder).iterdir())) == 2
    assert run("card", "p.parquet", *BOAMPS, "--row", "1", "--out", "one.json").status == 0
    answer = estimate("flux.1-dev", "H100-SXM5-80GB", size="1024x1024", steps=50, precision="bf16")
    error = max(answer.energy_high_j / answer.energy_j - 1, 1 - answer.energy_low_j / answer.energy_j)
    expected = next(word for most, word in ((0.1, "high"), (0.25, "medium"), (0.5, "low")) if error <= most)
    assert json.loads(Path("one.json").read_text())["quality"] == expected


def test_cards_of_exported_runs(run: Command) -> None:
    assert run("campaign", "run", "calibrate", "--store", "dry.db", "--dry-run").status == 0
    assert run("campaign", "export", "dry.db", "--out", "runs.csv", "--gpu", "H200").status == 0
    card = run("card", "runs.csv", "--region", "FR")
    assert card.status == 0
    assert "dry run on a replayed trace: not a measurement" in card.out
    assert "| measured" not in card.out
    refused = run("card", "runs.csv", *BOAMPS, "--row", "1")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "not a measurement" in refused.err
    text = (
        Path("runs.csv")
        .read_text()
        .replace("dry run on a replayed trace: not a measurement", "joulecast campaign x")
        .replace(",yes\n", ",no\n")
    )
    Path("real.csv").write_text(text)
    assert "| measured, joulecast campaign x |" in run("card", "real.csv").out
    report = json.loads(run("card", "real.csv", *BOAMPS, "--row", "1").out)
    assert report["measures"][0]["gpuTrackingMode"] == "nvml"
    assert run("footprint", "real.csv", "--region", "FR", "--out", "f.csv").status == 0


def test_rows_without_an_energy_are_told(run: Command) -> None:
    Path("r.csv").write_text("energy_j,duration_s,source\n9,1,me\n,1,me\n")
    done = run("card", "r.csv")
    assert (done.status, done.err) == (0, "1 of 2 rows have no energy and are left out\n")
    Path("r.csv").write_text("energy_j,duration_s\n,1\n")
    for form in ("markdown", "boamps"):
        done = run("card", "r.csv", "--format", form)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert "no row has an energy_j" in done.err
    Path("r.csv").write_text("energy_j,duration_s\n9,1\n")
    assert "| not stated |" in run("card", "r.csv").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--format", "boamp"), "did you mean boamps?"),
        (BOAMPS, "a BoAmps report is of one task and the table has 2 rows"),
        ((*BOAMPS, "--out", "w.csv"), "the table has 2 rows"),
        ((*BOAMPS, "--out", "both.json"), "the table has 2 rows"),
        ((*BOAMPS, "--out", "no/Both.JSON"), "--out and a folder"),
        ((*BOAMPS, "--row", "3"), "--row 3: the table has 2 rows"),
        ((*BOAMPS, "--row", "none"), "--row must be a whole number"),
        ((*BOAMPS[:2], "--row", "1"), "says on what infrastructure"),
        (("--format", "boamps", "--infrastructure", "cloud", "--row", "1"), "unknown infrastructure 'cloud'"),
        (("--infrastructure", "other"), "is for --format boamps"),
        (("--format", "huggingface", "--row", "1"), "give --region"),
        (("--format", "huggingface", "--region", "FR"), "states one figure and the table has 2 rows"),
        (("--out", "none/card.md"), "there is no folder"),
    ],
)
def test_cards_that_cannot_be_made(run: Command, options: tuple[str, ...], words: str) -> None:
    run("predict", "w.csv", "--out", "p.csv")
    done = run("card", "p.csv", *options)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert words in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*ESTIMATE, "--region", "Frnace"), "France"),
        ((*ESTIMATE, "--pue", "1.2"), "needs a region"),
        ((*ESTIMATE, "--region", "FR", "--pue", "0.5"), "PUE"),
        ((*ESTIMATE, "--region", "FR", "--images", "many"), "--images"),
        ((*ESTIMATE, "--region", "FR", "--currency", "EUR"), "a currency is of a price"),
        ((*ESTIMATE, "--currency", "EUR"), "needs a region"),
        ((*ESTIMATE, "--accounting", "marginal"), "give the marginal intensity itself"),
        ((*ESTIMATE, "--intensity", "3", "--year", "2024"), "a year is of the packaged table"),
        ((*ESTIMATE, "--region", "FR", "--pue", "-1"), "PUE"),
        ((*ESTIMATE, "--region", "FR", "--pue", "1e9"), "PUE"),
        ((*ESTIMATE, "--region", "FR", "--utilisation", "60"), "utilisation"),
        ((*ESTIMATE, "--region", "FR", "--boundary", "dynamic"), "gross"),
        ((*ESTIMATE, "--region", "FR", "--year", "1990"), "packaged table has 2024"),
        (("budget", "check", "w.csv"), "give a budget"),
        (("budget", "check", "w.csv", "--max-g-per-image", "2"), "needs a region"),
        (("budget", "check", "w.csv", "--max-g-per-image", "-2"), "positive"),
        (("budget", "look", "w.csv"), "invalid choice"),
        (("budget", "check", "w.csv", "--max-wh-per-image", "2", "--pue", "1.2"), "for --max-g-per-image"),
        (("budget", "check", "w.csv", "--max-wh-per-image", "2", "--region-column", "where"), "for --max-g"),
        (
            ("budget", "check", "w.csv", "--max-g-per-image", "2", "--region-column", "were"),
            "no column were; is it 'where'?",
        ),
        (("budget", "check", "dynamic.csv", "--max-wh-per-image", "2"), "data row 1 cannot be held"),
        ((*ESTIMATE, "--hourly", ""), "an hourly series has a name"),
        (("footprint", "w.csv", "--region", "FR"), "no column energy_j"),
        (("footprint", "none.csv", "--region", "FR"), "does not exist"),
        (("card", "w.csv"), "no column energy_j"),
        (("card", "bad.csv"), "energy_j must be a positive number of at most 1e+12, not 'much'"),
        (("budget", "check", "bad.csv", "--max-wh-per-image", "1"), "energy_j must be a positive number"),
    ],
)
def test_errors_are_one_line(run: Command, arguments: tuple[str, ...], words: str) -> None:
    refused(run(*arguments), words)


# --- units of a line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "images"),
    [(("--region", "FR"), 1), (("--region", "PL"), 1), (("--region", "FR"), 1_000),
     (("--region", "NO"), 60_000), (("--intensity", "300"), 1_000_000),
     (("--hourly", "US-CAL-CISO"), 12_000)],
)  # fmt: skip
def test_a_quantity_and_its_range_have_one_unit(run: Command, where: tuple[str, str], images: int) -> None:
    """And the parts of the carbon have that of their sum."""
    out = run(*ESTIMATE, *where, "--images", str(images)).out
    lines = out[out.index("energy, with host") :].splitlines()[:6]
    units = [re.findall(r"(?<=\d )[A-Za-z]\S*(?: CO2e\S*)?", line) for line in lines]
    assert all(len(found) == 3 and len(set(found)) == 1 for found in units), lines
    assert len({found[0] for line, found in zip(lines, units, strict=True) if "carbon of the" in line}) == 1
    assert units[1][0] == units[3][0]


def test_an_intensity_that_was_given_is_no_place(run: Command) -> None:
    out = run(*ESTIMATE, "--intensity", "300").out
    assert "1 image at the given intensity, location-based" in out
    assert "given by the user, whether life-cycle or combustion alone is not said" in " ".join(out.split())
    assert (
        "1 image in site 7, location-based" in run(*ESTIMATE, "--intensity", "300", "--region", "site 7").out
    )
