"""The page is told what the library says; its files keep to what they may, and fetch nothing elsewhere."""

from __future__ import annotations

import io
import json
import math
import re
import shlex
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import joulecast
from command import Command
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.hardware import gpus
from joulecast.plan.case import CASE_KEYS
from joulecast.question.models import models
from joulecast.report.charts import GREY, PART_PALETTE
from joulecast.report.decisions.rows import estimate_steps
from joulecast.report.validation.pictures import CHIP_SHAPES
from joulecast.report.waterfall import PART_COLOURS
from joulecast.web.app import STATIC, create_app
from joulecast.web.safety import CONTENT_POLICY

SETTING = {"model": "sdxl", "gpu": "A100-SXM4-80GB", "steps": 20, "batch_size": 2, "region": "FR"}
FILES = sorted(path.name for path in STATIC.iterdir())
SCRIPTS = [name for name in FILES if name.endswith(".js")]
SVG = "http://www.w3.org/2000/svg"  # a name, which nothing fetches
DEMAND = """
[plan]
minimise = "carbon"
hours = 4
[[services]]
name = "pictures"
images_per_day = 20000
[[services.configurations]]
model = "sd1.5"
steps = 20
[[gpus]]
name = "L4"
[[regions]]
name = "FR"
"""


def text_of(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app())


def explored(client: TestClient, **setting: object) -> dict[str, Any]:
    answer = client.post("/page/explore", json={"setting": setting})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# --- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_under_the_policy(client: TestClient, name: str) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kinds[Path(name).suffix])
    assert answer.headers["content-security-policy"] == CONTENT_POLICY
    assert answer.content == (STATIC / name).read_bytes()


def test_the_page_is_at_the_root(client: TestClient) -> None:
    assert client.get("/").content == (STATIC / "index.html").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host(name: str) -> None:
    assert set(re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w[^\s\"'`)]*", text_of(name))) <= {SVG}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_or_code_of_data(name: str) -> None:
    risky = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
    )
    assert not [words for words in risky if words in text_of(name)]
    assert not re.search(r"setAttribute\(\s*[\"'](?:style|on)", text_of(name))


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements() -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text_of("index.html"))
    return parser.found


