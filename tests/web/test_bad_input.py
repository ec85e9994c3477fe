"""Requests that are wrong, hostile or large: told in one line, with a status that says whose fault it is."""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import joulecast
from command import Command
from joulecast import data
from joulecast.errors import JoulecastError, check_extras, near_matches
from joulecast.hardware import gpu_toml
from joulecast.web import app as application
from joulecast.web import safety
from joulecast.web.app import create_app
from joulecast.web.asking import Defaults

H100 = "H100-SXM5-80GB"
JSON = {"content-type": "application/json"}
POSTS = ["estimate", "estimate/openai", "footprint", "what-if", "pareto", "plan"]


def refused(client: TestClient, path: str, content: str | bytes, status: int) -> dict[str, Any]:
    """The problem that a body is answered with."""
    found = client.post(path, content=content, headers=JSON)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = found.json()
    assert problem["status"] == status
    assert problem["title"]
    assert "\n" not in problem["detail"]
    assert "Traceback" not in problem["detail"]
    return problem


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["sdxl", "--steps", "0"], {"model": "sdxl", "steps": "0"}),
        (["sdxl", "--size", "12x12"], {"model": "sdxl", "size": "12x12"}),
        (["sdxl", "--precision", "fp17"], {"model": "sdxl", "precision": "fp17"}),
        (["sdxl", "--boundary", "net"], {"model": "sdxl", "boundary": "net"}),
        (["sdxl", "--guidance", "nan"], {"model": "sdxl", "guidance": "nan"}),
        (["sdxl", "--cache", "none?"], {"model": "sdxl", "cache": "none?"}),
        (["sdxl", "--frames", "16"], {"model": "sdxl", "frames": "16"}),
        (
            ["sdxl", "--region", "FR", "--boundary", "dynamic"],
            {"model": "sdxl", "region": "FR", "boundary": "dynamic"},
        ),
        (["imagen-3"], {"model": "imagen-3"}),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_as_the_command_line_tells_it(
    client: TestClient, run: Command, options: list[str], body: dict[str, object]
) -> None:
    status, _, errors = run("estimate", *options, "--gpu", H100)
    assert status == 2
    told = refused(client, "/v1/estimate", json.dumps(body), 422)["detail"]
    assert told == errors.strip().removeprefix("error: ")


@pytest.mark.parametrize(
    ("body", "near"),
    [
        ({"model": "flux.1-de"}, "flux.1-dev"),
        ({"model": "sdxl", "gpu": "H201"}, "H200"),
        ({"model": "sdxl", "law": "rooflin"}, "roofline"),
        ({"model": "sdxl", "region": "Frence"}, "France"),
        ({"model": "sdxl", "hourly": "US-CAL-CIS"}, "US-CAL-CISO"),
    ],
)
def test_an_unknown_name_is_not_found_and_near_ones_are_told(
    client: TestClient, body: dict[str, object], near: str
) -> None:
    problem = refused(client, "/v1/estimate", json.dumps(body), 404)
    assert near in problem["near"]
    assert near in problem["detail"]


def test_an_unknown_key_is_a_wrong_request(client: TestClient) -> None:
    problem = refused(client, "/v1/estimate", '{"model": "sdxl", "stps": 20}', 422)
    assert problem["near"] == ["steps"]


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "3",
        '"model"',
        '{"model": NaN}',
        '{"model": 1e999}',
        '{"steps": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"model": ' + "[" * 100_000,
        b"\xff\xfe{}",
        b'{"model": "\xff"}',
        '{"model": "\\ud800"}',
        '{"a": {"b": {"c": {"d": []}}}}',
    ],
)
def test_what_is_no_request_is_told(client: TestClient, path: str, content: str | bytes) -> None:
    refused(client, f"/v1/{path}", content, 422)


