"""Live intensities against a local server that answers well, badly, late, or not at all."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from joulecast.footprint.grid.live import KEY_VARIABLE, live_intensity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


class Server:
    """Answers with `body` and counts the questions."""

    def __init__(self) -> None:
        self.body, self.status, self.delay_s = b"{}", 200, 0.0
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers["auth-token"]))
                time.sleep(outer.delay_s)
                try:
                    self.send_response(outer.status)
                    self.end_headers()
                    self.wfile.write(outer.body)
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, value: object) -> None:
        self.body = json.dumps(value).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def france(value: object = 31, zone: str = "FR", at: str = "2026-03-01T11:00:00.000Z") -> dict[str, object]:
    return {"zone": zone, "carbonIntensity": value, "datetime": at}


def test_electricity_maps(server: Server) -> None:
    server.answer(france())
    found = live_intensity("France", key="k", url=server.url, now=lambda: NOW)
    assert (found.intensity.amount.value, found.warnings, found.year) == (31, (), 2026)
    assert found.source == "Electricity Maps, live, France, 2026-03-01T11:00Z"
    assert server.asked == [("/carbon-intensity/latest?zone=FR", "k")]


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("direct", "combustion"),
        ("lifecycle", "life-cycle"),
        ("indirect", "as given"),
        (None, "life-cycle"),  # what its API documents
    ],
)
def test_what_electricity_maps_counts(server: Server, kind: str | None, boundary: str) -> None:
    server.answer({**france(), "emissionFactorType": kind})
    found = live_intensity("France", key="k", url=server.url, now=lambda: NOW)
    assert found.boundary == boundary
    assert ("counts combustion alone" in " ".join(found.warnings)) == (boundary == "combustion")


def test_a_region_of_a_cloud_asks_for_its_country_and_says_so(server: Server) -> None:
    server.answer(france())
    found = live_intensity("eu-west-3", key="k", url=server.url, now=lambda: NOW)
    assert found.region == "France"
    assert "AWS eu-west-3 (Paris)" in found.warnings[0]
    assert server.asked == [("/carbon-intensity/latest?zone=FR", "k")]


def test_uk_needs_no_key(server: Server) -> None:
    server.answer({"data": [{"from": "2026-03-01T11:30Z", "intensity": {"forecast": 90, "actual": 80}}]})
    found = live_intensity("UK", url=server.url, now=lambda: NOW)
    assert (found.intensity.amount.value, found.boundary) == (80, "combustion")
    assert "combustion alone" in found.warnings[0]


def test_answers_are_kept(server: Server, tmp_path: Path) -> None:
    server.answer(france())
    clock = [NOW]
    for seconds in (0, 60, 3600):
        clock[0] = NOW + seconds
        found = live_intensity("FR", key="k", url=server.url, cache=tmp_path / "c", now=lambda: clock[0])
        assert found.intensity.amount.value == 31
    assert len(server.asked) == 2
    next((tmp_path / "c").iterdir()).write_text("not json")
    live_intensity("FR", key="k", url=server.url, cache=tmp_path / "c", now=lambda: NOW)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("hours", "is_believed"), [(-6, True), (-6.01, False), (6, True), (6.01, False), (0, True)]
)
def test_answers_are_of_now_within_six_hours(server: Server, hours: float, is_believed: bool) -> None:
    """Before and after: a clock may be wrong either way."""
    moment = datetime.fromtimestamp(NOW + hours * 3600, UTC)
    server.answer(france(at=moment.isoformat()))
    found = live_intensity("FR", key="k", url=server.url, now=lambda: NOW)
    assert (found.intensity.amount.value == 31) == is_believed
    assert any("not of now" in words for words in found.warnings) == (not is_believed)


@pytest.mark.parametrize(("seconds", "asked"), [(899, 1), (900, 2), (-1, 2)])
def test_answers_are_kept_for_a_quarter_of_an_hour(
    server: Server, tmp_path: Path, seconds: float, asked: int
) -> None:
    server.answer(france())
    for moment in (NOW, NOW + seconds):
        live_intensity("FR", key="k", url=server.url, cache=tmp_path, now=lambda at=moment: at)  # type: ignore[misc]
    assert len(server.asked) == asked


@pytest.mark.parametrize(("size", "is_read"), [(100_000, True), (100_001, False)])
def test_the_longest_answer(server: Server, size: int, is_read: bool) -> None:
    server.answer(france())
    server.body = server.body.ljust(size)
    found = live_intensity("FR", key="k", url=server.url, now=lambda: NOW)
    assert (found.intensity.amount.value == 31) == is_read


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (france("low"), "cannot be"),
        (france(-3), "cannot be"),
        (france(1e9), "cannot be"),
        (france(True), "cannot be"),
        (france(zone="DE"), "answered for 'DE', not for FR"),
        (france(at="2025-03-01T11:00:00Z"), "not of now"),
        (france(at="soon"), "no time"),
        (france(at=""), "no time"),
        (france(at="0001-01-01T00:00+14:00"), "a year from 1880 to 2200"),
        (france(at="9999-12-31T23:00-12:00"), "a year from 1880 to 2200"),
        (france(10**299), "cannot be"),
        ([1, 2], "another form"),
        ("x" * 200_000, "more than"),
    ],
)
def test_lies_are_not_believed(server: Server, answer: object, words: str) -> None:
    server.answer(answer)
    found = live_intensity("FR", key="k", url=server.url, now=lambda: NOW)
    assert found.intensity.amount.value == 44.18
    assert words in found.warnings[0]
    assert "the packaged yearly, life-cycle figure of 2024 was taken" in found.warnings[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[" * 50_000, "nested deeper than 64 levels"),
        ('{"zone": "FR", "carbonIntensity": ' + "9" * 400 + "}", "a number of more than 300 digits"),
        ('{"zone": "FR", "carbonIntensity": ' + "9" * 5000 + "}", "a number of more than 300 digits"),
        ('{"zone": "FR", "carbonIntensity": NaN}', "NaN is no number"),
        ("\xff\xfe", "not valid JSON"),
        ("<html>", "not valid JSON"),
    ],
    ids=range(6),
)
def test_answers_that_are_no_json_are_not_believed(server: Server, body: str, words: str) -> None:
    server.body = body.encode("latin-1")
    found = live_intensity("FR", key="k", url=server.url, now=lambda: NOW)
    assert found.intensity.amount.value == 44.18
    assert words in found.warnings[0]


@pytest.mark.parametrize(
    "kept",
    [
        "[" * 50_000, "[]", "{}", '{"at": "now", "answer": 1}', '{"at": 1}', '{"at": null, "answer": 1}',
        '{"at": ' + "9" * 299 + ', "answer": 1}', "\0", '{"at": true, "answer": 1}',
    ],
    ids=range(9),
)  # fmt: skip
def test_a_damaged_cache_asks_again(server: Server, tmp_path: Path, kept: str) -> None:
    server.answer(france())
    live_intensity("FR", key="k", url=server.url, cache=tmp_path, now=lambda: NOW)
    next(tmp_path.iterdir()).write_text(kept)
    found = live_intensity("FR", key="k", url=server.url, cache=tmp_path, now=lambda: NOW)
    assert found.intensity.amount.value == 31
    assert len(server.asked) == 2


def test_a_cache_that_is_no_file_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.answer(france())
    live_intensity("FR", key="k", url=server.url, cache=tmp_path, now=lambda: NOW)
    kept = next(tmp_path.iterdir())
    kept.unlink()
    os.mkfifo(kept)
    reader = os.open(kept, os.O_RDWR)  # or to write to it would wait
    try:
        found = live_intensity("FR", key="k", url=server.url, cache=tmp_path, now=lambda: NOW)
    finally:
        os.close(reader)
    assert found.intensity.amount.value == 31


def test_errors_time_outs_and_dead_servers_fall_back_and_say_so(server: Server) -> None:
    server.status = 401
    assert "answered 401" in live_intensity("FR", key="k", url=server.url).warnings[0]
    server.status, server.body = 200, b"<html>"
    assert "not valid JSON" in live_intensity("FR", key="k", url=server.url).warnings[0]
    server.delay_s = 0.5
    late = live_intensity("FR", key="k", url=server.url, timeout_s=0.1)
    assert "could not be reached" in late.warnings[0]
    dead = live_intensity("FR", key="k", url="http://127.0.0.1:9", timeout_s=1)
    assert "could not be reached" in dead.warnings[0]
    assert "no key" in live_intensity("FR").warnings[0]