def test_nothing_in_the_page_is_inline() -> None:
    for tag, attributes in elements():
        assert tag != "style"
        assert tag != "script" or "src" in attributes
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_ids_that_are_referred_to_exist() -> None:
    ids = [attributes["id"] for _, attributes in elements() if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {name for script in SCRIPTS for name in re.findall(r"byId\(\"(\w+)\"\)", text_of(script))}
    assert wanted
    assert wanted <= set(ids)
    assert {a["href"] for t, a in elements() if t == "a" and a.get("class") == "skip"} <= {
        f"#{i}" for i in ids
    }


def test_files_that_are_referred_to_exist() -> None:
    told = {value for _, a in elements() for key, value in a.items() if key in ("src", "href") and value}
    of_page = {value.removeprefix("/static/") for value in told if value.startswith("/static/")}
    assert of_page <= set(FILES)
    assert set(SCRIPTS) <= of_page  # all of them are fetched at once, not one after the other


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_scripts_import_is_exported(name: str) -> None:
    for names, module in re.findall(r"import \{([^}]*)\} from \"\./([\w.]+)\"", text_of(name)):
        source = text_of(module)
        for one in filter(None, (part.strip() for part in names.split(","))):
            assert re.search(rf"export (?:async )?(?:function|class|const) {one}\b", source), (
                f"{one} of {module}"
            )


def test_every_control_made_by_hand_has_a_label() -> None:
    """Inputs get an id that a label is for, or say their own name."""
    for name in SCRIPTS:
        source = text_of(name)
        for made in re.finditer(r"el\(\"(?:input|select|textarea)\", \{([^}]*)\}", source):
            attributes = made[1]
            assert "id" in attributes or "aria-label" in attributes, f"{name}: {made[0]}"


# --- colours: one home -----------------------------------------------------------------------------


def test_parts_have_the_colours_of_the_reports() -> None:
    style = text_of("style.css")
    light = re.findall(r"--part-(\d): light-dark\((#\w+),", style)
    assert {int(place): colour.upper() for place, colour in light} == {
        0: GREY,
        **{place: PART_PALETTE[place - 1].upper() for place in range(1, 6)},
    }
    names = dict(
        re.findall(r"\"([a-z ]+)\": (\d)", text_of("charts.js").split("PARTS = ", 1)[1].split("}")[0])
    )
    palette = {colour: place for place, colour in enumerate(PART_PALETTE, 1)}
    known = {name: palette[colour] for name, colour in PART_COLOURS.items() if colour in palette}
    assert {name: int(place) for name, place in names.items()} == known


def test_every_mark_of_the_reports_can_be_drawn(client: TestClient) -> None:
    drawn = set(re.findall(r"^  \"?([\w-]+)\"?: \"M", text_of("charts.js"), re.MULTILINE))
    told = client.get("/page/choices").json()["chips"]
    assert {name: one["shape"] for name, one in told.items()} == CHIP_SHAPES
    assert {one["shape"] for one in told.values()} < drawn


# --- what it is told -------------------------------------------------------------------------------


def test_choices_are_all_that_there_is(client: TestClient) -> None:
    found = client.get("/page/choices").json()
    assert [one["name"] for one in found["models"]] == [one.name for one in models()]
    assert [one["name"] for one in found["gpus"]] == [one.name for one in gpus()]
    defaults = {key: value for key, value in found["defaults"].items() if value}
    assert set(defaults) <= set(CASE_KEYS)
    explored(client, **defaults)


def test_controls_set_keys_that_a_setting_has() -> None:
    source = text_of("settings.js")
    keys = set(re.findall(r"one\(\"(\w+)\"\)", source)) | set(re.findall(r"changed\(\{ (\w+):", source))
    assert {"steps", "size", "region", "gpus", "compile"} <= keys
    assert keys <= set(CASE_KEYS)


def test_explore_tells_what_the_library_says(client: TestClient) -> None:
    found = explored(client, **SETTING)
    guess = joulecast.estimate("sdxl", "A100-SXM4-80GB", steps=20, batch_size=2)
    told = found["estimate"]
    for name in ("energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_high_s", "flop"):
        assert told[name] == getattr(guess, name)
    assert told["gpu_seconds"] == guess.gpu_seconds.ends()
    assert told["memory"]["fits"] == guess.memory.fits
    carbon = joulecast.footprint_of(guess, joulecast.site("FR")).carbon.amount
    assert found["footprint"]["carbon_g"] == carbon.ends()
    assert found["parts"] == estimate_steps(guess)


def test_texts_and_numbers_are_the_same_question(client: TestClient) -> None:
    """Addresses hold texts."""
    texts = {key: str(value) for key, value in SETTING.items()}
    assert explored(client, **texts)["estimate"] == explored(client, **SETTING)["estimate"]


@pytest.mark.parametrize("model", ["sdxl", "wan2.1-t2v-1.3b"])
def test_curves_go_through_the_setting_and_are_of_the_library(client: TestClient, model: str) -> None:
    setting = {"model": model, "gpu": "H100-SXM5-80GB", "steps": 23}
    found = explored(client, **setting)
    curves = found["curves"]
    assert set(curves) == {"steps", "size", "batch_size", *(["frames"] if model != "sdxl" else [])}
    now = found["estimate"]["workload"]
    today = {
        "steps": now["steps"],
        "size": now["width"] * now["height"] / 1e6,
        "batch_size": now["batch_size"],
        "frames": now["frames"],
    }
    for key, rows in curves.items():
        (here,) = [row for row in rows if row["x"] == today[key]]
        assert here["energy_j"] == pytest.approx(found["estimate"]["energy_j"], rel=1e-12)
        other = rows[-1]
        alone = joulecast.estimate(**{**setting, **other["change"]})
        assert other["energy_high_j"] == pytest.approx(alone.energy_high_j, rel=1e-12)
        assert other["fits"] == alone.memory.fits


def test_elsewhere_is_every_gpu_and_what_cannot_be_run_says_why(client: TestClient) -> None:
    setting = {"model": "flux.1-dev", "gpu": "H100-SXM5-80GB", "steps": 28}
    found = client.post("/page/elsewhere", json={"setting": setting}).json()
    assert [row["name"] for row in found["gpus"]] == [one.name for one in gpus()]
    for row in found["gpus"]:
        alone = joulecast.estimate("flux.1-dev", row["name"], steps=28)
        assert row["energy_j"] == pytest.approx(alone.energy_j, rel=1e-12)
        assert row["fits"] == alone.memory.fits
    assert {"yes", "no"} <= {row["fits"] for row in found["gpus"]}
    runtimes = {(row["kind"], row["name"]): row for row in found["runtimes"]}
    served = joulecast.estimate("flux.1-dev", "H100-SXM5-80GB", steps=28, engine="sglang")
    assert runtimes["engine", "sglang"]["energy_j"] == pytest.approx(served.energy_j, rel=1e-12)
    refused = runtimes["cache", "deepcache"]
    assert refused["energy_j"] is None
    assert "U-Net" in refused["error"]
    assert found["own"]["engine"] == "diffusers"


def test_each_runtime_changes_one_thing(client: TestClient) -> None:
    """From compiled diffusers, another engine is not compiled, and quantisation is kept."""
    setting = {"model": "flux.1-dev", "gpu": "H100-SXM5-80GB", "compile": "true", "quantization": "fp8"}
    found = client.post("/page/elsewhere", json={"setting": setting}).json()
    changes = {row["name"]: row["change"] for row in found["runtimes"] if row["kind"] == "engine"}
    assert changes["sglang"] == {"engine": "sglang", "compile": False}
    own = [row for row in found["runtimes"] if row["name"] == "diffusers-compiled"]
    guess = joulecast.estimate("flux.1-dev", "H100-SXM5-80GB", compile=True, quantization="fp8")
    assert own[0]["energy_j"] == pytest.approx(guess.energy_j, rel=1e-12)


COPIED = [
    SETTING,
    {"model": "flux.1-dev", "gpu": "L40S", "size": "768x1024", "engine": "sglang", "compile": True},
    {"model": "wan2.1-t2v-1.3b", "gpu": "RTX 4090", "frames": 33, "price_per_kwh": 0.31, "region": "Germany"},
    {
        "model": "qwen-image",
        "gpu": "H100-SXM5-80GB",
        "gpus": 2,
        "negative_prompt": False,
        "boundary": "dynamic",
    },
]


@pytest.mark.parametrize("setting", COPIED, ids=lambda setting: str(setting["model"]))
def test_the_copied_command_prints_the_same(
    client: TestClient, run: Command, setting: dict[str, object]
) -> None:
    found = explored(client, **setting)
    program, *arguments = shlex.split(found["copies"]["command"])
    assert program == "joulecast"
    done = run(*arguments, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["energy_j"] == found["estimate"]["energy_j"]


@pytest.mark.parametrize("setting", COPIED, ids=lambda setting: str(setting["model"]))
def test_the_copied_python_says_the_same(
    client: TestClient, setting: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    found = explored(client, **setting)
    names: dict[str, Any] = {}
    exec(found["copies"]["python"], names)
    assert names["guess"].energy_j == found["estimate"]["energy_j"]
    assert ("carbon" in capsys.readouterr().out) == ("region" in setting)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("guidance", 3.4567891, "--guidance 3.4567891"),
        ("price_per_kwh", 0.12345678, "--price-per-kwh 0.12345678"),
        ("price_per_kwh", 1234.5678, "--price-per-kwh 1234.5678"),
        ("life_years", 4.0, "--life-years 4"),
        ("intensity", 1234.567, "--intensity 1234.567"),
        ("wue", 1e-05, "--wue 1e-05"),
    ],
)
def test_numbers_are_copied_whole(
    client: TestClient, run: Command, key: str, value: float, told: str
) -> None:
    """Not to six digits: the command prints what the page shows."""
    place = {} if key == "intensity" else {"region": "FR"}
    found = explored(client, model="qwen-image", gpu="L40S", **place, **{key: value})
    assert f" {told}" in found["copies"]["command"]
    assert f"{key}={value!r}" in found["copies"]["python"]
    done = run(*shlex.split(found["copies"]["command"])[1:], "--json")
    assert json.loads(done.out)["footprint"]["carbon_g"] == found["footprint"]["carbon_g"]


def test_the_sentence_has_boundary_range_and_source(client: TestClient) -> None:
    found = explored(client, **SETTING)
    told = found["copies"]["sentence"]
    for words in (
        "gross GPU energy",
        "90 % range",
        "Predicted, not measured",
        joulecast.__version__,
        "Ember",
    ):
        assert words in told


def test_compare_tells_the_range_of_the_difference(client: TestClient) -> None:
    body = {"setting": SETTING, "change": {"steps": 10}}
    found = client.post("/page/compare", json=body).json()
    change = joulecast.what_if(SETTING, {"steps": 10})
    energy = found["measures"][0]
    assert energy["key"] == "energy_j"
    assert energy["ratio"] == change.deltas[0].ratio.ends()
    assert energy["words"].startswith("falls by")
    assert {one["key"] for one in found["measures"]} == {"energy_j", "latency_s", "carbon_g"}


def test_a_plan_with_its_report(client: TestClient) -> None:
    found = client.post("/page/plan", json={"demand": DEMAND}).json()
    assert found["plan"]["images"] == pytest.approx(20000 * 4 / 24)
    assert {one["name"] for one in found["pictures"]} == {"hours", "fleet"}
    answer = client.post("/page/plan.zip", json={"demand": DEMAND})
    assert answer.headers["content-type"] == "application/zip"
    whole = zipfile.ZipFile(io.BytesIO(answer.content))
    assert {"plan/index.html", "plan/plan.json", "plan/demand.toml"} <= set(whole.namelist())
    told = json.loads(whole.read("plan/plan.json"))
    assert told["headline"] == found["plan"]["headline"]


def test_a_profile_that_is_dropped_in_is_taken_for_a_model(client: TestClient, tmp_path: Path) -> None:
    write_profile(packaged_profile("sdxl"), tmp_path / "mine.json")
    text = (tmp_path / "mine.json").read_text(encoding="utf-8")
    body = {"setting": {"gpu": "L4", "steps": 20}, "profile": text}
    found = client.post("/page/explore", json=body).json()
    alone = joulecast.estimate(tmp_path / "mine.json", "L4", steps=20)
    assert found["estimate"]["energy_j"] == alone.energy_j
    assert found["copies"]["command"].startswith("joulecast estimate sdxl.json --gpu L4")
    elsewhere = client.post("/page/elsewhere", json=body).json()
    (own,) = [row for row in elsewhere["gpus"] if row["name"] == "L4"]
    assert own["energy_j"] == pytest.approx(alone.energy_j, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the profile"),
        ("[" * 100_000, "the profile"),
        ("x" * 2_000_001, "at most 2,000,000"),
        ("{}", "the profile"),
    ],
)
def test_what_is_no_profile_is_refused(client: TestClient, text: str, words: str) -> None:
    answer = client.post("/page/explore", json={"setting": {"gpu": "L4"}, "profile": text})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_an_edited_profile_is_refused(client: TestClient, tmp_path: Path) -> None:
    write_profile(packaged_profile("sd1.5"), tmp_path / "mine.json")
    text = (tmp_path / "mine.json").read_text(encoding="utf-8").replace("sd1.5", "sd1.6", 1)
    answer = client.post("/page/explore", json={"setting": {"gpu": "L4"}, "profile": text})
    assert answer.status_code == 422
    assert "changed" in answer.json()["detail"] or "edited" in answer.json()["detail"]


