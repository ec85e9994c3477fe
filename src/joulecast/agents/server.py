"""The protocol that agents speak (Model Context Protocol), over standard input and output."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import Any

import anyio
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from joulecast import __version__
from joulecast.agents.tools import TOOLS, answered
from joulecast.errors import JoulecastError

INSTRUCTIONS = (
    "Energy, time and carbon of images and videos made by diffusion models, before they are made. Figures "
    "are predictions with 90 % intervals, of the GPU boards alone unless a region is given: state both. "
    "Energies are in J (3600 J are 1 Wh), times in s."
)
_log = logging.getLogger("joulecast.agents")

Context = ServerRequestContext[Any, Any]


def serve() -> None:
    """Answer requests until standard input ends."""
    anyio.run(_serve)


async def _serve() -> None:
    server: Server[Any] = Server(
        "joulecast",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=_listed,
        on_call_tool=partial(_called, anyio.CapacityLimiter(1)),
    )
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def _listed(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    hints = types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    return types.ListToolsResult(
        tools=[
            types.Tool(name=name, description=tool.summary, input_schema=tool.schema, annotations=hints)
            for name, tool in TOOLS.items()
        ]
    )


async def _called(
    one_at_a_time: anyio.CapacityLimiter, _: Context, asked: types.CallToolRequestParams
) -> types.CallToolResult:
    return await anyio.to_thread.run_sync(_result, asked.name, asked.arguments or {}, limiter=one_at_a_time)


def _result(name: str, request: dict[str, Any]) -> types.CallToolResult:
    """The answer as JSON on one line; an error as the command line tells it."""
    try:
        text, is_error = json.dumps(answered(name, request), separators=(",", ":"), allow_nan=False), False
    except JoulecastError as error:
        text, is_error = " ".join(error.for_others().split()), True
    except Exception as error:  # of which its kind is logged, never what was asked
        _log.error("%s: %s", name, type(error).__name__)
        text, is_error = "this is a fault of joulecast's own", True
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)
