"""The command line, run in a fresh folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command, Done

from joulecast.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in a fresh folder: its exit status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def running(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return running