# --- bad input -------------------------------------------------------------------------------------

WRONG = [
    ("/page/explore", {"setting": {"model": "sdxx", "gpu": "L4"}}, 404, "unknown model 'sdxx'"),
    ("/page/explore", {"setting": {"model": "sdxl", "gpu": "L4", "steps": "many"}}, 422, "steps"),
    ("/page/explore", {"setting": {"model": "sdxl", "gpu": "L4", "stepz": 3}}, 422, "stepz"),
    ("/page/explore", {"setting": "sdxl"}, 422, "the body cannot be read"),
    ("/page/explore", {}, 422, "setting"),
    ("/page/elsewhere", {"setting": {"model": "sdxl", "gpu": "L9"}}, 404, "unknown GPU 'L9'"),
    ("/page/compare", {"setting": SETTING, "change": {}}, 422, "nothing changes"),
    ("/page/compare", {"setting": SETTING, "change": {"steps": 20}}, 422, "nothing changes"),
    ("/page/plan", {"demand": "[plan"}, 422, "the demand"),
    ("/page/plan", {"demand": "#" * 1_000_001}, 422, "at most 1,000,000"),
    ("/page/plan", {"demand": DEMAND.replace("20000", "0")}, 422, "asks for nothing"),
    ("/page/plan.zip", {"demand": DEMAND.replace('"L4"', '"L9"')}, 404, "unknown GPU"),
]


