"""What others build from the sources: a container, a conda package, an sdist. No container is built here: its
file is read, its paths are looked up and its command lines are given to the programs that would run them."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading
import tomllib
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from hatchling.build import build_sdist, build_wheel
from packaging.requirements import Requirement

import joulecast
from joulecast.cli.parser import command_parser
from joulecast.web.app import create_app
from joulecast.web.asking import Defaults

ROOT = Path(__file__).parents[2]
BUILD: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = BUILD["project"]
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / "recipe/recipe.yaml").read_text(encoding="utf-8"))
HEALTH = "/v1/health"


class Line(NamedTuple):
    """An instruction of a container file, and what it is given."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """What it is given: as JSON has it, else as a shell reads it."""
        found = self.rest.removeprefix("CMD").strip() if self.name == "HEALTHCHECK" else self.rest
        return list(json.loads(found)) if found.startswith("[") else shlex.split(found)


def instructions() -> list[Line]:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    whole = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [Line(*line.split(None, 1)) for line in whole.splitlines() if line.strip()]


LINES = instructions()
STARTS = [place for place, line in enumerate(LINES) if line.name == "FROM"]
LAST = LINES[STARTS[-1] :]  # the stage that is kept
COPIED = [line.words for line in LINES if line.name == "COPY" and not line.rest.startswith("--from")]


def one(name: str) -> Line:
    (found,) = (line for line in LAST if line.name == name)
    return found


def health_command() -> list[str]:
    rest = one("HEALTHCHECK").rest
    return list(json.loads(rest[rest.index("[") :]))


# --- the container --------------------------------------------------------------------------------


def test_its_base_is_a_slim_python_that_is_tested() -> None:
    tested = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    bases = {LINES[place].words[0] for place in STARTS}
    (base,) = bases
    found = re.fullmatch(r"docker\.io/library/python:(3\.\d+)-slim-[a-z]+", base)
    assert found
    assert found[1] in tested


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last line that matches it, or a folder of it, says."""
    found = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if line and not line.startswith("#"):
            parents = [path, *(p.as_posix() for p in Path(path).parents if p.as_posix() != ".")]
            if any(
                fnmatch.fnmatch(each, pattern) or fnmatch.fnmatch(Path(each).name, pattern)
                for each in parents
            ):
                found = not line.startswith("!")
    return found


def test_what_is_copied_is_there_and_is_let_in() -> None:
    sources = [source for *sources, _ in COPIED for source in sources]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    assert not ignored("src/joulecast/cli/serve.py")
    assert all(map(ignored, (".git/config", ".venv-test/bin/python", "tests/conftest.py", "docs/serve.md")))
    assert ignored("src/joulecast/__pycache__/units.pyc")


def test_what_is_copied_makes_the_whole_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for *sources, target in COPIED:
        for source in sources:
            here, there = ROOT / source, tmp_path / target.strip("/")
            if here.is_dir():
                shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                there.mkdir(parents=True, exist_ok=True)
                shutil.copy(here, there)
    monkeypatch.chdir(tmp_path / "source")
    made = names_of_wheel(tmp_path)
    monkeypatch.chdir(ROOT)
    assert made == names_of_wheel(tmp_path)


def names_of_wheel(folder: Path) -> set[str]:
    """The files of a wheel that is built from the folder one is in."""
    return set(zipfile.ZipFile(folder / build_wheel(str(folder))).namelist())


def test_the_extras_that_it_installs_are_the_projects() -> None:
    (install,) = (line.rest for line in LINES if line.name == "RUN" and "pip install" in line.rest)
    (wanted,) = (
        Requirement(f"x{word.removeprefix('/source')}") for word in shlex.split(install) if "[" in word
    )
    assert "web" in wanted.extras
    assert wanted.extras <= set(PROJECT["optional-dependencies"])
    assert "-c /source/constraints.txt" in install


def test_it_does_not_run_as_root() -> None:
    user = one("USER").rest
    assert int(user) > 0
    assert any(f"--uid {user} " in line.rest for line in LAST if line.name == "RUN")
    names = [line.name for line in LAST]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_our_own_parser_takes_its_command_line() -> None:
    program, command, *arguments = one("ENTRYPOINT").words
    assert (program, command) == ("joulecast", "serve")
    options = command_parser("serve").parse_args(arguments)
    assert options.host == "0.0.0.0"
    assert options.port == one("EXPOSE").rest
    more = command_parser("serve").parse_args([*arguments, "--gpu", "H100"])  # what `podman run` adds
    assert more.gpu == "H100"


