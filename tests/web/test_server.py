"""The server as people start it: a process of its own, asked over the network."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import joulecast
from command import Command
from joulecast.errors import InputError
from joulecast.extras import install_command
from joulecast.hardware import gpu_toml
from joulecast.web.server import checked, is_local

BODY = b'{"model": "flux.1-dev", "steps": 28, "negative_prompt": "a calico cat"}'


class Served:
    """A server that runs, and where."""

    def __init__(self, process: subprocess.Popen[str], host: str, port: int) -> None:
        self.process, self.host, self.port = process, host, port

    def raw(self, *parts: bytes) -> bytes:
        """What comes back when bytes are sent, until the other side has nothing more to say."""
        with socket.create_connection((self.host, self.port), timeout=30) as connection:
            for part in parts:
                connection.sendall(part)
            connection.settimeout(5)
            found = b""
            while b"\r\n\r\n" not in found and (more := connection.recv(65_536)):
                found += more
            return found

    def ended(self) -> str:
        """What the server said, after it was interrupted."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=30)
        return errors


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "joulecast", "serve", "--port", "0", "--gpu", "H100-SXM5-80GB"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.readline()
    found = re.fullmatch(r"joulecast at http://([\d.]+):(\d+)\n", said)
    assert found, said + process.stderr.read()
    try:
        yield Served(process, found[1], int(found[2]))
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_server_answers_alone_on_this_computer_and_says_nothing_of_what_was_asked(served: Served) -> None:
    assert served.host == "127.0.0.1"
    request = urllib.request.Request(
        f"http://{served.host}:{served.port}/v1/estimate", BODY, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["gpu"]["name"] == "H100-SXM5-80GB"
        assert "server" not in answer.headers
    head = b"POST /v1/estimate HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: "
    assert served.raw(head, b"9000000\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert served.raw(head, b"many\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert served.raw(b"a calico cat\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert served.raw(b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: h\r\n\r\n").startswith(
        b"HTTP/1.1 404 "
    )
    with socket.create_connection((served.host, served.port)) as waits:  # and says nothing more
        waits.sendall(head + b"50\r\n\r\n{")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    said = served.ended()
    assert served.process.returncode == 0
    assert "calico" not in said
    assert "Traceback" not in said


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not to start does not, in this process."""

    def started(*arguments: object) -> None:
        raise AssertionError("it serves")

    monkeypatch.setattr("uvicorn.Server.run", started)


@pytest.mark.usefixtures("never")
def test_a_port_that_is_taken_is_told(run: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, errors = run("serve", "--port", str(port))
    assert status == 2
    assert errors.startswith(f"error: cannot listen on 127.0.0.1 port {port}: ")


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "web"], "--port"),
        (["--gpu", "H201"], "unknown GPU 'H201'"),
        (["--gpu", "/dev/null.toml"], "GPU file"),
        (["--engine", "sglong"], "unknown engine 'sglong'; did you mean sglang"),
        (["--host", "999.1.1.1"], "cannot listen on 999.1.1.1 port 8000: "),
        (["--host", ""], "--host is ''; expected one line"),
        (["--host", " "], "--host is ' '; expected one line"),
        (["--host", "a\0b"], "--host is 'a\\x00b'; expected one line"),
        (["--host", "\ud800"], "--host is '\\ud800'; expected one line"),
        (["--host", "a" * 300], "expected one line of 1 to 253 characters"),
        (["--host", "a" * 100], "give another --port or --host"),
        (["--host", "a..b"], "cannot listen on a..b port 8000: "),
        (["--host", "[::1]"], "cannot listen on [::1] port 8000: "),
        (["--host", "<broadcast>"], "cannot listen on <broadcast> port 8000: "),
        (["--host", "fe80::1%nowhere"], "cannot listen on fe80::1%nowhere port 8000: "),
    ],
)
def test_options_that_cannot_be_are_told(run: Command, options: list[str], words: str) -> None:
    status, _, errors = run("serve", *options)
    assert status == 2
    assert words in errors
    assert errors.count("\n") == 1


def test_a_gpu_file_is_no_default(tmp_path: Path) -> None:
    """Requests could not say what it is."""
    file = tmp_path / "mine.toml"
    file.write_text(gpu_toml(joulecast.gpu("L4")), encoding="utf-8")
    with pytest.raises(InputError, match="a server names a GPU of the catalogue"):
        checked(str(file), None)


def test_an_address_that_others_reach_is_warned_of(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda *arguments: None)
    told = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert "warning: whoever reaches 0.0.0.0 may ask" in told.err
    assert "warning" not in run("serve", "--port", "0").err
    for host in ("LOCALHOST", "127.1", "2130706433"):  # by what they are, not by how they are written
        assert "warning" not in run("serve", "--host", host, "--port", "0").err
    assert "warning: whoever reaches 0 may ask" in run("serve", "--host", "0", "--port", "0").err


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"])
def test_this_computers_own_addresses(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "10.0.0.1", "192.168.1.2", "fe80::1%2", "::ffff:10.0.0.1", "2001:db8::1"]
)
def test_addresses_that_others_may_reach(address: str) -> None:
    assert not is_local(address)


def test_a_name_is_judged_by_the_address_it_has(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins like an address of this computer may be anybody's."""
    monkeypatch.setattr("uvicorn.Server.run", lambda *arguments: None)
    everywhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("0.0.0.0", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **named: everywhere)
    told = run("serve", "--host", "127.0.0.1.example", "--port", "0")
    assert told.status == 0
    assert "warning: whoever reaches 127.0.0.1.example may ask" in told.err


def test_without_the_extra_what_installs_it_is_told(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulecast.extras._is_there", lambda module: module != "uvicorn")
    status, _, errors = run("serve")
    assert status == 2
    assert install_command(["web"]) in errors
