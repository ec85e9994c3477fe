"""The page in a real headless Chromium: every view, as people use it. Skipped where there is none."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
import uvicorn
from chromium import Chromium, Page

import joulecast
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.report import amounts
from joulecast.web.app import create_app

BROWSER = chromium.found()
AXE = os.environ.get("AXE")  # the path of axe.min.js of the npm package axe-core
SETTING = "model=sdxl&gpu=A100-SXM4-80GB&region=France"
SLIDER = (
    "[...document.querySelectorAll('.field.slider')].find((one) => one.textContent.startsWith('{}'))"
    ".querySelector('[type=range]')"
)
BIG = "document.querySelector('.cards .big').textContent"
BIGGEST_S = 5.0  # to the first numbers, on a machine that is busy with other things

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(BROWSER is None, reason="no chromium here; CONTRIBUTING.md says how to install one"),
]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """The page, served."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert BROWSER is not None
    with Chromium(BROWSER, tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def page(browser: Chromium, host: str) -> Iterator[Page]:
    """A page, which in the end has complained of nothing and asked no other host."""
    with browser.page() as opened:
        opened.screen(1280)
        yield opened
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith((host, "blob:", "data:"))] == []


def slide(page: Page, label: str, value: float, events: tuple[str, ...] = ("input", "change")) -> None:
    told = "".join(f"one.dispatchEvent(new Event('{event}', {{ bubbles: true }}));" for event in events)
    page.js(f"(() => {{ const one = {SLIDER.format(label)}; one.value = {value}; {told} }})()")


def click(page: Page, words: str) -> None:
    buttons = "[...document.querySelectorAll('button')]"
    named = f"{buttons}.find((one) => one.textContent.trim() === {json.dumps(words)})"
    page.until(f"{named}")
    page.js(f"{named}.click()")


def energy(model: str, gpu: str, **setting: Any) -> str:
    return amounts.energy(joulecast.estimate(model, gpu, **setting).energy_j)


# --- Explore ---------------------------------------------------------------------------------------


def test_it_opens_with_numbers_pictures_and_every_gpu(page: Page, host: str) -> None:
    began = time.monotonic()
    page.goto(host)
    page.until(f"{BIG}.includes(' J')")
    assert time.monotonic() - began < BIGGEST_S
    assert page.js(BIG) == energy("flux.1-dev", "H100-SXM5-80GB")
    assert page.until("document.querySelectorAll('svg.curve').length === 3")
    assert page.until(
        "document.querySelectorAll('section[aria-label=\"On every GPU\"] tbody tr').length > 10"
    )
    assert "gross" in page.js("document.querySelector('.cards .card').textContent")


def test_a_slider_is_followed_and_the_address_with_it(page: Page, host: str) -> None:
    page.goto(f"{host}/#explore?{SETTING}")
    page.until(f"{BIG} === {json.dumps(energy('sdxl', 'A100-SXM4-80GB'))}")
    for steps in (40, 30, 20):
        slide(page, "Steps", steps, ("input",))
    slide(page, "Steps", 20)
    page.until(f"{BIG} === {json.dumps(energy('sdxl', 'A100-SXM4-80GB', steps=20))}")
    assert "steps=20" in page.js("location.hash")


def test_back_goes_to_the_setting_before_the_slider_moved(page: Page, host: str) -> None:
    page.goto(f"{host}/#explore?{SETTING}&steps=50")
    first = page.until(f"{BIG}.includes(' J') && {BIG}")
    for steps in (40, 30, 20):
        slide(page, "Steps", steps, ("input",))
    slide(page, "Steps", 20, ("change",))
    page.until(f"{BIG} !== {json.dumps(first)}")
    page.js("history.back()")
    page.until(f"{BIG} === {json.dumps(first)} && location.hash.includes('steps=50')")
    assert page.js(f"{SLIDER.format('Steps')}.value") == "50"


def test_a_link_restores_all_that_was_chosen(page: Page, host: str) -> None:
    page.goto(
        f"{host}/#explore?model=wan2.1-t2v-1.3b&gpu=L40S&frames=49&steps=30&engine=sglang&region=Germany"
        "&price_per_gpu_hour=2&currency=EUR&images=5000&guidance=4"
    )
    wanted = energy("wan2.1-t2v-1.3b", "L40S", frames=49, steps=30, engine="sglang", guidance=4)
    page.until(f"{BIG} === {json.dumps(wanted)}")
    values = {label: page.js(f"{SLIDER.format(label)}.value") for label in ("Frames", "Steps", "Guidance")}
    assert values == {"Frames": "49", "Steps": "30", "Guidance": "4"}
    text = page.js("document.querySelector('.cards').textContent")
    assert "5,000 clips" in text
    assert " EUR" in text
    assert "each second of video" in text
    assert "SGLang" in text  # how it is run is said beside the numbers


