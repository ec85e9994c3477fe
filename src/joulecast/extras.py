"""What is installed: joulecast's version, optional dependencies, and what installs those that are missing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

# The modules of each extra that are imported, and the distributions that bring them.
EXTRAS: Final[Mapping[str, Mapping[str, str]]] = {
    "trace": {name: name for name in ("torch", "diffusers", "transformers", "accelerate")},
    "fit": {"scipy": "scipy"},
    "plan": {"scipy": "scipy"},
    "parquet": {"pyarrow": "pyarrow"},
    "plot": {"altair": "altair", "vl_convert": "vl-convert-python"},
    "measure": {"pynvml": "nvidia-ml-py"},
    "fleet": {"ray": "ray"},
    "ledger": {"polars": "polars"},
    "web": {
        "starlette": "starlette",
        "uvicorn": "uvicorn",
        "msgspec": "msgspec",
        "prometheus_client": "prometheus-client",
    },
    "mcp": {"mcp": "mcp"},
    "otel": {"opentelemetry": "opentelemetry-api"},
}
ON_AN_INDEX = False  # whether pip finds joulecast by its name: docs/releasing.md says when this is switched
CHECKOUT: Final = Path(__file__).resolve().parents[2]  # where this runs from the sources


def own_version() -> str:
    """joulecast's version; it may be run without being installed."""
    try:
        return metadata.version("joulecast")
    except metadata.PackageNotFoundError:
        return "not installed"


def missing(extras: Iterable[str]) -> tuple[str, ...]:
    """Those of some extras that are not installed, or not wholly."""
    return tuple(extra for extra in extras if not all(map(_is_there, EXTRAS[extra])))


def install_command(extras: Iterable[str]) -> str:
    """What installs some extras: from the sources joulecast came from, else the packages themselves.

    Never joulecast's bare name for an index to look up before it is there, where nobody knows what would be
    found.
    """
    names, pip = tuple(extras), pip_command()
    wanted = ",".join(names)
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"{pip} install -e {_quoted(_place(CHECKOUT), wanted)}"
    came_from = _came_from()
    if came_from.startswith("file:"):
        from urllib.parse import unquote, urlsplit

        folder = Path(unquote(urlsplit(came_from).path))
        if (folder / "pyproject.toml").is_file():
            return f"{pip} install {_quoted(_place(folder), wanted)}"
        if folder.is_file():
            return f"{pip} install 'joulecast[{wanted}] @ {came_from}'"
    elif came_from:
        return f"{pip} install 'joulecast[{wanted}] @ {came_from}'"
    if ON_AN_INDEX:
        return f"{pip} install {_quoted('joulecast', wanted)}"
    return f"{pip} install " + " ".join(
        dict.fromkeys(name for extra in names for name in EXTRAS[extra].values())
    )


def pip_command() -> str:
    """How a shell calls a pip that installs for the Python that runs this, also where its environment is not
    active, so that the shell finds another's, or has no pip of its own."""
    import shlex
    import shutil

    found = shutil.which("pip")
    if found and Path(found).parent == Path(sys.executable).parent:
        return "pip"
    python = shlex.quote(sys.executable)
    return f"{python} -m pip" if _is_there("pip") else f"pip --python {python}"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # it is imported, and was not found by a search
        return True


def _quoted(place: str, extras: str) -> str:
    return f"'{place}[{extras}]'"


def _place(folder: Path) -> str:
    """A folder as it may be typed here."""
    return "." if folder == Path.cwd() else os.fspath(folder)


def _came_from() -> str:
    """The URL that pip was given (PEP 610), for pip to be given again; empty where it was a name."""
    from importlib import metadata

    try:
        text = metadata.distribution("joulecast").read_text("direct_url.json")
        found = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    url, version = str(found.get("url", "")), found.get("vcs_info")
    return f"{version['vcs']}+{url}@{version['commit_id']}" if version else url
