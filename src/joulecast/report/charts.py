"""Pictures as Altair specifications, saved as SVG or PNG without a browser (extra `plot`).

One specification serves files, notebooks and pages. A colour means one thing on a page: GPUs, regions and
parts of the energy have colours of their own, and what is alone is grey. Those of GPUs are Okabe and Ito's,
which people with colour-blindness tell apart; shapes and order repeat what colours say.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.errors import InputError, MissingExtraError, shown
from joulecast.report.letters import FONT, drawable, lasting, wrapped

if TYPE_CHECKING:
    import altair as alt

BLACK, GREY = "#000000", "#999999"
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9",
)  # fmt: skip
GPU_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
REGION_COLOURS = ("#AA4499", "#CCBB44", "#3BA7B5", "#77702C", "#F0B5C4", "#332288", "#77AADD")
# Parts of the energy: browns and slates, which no GPU and no region has.
PART_PALETTE = ("#5B3A1E", "#A0713C", "#D2AE78", "#8FA3AD", "#4F6470", "#E3CFA8")
INK, PALE = "#444444", "#BBBBBB"  # of what is alone on its picture
TITLE_SIZE = 13
WIDTH = 620  # of a picture [pixels], without its legends
_PLACE = re.compile(r"translate\((-?[\d.]+(?:e-?\d+)?),(-?[\d.]+(?:e-?\d+)?)\)")
_MARK = re.compile(r'<path transform="translate\(([^,)]+),([^)]+)\)" (d="[^>]*?) ?/>')
NARROW = 330  # of a picture for a telephone [pixels], legends and all


def check_extra() -> None:
    """Raise MissingExtraError when the extra `plot` is not installed."""
    altair()
    _converter()


def to_svg(chart: alt.TopLevelMixin) -> str:
    """A picture as SVG text. Raises MissingExtraError without the extra `plot`."""
    text: str = _converter().vegalite_to_svg(drawable(chart.to_dict()))
    return marks_once(lasting(_PLACE.sub(_shorter, text)))


def _shorter(place: re.Match[str]) -> str:
    """To a hundredth of a pixel: pictures with a dot a run lie in repositories and pages."""
    return f"translate({round(float(place[1]), 2):g},{round(float(place[2]), 2):g})"


def marks_once(svg: str) -> str:
    """The same picture with each mark that stands in several places defined once, and named by what it is.

    So a dot a run takes a third of the space, and pictures that lie in one page may share their marks.
    """
    often = {look for look, times in Counter(look for *_, look in _MARK.findall(svg)).items() if times > 2}
    names = {look: f"m{zlib.crc32(look.encode()):x}" for look in sorted(often)}
    marks = "".join(f'<path id="{name}" {look}/>' for look, name in names.items())

    def used(mark: re.Match[str]) -> str:
        x, y, look = mark.groups()
        return f'<use href="#{names[look]}" x="{x}" y="{y}"/>' if look in names else mark[0]

    head, end, body = _MARK.sub(used, svg).partition(">")
    return f"{head}{end}<defs>{marks}</defs>{body}" if marks else svg


def save(chart: alt.TopLevelMixin, path: Path, suffix: str | None = None) -> None:
    """Write a picture as .svg or .png; `suffix` says which where the path does not.

    Raises
    ------
    InputError
        The path ends otherwise.
    MissingExtraError
        The extra `plot` is not installed.
    """
    if check_picture(path if suffix is None else Path(f"picture{suffix}")) == ".svg":
        path.write_text(to_svg(chart), encoding="utf-8")
    else:
        path.write_bytes(_converter().vegalite_to_png(drawable(chart.to_dict()), scale=2))


def check_picture(path: Path) -> str:
    """The ending of a picture's path, .svg or .png; InputError for another."""
    suffix = path.suffix.casefold()
    if suffix not in (".svg", ".png"):
        raise InputError(f"{shown(path.name)}: a picture ends in .svg or .png")
    return suffix


def altair() -> Any:
    """The library that writes specifications. Raises MissingExtraError without the extra `plot`."""
    try:
        import altair as library
    except ImportError:
        raise MissingExtraError("plot", "drawing pictures") from None
    return library


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise MissingExtraError("plot", "drawing pictures") from None
    return vl_convert


def chart(alt: Any, rows: Sequence[Mapping[str, object]]) -> Any:
    """A chart of rows that lie in its specification."""
    return alt.Chart(alt.InlineData(values=list(rows)))


def finished(drawn: Any, title: str, width: float = WIDTH, legend_below: bool = False) -> alt.TopLevelMixin:
    """A chart with its title, in lines of at most `width` [pixels], and the style that all have."""
    lines = wrapped(title, TITLE_SIZE, width, bold=True)
    below = {"orient": "bottom", "direction": "vertical", "columns": 1, "offset": 8} if legend_below else {}
    whole: alt.TopLevelMixin = (
        drawn.properties(title=lines if len(lines) > 1 else title, background="white")
        .configure(font=FONT, padding=8)
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal", gridColor="#dddddd")
        .configure_legend(labelFontSize=12, titleFontSize=12, symbolSize=90, labelLimit=260, **below)
        .configure_title(
            fontSize=TITLE_SIZE,
            anchor="start",
            frame="group",
            subtitleFontSize=11,
            subtitleColor=INK,
            offset=10,
        )
        .configure_view(stroke="#cccccc")
    )
    return whole
