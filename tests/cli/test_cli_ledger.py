"""`joulecast ledger` as people run it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from clip_model import write_clip_model
from command import Command, refused
from joulecast.ledger.folder import CELLS, DRIFT, MANIFEST, SET_ASIDE, TOTALS
from joulecast.ledger.synthetic import synthetic_log

FILES = (CELLS, DRIFT, MANIFEST, SET_ASIDE, TOTALS, "index.html")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    synthetic_log(400, seed=3).write_csv(path)
    return path


def test_a_ledger_prints_its_headline_and_leaves_its_files(run: Command, log: Path, tmp_path: Path) -> None:
    done = run("ledger", str(log), "--out", str(tmp_path / "out"), "--by", "day,customer")
    assert done.status == 1
    assert done.out.startswith("From 2026-10-01 to 2026-10-30 (UTC), ")
    assert "of GPU energy (90 % range " in " ".join(done.out.split())
    assert "Set aside: " in done.out
    assert all((tmp_path / "out" / name).is_file() for name in FILES)
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["inputs"][0]["bytes"] == log.stat().st_size
    assert manifest["set_aside"] > 0
    assert manifest["law"]["runs"] > 500
    assert "Counts: gross energy of GPU boards" in done.out
    assert sum(manifest["warned"].values()) > 0
    totals = pl.read_csv(tmp_path / "out" / TOTALS)
    assert totals["energy_j"].sum() == pytest.approx(manifest["total"]["energy_j"], rel=1e-9)
    assert totals["requests"].sum() == manifest["total"]["requests"] == 400 - manifest["set_aside"]


def test_json_holds_what_the_text_says(run: Command, log: Path, tmp_path: Path) -> None:
    done = run("ledger", str(log), "--out", str(tmp_path / "out"), "--json", "--by", "model")
    found = json.loads(done.out)
    assert found["boundary"] == "gross"
    energy = found["total"]
    assert energy["energy_low_j"] < energy["energy_j"] < energy["energy_high_j"]
    assert sum(one["requests"] for one in found["by"]) == energy["requests"]


def test_without_groups_json_tells_of_models_gpus_and_runtimes_as_the_text(
    run: Command, log: Path, tmp_path: Path
) -> None:
    found = json.loads(run("ledger", str(log), "--out", str(tmp_path / "out"), "--json").out)
    assert {"model", "gpu", "runtime"} < found["by"][0].keys()


def test_nothing_that_could_be_reckoned_with_is_no_zero(run: Command, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("model,gpu\nnobody-knows,L4\n")
    done = run("ledger", str(tmp_path / "log.csv"), "--out", str(tmp_path / "out"), "--json")
    assert done.status == 1
    found = json.loads(done.out)
    assert found["headline"] == "No request of 1 could be reckoned with"
    assert found["total"] is None


def test_regions_of_the_log_have_their_own_grids(run: Command, tmp_path: Path) -> None:
    rows = {
        "model": ["sdxl"] * 3,
        "gpu": ["H100"] * 3,
        "region": ["PL", "SE", ""],
        "customer": ["a", "b", "c"],
    }
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    done = run(
        "ledger", str(tmp_path / "log.csv"), "--out", str(tmp_path / "out"), "--json", "--by", "region"
    )
    of = {one["region"]: one for one in json.loads(done.out)["by"]}
    assert of["PL"]["carbon_g"] > 4 * of["SE"]["carbon_g"]
    assert of["PL"]["energy_j"] == of["SE"]["energy_j"]
    assert of[None]["carbon_g"] is None
    assert "at least" in json.loads(done.out)["headline"]
    totals = pl.read_csv(tmp_path / "out" / TOTALS)
    assert totals.filter(pl.col("region").is_null())["carbon_g"].to_list() == [None]
    notes = {one["about"]: one["words"] for one in json.loads(done.out)["notes"]}
    assert notes["Carbon"].startswith("1 request without; ")


def test_carbon_of_a_part_has_no_upper_end(run: Command, tmp_path: Path) -> None:
    """What the others came to nobody knows: the sum of those that are known is no most."""
    rows = {"model": ["sdxl"] * 6, "gpu": ["H100"] * 6, "region": ["PL", "SE", "", "Narnia", "Narnia", "PL"]}
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    arguments = ("ledger", str(tmp_path / "log.csv"), "--out", str(tmp_path / "out"), "--by", "model")
    found = json.loads(run(*arguments, "--json").out)
    for one in (found["total"], *found["by"]):
        assert (one["requests"], one["carbon_requests"], one["carbon_high_g"]) == (6, 3, None)
        assert 0 < one["carbon_low_g"] < one["carbon_g"]
    assert found["headline"].endswith(" g and more)")
    notes = {one["about"]: one["words"] for one in found["notes"]}
    assert notes["Carbon"].startswith("3 requests without; most often (2): unknown region 'Narnia'")
    of_region = json.loads(run(*arguments[:-1], "region", "--json").out)["by"]
    for one in of_region:
        is_known = one["region"] in ("PL", "SE")
        assert (one["carbon_high_g"] is not None) == is_known
        assert one["carbon_requests"] == (one["requests"] if is_known else 0)


def test_one_grid_for_all(run: Command, log: Path, tmp_path: Path) -> None:
    found = []
    for name, intensity in (("a", "400"), ("b", "800")):
        arguments = ("--out", str(tmp_path / name), "--intensity", intensity, "--by", "model", "--json")
        answer = json.loads(run("ledger", str(log), *arguments).out)
        assert "CO2e" in answer["headline"]
        found.append(sum(one["carbon_g"] for one in answer["by"]))
    assert 1.5 < found[1] / found[0] < 2  # its embodied part is the same


def test_hours_have_their_own_intensity(run: Command, tmp_path: Path) -> None:
    day = ("2022-06-01T04:00:00Z", "2022-06-01T20:00:00Z")
    pl.DataFrame({"model": ["sdxl"] * 2, "gpu": ["H100"] * 2, "time": day}).write_csv(tmp_path / "log.csv")
    arguments = ("ledger", str(tmp_path / "log.csv"), "--hourly", "US-CAL-CISO", "--by", "hour", "--json")
    done = run(*arguments, "--out", str(tmp_path / "out"))
    night, evening = (one["carbon_g"] for one in json.loads(done.out)["by"])
    assert night != pytest.approx(evening, rel=0.05)


def test_a_fleet_waits(run: Command, tmp_path: Path) -> None:
    day = ("2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z")
    pl.DataFrame({"model": ["sdxl"] * 2, "gpu": ["H100"] * 2, "time": day}).write_csv(tmp_path / "log.csv")
    arguments = ("ledger", str(tmp_path / "log.csv"), "--fleet", "H100=2,A100=1", "--json")
    found = json.loads(run(*arguments, "--out", str(tmp_path / "out")).out)
    h100, a100 = found["idle"]
    assert h100["idle_s"] == pytest.approx(2 * 86_400 - found["total"]["gpu_s"])
    assert h100["idle_energy_j"] == pytest.approx(h100["idle_s"] * h100["idle_w"])
    assert a100["idle_s"] == 86_400


def test_diff_tells_why(run: Command, tmp_path: Path) -> None:
    for name, steps, count in (("a", 30, 10), ("b", 15, 20)):
        frame = pl.DataFrame({"model": ["sdxl"] * count, "gpu": ["H100"] * count, "steps": [steps] * count})
        frame.write_csv(tmp_path / f"{name}.csv")
        run("ledger", str(tmp_path / f"{name}.csv"), "--out", str(tmp_path / name))
    text = run("ledger", "diff", str(tmp_path / "a"), str(tmp_path / "b"))
    assert text.status == 0
    assert "because of" in text.out
    assert "kWh" not in text.out, "ten images take few Wh"
    assert "Note: central estimates" in text.out
    (energy,) = json.loads(run("ledger", "diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json").out)
    assert energy["parts"]["volume"] > 0 > energy["parts"]["settings"]
    assert sum(energy["parts"].values()) == pytest.approx(energy["after"] - energy["before"])


def test_diff_says_what_it_does_not_compare(run: Command, tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in ("a", "b")]
    for place, more in zip(places, ((), ("--region", "DE")), strict=True):
        pl.DataFrame({"model": ["sdxl"], "gpu": ["H100"]}).write_csv(f"{place}.csv")
        run("ledger", f"{place}.csv", "--out", place, *more)
    words = " ".join(run("ledger", "diff", *places).out.split())
    assert f"carbon is not compared: not every request of {places[0]} has it" in words
    assert "carbon is not compared" not in run("ledger", "diff", places[0], places[0]).out
    pl.DataFrame({"model": ["sdxl"] * 2, "gpu": ["H100"] * 2, "region": ["DE", ""]}).write_csv(
        tmp_path / "part.csv"
    )
    part = str(tmp_path / "part")
    run("ledger", f"{part}.csv", "--out", part)
    words = " ".join(run("ledger", "diff", part, part).out.split())
    assert f"not every request of {part} and of {part} has it" in words


def test_a_page_says_why_it_has_no_picture(
    run: Command, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    run("ledger", str(log), "--out", str(tmp_path / "out"))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<svg" not in page
    assert "No picture: drawing pictures needs the extra `plot`" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{log}",), "--out is missing"),
        (("nowhere.csv", "--out", "{out}"), "does not exist"),
        (("{log}", "--out", "{out}", "--adapter", "sglan"), "unknown adapter 'sglan'"),
        (("{log}", "--out", "{out}", "--map", "m.toml", "--adapter", "sglang"), "give one of them"),
        (("{log}", "--out", "{out}", "--fleet", "H100"), "NAME=COUNT"),
        (("{log}", "--out", "{out}", "--fleet", "H100=0"), "--fleet H100"),
        (("{log}", "--out", "{out}", "--region", "Narnia"), "Narnia"),
        (("{log}", "--out", "{out}", "--by", "custmer"), "custmer"),
        (("{log}", "--out", "{out}", "--law", "nolaw"), "nolaw"),
        (("{log}", "--out", "{out}", "--gpu", "H10"), "unknown GPU 'H10'"),
        (("{log}", "--out", "{out}", "--engine", "sglan"), "did you mean sglang?"),
        (("diff", "{log}", "{log}", "--region", "DE", "--gpu", "L4"), "leave out --gpu, --region"),
        (("diff", "{out}"), "diff takes the folders of two ledgers"),
        (("diff", "{log}", "{log}"), "is no ledger"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    run: Command, log: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    places = {"log": str(log), "out": str(tmp_path / "out")}
    refused(run("ledger", *(one.format(**places) for one in arguments)), words)


def test_seconds_of_video_that_nobody_knows_are_no_zero(run: Command, tmp_path: Path) -> None:
    """Of two clips, one at no known rate, neither the seconds nor the carbon of one are told as of both."""
    clips = write_clip_model(tmp_path, rate=None)
    rows = [(clips, "H100", rate) for rate in ("16", "")]

    def told(*rows: tuple[str, str, str]) -> tuple[str, dict[str, object]]:
        frame = pl.DataFrame(rows, schema=("model", "gpu", "fps"), orient="row")
        frame.write_csv(tmp_path / "log.csv")
        out = str(tmp_path / f"out{len(rows)}{rows[0][2]}")
        asked = ("ledger", str(tmp_path / "log.csv"), "--out", out, "--intensity", "100")
        text, record = run(*asked).out, json.loads(run(*asked, "--json").out)
        return " ".join(text.split()), record["total"]

    text, total = told(rows[0])
    assert "1 clip (5.06 s of video)" in text
    assert "g CO2e per second of video" in text
    assert (total["video_s"], total["untimed"]) == (81 / 16, 0)
    text, total = told(*rows)
    assert "2 clips (5.06 s of video, and more of 1 request without a frame rate)" in text
    assert "per second of video" not in text
    assert (total["video_s"], total["untimed"]) == (None, 1)
    text, total = told(rows[1])
    assert "1 clip (of no known frame rate)" in text
    assert "per second of video" not in text
    assert (total["video_s"], total["untimed"]) == (None, 1)


def test_a_ledger_of_images_has_no_seconds_of_video(run: Command, log: Path, tmp_path: Path) -> None:
    log.write_text("model,gpu\nsdxl,H100\n")
    found = json.loads(run("ledger", str(log), "--out", str(tmp_path / "out"), "--json").out)["total"]
    assert (found["video_s"], found["untimed"]) == (0, 0)
