"""A report as a folder: one self-contained page with its pictures inside, and the data beside it.

The page needs no other file, no network and no script; whatever a user wrote is escaped.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulecast.errors import InputError
from joulecast.files.paths import check_output, shown_path
from joulecast.files.tables import inert
from joulecast.report import charts

# Light or dark as the reader's system is; what is wider than the screen scrolls on its own.
STYLE = """
:root{color-scheme:light dark;--ink:#111;--soft:#444;--line:#ddd;--paper:#fff;--warn:#fff4d6;--grid:#ddd}
@media (prefers-color-scheme:dark){
:root{--ink:#e8e8e8;--soft:#b5b5b5;--line:#3a3d42;--paper:#16181c;--warn:#3a3118;--grid:#3a3d42}
figure svg>rect{fill:none}
figure text{fill:var(--ink)}
figure [stroke="#dddddd"],figure [stroke="#ddd"],figure [stroke="#cccccc"]{stroke:var(--grid)}
figure [stroke="#000000"],figure [stroke="#000"],figure [stroke="#444444"]{stroke:var(--ink)}
figure [fill="#000000"],figure [fill="#444444"]{fill:var(--ink)}
figure [stroke="white"]{stroke:var(--paper)}
}
html{color:var(--ink);background:var(--paper)}
body{font-family:system-ui,sans-serif;line-height:1.45;max-width:1100px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}
.headline{font-size:1.35em;line-height:1.3;font-weight:600;margin:.6em 0}
.warnings h2{font-size:1em;margin:.6em 0 0}
.warnings{background:var(--warn);border-left:4px solid #c90;padding:.2em 1em;margin:1em 0}
figure{margin:2em 0}
figcaption{color:var(--soft);margin-top:.5em}
.scroll{overflow-x:auto;max-width:100%}
.scroll:focus-visible{outline:2px solid #39f}
svg{max-width:100%;min-width:min(var(--width),900px);height:auto;display:block}
.narrow{display:none}
pre{overflow-x:auto;font-size:12px;line-height:1.35}
table{border-collapse:collapse;margin:1em 0;font-size:14px}
th,td{text-align:left;padding:.25em .9em .25em 0;border-bottom:1px solid var(--line);vertical-align:top}
td{white-space:pre-wrap}
td.short{white-space:pre}
td.long{min-width:15em}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
@media (max-width:760px){.has-narrow .wide{display:none}.narrow{display:block}body{margin:1em auto}
table{font-size:13px}th,td{padding-right:.6em}}
@media print{.scroll{overflow:visible}}
""".replace("\n", "")
# Should a string slip through unescaped, a browser still runs and fetches nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
INDEX = "index.html"
SHORT = 30  # letters of a cell that stays on one line


@dataclass(frozen=True)
class Picture:
    """A chart with its caption; `name` is its file's, without ending; `narrow` is for a telephone."""

    name: str
    caption: str
    chart: Any
    narrow: Any = None

    def svg(self) -> str:
        """The picture as SVG text."""
        return charts.to_svg(self.chart)

    def narrow_svg(self) -> str:
        """The picture for a telephone as SVG text; empty where there is none."""
        return "" if self.narrow is None else charts.to_svg(self.narrow)

    def spec(self) -> str:
        """Its specification as JSON, for notebooks and pages of one's own."""
        return json.dumps(self.chart.to_dict(), indent=1) + "\n"


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts that are HTML already."""
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>joulecast: {name}</title><style>{STYLE}</style></head>\n<body>\n<h1>{name}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def heading(words: str) -> str:
    """A heading."""
    return f"<h2>{html.escape(words)}</h2>"


def paragraph(words: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(words)}</p>"


def headline(words: str) -> str:
    """What a reader takes away."""
    return f'<p class="headline">{html.escape(words)}</p>'


def warnings(items: Sequence[str]) -> str:
    """What to beware of; nothing where there is none."""
    if not items:
        return ""
    return f'<section class="warnings" aria-label="Warnings"><h2>Beware</h2>{bullets(items)}</section>'


def bullets(items: Sequence[str]) -> str:
    """A list; nothing where it is empty."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>" if items else ""


def preformatted(text: str) -> str:
    """Text as it is."""
    return f"<pre>{html.escape(text)}</pre>"


def figure(svg: str, caption: str, narrow: str = "") -> str:
    """A picture inside the page, and another for narrow screens; screen readers hear its caption."""
    name = hashlib.sha256(svg.encode()).hexdigest()[:8]
    drawn = [("wide", svg), *([("narrow", narrow)] if narrow else [])]
    pieces = "".join(
        f'<div class="scroll {kind}" style="--width:{_width(text)}px" role="img" '
        f'aria-label="{html.escape(caption)}" tabindex="0">'
        f"{_own_ids(text, f'{kind}-{name}-')}</div>"
        for kind, text in drawn
    )
    has = ' class="has-narrow"' if narrow else ""
    return f'<figure{has}>{pieces}<figcaption aria-hidden="true">{html.escape(caption)}</figcaption></figure>'


def _width(svg: str) -> str:
    """The width of a picture [pixels], below which it scrolls where it is not very wide."""
    found = re.search(r'<svg[^>]* width="([\d.]+)"', svg)
    return found[1] if found else "0"


def _own_ids(svg: str, prefix: str) -> str:
    """A picture whose ids no other on the page has: those of the parts that others are clipped by."""
    return re.sub(r'(\bid="|url\(#)', rf"\g<1>{prefix}", svg)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = (), name: str = "table"
) -> str:
    """A table that scrolls on its own; the columns in `numbers` are flush right, `name` says what it is."""

    def line(cells: Sequence[str], tag: str) -> str:
        of = ' scope="col"' if tag == "th" else ""
        kinds = ["number" if i in numbers else _length(cell) for i, cell in enumerate(cells)]
        made = [
            f"<{tag}{of} class={kind}>{html.escape(cell)}</{tag}>"
            for kind, cell in zip(kinds, cells, strict=True)
        ]
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{html.escape(name)}" tabindex="0">'
        f"<table><thead>{line(header, 'th')}</thead>\n<tbody>{body}</tbody></table></div>"
    )


def _length(cell: str) -> str:
    """How a cell is broken into lines: one that is short, e.g. a name, is not."""
    return "short" if len(cell) <= SHORT else "long"


def csv_text(rows: Sequence[Mapping[str, object]], header: Sequence[str] | None = None) -> str:
    """Rows as CSV; the header is the first row's unless given."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(header or (rows[0] if rows else [])), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: inert(cell) for key, cell in row.items()} for row in rows)
    return text.getvalue()


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write a report's files, the page last; the files that were written.

    All are written aside first: a folder that is new appears whole, and in one that is there each file
    takes the place of the old one when it is whole. Raises InputError where that is not possible.
    """
    place = folder.resolve()  # a name also where the folder is "."
    aside = place.with_name(f".{place.name[:200]}.{os.getpid()}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        for name, text in files.items():
            if folder.exists():
                check_output(folder / name)
            (aside / name).write_text(text, encoding="utf-8")
        if not folder.exists():
            aside.rename(folder)
        else:
            for name in sorted(files, key=lambda name: name == INDEX):
                (aside / name).replace(folder / name)
    except OSError as error:
        raise InputError(f"cannot write the report to {shown_path(folder)}: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return [folder / name for name in files]


def check_folder(folder: Path) -> None:
    """Find out before long work whether pictures can be drawn and the folder made."""
    charts.check_extra()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--report {shown_path(folder)} is a file; give a folder")