@pytest.mark.parametrize(
    "body",
    [
        {"model": 5}, {"model": ["sdxl"]}, {"model": ""}, {"model": "a" * 100_000},
        {"model": "sdxl", "gpu": 3}, {"model": "sdxl", "pue": 1.2},
        {"model": "sdxl", "gpu": "a\u0000b"}, {"model": "a\u0000/b"}, {"model": "sdxl", "size": [1, 2, 3]},
        {"model": "sdxl", "size": "9" * 4000 + "x1024"}, {"model": "sdxl", "steps": 10**30},
        {"model": "sdxl", "width": -512, "height": 512}, {"model": "sdxl", "batch_size": 1e9},
        {"model": "sdxl", "images": -1, "region": "FR"}, {"model": "sdxl", "images": "many", "region": "FR"},
        {"model": "sdxl", "intensity": "lots"}, {"model": "sdxl", "region": 7}, {"model": "sdxl", "law": 7},
        {"model": "sdxl", "parallel": {"cfg": -3}}, {"model": "sdxl", "at": {"a": 1}, "region": "FR"},
        {"model": "sdxl", "hourly": {"a": 1}}, {"model": "sdxl", "year": "x", "region": "FR"},
        {"model": "sdxl", "intensity": [1, 2]}, {"model": "sdxl", "accounting": True, "region": "FR"},
        {"model": "sdxl", "currency": 5, "region": "FR", "price_per_kwh": 1},
        {"model": "sdxl", "pue": {"a": 1}, "region": "FR"},
        {"model": "sdxl", "timezone": "Mars/Base", "hourly": "US-CAL-CISO"},
    ],
)  # fmt: skip
def test_absurd_values_are_told(client: TestClient, body: dict[str, object]) -> None:
    found = client.post("/v1/estimate", json=body)
    assert found.status_code in (404, 422), found.text
    assert len(found.text) < 1000


@pytest.mark.parametrize("key", ["pue", "price_per_kwh", "host_overhead", "wue", "life_years", "intensity"])
def test_yes_is_no_number_also_after_one(client: TestClient, key: str) -> None:
    """True == 1 in Python: an answer that is kept for 1 is none for it."""
    body = {"model": "sdxl", "region": "FR"} if key != "intensity" else {"model": "sdxl"}
    assert client.post("/v1/estimate", json={**body, key: 1}).status_code == 200
    for value in (True, False):
        told = refused(client, "/v1/estimate", json.dumps({**body, key: value}), 422)["detail"]
        assert told == f"{key} is text or a number, not {value}"


def test_a_number_of_images_is_of_a_place(client: TestClient) -> None:
    told = refused(client, "/v1/estimate", '{"model": "sdxl", "images": 5}', 422)["detail"]
    assert told == "images are of a footprint: give a region, an intensity or an hourly series"


def test_a_number_of_images_that_is_null_is_not_given(client: TestClient) -> None:
    """As every key's; the description says that it may be."""
    for place in ({}, {"region": "FR"}):
        found = [
            client.post("/v1/estimate", json={"model": "sdxl", **place, **one})
            for one in ({}, {"images": None})
        ]
        assert [one.status_code for one in found] == [200, 200]
        assert found[0].json() == found[1].json()


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_body_that_is_no_json_is_not_taken(client: TestClient, kind: str) -> None:
    for path in POSTS:
        found = client.post(f"/v1/{path}", content="{}", headers={"content-type": kind})
        assert found.status_code == 415
        assert "application/json" in found.json()["detail"]


def test_another_method_is_told_which_there_is(client: TestClient) -> None:
    found = client.get("/v1/estimate")
    assert found.status_code == 405
    assert found.headers["allow"] == "POST"
    assert found.json()["detail"] == "/v1/estimate takes POST"


def test_too_many_rows(client: TestClient) -> None:
    rows = [{"model": "sdxl"}] * 10_001
    assert "from 1 to 10,000" in refused(client, "/v1/estimate", json.dumps(rows), 422)["detail"]
    assert "from 1 to 10,000" in refused(client, "/v1/estimate", "[]", 422)["detail"]
    setting = {"model": "sdxl", "steps": list(range(1, 150)), "batch_size": list(range(1, 101))}
    told = refused(client, "/v1/pareto", json.dumps({"setting": setting}), 422)["detail"]
    assert told == "14,900 settings are too many to compare; at most 10,000"


def test_too_many_keys(client: TestClient) -> None:
    body = {"model": "sdxl", "gpu": "L4", **{f"key{i}": i for i in range(20_000)}}
    for path in ("/v1/estimate", "/v1/estimate/openai"):
        assert "at most 100 keys" in refused(client, path, json.dumps(body), 422)["detail"]
    row = client.post("/v1/estimate", json=[body, {"model": "sdxl"}]).json()["estimates"]
    assert "at most 100 keys" in row[0]["error"]
    assert row[1]["energy_j"] > 0


