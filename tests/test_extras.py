"""What is not installed is named all at once, with a command that works from where a person stands."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement

from command import Command, refused
from joulecast import extras
from joulecast.errors import MissingExtraError, check_extras
from joulecast.extras import EXTRAS, install_command, missing, pip_command

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL: dict[str, list[Requirement]] = {
    extra: [Requirement(text) for text in texts] for extra, texts in PROJECT["optional-dependencies"].items()
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """joulecast as if it had been installed from somewhere, not run from its sources."""

    def come_from(origin: dict[str, object] | None) -> None:
        text = None if origin is None else json.dumps(origin)
        monkeypatch.setattr(extras, "CHECKOUT", tmp_path / "lib")
        found = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
        monkeypatch.setattr("importlib.metadata.distribution", lambda name: found)

    return come_from


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with a space in its name."""
    made = tmp_path / "my joulecast"
    made.mkdir()
    (made / "pyproject.toml").write_text("")
    return made


def test_the_table_is_the_projects() -> None:
    users = {extra: {one.name for one in found} for extra, found in OPTIONAL.items() if extra != "dev"}
    assert {extra: set(modules.values()) for extra, modules in EXTRAS.items()} == users


def test_from_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert install_command(["plan"]) == f"pip install -e '{ROOT}[plan]'"
    monkeypatch.chdir(ROOT)
    assert install_command(["trace", "measure"]) == "pip install -e '.[trace,measure]'"


def test_by_its_name_only_once_an_index_has_it(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one place that a release switches (docs/releasing.md)."""
    installed(None)
    assert install_command(["plan"]) == "pip install scipy"
    monkeypatch.setattr(extras, "ON_AN_INDEX", True)
    assert install_command(["plan", "plot"]) == "pip install 'joulecast[plan,plot]'"
    monkeypatch.setattr(extras, "CHECKOUT", ROOT)
    monkeypatch.chdir(ROOT)
    assert install_command(["plan"]) == "pip install -e '.[plan]'"


def test_from_a_folder(installed: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed({"url": folder.as_uri(), "dir_info": {}})
    assert install_command(["plan"]) == f"pip install '{folder}[plan]'"
    monkeypatch.chdir(folder)
    assert install_command(["plan"]) == "pip install '.[plan]'"


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (
            {"url": "https://example.org/j.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'joulecast[plan,plot] @ git+https://example.org/j.git@abc'",
        ),
        (
            {"url": "https://example.org/j-0.1.whl", "archive_info": {}},
            "pip install 'joulecast[plan,plot] @ https://example.org/j-0.1.whl'",
        ),
        ({"url": "file:///gone/away", "dir_info": {}}, "pip install scipy altair vl-convert-python"),
        ({"url": "file:///gone/j-0.1.whl", "archive_info": {}}, "pip install scipy altair vl-convert-python"),
        (None, "pip install scipy altair vl-convert-python"),  # from an index, or a folder of wheels
        ({}, "pip install scipy altair vl-convert-python"),
    ],
)
def test_from_elsewhere(installed: Any, origin: dict[str, object] | None, command: str) -> None:
    installed(origin)
    assert install_command(["plan", "plot"]) == command


def test_from_a_wheel_that_is_there(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "joulecast-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command(["fit"]) == f"pip install 'joulecast[fit] @ {wheel.as_uri()}'"


@pytest.mark.parametrize(
    ("found", "has_pip", "command"),
    [
        ("/opt/my env/bin/pip", True, "pip"),
        ("/usr/bin/pip", True, "'/opt/my env/bin/python' -m pip"),
        (None, True, "'/opt/my env/bin/python' -m pip"),
        ("/usr/bin/pip", False, "pip --python '/opt/my env/bin/python'"),
    ],
)
def test_what_is_installed_goes_where_joulecast_runs(
    monkeypatch: pytest.MonkeyPatch, found: str | None, has_pip: bool, command: str
) -> None:
    """Also where the environment is not active, so that a shell finds the pip of another."""
    monkeypatch.setattr(sys, "executable", "/opt/my env/bin/python")
    monkeypatch.setattr("shutil.which", lambda name: found)
    monkeypatch.setattr(extras, "_is_there", lambda module: has_pip)
    monkeypatch.setattr(extras, "pip_command", pip_command)  # not that of the fixture of all tests
    assert pip_command() == command
    assert install_command(["plan"]).startswith(f"{command} install -e '")


def test_all_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("diffusers", "pynvml", "altair"):
        monkeypatch.setitem(sys.modules, module, None)
    assert missing(["trace", "plan", "measure", "plot"]) == ("trace", "measure", "plot")
    with pytest.raises(
        MissingExtraError, match=r"^all needs the extras `trace` and `measure` and `plot`: pip"
    ):
        check_extras("all", "trace", "plan", "measure", "plot")
    check_extras("planning", "plan")


def test_a_stand_in_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", ModuleType("pynvml"))
    assert missing(["measure"]) == ()


RUNS = Path(extras.__file__).parent / "data" / "runs" / "paper_a100.csv"
DEMAND = """
[plan]
hours = 2
[[services]]
name = "a"
images_per_day = 100
[[services.configurations]]
model = "sdxl"
[[gpus]]
name = "L4"
[[regions]]
name = "FR"
"""


@pytest.mark.parametrize(
    ("command", "modules", "words"),
    [
        (("measure", "sdxl"), ("torch", "pynvml"), "`trace` and `measure`"),
        (("campaign", "run", "calibrate"), ("transformers", "pynvml"), "`trace` and `measure`"),
        (("plan", "demand.toml", "--report", "out"), ("scipy", "altair"), "`plan` and `plot`"),
        (("plan", "demand.toml"), ("scipy", "altair"), "the extra `plan`:"),
        (("validate", "--report", "out"), ("scipy", "vl_convert"), "`fit` and `plot`"),
        (("validate",), ("scipy",), "holding out needs the extra `fit`:"),
        (("validate", "--law", "paper"), ("scipy",), "holding out needs the extra `fit`:"),
        (("fit", "runs.csv", "--out", "law.json"), ("scipy",), "fitting this law needs the extra `fit`:"),
    ],
)
def test_commands_name_all_they_need(
    run: Command,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    modules: tuple[str, ...],
    words: str,
) -> None:
    Path("demand.toml").write_text(DEMAND)
    Path("runs.csv").write_text(RUNS.read_text(encoding="utf-8"))
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    refused(run(*command), words, "pip install")


def test_what_is_tested_is_within_the_bounds() -> None:
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    for extra, found in OPTIONAL.items():
        for one in found:
            assert one.name not in pinned or one.specifier.contains(pinned[one.name]), (extra, str(one))


@pytest.mark.parametrize("name", ["transformers", "diffusers", "altair", "ray", "accelerate"])
def test_what_breaks_with_a_major_has_an_upper_bound(name: str) -> None:
    stated = [one for found in OPTIONAL.values() for one in found if one.name == name]
    assert stated
    assert all(any(part.operator == "<" for part in one.specifier) for one in stated)


def test_no_page_and_no_message_names_a_package_for_an_index_to_look_up() -> None:
    """The name is not published: anybody could take it. A folder of wheels beside a command holds it."""
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")):
        for line in path.read_text().splitlines():
            if re.search(r"pip install\b.*['\" ]joulecast(\[|['\" ]|$)", line) and "find-links" not in line:
                assert " @ " in line, f"{path}: {line}"
