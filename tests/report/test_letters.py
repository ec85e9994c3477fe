"""Pictures keep their words whole in any sans-serif: what text needs, and what an SVG says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast import data
from joulecast.report.charts import (
    GPU_COLOURS,
    GREY,
    PART_PALETTE,
    REGION_COLOURS,
    altair,
    chart,
    finished,
    to_svg,
)
from joulecast.report.letters import Word, drawable, lasting, text_width, words, wrapped

PICTURES = sorted((Path(__file__).parents[2] / "docs" / "pictures").glob("*.svg"))
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="40" viewBox="0 0 {width} 40">'
    '<rect width="{width}" height="40" fill="white"/><g transform="translate(50,20)">'
    '<text text-anchor="{anchor}" font-family="Arial" font-size="11px" transform="rotate({turn})">{text}'
    "</text></g></svg>"
)


def svg(text: str = "words", anchor: str = "start", turn: int = 0, width: int = 60) -> ElementTree.Element:
    return ElementTree.fromstring(lasting(SVG.format(text=text, anchor=anchor, turn=turn, width=width)))


def frame(root: ElementTree.Element) -> tuple[float, float, float, float]:
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    return left, top, left + width, top + height


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [("", 0), ("A", 667), ("iii", 3 * 222), ("W W", 944 + 278 + 944), ("0.5 %", 556 + 278 + 556 + 278 + 889)],
)
def test_a_text_is_as_wide_as_its_letters(text: str, thousandths: int) -> None:
    """Widths of Arial's letters from its published metrics, those of Helvetica."""
    assert text_width(text, 10) == pytest.approx(thousandths / 100)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40), st.booleans())
def test_no_font_is_twice_as_wide_as_the_other(text: str, bold: bool) -> None:
    narrow, wide = (text_width(text, 12, bold=bold, wide=wide) for wide in (False, True))
    assert 0.5 * narrow < wide < 2 * narrow


def test_every_letter_has_a_width() -> None:
    rows = data.read_table("font_widths.csv")
    assert {(row["font"], row["weight"]) for row in rows} == {
        (font, weight) for font in ("Arial", "DejaVu Sans") for weight in ("normal", "bold")
    }
    assert {len(row["widths"].split()) for row in rows} == {95}


@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
@pytest.mark.parametrize("turn", [0, -90, 90])
def test_a_picture_has_room_for_its_words(anchor: str, turn: int) -> None:
    root = svg("transformer: attention scores", anchor, turn)
    left, top, right, bottom = frame(root)
    (word,) = words(root)
    a, b, c, d = word.box(wide=True)
    assert left <= a < c <= right
    assert top <= b < d <= bottom
    (background,) = root.findall("{http://www.w3.org/2000/svg}rect")
    assert [float(background.attrib[k]) for k in ("x", "y", "width", "height")] == [
        left, top, right - left, bottom - top
    ]  # fmt: skip


def test_a_text_says_its_length() -> None:
    (word,) = words(svg("energy [J]"))
    assert float(word.element.attrib["textLength"]) == pytest.approx(text_width("energy [J]", 11), abs=0.1)
    assert word.element.attrib["lengthAdjust"] == "spacingAndGlyphs"
    assert word.element.attrib["font-family"].endswith("sans-serif")


@pytest.mark.parametrize("letter", ["\x1b", "\x00", "\x0c", "\ufffe", "\x7f", "\udcc3", "é", "🖼"])
def test_any_letter_may_be_in_a_picture(letter: str) -> None:
    """A control character in a name aborts the process in the library that draws, past any handler."""
    name = f"a{letter}b"
    assert drawable({"data": [{"name": name, "x": 1.5}], name: None}) == {
        "data": [{"name": (told := drawable(name)), "x": 1.5}], told: None
    }  # fmt: skip
    assert told in (name, "a?b")
    rows = [{"name": name, "x": 1}]
    drawn = chart(altair(), rows).mark_bar().encode(y="name:N", x="x:Q")
    texts = [word.text for word in words(ElementTree.fromstring(to_svg(finished(drawn, name))))]
    assert told in texts


def test_what_has_room_stays_as_it_is() -> None:
    assert frame(svg("ab", width=400)) == (0, 0, 400, 40)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_the_pictures_of_the_documentation(path: Path) -> None:
    """Every word lies in the picture in a wide font, and no two that are level run into each other."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    left, top, right, bottom = frame(root)
    found = [word for word in words(root) if word.text.strip() and not word.is_halo]
    assert len(found) > 5
    for word in found:
        a, b, c, d = word.box(wide=True)
        assert left <= a, word.text
        assert c <= right, word.text
        assert top <= b, word.text
        assert d <= bottom, word.text
    assert not list(overlapping(found))


def overlapping(found: list[Word]) -> Iterator[tuple[str, str]]:
    boxes = [(word, word.box(wide=False)) for word in found]
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            across = min(a[2], b[2]) - max(a[0], b[0])
            down = min(a[3], b[3]) - max(a[1], b[1])
            if across > 1 and down > 4:
                yield one.text, other.text


def test_long_titles_go_on_in_a_line_below() -> None:
    title = "Where the joules of a flux.1-dev image go on H100-SXM5-80GB (1024x1024, 50 steps)"
    lines = wrapped(title, 13, 330, bold=True)
    assert " ".join(lines) == title
    assert all(text_width(line, 13, bold=True, wide=True) <= 330 for line in lines)
    assert wrapped("Donaudampfschifffahrtsgesellschaft a", 13, 50)[0] == "Donaudampfschifffahrtsgesellschaft"
    assert wrapped("", 13, 50) == []


# --- colours -------------------------------------------------------------------------------------

# Vienot, Brettel and Mollon 1999: how people without red or without green cones see linear RGB.
PROTAN = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTAN = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
SAME = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def seen(colour: str, by: tuple[tuple[float, ...], ...]) -> list[float]:
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    mixed = [sum(weight * c for weight, c in zip(row, linear, strict=True)) for row in by]
    return [max(0.0, c) ** (1 / 2.2) for c in mixed]


@pytest.mark.parametrize("palette", [GPU_COLOURS, REGION_COLOURS, PART_PALETTE])
@pytest.mark.parametrize("by", [SAME, PROTAN, DEUTAN])
def test_colours_are_told_apart(palette: tuple[str, ...], by: tuple[tuple[float, ...], ...]) -> None:
    views = [seen(colour, by) for colour in palette]
    for i, a in enumerate(views):
        for b in views[i + 1 :]:
            assert max(abs(x - y) for x, y in zip(a, b, strict=True)) > 0.09


def test_a_colour_means_one_thing() -> None:
    palettes = [set(GPU_COLOURS), set(REGION_COLOURS), set(PART_PALETTE), {GREY}]
    assert sum(map(len, palettes)) == len(set.union(*palettes))
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in set.union(*palettes))