def test_what_a_link_chose_is_not_folded_away(page: Page, host: str) -> None:
    folds = "[...document.querySelectorAll('.settings details.more')]"
    opened = f"{folds}.filter((fold) => fold.open).map((fold) => fold.firstChild.textContent).join()"
    for chosen, name in (
        ("", ""),
        ("&offload=model", "Quantisation, cache, offloading, several GPUs"),
        ("&power_limit_w=300", "Finer points"),
    ):
        page.goto("about:blank")
        page.goto(f"{host}/#explore?{SETTING}{chosen}")
        page.until(f"{BIG}.includes(' J')")
        assert page.js(opened) == name


def test_a_model_is_found_by_typing_and_taken_by_key(page: Page, host: str) -> None:
    page.goto(f"{host}/#explore?{SETTING}&steps=7")
    page.until(f"{BIG}.includes(' J')")
    page.js("document.querySelector('[role=combobox]').focus()")
    page.type("schnell")
    page.until("document.querySelector('[role=option].active')?.textContent.includes('flux.1-schnell')")
    assert page.js("document.querySelector('[role=combobox]').getAttribute('aria-expanded')") == "true"
    page.press("Enter")
    page.until(f"{BIG} === {json.dumps(energy('flux.1-schnell', 'A100-SXM4-80GB'))}")
    assert "steps" not in page.js("location.hash")  # they were of the other model


def test_an_error_is_shown_in_place_in_the_words_of_the_server(browser: Chromium, host: str) -> None:
    with browser.page() as page:
        page.goto(f"{host}/#explore?{SETTING}&steps=0")
        told = page.until("document.querySelector('[role=alert] .error')?.textContent")
        with pytest.raises(joulecast.InputError) as refused:
            joulecast.Setting.of({"model": "sdxl", "gpu": "A100-SXM4-80GB", "steps": "0"})
        assert str(refused.value) in told
        slide(page, "Steps", 25)
        page.until(f"{BIG} === {json.dumps(energy('sdxl', 'A100-SXM4-80GB', steps=25))}")
        assert page.js("document.querySelector('.trouble').textContent") == ""
        assert all("422" in words for words in page.complaints)  # a browser tells every refusal itself


def test_data_is_never_markup(browser: Chromium, host: str) -> None:
    with browser.page() as page:
        page.goto(f"{host}/#explore?model=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&gpu=L4")
        page.until("document.querySelector('[role=alert] .error')?.textContent.includes('<img')")
        assert page.js("document.querySelectorAll('main img').length") == 0


def test_what_is_copied_is_what_is_shown(page: Page, host: str) -> None:
    page.goto(f"{host}/#explore?{SETTING}")
    page.until(f"{BIG}.includes(' J')")
    click(page, "Command line")
    taken = "document.querySelector('pre.taken').textContent"
    assert page.until(f"{taken}.startsWith('joulecast estimate sdxl') && {taken}")
    click(page, "JSON")
    page.until(f"{taken}.includes('\"energy_j\"')")
    told = json.loads(page.js(taken))
    assert told["energy_j"] == joulecast.estimate("sdxl", "A100-SXM4-80GB").energy_j


def test_a_click_on_another_gpu_takes_it(page: Page, host: str) -> None:
    page.goto(f"{host}/#explore?{SETTING}")
    page.until(f"{BIG}.includes(' J')")
    click(page, "H100-NVL-94GB")
    page.until(f"{BIG} === {json.dumps(energy('sdxl', 'H100-NVL-94GB'))}")