def test_its_health_is_asked_where_the_service_answers() -> None:
    (url,) = re.findall(r"'(http[^']*)'", health_command()[-1])
    assert url == f"http://127.0.0.1:{one('EXPOSE').rest}{HEALTH}"
    assert any(getattr(route, "path", "") == HEALTH for route in create_app(Defaults()).routes)


@pytest.mark.parametrize(("status", "is_well"), [(200, True), (503, False), (None, False)])
def test_its_health_check_fails_where_nothing_answers(status: int | None, is_well: bool) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if status and self.path == HEALTH else 404)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        port = server.server_port
        program, *arguments = health_command()
        assert program == "python"
        given = [text.replace(f":{one('EXPOSE').rest}/", f":{port}/") for text in arguments]
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.handle_request, daemon=True).start()
        done = subprocess.run([sys.executable, *given], capture_output=True, timeout=30)
    assert (done.returncode == 0) == is_well, done.stderr


# --- the conda package ----------------------------------------------------------------------------

# What conda-forge calls otherwise than PyPI does.
ON_CONDA = {"prometheus-client": "prometheus_client", "ray": "ray-core", "torch": "pytorch"}


def on_conda(requirement: str) -> str:
    known = Requirement(requirement)
    bounds = sorted(map(str, known.specifier), key=lambda bound: bound.startswith("<"))
    return f"{ON_CONDA.get(known.name, known.name)} {','.join(bounds)}"


def test_the_recipe_is_of_this_version_and_these_requirements() -> None:
    known = RECIPE["context"]
    assert known["version"] == PROJECT["version"]
    assert PROJECT["requires-python"] == f">={known['python_min']}"
    needs = RECIPE["requirements"]
    assert needs["run"] == ["python >=${{ python_min }}", *map(on_conda, PROJECT["dependencies"])]
    assert needs["host"] == [
        "python ${{ python_min }}.*",
        "pip",
        *map(on_conda, BUILD["build-system"]["requires"]),
    ]
    optional = {
        on_conda(text)
        for extra, texts in PROJECT["optional-dependencies"].items()
        for text in texts
        if extra != "dev"
    }
    assert needs["run_constraints"] == sorted(optional)


def test_the_recipe_makes_the_same_command_and_says_the_same() -> None:
    commands = [f"{name} = {where}" for name, where in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == commands
    about = RECIPE["about"]
    assert (about["license"], about["license_file"]) == (PROJECT["license"], *PROJECT["license-files"])
    assert about["summary"] == PROJECT["description"]
    assert (ROOT / "recipe" / RECIPE["source"]["path"]).resolve() == ROOT


def test_the_command_that_the_recipe_tests_runs(run: Any) -> None:
    (script,) = (test["script"] for test in RECIPE["tests"] if "script" in test)
    for line in script:
        program, *arguments = shlex.split(line)
        assert program == "joulecast"
        assert run(*arguments).status == 0


# --- a release ------------------------------------------------------------------------------------


def test_every_place_says_the_same_version() -> None:
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    node = tomllib.loads((ROOT / "integrations/comfyui/pyproject.toml").read_text(encoding="utf-8"))
    assert joulecast.__version__ == version
    assert citation["version"] == version
    assert node["project"]["version"] == version
    (newest,) = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[
        :1
    ]
    assert version in newest


def test_an_sdist_makes_the_same_wheel_as_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    whole = names_of_wheel(tmp_path)
    with tarfile.open(tmp_path / build_sdist(str(tmp_path))) as sdist:
        sdist.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"joulecast-{PROJECT['version']}"
    for needed in (
        "Containerfile",
        ".dockerignore",
        "recipe/recipe.yaml",
        "docs/notebooks/first-steps.ipynb",
    ):
        assert (unpacked / needed).is_file(), needed
    monkeypatch.chdir(unpacked)
    assert names_of_wheel(tmp_path) == whole
