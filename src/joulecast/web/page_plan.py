"""A plan for the page: from the text of a demand file, with its pictures and its report."""

from __future__ import annotations

import io
import zipfile
from typing import Final

from joulecast import __version__
from joulecast.errors import InputError
from joulecast.extras import missing
from joulecast.files.documents import parse_toml
from joulecast.plan.demand import MOST_BYTES
from joulecast.report.decisions.plan_page import assignments, pictures, plan_data, plan_files
from joulecast.report.decisions.plan_text import totals
from joulecast.report.merged import merged
from joulecast.web.plans import Planned, planned

FOLDER: Final = "plan"


def of_text(text: str) -> Planned:
    """The plan of a demand file's text. Raises what `planned` raises, and InputError for what is no TOML."""
    if len(text) > MOST_BYTES:
        raise InputError(f"the demand has {len(text):,} characters; at most {MOST_BYTES:,} are read")
    return planned(parse_toml(text, "the demand", "hours = 24"))


def told(found: Planned) -> dict[str, object]:
    """A plan as data and as text, with its pictures where they can be drawn."""
    demand, plan = found
    drawn = [] if missing(("plot",)) else pictures(plan, demand)
    return {
        "plan": plan_data(plan, demand),
        "totals": [list(row) for row in totals(plan)],
        "assignments": assignments(plan),
        "warnings": merged(plan.warnings),
        "pictures": [
            {"name": one.name, "caption": one.caption, "svg": one.svg(), "narrow": one.narrow_svg()}
            for one in drawn
        ],
    }


def report(text: str, found: Planned) -> bytes:
    """The same as `joulecast plan --report` writes it, as one ZIP file. Raises MissingExtraError."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in plan_files(found.plan, found.demand, text, f"joulecast {__version__}").items():
            packed.writestr(f"{FOLDER}/{name}", content)
    return whole.getvalue()