def test_a_profile_is_dropped_in(page: Page, host: str, tmp_path: Path) -> None:
    write_profile(packaged_profile("sd1.5"), tmp_path / "mine.json")
    text = json.dumps((tmp_path / "mine.json").read_text(encoding="utf-8"))
    page.goto(f"{host}/#explore?{SETTING}")
    page.until(f"{BIG}.includes(' J')")
    page.js(
        f"""(() => {{ const carried = new DataTransfer();
        carried.items.add(new File([{text}], 'mine.json'));
        const over = new DragEvent('drop', {{ dataTransfer: carried, bubbles: true, cancelable: true }});
        document.querySelector('.drop').dispatchEvent(over); }})()"""
    )
    guess = joulecast.estimate(tmp_path / "mine.json", "A100-SXM4-80GB")
    page.until(f"{BIG} === {json.dumps(amounts.energy(guess.energy_j))}")
    assert "profile=mine" in page.js("location.hash")
    assert "model=" not in page.js("location.hash")
    slide(page, "Steps", 20)
    again = joulecast.estimate(tmp_path / "mine.json", "A100-SXM4-80GB", steps=20)
    page.until(f"{BIG} === {json.dumps(amounts.energy(again.energy_j))}")


# --- Compare, Evidence, Plan -------------------------------------------------------------------------


def test_compare_tells_the_range_of_the_difference_in_words(page: Page, host: str) -> None:
    page.goto(f"{host}/#compare?{SETTING}&b.steps=25")
    told = page.until("document.querySelector('.verdict')?.textContent")
    found = joulecast.what_if({"model": "sdxl", "gpu": "A100-SXM4-80GB", "region": "France"}, {"steps": 25})
    assert found.deltas[0].ratio.high < 1
    assert told.startswith("The second uses less energy")
    assert page.js("document.querySelectorAll('svg.difference').length") == len(found.deltas)
    click(page, "Served by SGLang")
    page.until("document.querySelector('.results h2')?.textContent.includes('sglang')")
    assert page.js("location.hash.includes('b.engine=sglang') && !location.hash.includes('b.steps')")


def test_evidence_has_every_run_and_errors_as_numpy_counts_them(page: Page, host: str) -> None:
    page.goto(f"{host}/#evidence?kept=seen")
    points = [(row[1], row[2]) for row in _held_out("seen") if row[1] is not None]
    page.until(f"document.querySelectorAll('.scatter .mark').length === {len(points)}")
    errors = [abs(100 * (guess / measured - 1)) for guess, measured in points]
    half, nine = (amounts.number(float(np.quantile(errors, share)), 2) for share in (0.5, 0.9))
    assert page.js("document.querySelector('.results h2').textContent") == (
        f"{len(points)} runs: half within {half} % of the measured energy, nine in ten within {nine} %"
    )
    page.js("document.querySelector('.scatter').focus()")
    page.press("ArrowRight")
    assert page.until("document.querySelector('.detail a[href^=http]')?.textContent")
    page.js("document.getElementById('filter-model').value = 'sdxl'")
    page.js("document.getElementById('filter-model').dispatchEvent(new Event('change'))")
    page.until(f"document.querySelectorAll('.scatter .mark').length < {len(points)}")
    assert "model=sdxl" in page.js("location.hash")


def _held_out(kept: str) -> list[tuple[str, float | None, float]]:
    """Runs with a measured energy: what the default law predicted of them, and what was measured."""
    from joulecast import data
    from joulecast.law.load import default_law

    measured = {run.run_id: run.energy_j for run in joulecast.packaged_runs()}
    return [
        (row["run_id"], float(row["energy_j"]) if row["energy_j"] else None, known)
        for row in data.read_table("held_out.csv")
        if (row["law"], row["holdout"]) == (default_law(), kept)
        and (known := measured[row["run_id"]]) is not None
    ]


def test_a_plan_is_made_and_its_report_downloaded(page: Page, host: str, tmp_path: Path) -> None:
    page.downloads(tmp_path)
    page.goto(f"{host}/#plan")
    page.until("document.querySelector('button.main')")
    click(page, "Make the plan")
    page.until("document.querySelector('.results h2')?.textContent.includes('CO₂e an image')")
    page.until(
        "[...document.querySelectorAll('.report img')].every((one) => one.complete && one.naturalWidth > 100)"
    )
    click(page, "Download the report (ZIP)")
    end = time.monotonic() + chromium.PATIENCE_S
    while not (tmp_path / "plan.zip").is_file() and time.monotonic() < end:
        page.js("1")
        time.sleep(0.1)
    assert (tmp_path / "plan.zip").read_bytes().startswith(b"PK")


MODELS = (
    "[...document.querySelectorAll('[role=group][aria-label^=Model]')]"
    ".map((row) => row.querySelector('input').value)"
)