def test_near_names_of_a_thousand_wrong_words_are_not_all_sought(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a while: of names those of a few hundred, of keys those of each key once."""
    sought: Counter[str] = Counter()

    def counted(name: str, choices: Iterable[str], most: int = 3) -> list[str]:
        sought[name] += 1
        return near_matches(name, choices, most)

    monkeypatch.setattr("joulecast.errors.near_matches", counted)
    rows: list[dict[str, Any]] = [{"model": f"sdxm{i}x"} for i in range(1_000)]
    rows += [{"model": "sdxl", "gpu": f"H10{i}x"} for i in range(1_000)]
    rows += [{"model": "sdxl", "stps" + "z" * (i % 50): 1} for i in range(1_000)]
    answer = client.post("/v1/estimate", json=rows).json()
    assert answer["failed"] == 3_000
    for begin, most in (("sdxm", 500), ("H10", 500), ("stps", 50)):
        of_kind = [count for name, count in sought.items() if name.startswith(begin)]
        assert 0 < sum(of_kind) <= most, begin


def test_a_body_that_is_too_large(client: TestClient) -> None:
    large = b'{"model": "' + b"a" * safety.MOST_BYTES + b'"}'
    for path in POSTS:
        assert "larger than" in refused(client, f"/v1/{path}", large, 413)["detail"]


def test_a_body_that_is_too_large_and_does_not_say_so(client: TestClient) -> None:
    def parts() -> Any:
        for _ in range(100):
            yield b" " * (safety.MOST_BYTES // 50)

    found = client.post("/v1/estimate", content=parts(), headers=JSON)
    assert found.status_code == 413


def test_a_length_that_is_no_number_does_no_harm(client: TestClient) -> None:
    found = client.post("/v1/estimate", content=b"{}", headers={**JSON, "content-length": "many"})
    assert found.status_code == 422


def over(app: Starlette) -> httpx.AsyncClient:
    """A client whose requests may go on beside each other."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


def test_a_slow_body_ends_and_others_are_served_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "BODY_SECONDS", 0.3)
    body_sent = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"model": '
        body_sent.set()
        await asyncio.sleep(30)

    async def both() -> tuple[int, int]:
        async with over(create_app(Defaults(gpu=H100))) as client:
            waiting = asyncio.create_task(client.post("/v1/estimate", content=slow(), headers=JSON))
            await body_sent.wait()
            other = await client.post("/v1/estimate", json={"model": "sdxl"})
            return other.status_code, (await waiting).status_code

    assert asyncio.run(asyncio.wait_for(both(), 20)) == (200, 408)


def test_a_fault_of_the_servers_own_tells_nothing_of_the_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(asked: object) -> None:
        raise RuntimeError("the prompt was: a calico cat")

    monkeypatch.setattr(application, "answered", fails)
    found = TestClient(create_app()).post("/v1/estimate", json={"model": "sdxl"})
    assert found.status_code == 500
    assert found.headers["content-type"] == "application/problem+json"
    assert "calico" not in found.text + caplog.text
    assert "RuntimeError" in caplog.text


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, in which the server runs, with files that a command would take."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(gpu_toml(joulecast.gpu("L4")), encoding="utf-8")
    joulecast.write_law(joulecast.load_law(), tmp_path / "mine.json")
    (tmp_path / "US-CAL-CISO").write_text("time,intensity\n", encoding="utf-8")
    (tmp_path / "hours.csv").write_text(
        "time_utc,intensity_g_per_kwh\n2022-01-01T00:00Z,5\n", encoding="utf-8"
    )
    assert joulecast.gpu("mine.toml").name
    assert joulecast.load_law("mine.json").name
    return tmp_path


@pytest.mark.parametrize("place", ["{name}", "./{name}", "{folder}/{name}", "../../../../{folder}/{name}"])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("model", "mine.json"),
        ("gpu", "mine.toml"),
        ("law", "mine.json"),
        ("hourly", "hours.csv"),
        ("gpu", "passwd"),
    ],
)
def test_no_file_is_read_for_a_request(
    files: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch, key: str, name: str, place: str
) -> None:
    """Whatever key would lead to one, at any door; whether there is one is not told either."""
    path = place.format(name=name, folder=files)
    setting = {"model": "sdxl", "gpu": H100, key: path}
    client.post("/v1/estimate", json={"model": "sdxl", "hourly": "US-CAL-CISO"})  # tables are read here
    opened: list[object] = []
    for module, function in ((builtins, "open"), (os, "open"), (os, "stat")):
        real = getattr(module, function)

        def watched(file: Any, *more: Any, _real: Any = real, **named: Any) -> Any:
            if isinstance(file, str | os.PathLike) and name in os.fspath(file):
                opened.append(file)
            return _real(file, *more, **named)

        monkeypatch.setattr(module, function, watched)
    found = [
        client.post("/v1/estimate", json=setting),
        client.post("/v1/estimate/openai", json={"prompt": "p"}, params=setting),
        client.post("/v1/what-if", json={"setting": setting, "changes": [{"steps": 9}]}),
        client.post("/v1/what-if", json={"setting": {"model": "sdxl"}, "changes": [{key: path}]}),
        client.post("/v1/pareto", json={"setting": {**setting, "steps": [9, 10]}}),
    ]
    assert [one.status_code for one in found if one.status_code not in (404, 422)] == []
    for one in found:
        assert "read or written" in one.text or "unknown" in one.text, one.text
    if key in ("model", "gpu"):
        row = client.post("/v1/estimate", json=[setting]).json()["estimates"][0]
        assert "read or written" in row["error"] or "unknown" in row["error"]
    assert opened == []


