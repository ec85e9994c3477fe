"""A report as a folder: one self-contained page with its pictures inside, and the data beside it.

The page needs no other file, no network and no script; whatever a user wrote is escaped.
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulecast.errors import InputError
from joulecast.files.documents import inert
from joulecast.files.paths import check_output, shown_path
from joulecast.report import charts

STYLE = (
    "body{font-family:system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}"
    "html{color:#111;background:#fff}"
    "figure{margin:2em 0}figcaption{color:#444;margin-top:.5em}svg{max-width:100%;height:auto}"
    "pre{overflow-x:auto;font-size:12px;line-height:1.35}"
    "table{border-collapse:collapse;margin:1em 0;font-size:14px}"
    "th,td{text-align:left;padding:.25em .9em .25em 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "td{white-space:pre-wrap}"
    "td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
)
# Should a string slip through unescaped, a browser still runs and fetches nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
INDEX = "index.html"


@dataclass(frozen=True)
class Picture:
    """A chart with its caption; `name` is its file's, without ending."""

    name: str
    caption: str
    chart: Any

    def svg(self) -> str:
        """The picture as SVG text."""
        return charts.to_svg(self.chart)

    def spec(self) -> str:
        """Its specification as JSON, for notebooks and pages of one's own."""
        return json.dumps(self.chart.to_dict(), indent=1) + "\n"


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts that are HTML already."""
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
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


def bullets(items: Sequence[str]) -> str:
    """A list; nothing where it is empty."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>" if items else ""


def preformatted(text: str) -> str:
    """Text as it is."""
    return f"<pre>{html.escape(text)}</pre>"


def figure(svg: str, caption: str) -> str:
    """A picture inside the page."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """A table; the columns in `numbers` are flush right."""

    def line(cells: Sequence[str], tag: str) -> str:
        made = [
            f"<{tag}{' class=number' if i in numbers else ''}>{html.escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        ]
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(header, 'th')}</thead>\n<tbody>{body}</tbody></table>"


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
