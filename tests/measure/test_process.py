"""Commands started as a shell would: exit statuses, signals handed on, and whose child a process is."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from joulecast.measure.process import is_alive, is_own, run_process

PYTHON = sys.executable
# A command that counts the SIGINTs it gets within a second of the first one, and ends with their number.
COUNTING = """
import signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
open("ready", "w").close()
while not got: time.sleep(0.01)
end = time.monotonic() + 0.5
while time.monotonic() < end: time.sleep(0.01)
sys.exit(10 + len(got))
"""
OURS = (
    "import sys; from joulecast.measure.process import run_process; sys.exit(run_process(sys.argv[1:], {}))"
)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
    ],
)
def test_exit_statuses_are_a_shells(code: str, status: int) -> None:
    assert run_process([PYTHON, "-c", code], {}) == status


def test_more_is_in_the_environment() -> None:
    code = "import os; raise SystemExit(int(os.environ['MORE']) + ('PATH' in os.environ))"
    assert run_process([PYTHON, "-c", code], {"MORE": "3"}) == 4
    assert "MORE" not in os.environ


def test_what_cannot_be_started_is_the_systems_error(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(FileNotFoundError):
        run_process([str(tmp_path / "none")], {})
    assert signal.getsignal(signal.SIGINT) is before


def wait_for(file: Path) -> None:
    end = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_measuring_process_ends_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """Sent to it alone, and away from a terminal: the command would not have got it."""
    code = "import time; open('ready', 'w').close(); time.sleep(60)"
    started = subprocess.Popen(
        [PYTHON, "-c", OURS, PYTHON, "-c", code],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    wait_for(tmp_path / "ready")
    started.send_signal(number)
    assert started.wait(30) == 128 + number


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    code = "import signal; raise SystemExit(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    quiet = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{OURS}"
    assert subprocess.run([PYTHON, "-c", quiet, PYTHON, "-c", code], timeout=60).returncode == 1


def test_ctrl_c_in_a_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    """The terminal sends it to both."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(PYTHON, [PYTHON, "-c", OURS, PYTHON, "-c", COUNTING])
    wait_for(tmp_path / "ready")
    os.write(terminal, b"\x03")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 11


def test_own_are_children_and_their_children() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=0)"
    with subprocess.Popen([PYTHON, "-c", code], stdin=subprocess.PIPE) as child:
        grandchildren = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        end = time.monotonic() + 30
        while not (found := grandchildren.read_text().split()):
            assert time.monotonic() < end
        assert is_own(int(found[0]))
        assert is_own(child.pid)
        child.communicate(b"\n")
    assert is_own(os.getpid())
    assert not is_own(os.getppid())
    assert not is_own(5_000_000)
    assert is_alive(os.getppid())
    assert not is_alive(5_000_000)
