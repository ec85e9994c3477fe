"""Pictures as Altair specifications, saved as SVG or PNG without a browser (extra `plot`).

One specification serves files, notebooks and pages. Colours are Okabe and Ito's, which people with
colour-blindness tell apart; shapes repeat what colours say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.errors import InputError, MissingExtraError, shown

if TYPE_CHECKING:
    import altair as alt

BLACK, GREY = "#000000", "#999999"
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9",
)  # fmt: skip


def check_extra() -> None:
    """Raise MissingExtraError when the extra `plot` is not installed."""
    altair()
    _converter()


def to_svg(chart: alt.TopLevelMixin) -> str:
    """A picture as SVG text. Raises MissingExtraError without the extra `plot`."""
    text: str = _converter().vegalite_to_svg(chart.to_dict())
    return text


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
        path.write_bytes(_converter().vegalite_to_png(chart.to_dict(), scale=2))


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


def finished(drawn: Any, title: str) -> alt.TopLevelMixin:
    """A chart with its title and the style that all have."""
    whole: alt.TopLevelMixin = (
        drawn.properties(title=title, background="white")
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal", gridColor="#dddddd")
        .configure_legend(labelFontSize=12, titleFontSize=12, symbolSize=90)
        .configure_title(fontSize=13, anchor="start", subtitleFontSize=11, subtitleColor="#444444")
        .configure_view(stroke="#cccccc")
    )
    return whole
