"""A plan as a folder: whole, self-contained, and safe with whatever a user writes."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from joulecast.errors import InputError
from joulecast.plan.demand import Demand, demand_of
from joulecast.plan.solve import Fleet, Plan, solve
from joulecast.report import page
from joulecast.report.decisions.plan_page import plan_data, write_plan
from joulecast.report.decisions.plan_text import headline, plan_text, totals
from joulecast.report.page import POLICY, bullets, csv_text, table, write_files
from joulecast.uncertainty import Interval

pytestmark = pytest.mark.xdist_group("plan_page")

HOSTILE = "<script>alert('x')</script>&\"'</pre><img src=x onerror=alert(1)>"
QUOTED = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
TEXT = f"""
[plan]
start = "2022-06-01T00:00Z"

[limits]
gpus = 40

[[services]]
name = "{QUOTED}"
images_per_day = 240000
deadline_hours = 6
min_quality = 0.7

[[services.configurations]]
model = "sdxl"
steps = 30
precision = "fp16"
quality = 0.9

[[services.configurations]]
model = "sdxl"
steps = 20
precision = "fp16"
quality = 0.5

[[gpus]]
name = "H100-SXM5-80GB"

[[regions]]
hourly = "US-CAL-CISO"

[[regions]]
name = "{QUOTED}"
intensity = 120
gpus = {{ "H100-SXM5-80GB" = 2 }}
# {HOSTILE}
"""


@pytest.fixture(scope="module")
def made() -> tuple[Plan, Demand]:
    demand = demand_of(tomllib.loads(TEXT))
    return solve(demand.problem, warnings=demand.warnings), demand


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


PHONE = 390


def page_of(plan: Plan, demand: Demand) -> str:
    with TemporaryDirectory() as folder:
        written = write_plan(plan, demand, TEXT, Path(folder) / "out")
        return written[0].read_text()


def test_the_page_needs_nothing_else_and_runs_nothing(made: tuple[Plan, Demand], tmp_path: Path) -> None:
    written = write_plan(*made, TEXT, tmp_path / "out")
    assert {path.name for path in written} == {
        "index.html", "plan.json", "assignments.csv", "hours.csv", "demand.toml", "hours.svg",
        "hours.vl.json", "fleet.svg", "fleet.vl.json",
    }  # fmt: skip
    text = (tmp_path / "out" / "index.html").read_text()
    found = Parsed(text)
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not [
        v for n, v in found.attributes if n in ("src", "href", "xlink:href") and not str(v).startswith("#")
    ]
    assert ("content", POLICY) in found.attributes
    assert found.tags.count("svg") == 4  # each of the two pictures for wide and for narrow screens
    assert "".join(found.text).count(HOSTILE) >= 4  # shown as it was written: names, and the file
    for name in ("hours.svg", "fleet.svg"):
        assert "<script" not in (tmp_path / "out" / name).read_text()


def test_the_page_says_what_matters(made: tuple[Plan, Demand], tmp_path: Path) -> None:
    plan, demand = made
    write_plan(plan, demand, TEXT, tmp_path / "out")
    words = "".join(Parsed((tmp_path / "out" / "index.html").read_text()).text)
    for piece in (
        "240,000 images in 24 h from 2022-06-01 00:00 UTC", "least carbon", "H100-SXM5-80GB", "min_quality",
        "1 % looser would save", "combustion alone", "idle power", "given by the user",
        "joulecast plan demand.toml", "law roofline",
    ):  # fmt: skip
        assert piece in words, piece
    for name in (use.limit.name for use in plan.limits):
        assert name in words


def test_the_page_begins_with_what_it_comes_to_and_what_to_doubt(made: tuple[Plan, Demand]) -> None:
    plan, demand = made
    text = page_of(plan, demand)
    places = [text.index(f"<{mark}") for mark in ("h1", 'p class="headline"', "section", "table", "figure")]
    assert places == sorted(places)
    assert "combustion alone" in text[places[2] : places[3]]
    assert text.count("<section") == 1
    assert page.warnings([]) == ""


def test_the_page_is_for_telephones_for_the_dark_and_for_screen_readers() -> None:
    demand = demand_of(tomllib.loads(TEXT.replace(QUOTED, "Oregon")))
    text = page_of(solve(demand.problem), demand)
    assert "prefers-color-scheme:dark" in text
    assert "width=device-width" in text
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) == 2
    for figure in figures:
        wide, narrow = re.findall(r'class="scroll (\w+)" [^>]*role="img" aria-label="([^"]+)"', figure)
        assert (wide[0], narrow[0]) == ("wide", "narrow")
        assert wide[1] == narrow[1] != ""
        sizes = [float(width) for width in re.findall(r'<svg [^>]*?width="([\d.]+)"', figure)]
        assert sizes[0] > 500
        assert sizes[1] <= PHONE
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    tables = re.findall(r'<div class="scroll" role="region" aria-label="([^"]+)" tabindex="0"><table>', text)
    assert len(tables) == text.count("<table>") == len(set(tables))
    assert not re.findall(r"<th[^>]*></th>", text)


def test_no_cell_of_a_header_is_empty(made: tuple[Plan, Demand]) -> None:
    headers = re.findall(r"<thead>(.*?)</thead>", page_of(*made), re.DOTALL)
    assert len(headers) == page_of(*made).count("<table>") > 3
    for header in headers:
        cells = re.findall(r'<th scope="col" class=\w+>(.*?)</th>', header)
        assert len(cells) == header.count("<th ") > 1
        assert all(cell.strip() for cell in cells), header


def test_cells_say_how_they_are_set_and_a_table_what_it_is() -> None:
    made = page.table(("total", "amount"), [("a long cell of more than thirty letters", "1")], {1}, "totals")
    assert '<th scope="col" class=short>total</th>' in made
    assert "<td class=long>a long cell" in made
    assert "<td class=number>1</td>" in made
    assert 'aria-label="totals"' in made


# --- the headline --------------------------------------------------------------------------------


def fleet(*gpus: tuple[str, str, int]) -> tuple[Fleet, ...]:
    return tuple(Fleet(gpu, region, count, 0.5) for gpu, region, count in gpus)


H100, L4 = "H100-SXM5-80GB", "L4"


@pytest.mark.parametrize(
    ("changes", "today", "words"),
    [
        ({}, {}, ""),
        ({}, {"carbon_kg": 184}, ", 31 % less (49 % less to 10 % more) than today"),
        ({}, {"carbon_kg": 100}, ", 27 % more (5 % less to 103 % more) than today"),
        ({}, {"carbon_kg": 127.1}, ", about as much (26 % less to 60 % more) as today"),
        ({}, {"energy_kwh": 2000}, ", 25 % less energy (40 % less to 5 % less) than today"),
        ({}, {"energy_kwh": 1200}, ", 25 % more energy (about as much to 58 % more) than today"),
        (
            {},
            {"carbon_kg": 184, "energy_kwh": 1000},
            ", 31 % less carbon (49 % less to 10 % more) than today, "
            "50 % more energy (20 % more to 90 % more) than today",
        ),
        (
            {"cost": Interval.exact(500.0)},
            {"cost": 1000},
            ", 0.00010 USD an image, 50 % less cost than today",
        ),
    ],
)
def test_a_headline_compares_with_today(
    example: Plan, changes: dict[str, Any], today: dict[str, float], words: str
) -> None:
    told = "84 H100-SXM5-80GB in two regions, 25 mg CO2e an image"
    assert headline(replace(example, **changes), today) == told + words


@pytest.fixture
def example(made: tuple[Plan, Demand]) -> Plan:
    return replace(
        made[0],
        images=5e6,
        fleet=fleet((H100, "US-CAL-CISO", 31), (H100, "US-NW-BPAT", 53)),
        carbon_g=Interval(94_570, 127_000, 203_300),
        energy_kwh=Interval(1200, 1500, 1900),
        cost=Interval.exact(0),
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fleet": fleet((H100, "FR", 3))}, "3 H100-SXM5-80GB in FR, 25 mg CO2e an image"),
        ({"fleet": fleet((H100, "FR", 1200), (L4, "FR", 2))}, "1,200 H100-SXM5-80GB and 2 L4 in FR, 25"),
        ({"fleet": fleet(*((L4, f"r{i}", 1) for i in range(11)))}, "11 L4 in 11 regions, 25 mg"),
        ({"carbon_g": Interval(1, 2.2e6, 3e6)}, "regions, 0.44 g CO2e an image"),
        ({"fleet": ()}, "No GPU, for no image is asked for"),
    ],
)
def test_a_headline_counts_gpus_and_regions(example: Plan, changes: dict[str, Any], words: str) -> None:
    assert words in headline(replace(example, **changes))


def test_what_today_must_count_is_told(made: tuple[Plan, Demand]) -> None:
    plan, demand = made
    now = replace(demand, today={"carbon_kg": 7.0, "cost": 3.0})
    words = " ".join(plan_text(plan, now.today).split())
    told = "the carbon of GPUs at work and idle, of hosts and facility (PUE), and of the hardware"
    assert f"Today's figures are taken to count what the plan's do: {told}; the cost of the" in words
    assert told in page_of(plan, now)
    counts = plan_data(plan, now)["today_counts"]
    assert isinstance(counts, dict)
    assert list(counts) == ["carbon_kg", "cost"]
    assert "Today's figures" not in plan_text(plan) + page_of(plan, demand)


def test_what_runs_today_is_a_table_of_the_demand() -> None:
    content = tomllib.loads(TEXT)
    assert demand_of({**content, "today": {"carbon_kg": 7, "cost": 3}}).today == {"carbon_kg": 7, "cost": 3}
    assert demand_of(content).today == {}
    for today, words in (({"carbon": 7}, "carbon"), ({"carbon_kg": 0}, "carbon_kg"), ({"cost": "x"}, "cost")):
        with pytest.raises(InputError, match=words):
            demand_of({**content, "today": today})


def test_the_data_is_the_plan(made: tuple[Plan, Demand], tmp_path: Path) -> None:
    plan, demand = made
    folder = tmp_path / "deep" / "out"
    write_plan(plan, demand, TEXT, folder)
    assert json.loads((folder / "plan.json").read_text()) == json.loads(json.dumps(plan_data(plan, demand)))
    assert (folder / "demand.toml").read_text() == TEXT
    with (folder / "assignments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["images"]) for row in rows) == pytest.approx(240_000, rel=1e-4)
    assert {row["service"] for row in rows} == {HOSTILE}
    with (folder / "hours.csv").open(newline="") as file:
        hours = list(csv.DictReader(file))
    assert sum(float(row["images"]) for row in hours) == pytest.approx(240_000, rel=1e-4)
    assert {int(row["hour"]) for row in hours} <= set(range(24))
    spec = json.loads((folder / "hours.vl.json").read_text())
    assert "vega-lite" in spec["$schema"]
    assert {one["of"] for one in plan_data(plan, demand)["assumptions"]} >= {  # type: ignore[attr-defined]
        "H100-SXM5-80GB", "US-CAL-CISO", HOSTILE
    }  # fmt: skip


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    assert [p.name for p in write_files(folder, {"index.html": "1", "a.csv": "1"})] == ["index.html", "a.csv"]
    (folder / "mine.txt").write_text("kept")
    write_files(folder, {"index.html": "2", "a.csv": "2"})
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "index.html": "2",
        "a.csv": "2",
        "mine.txt": "kept",
    }
    monkeypatch.chdir(folder)
    write_files(Path(), {"index.html": "2", "a.csv": "2"})  # the folder one is in has no name
    whole = Path.write_text

    def full(self: Path, text: str, **options: str) -> int:
        if self.name == "b.csv":
            raise OSError(28, "No space left on device")
        return whole(self, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left"):
        write_files(folder, {"a.csv": "3", "b.csv": "3"})
    with pytest.raises(InputError, match="No space left"):
        write_files(tmp_path / "new", {"a.csv": "3", "b.csv": "3"})
    assert (folder / "a.csv").read_text() == "2"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="cannot write the report"):
        write_files(folder / "a.csv" / "below", {"a": "1"})


def test_pieces_escape_what_they_are_given() -> None:
    made = page.page(HOSTILE, [table((HOSTILE,), [(HOSTILE,)]), bullets([HOSTILE])])
    found = Parsed(made)
    assert not {"script", "img"} & set(found.tags)
    assert found.text.count(HOSTILE) + "".join(found.text).count(HOSTILE) >= 5
    assert bullets([]) == ""
    assert csv_text([], ("a", "b")) == "a,b\n"


@pytest.mark.parametrize(
    ("cost", "words"),
    [(Interval.exact(72), ""), (Interval(70, 72, 75), "70.00 to 75.00"), (Interval.exact(0), None)],
)
def test_an_exact_total_has_no_range(example: Plan, cost: Interval, words: str | None) -> None:
    found = {name: spread for name, _, spread in totals(replace(example, cost=cost))}
    assert found["energy"] == "1,200 to 1,900"
    assert found.get("cost") == words