def test_any_text_of_an_address_is_a_cell_of_the_plan(page: Page, host: str) -> None:
    """A per cent sign that a hand wrote, and in a name the signs that are between cells."""
    page.goto(f"{host}/#plan?use=100%25,,30;a%252Cb%253Bc%25252C,768x768,25")
    page.until(f"{MODELS}.length === 2")
    assert page.js(MODELS) == ["100%", "a,b;c%2C"]
    page.js("document.querySelector('[role=group] button').click()")  # an address of its own
    page.until(f"{MODELS}.length === 1")
    assert page.js(MODELS) == ["a,b;c%2C"]
    assert "use=a%252Cb%253Bc%25252C%2C768x768%2C25" in page.js("location.hash")


# --- Everywhere --------------------------------------------------------------------------------------

VIEWS = {
    "explore": f"explore?{SETTING}",
    "video": "explore?model=wan2.1-t2v-1.3b&gpu=RTX+4090&region=World",
    "compare": f"compare?{SETTING}&b.gpu=L4",
    "evidence": "evidence",
    "plan": "plan",
}
READY = {
    "explore": "document.querySelectorAll('svg.bar').length > 10",
    "video": "document.querySelectorAll('svg.bar').length > 10",
    "compare": "document.querySelector('.verdict')",
    "evidence": "document.querySelector('.scatter')",
    "plan": "document.querySelector('button.main')",
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_telephone_needs_no_sideways_scrolling(page: Page, host: str, view: str) -> None:
    page.screen(375, 812)
    page.goto(f"{host}/#{VIEWS[view]}")
    page.until(f"{READY[view]}")
    page.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.js("document.documentElement.scrollWidth") == 375


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_has_a_name(page: Page, host: str, view: str) -> None:
    page.goto(f"{host}/#{VIEWS[view]}")
    page.until(f"{READY[view]}")
    nameless = page.js(
        "[...document.querySelectorAll('input, select, textarea')].filter((one) => "
        "!one.labels?.length && !one.getAttribute('aria-label')).map((one) => one.outerHTML)"
    )
    assert nameless == []
    broken = page.js(
        "['for', 'aria-controls', 'aria-describedby', 'list'].flatMap((key) => "
        "[...document.querySelectorAll(`[${key}]`)].filter((one) => one.getAttribute(key) && "
        "!document.getElementById(one.getAttribute(key)))).map((one) => one.outerHTML)"
    )
    assert broken == []


def test_light_and_dark_by_system_and_by_switch(page: Page, host: str) -> None:
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    page.prefers("dark")
    page.goto(host)
    page.until(f"{BIG}.includes(' J')")
    dark = page.js(paper)
    page.prefers("light")
    light = page.js(paper)
    assert light != dark
    page.js("document.getElementById('theme').click()")
    page.prefers("dark")
    assert page.js(paper) == light  # the switch says light, whatever the system prefers
    page.js("document.getElementById('theme').click()")
    page.prefers("light")
    assert page.js(paper) == dark


def test_numbers_are_written_as_the_command_line_writes_them(page: Page, host: str) -> None:
    page.goto(host)
    page.until(f"{BIG}.includes(' J')")
    rng = random.Random(1)
    values = [rng.choice((1, -1)) * 10 ** rng.uniform(-8, 17) for _ in range(3000)]
    values += [8105.0, 4525.0, 2.125, 0.125, 9.996, 99950.0, 1e15, 1e16, 1e-4, 9.9996e-5, 0.0, 1234500.0, 1.0]
    told = page.js(
        f"import('/static/format.js').then((made) => {json.dumps(values)}.map((one) => made.number(one)))"
    )
    assert told == [amounts.number(value) for value in values]


@pytest.mark.skipif(AXE is None, reason="AXE names no axe.min.js; CONTRIBUTING.md says where it is from")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(page: Page, host: str, view: str, scheme: str) -> None:
    page.prefers(scheme)
    page.goto(f"{host}/#{VIEWS[view]}")
    page.until(f"{READY[view]}")
    if view == "plan":
        click(page, "Make the plan")
        page.until("document.querySelector('.report img')")
    page.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert AXE is not None
    page.js(f"{Path(AXE).read_text(encoding='utf-8')}; true")
    found = page.js("axe.run(document, { resultTypes: ['violations'] }).then((told) => told.violations)")
    assert [
        (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")
    ] == []
