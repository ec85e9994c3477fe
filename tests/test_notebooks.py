"""The notebooks of docs/: files of their format, without outputs, whose code runs from top to bottom."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
MOST_CPU_S = 5.0  # mostly imports for pictures; a reader who tries it waits no longer
CELL_ID = re.compile(r"[a-zA-Z0-9-_]{1,64}")  # as the format has it since 4.5
OF_CELLS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def code(path: Path) -> Iterator[str]:
    yield from ("".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "code")


def test_there_are_some() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first-steps.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_of_format_4_5(path: Path) -> None:
    """As nbformat's schema has it; nbformat itself would bring Jupyter's packages."""
    notebook = read(path)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert {"name", "display_name"} <= set(notebook["metadata"]["kernelspec"])
    for cell in notebook["cells"]:
        assert set(cell) == OF_CELLS[cell["cell_type"]]
        assert CELL_ID.fullmatch(cell["id"])
        assert cell["source"]
        assert all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_holds_no_outputs(path: Path) -> None:
    """They would be numbers of a law that has moved on."""
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    text = "".join(line for cell in read(path)["cells"] for line in cell["source"])
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_first_steps_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    begun = time.process_time()
    for number, text in enumerate(code(ROOT / "docs/notebooks/first-steps.ipynb"), 1):
        exec(compile(text, f"cell {number}", "exec"), names)
    assert time.process_time() - begun < MOST_CPU_S
    told = capsys.readouterr().out
    for words in ("of the energy", "GPU energy falls by", "J an image"):
        assert words in told
    assert names["estimate"].workload.steps == 28
    drawn = names["chart"].to_dict()
    assert len(drawn["data"]["values"]) == len(names["settings"])
    assert {row["on the front"] for row in drawn["data"]["values"]} == {"yes", "no"}
    assert list(tmp_path.iterdir()) == []
