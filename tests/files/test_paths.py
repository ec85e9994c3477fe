"""One reader for every file, and one way to write: never over what was read, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from joulecast.errors import FileFormatError, InputError
from joulecast.files.paths import (
    check_output,
    guarding_inputs,
    opened,
    replacing,
    user_bytes,
    user_text,
    write_whole,
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- reading -------------------------------------------------------------------------------------


def test_a_plain_file() -> None:
    Path("a").write_bytes(b"\xef\xbb\xbftext")
    Path("link").symlink_to("a")
    assert user_text("link", "plan", 7) == "text"
    with opened("a", "it") as file:
        assert file.read() == b"\xef\xbb\xbftext"


@pytest.mark.parametrize("kind", ["zero", "fifo", "socket", "folder", "null", "link to a pipe"])
def test_what_is_no_plain_file_is_refused_at_once(kind: str) -> None:
    if kind in ("zero", "null"):
        Path("x").symlink_to(f"/dev/{kind}")
    elif kind == "fifo":
        os.mkfifo("x")
    elif kind == "link to a pipe":
        os.mkfifo("pipe")
        Path("x").symlink_to("pipe")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("x")
    else:
        Path("x").mkdir()
    with pytest.raises(InputError, match=r"law 'x' (is a folder|is not a plain file); give the path"):
        user_bytes("x", "law", 100)


@pytest.mark.parametrize("path", ["none", "a/b", "x" * 5000, "a\0b"])
def test_what_is_not_there(path: str) -> None:
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        user_bytes(path, "law", 100)


def test_a_file_is_bounded_while_it_is_read() -> None:
    Path("sparse").touch()
    os.truncate("sparse", 10**12)
    with pytest.raises(FileFormatError, match="is larger than 1,000 bytes"):
        user_bytes("sparse", "law", 1000)
    size = Path("/proc/self/status").stat().st_size
    assert size == 0
    assert user_bytes("/proc/self/status", "file", 100_000)  # whatever size a file says it has


# --- writing -------------------------------------------------------------------------------------


def test_an_output_over_an_input_is_refused() -> None:
    Path("a").write_text("precious")
    Path("link").symlink_to("a")
    os.link("a", "hard")
    with guarding_inputs():
        user_bytes("a", "plan", 100)
        for name in ("a", "./a", "link", "hard"):
            with pytest.raises(InputError, match=r"is the input itself; give another name"):
                write_whole(Path(name), "gone")
        write_whole(Path("b"), "new")
    assert Path("a").read_text() == "precious"
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b", "hard", "link"]


def test_an_input_read_after_the_output_was_begun_is_kept() -> None:
    Path("a").write_text("precious")
    with guarding_inputs(), pytest.raises(InputError, match="is the input itself"):  # noqa: SIM117
        with replacing(Path("a")) as temporary:
            temporary.write_text(user_text("a", "plan", 100) + "!")
    assert Path("a").read_text() == "precious"
    assert [path.name for path in Path().iterdir()] == ["a"]


def test_two_outputs_of_one_name_are_refused() -> None:
    with guarding_inputs():
        write_whole(Path("a"), "first")
        with pytest.raises(InputError, match="was written by this command already"):
            write_whole(Path("a"), "second")
    assert Path("a").read_text() == "first"


def test_a_program_may_write_what_it_read() -> None:
    Path("a").write_text("old")
    write_whole(Path("a"), user_text("a", "plan", 100) + "er")
    assert Path("a").read_text() == "older"


def test_a_command_inside_another_guards_the_same_files() -> None:
    Path("a").write_text("x")
    with guarding_inputs():
        user_bytes("a", "plan", 100)
        with guarding_inputs(), pytest.raises(InputError, match="is the input itself"):
            check_output(Path("a"))


@pytest.mark.parametrize("name", ["folder", "none/a", "a\0b", "x" * 5000 + "/a", "-"])
def test_an_output_that_cannot_be(name: str) -> None:
    Path("folder").mkdir()
    with pytest.raises(InputError, match="the output "):
        check_output(Path(name))


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond some bytes, as on a full disk, pytest's own words included."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_file_and_nothing_else() -> None:
    Path("a").write_text("old")
    with full_disk(), pytest.raises(InputError, match="the output 'a' cannot be written"):
        write_whole(Path("a"), "x" * 100_000)
    assert Path("a").read_text() == "old"
    assert [path.name for path in Path().iterdir()] == ["a"]
