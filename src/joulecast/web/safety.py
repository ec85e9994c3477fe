"""What keeps a server from harm: bounded bodies, no files of a request's choice, headers for browsers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from joulecast.files.paths import no_files
from joulecast.web.problems import problem

MOST_BYTES: Final = 8_000_000  # ten thousand requests of every key
BODY_SECONDS: Final = 10.0  # for a whole body to arrive
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Of data that a browser is given by mistake, and of the page.
OF_DATA: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
OF_PAGE: Final = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_log = logging.getLogger("joulecast.web")
T = TypeVar("T")


class Guard:
    """Answers are given with headers for browsers; a request names no file; what fails is told as a problem.

    Of a failure its kind and place are logged, never what was asked.
    """

    def __init__(self, app: ASGIApp, count: Callable[[str, str, int, float], None]) -> None:
        self.app, self.count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        headers = OF_PAGE if path == "/" or path.startswith("/static/") else OF_DATA
        begun, status = time.perf_counter(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = (*message["headers"], *headers)
            await send(message)

        try:
            with no_files():
                await self.app(scope, receive, guarded)
        except ClientDisconnect:
            return
        except Exception as error:
            _log.error("%s %s: %s", scope["method"], where(error), type(error).__name__)
            if status:
                raise
            await problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of the server's own")(
                scope, receive, guarded
            )
        self.count(path, scope["method"], status, time.perf_counter() - begun)


def where(error: BaseException) -> str:
    """The file and line at which an exception was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return "nowhere" if place is None else f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"


async def body_of(request: Request) -> bytes:
    """The body of a request. Raises HTTPException where it is no JSON, too large or too slow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind != "application/json":
        raise HTTPException(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be JSON: content-type: application/json"
        )
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES):
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > MOST_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise HTTPException(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_SECONDS:g} seconds"
        ) from None
    return bytes(body)


def decoded(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """A body, or a part of it, as a decoder reads it.

    Raises HTTPException where it is no JSON, or of another shape.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"the body cannot be read: {error}") from None
    except RecursionError:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is nested too deep") from None


def _too_large() -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {MOST_BYTES:,} bytes",
    )
