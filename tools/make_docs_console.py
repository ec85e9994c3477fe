"""Print anew what the documentation shows of commands: after a law or a table has changed.

    python tools/make_docs_console.py [PAGE ...]

Runs every ``$ joulecast`` line of the pages' console blocks, in a fresh folder with the page's files, and
puts what it prints in place of what was shown; commands that show nothing stay so. What the prose says of
those numbers is for a person to read again.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

from docs_blocks import BLOCK, arguments_of, commands  # noqa: E402
from joulecast.cli import main as joulecast  # noqa: E402
from make_docs import prose  # noqa: E402


def printed(line: str) -> str:
    """What a command prints."""
    out, status = io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            joulecast(arguments_of(line))
        except SystemExit as ended:
            status = ended.code
    if status:
        raise SystemExit(f"{line}\n{errors.getvalue()}")
    return "".join(part.rstrip() + "\n" for part in out.getvalue().rstrip().splitlines())


def refreshed(page: Path, folder: Path) -> str:
    """A page's text with what its commands print now, each block in its turn."""
    text = page.read_text(encoding="utf-8")
    out, end = "", 0
    for match in BLOCK.finditer(text):
        kind, body = match["kind"], match["text"]
        if match["file"]:
            (folder / match["file"]).write_text(body, encoding="utf-8")
        elif kind == "console":
            body = "".join(
                f"$ {one.line}\n{printed(one.line) if one.output else _run(one.line)}"
                + ("\n" if one.output.endswith("\n\n") else "")
                for one in commands(body)
            )
        out += text[end : match.start("text")] + body
        end = match.end("text")
    return out + text[end:]


def _run(line: str) -> str:
    printed(line)
    return ""


def main(names: list[str]) -> None:
    """Refresh the pages named, or all."""
    os.environ["NO_COLOR"] = "1"
    os.environ.pop("COLUMNS", None)
    for page in [ROOT / name for name in names] or prose():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            made = refreshed(page, Path(folder))
        page.write_text(made, encoding="utf-8")
        print(page.relative_to(ROOT), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
