"""Each folder owns one noun and imports only nouns to its left; the wheel holds all of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.build import build_wheel

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "joulecast"
# Nouns of one group may not import each other either.
ORDER = [
    ("extras",),
    ("errors", "units", "presented", "records"),
    ("files", "boundary", "cluster"),
    ("uncertainty",),
    ("data",),
    ("architecture", "hardware", "runtime"),
    ("compute",),
    ("question",),
    ("runs",),
    ("measure", "law"),
    ("forecast",),
    ("footprint",),
    ("plan",),
    ("ledger",),
    ("workflows",),
    ("report",),
    ("joulecast",),  # the package itself: what `joulecast/__init__.py` offers
    ("web", "agents"),
    ("cli",),
    ("__main__",),
]
RANK = {noun: rank for rank, group in enumerate(ORDER) for noun in group}
HEAVY = {
    "torch", "diffusers", "transformers", "accelerate", "scipy", "pandas", "matplotlib", "statsmodels",
    "altair", "vl_convert", "ray", "polars", "mcp", "pydantic", "opentelemetry",
    "starlette", "uvicorn", "msgspec", "prometheus_client",
}  # fmt: skip
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in PACKAGE.rglob("*.py"))


def parts(module: str) -> tuple[str, ...]:
    """Dotted parts of a module given by its file, e.g. ``joulecast/data/__init__.py``."""
    return tuple(part for part in module.removesuffix(".py").split("/") if part != "__init__")


def noun(dotted: tuple[str, ...]) -> str:
    """What owns a dotted name: the module or folder under joulecast, or joulecast itself."""
    name = dotted[1] if len(dotted) > 1 else dotted[0]
    is_module = (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
    return name if name in RANK or is_module else dotted[0]


def imported(module: str, source: str) -> Iterator[str]:
    """Nouns of joulecast that a module's source imports, at the top or in a function."""
    package = parts(module) if module.endswith("/__init__.py") else parts(module)[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple((node.module or "").split(".")) if node.module else ()
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        yield from (noun(target) for target in targets if target[0] == "joulecast")


def misplaced(module: str, source: str) -> list[str]:
    """The nouns a module imports although they are not to its left."""
    own = noun(parts(module))
    return [name for name in imported(module, source) if name != own and RANK[name] >= RANK[own]]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_only_to_the_left(module: str) -> None:
    assert noun(parts(module)) in RANK, (
        "DESIGN: each folder owns one noun; give the new one its place in ORDER"
    )
    assert misplaced(module, (SOURCE / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("joulecast/units.py", "from joulecast.errors import InputError", ["errors"]),
        ("joulecast/errors.py", "def f():\n    import joulecast.runs", ["runs"]),
        ("joulecast/law/paper.py", "from ..measure import meters", ["measure"]),
        ("joulecast/runs.py", "from joulecast import data, hardware", []),
        ("joulecast/runs.py", "from joulecast import estimate", ["joulecast"]),
        ("joulecast/data/__init__.py", "from . import other\nfrom .. import law", ["law"]),
        ("joulecast/cli/parser.py", "import numpy\nfrom joulecast import __version__, plan", []),
    ],
)
def test_the_order_is_really_checked(module: str, source: str, expected: list[str]) -> None:
    assert misplaced(module, source) == expected


def module_imports(module: str) -> set[str]:
    """Modules of joulecast, by their files, that a module imports wherever it does, types aside."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
            files = [f"{name.replace('.', '/')}.py" for name in names]
            found |= {file for file in files if file in MODULES}
    return found - {module}


# Where one module of a folder looks up another that needs it, when it is asked: a seam, not a knot.
SEAMS = {("joulecast/law/roofline.py", "joulecast/law/breakdown.py")}


def test_no_imports_go_in_a_circle() -> None:
    """Not even those inside functions, the seams aside."""
    graph = {module: module_imports(module) for module in MODULES}
    for module, other in SEAMS:
        assert other in graph[module], f"{module} no longer needs its seam"
        graph[module] = graph[module] - {other}
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in sorted(graph[module]):
                walk(other, (*path, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


MOST_UNTYPED = 2.0  # for each 1,000 lines


def test_records_are_typed() -> None:
    """`dict[str, Any]` is what no record is."""
    texts = [(SOURCE / module).read_text(encoding="utf-8") for module in MODULES]
    untyped = sum(len(re.findall(r"(?:dict|Mapping)\[str, Any\]", text)) for text in texts)
    lines = sum(text.count("\n") for text in texts)
    assert 1000 * untyped / lines < MOST_UNTYPED


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running `code`."""
    report = "import sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_nothing_heavy() -> None:
    loaded = loaded_after("import joulecast, joulecast.cli.parser")
    assert "joulecast" in loaded
    assert loaded & HEAVY == set()


def test_an_estimate_loads_nothing_heavy() -> None:
    code = "import joulecast\njoulecast.estimate('sd1.5', gpu='A100', width=512, height=512, steps=20)"
    assert loaded_after(code) & HEAVY == set()


def test_the_wheel_holds_the_whole_package_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names = zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))).namelist()
    files = {
        path.relative_to(SOURCE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "joulecast/py.typed" in files
    assert {name for name in names if ".dist-info/" not in name} == files
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
