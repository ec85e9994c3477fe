"""docs/serve.md: each request is made, and what is shown is part of its answer."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from starlette.testclient import TestClient

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
PAIR = re.compile(r"^```sh\n(curl .*?)^```\n\n```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAIRS = PAIR.findall(PAGE.read_text(encoding="utf-8"))
AS_LAWS_MOVE = 0.3  # by which a new law may move a number of the page


def requested(client: TestClient, line: str) -> object:
    """The answer to a curl command."""
    program, silent, url, *options = shlex.split(line.replace("\\\n", ""))
    assert (program, silent) == ("curl", "-s")
    told = dict(zip(options[::2], options[1::2], strict=True))
    path = url.removeprefix("http://127.0.0.1:8000")
    if "-d" not in told:
        return client.get(path).json()
    name, value = told["-H"].split(": ")
    return client.post(path, content=told["-d"], headers={name: value}).json()


def shown_within(shown: object, answer: object, place: str = "answer") -> None:
    """What is shown is there: text and whole numbers as they are, others about so large."""
    if isinstance(shown, dict):
        assert isinstance(answer, dict), place
        for key, value in shown.items():
            shown_within(value, answer[key], f"{place}.{key}")
    elif isinstance(shown, list):
        assert isinstance(answer, list), place
        for i, (one, other) in enumerate(zip(shown, answer, strict=True)):
            shown_within(one, other, f"{place}[{i}]")
    elif isinstance(shown, float):
        assert answer == pytest.approx(shown, rel=AS_LAWS_MOVE), place
    else:
        assert answer == shown, place


def test_the_page_shows_requests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(PAIRS) == text.count("curl -s") >= 7


@pytest.mark.parametrize(("line", "shown"), PAIRS)
def test_answers_are_as_the_page_shows_them(client: TestClient, line: str, shown: str) -> None:
    shown_within(json.loads(shown), requested(client, line))


def test_every_path_is_on_the_page(client: TestClient) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in text, path
