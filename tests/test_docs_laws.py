"""The tables and pictures of the pages on laws are those of the packaged results."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TOOL = "tools/make_docs_pictures.py"
NUMBER = re.compile(r"[+-]?\d+\.?\d*(?:e[+-]?\d+)?")
# Of fits that are made anew: the last digit shown may round the other way.
LAST_DIGIT = 2e-2


@pytest.mark.slow
def test_tables_have_not_drifted() -> None:
    made = runpy.run_path(str(ROOT / TOOL))["pages"]()
    for name, text in made.items():
        written = (DOCS / name).read_text(encoding="utf-8")
        assert NUMBER.sub("#", written) == NUMBER.sub("#", text), f"docs/{name} is out of date: python {TOOL}"
        for shown, found in zip(NUMBER.findall(written), NUMBER.findall(text), strict=True):
            assert float(shown) == pytest.approx(float(found), rel=LAST_DIGIT, abs=2e-3), f"docs/{name}"


def test_every_table_of_the_tool_is_on_a_page() -> None:
    tool = runpy.run_path(str(ROOT / TOOL))
    text = "".join((DOCS / page).read_text(encoding="utf-8") for page in tool["PAGES"])
    assert sorted(re.findall(r"<!-- table: ([\w-]+) -->", text)) == sorted(tool["TABLES"])


def test_every_picture_is_shown_and_there() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    shown = set(re.findall(r"\]\(pictures/([\w.-]+)\)", text))
    assert shown == {path.name for path in (DOCS / "pictures").iterdir()}
    for name in shown:
        assert (DOCS / "pictures" / name).read_text(encoding="utf-8").startswith("<svg")


def test_every_parameter_of_the_law_is_explained() -> None:
    tool = runpy.run_path(str(ROOT / TOOL))
    assert list(tool["PARAMETERS"]) == list(tool["PRIORS"])


def test_the_picture_of_a_front_is_of_the_settings_that_the_page_prints() -> None:
    found, front = runpy.run_path(str(ROOT / TOOL))["compared"]()
    page = (DOCS / "planning.md").read_text(encoding="utf-8")
    assert f"Front: {len(front)} of {len(found)} settings" in page
    picture = (DOCS / "pictures" / "front.svg").read_text(encoding="utf-8")
    drawn = picture.count('aria-roledescription="point"')
    assert drawn == len(found)