ADVISED: list[dict[str, str]] = [
    {"gpu": "zzzz"}, {"gpu": "Tesla T40x"}, {"law": "zz"}, {"hourly": "zz"}, {"hourly": ""},
    {"hourly": "zz.csv"},
]  # fmt: skip


@pytest.mark.parametrize("change", ADVISED, ids=str)
def test_no_file_is_advised_where_none_is_read(client: TestClient, change: dict[str, str]) -> None:
    """The command line advises one, in the same words."""
    setting = {"model": "sdxl", "gpu": H100, **change}
    told = client.post("/v1/estimate", json=setting).json()["detail"]
    assert not re.search(r"give a file|is a file, e\.g|\(\.[a-z]+", told), told
    with pytest.raises(JoulecastError) as error:
        joulecast.what_if(setting, {"steps": 9})
    assert "file" in str(error.value)


def test_a_gpu_that_was_left_out_says_why_and_advises_no_file(client: TestClient) -> None:
    row = data.read_table("gpus_left_out.csv")[0]
    name = row["names"].partition(";")[0]
    told = client.post("/v1/estimate", json={"model": "sdxl", "gpu": name}).json()["detail"]
    assert told.endswith(row["why"])
    with pytest.raises(JoulecastError, match="describe it in a GPU file"):
        joulecast.gpu(name)


def test_what_installs_an_extra_is_told_to_who_can_install_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to who asks from elsewhere: it names the server's folders."""
    monkeypatch.setattr("joulecast.extras._is_there", lambda module: module != "scipy")
    told = refused(client, "/v1/plan", "{}", 501)["detail"]
    assert told == "solving a plan needs the extra `plan`, which is not installed where joulecast answers"
    with pytest.raises(JoulecastError, match="the extra `plan`: pip install"):
        check_extras("solving a plan", "plan")


def test_no_file_of_a_plan_is_read(files: Path, client: TestClient) -> None:
    demand: dict[str, Any] = {
        "services": [{"images_per_day": 10, "configurations": [{"model": "sdxl"}]}],
        "gpus": [{"name": H100}],
        "regions": [{"name": "FR"}],
    }
    assert client.post("/v1/plan", json=demand).status_code == 200
    for change in (
        {"gpus": [{"name": "mine.toml"}]},
        {"regions": [{"name": "here", "file": "hours.csv"}]},
        {"regions": [{"name": "here", "hourly": "hours.csv"}]},
        {"services": [{"images_per_day": 10, "configurations": [{"model": "mine.json"}]}]},
    ):
        found = client.post("/v1/plan", json={**demand, **change})
        assert found.status_code in (404, 422), found.text


def test_a_packaged_series_is_not_hidden_by_a_file(files: Path, client: TestClient) -> None:
    """Where the server runs there is a file of its name."""
    found = client.post("/v1/estimate", json={"model": "sdxl", "hourly": "US-CAL-CISO", "at": "12:00"})
    assert found.status_code == 200, found.text
    assert found.json()["footprint"]["grid"]["region"] == "US-CAL-CISO"


def test_a_footprint_names_no_file(files: Path, client: TestClient) -> None:
    body = {"energy_j": 9, "duration_s": 1, "gpu": "mine.toml", "place": {"region": "FR"}}
    assert "read or written" in refused(client, "/v1/footprint", json.dumps(body), 422)["detail"]


def test_static_files_are_those_of_the_package(client: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/%2e%2e/app.py"):
        assert client.get(path).status_code == 404


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/health", "/v1/nothing", "/metrics", "/openapi.json", "/"])
def test_every_answer_has_its_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
