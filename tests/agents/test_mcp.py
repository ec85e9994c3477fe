"""`joulecast mcp` with the protocol's own client: its tools, answers as the command line's, refusals."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

import joulecast
from command import Command, refused
from joulecast import extras
from joulecast.agents.server import _result
from joulecast.agents.tools import TOOLS

Talk = Callable[[ClientSession], Awaitable[None]]
SDXL = {"model": "sdxl", "gpu": "L4", "steps": 30}


def talk(with_client: Talk, folder: Path) -> None:
    """Start the server as an agent does, and talk to it."""

    async def session() -> None:
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "joulecast", "mcp"], env=dict(os.environ), cwd=folder
        )
        async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
            started = await client.initialize()
            assert (started.server_info.name, started.server_info.version) == (
                "joulecast", joulecast.__version__,
            )  # fmt: skip
            assert "predictions" in (started.instructions or "")
            await with_client(client)

    anyio.run(session)


async def told(client: ClientSession, name: str, /, **arguments: Any) -> tuple[bool, str]:
    """Whether a tool failed, and its text."""
    result = await client.call_tool(name, arguments)
    (content,) = result.content
    assert content.type == "text"
    assert "\n" not in content.text
    return result.is_error, content.text


async def answer(client: ClientSession, name: str, /, **arguments: Any) -> Any:
    is_error, text = await told(client, name, **arguments)
    assert not is_error, text
    return json.loads(text)


@pytest.mark.slow
def test_an_agent_asks_every_tool(tmp_path: Path, run: Command) -> None:
    (tmp_path / "mine.toml").write_text(run("gpus", "L4", "--toml").out, encoding="utf-8")
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    printed = json.loads(
        run("estimate", "sdxl", "--gpu", "L4", "--steps", "30", "--region", "FR", "--json").out
    )

    async def with_client(client: ClientSession) -> None:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == ["estimate", "what_if", "pareto", "plan", "models", "gpus"]
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in listed)

        found = await answer(client, "estimate", **SDXL, region="FR")
        for name in ("energy_j", "energy_low_j", "energy_high_j", "duration_s", "flop"):
            assert found[name] == pytest.approx(printed[name], rel=1e-5)
        assert found["footprint"]["carbon_g"] == pytest.approx(printed["footprint"]["carbon_g"], rel=1e-5)
        assert (found["warnings"], found["notes"]) == (printed["warnings"], printed["notes"])
        assert len(json.dumps(found)) < 4000
        whole = await answer(client, "estimate", **SDXL, region="FR", full=True)
        assert whole == printed

        found = await answer(client, "what_if", setting=SDXL, changes=[{"steps": 15}, {"gpu": "H100"}])
        assert [one["change"] for one in found["changes"]] == [{"steps": 15}, {"gpu": "H100"}]
        assert found["changes"][0]["measures"]["energy_j"]["ratio"]["value"] < 0.6

        found = await answer(client, "pareto", setting={**SDXL, "steps": [15, 30], "gpu": ["L4", "H100"]})
        assert found["compared"] == 4
        assert found["front"]
        assert {one["steps"] for one in found["front"]} == {15}

        service = {"name": "s", "images_per_day": 2400, "configurations": [{"model": "sdxl"}]}
        found = await answer(
            client, "plan", services=[service], gpus=[{"name": "L4"}], regions=[{"name": "FR"}]
        )
        assert found["assignments"]

        names = {one["name"] for one in await answer(client, "models", task="video")}
        assert "wan2.1-t2v-1.3b" in names
        assert "sdxl" not in names
        assert (await answer(client, "models", name="sdxl"))["hub_id"].startswith("stabilityai/")
        assert {one["vendor"] for one in await answer(client, "gpus", vendor="amd")} == {"AMD"}
        assert "sources" in await answer(client, "gpus", name="L4", full=True)

        for asked, words in (
            ({"model": "sdxk", "gpu": "L4"}, "unknown model 'sdxk'; did you mean sdxl"),
            ({"model": "sdxl", "gpu": "L4", "stepps": 3}, "did you mean steps"),
            ({"model": "sdxl"}, "gpu is missing"),
            ({**SDXL, "gpu": "mine.toml"}, "no file is read or written for a request"),
            ({**SDXL, "law": "mine.json"}, "no file is read or written for a request"),
            ({**SDXL, "hourly": "mine.json"}, "no file is read or written for a request"),
            ({**SDXL, "model": "mine.json"}, "mine.json"),
            ({**SDXL, "gpu": 5}, "gpu is text, not 5"),
            ({**SDXL, "region": ["FR"]}, "region is text"),
            ({**SDXL, "pue": {"a": 1}}, "pue is text or a number"),
            ({**SDXL, "steps": {}}, "steps must be a whole number, not {}"),
            ({**SDXL, "full": "yes"}, "full is true or false"),
            ({**SDXL, "images": 4}, "images are of a footprint"),
        ):
            is_error, text = await told(client, "estimate", **asked)
            assert is_error, asked
            assert words in text, asked
        assert await told(client, "estimat") == (
            True, "unknown tool 'estimat'; did you mean estimate? known: " + ", ".join(TOOLS),
        )  # fmt: skip

    talk(with_client, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_who_asks_is_not_told_of_this_computers_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor advised a file, where none is read."""
    monkeypatch.setattr("joulecast.extras._is_there", lambda module: module != "scipy")
    for tool, request, words in (
        ("plan", {}, "solving a plan needs the extra `plan`, which is not installed where joulecast answers"),
        ("estimate", {**SDXL, "gpu": "zzzz"}, "unknown GPU 'zzzz'; see `joulecast gpus`"),
    ):
        found = _result(tool, request)
        assert found.is_error
        (content,) = found.content
        assert content.text == words  # type: ignore[union-attr]


def test_without_the_extra_it_says_what_installs_it(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "mcp", {"no_such_module": "mcp"})
    refused(run("mcp"), "serving agents needs the extra `mcp`: pip install")
