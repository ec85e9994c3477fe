"""Pictures whose words hold in any sans-serif: how wide text is, and SVG that says so.

Vega lays a picture out for Arial. Where a machine has none, another font takes its place, which may be a
fifth wider: DejaVu Sans, Debian's default, is. So each text states its length, to which browsers fit the
letters; for programs that do not, the picture is made large enough to hold the text in DejaVu Sans.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple
from xml.etree import ElementTree

from joulecast import data

FONT = "Arial"
FONTS = "Arial, 'Liberation Sans', Helvetica, sans-serif"
AROUND = 4.0  # around text that would be cut [pixels]
_OTHER = 650  # width of a letter that is in no table [thousandths of the font size]
_SVG = "http://www.w3.org/2000/svg"
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TRANSFORM = re.compile(r"(translate|rotate)\(([^)]*)\)")


def text_width(text: str, size: float, *, bold: bool = False, wide: bool = False) -> float:
    """Width of a text [pixels] at a font size [pixels], in Arial or, where `wide`, in DejaVu Sans."""
    widths = _widths("DejaVu Sans" if wide else FONT, "bold" if bold else "normal")
    return size * sum(widths.get(letter, _OTHER) for letter in text) / 1000


@cache
def _widths(font: str, weight: str) -> dict[str, int]:
    """Width of each letter from " " to "~" [thousandths of the font size]."""
    (row,) = [r for r in data.read_table("font_widths.csv") if (r["font"], r["weight"]) == (font, weight)]
    return {chr(ord(" ") + i): int(width) for i, width in enumerate(row["widths"].split())}


def wrapped(text: str, size: float, most: float, *, bold: bool = False) -> list[str]:
    """A text in lines of at most `most` pixels in DejaVu Sans; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size, bold=bold, wide=True) <= most:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def drawable(value: Any) -> Any:
    """A specification whose texts hold only letters that XML knows, a question mark for any other.

    One that it does not, e.g. of a damaged name, would end the whole program in the library that draws.
    """
    if isinstance(value, str):
        return _NO_XML.sub("?", value)
    if isinstance(value, dict):
        return {drawable(key): drawable(item) for key, item in value.items()}
    return [drawable(item) for item in value] if isinstance(value, list) else value


def lasting(svg: str) -> str:
    """An SVG picture of Vega's whose words stay whole in any sans-serif font."""
    for prefix, space in (("", _SVG), ("xlink", "http://www.w3.org/1999/xlink")):
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.fromstring(svg)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    boxes = [(0.0, 0.0, width, height), *(_stated(word) for word in words(root))]
    left, top = (math.floor(min(box[i] for box in boxes)) for i in (0, 1))
    right, bottom = (math.ceil(max(box[i] for box in boxes)) for i in (2, 3))
    frame = {"width": f"{right - left}", "height": f"{bottom - top}"}
    root.attrib |= {**frame, "viewBox": f"{left} {top} {right - left} {bottom - top}"}
    for background in root.findall(f"{{{_SVG}}}rect"):
        background.attrib |= {**frame, "x": f"{left}", "y": f"{top}"}
    return ElementTree.tostring(root, encoding="unicode")


class Word(NamedTuple):
    """A line of text in a picture: its element, size [pixels], and where it is anchored and how turned."""

    element: ElementTree.Element
    text: str
    size: float
    bold: bool
    anchor: str
    x: float
    y: float
    degrees: float

    @property
    def is_halo(self) -> bool:
        """Whether it is the white edge below a text, and not the text."""
        return "stroke" in self.element.attrib

    def box(self, wide: bool) -> tuple[float, float, float, float]:
        """Left, top, right and bottom [pixels] of the text in a narrow or a wide font."""
        length = text_width(self.text, self.size, bold=self.bold, wide=wide)
        begin = {"middle": -length / 2, "end": -length}.get(self.anchor, 0.0)
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        corners = [(u, v) for u in (begin, begin + length) for v in (-self.size, 0.25 * self.size)]
        across = [self.x + u * cos - v * sin for u, v in corners]
        down = [self.y + u * sin + v * cos for u, v in corners]
        return min(across), min(down), max(across), max(down)


def words(root: ElementTree.Element) -> Iterator[Word]:
    """The lines of text of a picture."""

    def walk(element: ElementTree.Element, place: tuple[float, float, float]) -> Iterator[Word]:
        place = _moved(place, element.get("transform", ""))
        if element.tag != f"{{{_SVG}}}text":
            for child in element:
                yield from walk(child, place)
            return
        size = float(element.get("font-size", "11px").removesuffix("px"))
        style = (size, element.get("font-weight") == "bold", element.get("text-anchor", "start"))
        down = 0.0
        for line in list(element) or [element]:
            down += float(line.get("dy", 0)) if line is not element else 0.0
            x, y = _at(place, 0.0, down)
            if line.text:
                yield Word(line, line.text, *style, x, y, place[2])

    yield from walk(root, (0.0, 0.0, 0.0))


def _stated(word: Word) -> tuple[float, float, float, float]:
    """Write a text's length and fonts into its element; the room that it needs in any font."""
    if len(word.text) > 1:
        length = text_width(word.text, word.size, bold=word.bold)
        word.element.attrib |= {"textLength": f"{length:.1f}", "lengthAdjust": "spacingAndGlyphs"}
    if "font-family" in word.element.attrib:
        word.element.set("font-family", FONTS)
    left, top, right, bottom = word.box(wide=True)
    return left - AROUND, top - AROUND, right + AROUND, bottom + AROUND


def _moved(place: tuple[float, float, float], transform: str) -> tuple[float, float, float]:
    """A place (x, y, degrees) after the transforms of an element."""
    for kind, numbers in _TRANSFORM.findall(transform):
        values = [float(number) for number in re.split(r"[ ,]+", numbers.strip())]
        if kind == "rotate":
            place = (place[0], place[1], place[2] + values[0])
        else:
            place = (*_at(place, values[0], values[1] if len(values) > 1 else 0.0), place[2])
    return place


def _at(place: Sequence[float], right: float, down: float) -> tuple[float, float]:
    cos, sin = math.cos(math.radians(place[2])), math.sin(math.radians(place[2]))
    return place[0] + right * cos - down * sin, place[1] + right * sin + down * cos