@pytest.mark.parametrize(("path", "body", "status", "words"), WRONG)
def test_what_is_wrong_is_told_in_one_line(
    client: TestClient, path: str, body: dict[str, object], status: int, words: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize("value", [[1], {"a": 1}, True])
@pytest.mark.parametrize(
    "key", ["model", "gpu", "law", "region", "hourly", "at", "timezone", "currency", "pue"]
)
def test_a_value_of_another_kind_is_told(client: TestClient, key: str, value: object) -> None:
    """At every door of the page that takes a setting or a change of one."""
    setting = {"model": "sdxl", "gpu": "L4", "region": "FR"}
    bodies = [
        ("/page/explore", {"setting": {**setting, key: value}}),
        ("/page/elsewhere", {"setting": {**setting, key: value}}),
        ("/page/compare", {"setting": {**setting, key: value}, "change": {"steps": 5}}),
        ("/page/compare", {"setting": setting, "change": {key: value}}),
    ]
    for path, body in bodies:
        answer = client.post(path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["detail"].startswith(f"{key} is text")


def test_more_keys_than_any_setting_has_are_not_looked_up(client: TestClient) -> None:
    many = {f"key{i}": i for i in range(101)}
    for body in ({"setting": many}, {"setting": SETTING, "change": many}, {"setting": many, "change": {}}):
        for path in ("/page/compare",) if "change" in body else ("/page/explore", "/page/elsewhere"):
            answer = client.post(path, json=body)
            assert answer.status_code == 422
            assert answer.json()["detail"] == "a request has at most 100 keys, not 101"


@pytest.mark.parametrize("key", ["model", "gpu", "hourly"])
def test_no_file_is_read_for_a_setting(client: TestClient, tmp_path: Path, key: str) -> None:
    there = tmp_path / "secret.toml"
    there.write_text("kept = 1")
    setting = {"model": "sdxl", "gpu": "L4", key: str(there)}
    detail = client.post("/page/explore", json={"setting": setting}).json()["detail"]
    absent = str(tmp_path / "nothing.toml")
    other = client.post("/page/explore", json={"setting": {**setting, key: absent}}).json()["detail"]
    assert detail.replace("secret", "nothing") == other
    assert "kept" not in detail


def test_no_file_is_read_for_a_plan(client: TestClient, tmp_path: Path) -> None:
    there = tmp_path / "series.csv"
    there.write_text("time,intensity\n2022-01-01T00:00Z,1\n")
    demand = DEMAND.replace('name = "FR"', f'name = "FR"\nfile = "{there}"')
    answer = client.post("/page/plan", json={"demand": demand})
    assert answer.status_code == 422
    assert "no file is read" in answer.json()["detail"]


def test_unknown_is_null_and_never_nothing(client: TestClient) -> None:
    """A model whose peak memory is not known has none, and no number is infinite or nan."""
    found = explored(client, model="wan2.1-t2v-1.3b", gpu="L4")
    assert found["estimate"]["memory"]["peak_bytes"] is None
    assert found["estimate"]["memory"]["fits"] == "unknown"

    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [n for one in value.values() for n in numbers(one)]
        if isinstance(value, list):
            return [n for one in value for n in numbers(one)]
        return [value] if isinstance(value, float) else []

    assert all(map(math.isfinite, numbers(found)))
