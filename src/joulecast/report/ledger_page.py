"""A ledger as a folder: a page with its picture, its tables, and a manifest of what it was made from."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from joulecast.errors import MissingExtraError
from joulecast.extras import own_version
from joulecast.files.plain import json_text, plain
from joulecast.ledger.folder import CELLS, DRIFT, KIND, MANIFEST, SET_ASIDE, TOTALS, Folder
from joulecast.ledger.make import Ledger
from joulecast.ledger.partition import GPU, MODEL, RUNTIME
from joulecast.ledger.totals import drifts
from joulecast.report import page
from joulecast.report.charts import INK, WIDTH, altair, chart, finished
from joulecast.report.ledger_text import (
    DRIFTS,
    GROUPS,
    NOT_KNOWN,
    carbon_of,
    drift_record,
    facts,
    header_of,
    headline,
    notes,
    numbers_of,
    records_by,
    rows_by,
)
from joulecast.report.page import Picture
from joulecast.units import JOULES_PER_KILOWATT_HOUR

if TYPE_CHECKING:
    import altair as alt

MOST_DRAWN: Final = 40
MOST_LISTED: Final = 200  # of a table on the page


def write_ledger(ledger: Ledger, folder: Path) -> None:
    """Write a ledger's files, the manifest before the page. Raises InputError where that is not possible."""
    import polars as pl

    place = Folder(folder)
    place.table(CELLS, ledger.cells)
    by = ledger.by or GROUPS
    place.text(TOTALS, page.csv_text(records_by(ledger, by)))
    place.text(
        DRIFT,
        page.csv_text([drift_record(one) for one in drifts(ledger.cells)], DRIFTS),
    )
    place.table(SET_ASIDE, ledger.set_aside.with_columns(pl.col("reason").str.replace_all("\n", " ")))
    place.text(MANIFEST, json_text(plain(manifest(ledger))) + "\n")
    place.text(page.INDEX, _page(ledger))


def manifest(ledger: Ledger) -> dict[str, object]:
    """What a ledger was made from, and what it came to."""
    told = ledger.law.describe()
    return {
        "kind": KIND,
        "made_by": f"joulecast {own_version()}",
        "python": platform.python_version(),
        **facts(ledger),
        "law": {"name": told.name, "form": told.form, "runs": told.fitted_on.runs},
        "inputs": [{"file": p.path, "bytes": p.size, "sha256": p.digest} for p in ledger.partitions],
        "assumed": dict(ledger.assumed),
        "warned": dict(ledger.warned),
        "given_for_all": dict(ledger.filled),
    }


def _page(ledger: Ledger) -> str:
    parts = [page.headline(f"{headline(ledger)}.")]
    if ledger.cells.height:
        parts += _pictures(ledger)
        for by in dict.fromkeys((ledger.by or GROUPS, GROUPS)):
            parts += [page.heading(f"By {', '.join(by)}"), _table(ledger, by)]
    told = [f"{label}: {words}." for label, words in notes(ledger)]
    parts += [page.heading("How it was had"), page.bullets(told)]
    return page.page("Ledger of a service", parts)


def _table(ledger: Ledger, by: tuple[str, ...]) -> str:
    header, rows = header_of(by, carbon_of(ledger.cells) is not None), rows_by(ledger, by)
    shown = page.table(header, rows[:MOST_LISTED], numbers_of(by, header), f"by {', '.join(by)}")
    more = len(rows) - MOST_LISTED
    return shown + (page.paragraph(f"... and {more:,} more: see {TOTALS}") if more > 0 else "")


def _pictures(ledger: Ledger) -> list[str]:
    """The picture of the energies, where it can be drawn."""
    by = ledger.by or (MODEL, GPU, RUNTIME)
    try:
        drawn = Picture(
            "energy", f"GPU energy by {', '.join(by)}, with 90 % ranges.", energy_chart(ledger, by)
        )
        return [page.figure(drawn.svg(), drawn.caption)]
    except MissingExtraError as error:
        return [page.paragraph(f"No picture: {error}.")]


def energy_chart(ledger: Ledger, by: tuple[str, ...]) -> alt.TopLevelMixin:
    """GPU energy by what is grouped by, with its range; the largest MOST_DRAWN, in their order."""
    alt = altair()
    rows: list[dict[str, Any]] = [
        {
            "name": ", ".join(NOT_KNOWN if one[name] is None else str(one[name]) for name in by),
            **{
                end: float(str(one[f"energy{end}_j"])) / JOULES_PER_KILOWATT_HOUR
                for end in ("", "_low", "_high")
            },
        }
        for one in records_by(ledger, by)
    ]
    kept = {row["name"] for row in sorted(rows, key=lambda row: -row[""])[:MOST_DRAWN]}
    shown = [{**row, "kwh": row[""]} for row in rows if row["name"] in kept]
    place = alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    bars = (
        chart(alt, shown)
        .mark_bar(color="#4477AA")
        .encode(x=alt.X("kwh:Q", title="GPU energy [kWh]", scale=alt.Scale(zero=True)), y=place)
    )
    ends = chart(alt, shown).mark_rule(color=INK, strokeWidth=1.5).encode(x="_low:Q", x2="_high:Q", y=place)
    title = f"GPU energy by {', '.join(by)}" + (
        f", the {MOST_DRAWN} largest" if len(rows) > MOST_DRAWN else ""
    )
    return finished((bars + ends).properties(width=WIDTH - 200), title)
