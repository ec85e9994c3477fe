"""Errors as RFC 9457 has them: the same one-line words as the command line's, and a status for each kind."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from joulecast.errors import JoulecastError, MissingExtraError, UnknownNameError, shown
from joulecast.web.records import Problem

MEDIA_TYPE: Final = "application/problem+json"
# Kinds of names of things that may be there: another unknown name is a wrong word of the request.
THINGS: Final = ("model", "GPU", "law", "region", "hourly series", "task", "vendor")


def problem(status: int, detail: str, near: list[str] | None = None) -> Response:
    """An answer that says what was wrong."""
    told = Problem(HTTPStatus(status).phrase, status, " ".join(detail.split()), near=near or [])
    return Response(msgspec.json.encode(told), status, media_type=MEDIA_TYPE)


def of_library(request: Request, error: Exception) -> Response:
    """What the library refused."""
    assert isinstance(error, JoulecastError)
    if isinstance(error, UnknownNameError) and error.kind in THINGS:
        return problem(HTTPStatus.NOT_FOUND, str(error), error.near)
    if isinstance(error, MissingExtraError):
        return problem(HTTPStatus.NOT_IMPLEMENTED, error.for_others())
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), getattr(error, "near", None))


def of_request(request: Request, error: Exception) -> Response:
    """What was wrong with the request itself: its path, its method, or what its body is."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.url.path} takes {(error.headers or {}).get('Allow', 'another method')}"
    elif error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {shown(request.url.path)}; /openapi.json lists what there is"
    else:
        detail = error.detail
    answer = problem(error.status_code, detail)
    answer.headers.update(error.headers or {})
    return answer
