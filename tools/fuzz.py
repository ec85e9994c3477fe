"""Commands on damaged and hostile files: python tools/fuzz.py [--seconds S] [--cases N] [--seed N].

Each case is a command, run in a worker process whose memory is limited and whose time is watched. It may end
with the exit status 0, 1 or 2, an error in one line; never with a traceback, after more than 5 seconds of
processor time, with more than 1 GB, with characters that act on a terminal, or with an energy that cannot be.
Prints how the cases of each format ended, and every case that failed with the folder in which its files and
its command are kept. Exit status 1 when any did.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_changes import records
from fuzz_files import FORMATS, LIVE_S, STDIN, STORE, Case, case_of
from joulecast.errors import JoulecastError, visible

MOST_S: Final = 5.0  # of processor time
PATIENCE_S: Final = 40.0  # by the clock, on a machine that others use too
MOST_BYTES: Final = 1_000_000_000
HARD_LIMIT: Final = 8_000_000_000  # of addresses: libraries reserve more than they use
CASES_OF_A_WORKER: Final = 4_000
FIGURES: Final = ("_j", "_s", "_w", "_kwh", "_g", "_kg", "flop")  # ends of names: never below 0
MOST_INTENSITY: Final = 3_000  # [g/kWh]
POWER_MARGIN: Final = 1.05  # beyond it an answer must say so itself


class Outcome(NamedTuple):
    """How a case ended: its exit status, what is wrong with it (empty: nothing), and what it wrote."""

    status: int
    problem: str
    wrote: str = ""


# --- one case ----------------------------------------------------------------------------------------


def run_case(case: Case) -> Outcome:
    """Run a case in the folder where its files lie."""
    out, err = io.StringIO(), io.StringIO()
    begin = time.process_time()
    problem, status = "", 2
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = _status_of(case)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:150]}"
    took = time.process_time() - begin
    wrote = f"{out.getvalue()}\n--- standard error\n{err.getvalue()}"
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if not problem:
        problem = (
            f"{took:.1f} s" if took > MOST_S
            else f"{used / 1e6:.0f} MB" if used > MOST_BYTES
            else _problem(case, status, out.getvalue(), err.getvalue())
        )  # fmt: skip
    return Outcome(status, problem, wrote)


def _status_of(case: Case) -> int:
    if case.command[0] in READERS:
        try:
            READERS[case.command[0]](case.command[1])
        except JoulecastError as error:
            print("error: " + " ".join(visible(str(error)).split()), file=sys.stderr)
            return 2
        return 0
    from joulecast.cli import main

    before = sys.stdin
    with Path(STDIN if STDIN in case.files else os.devnull).open(errors="replace") as sys.stdin:
        try:
            main(list(case.command))
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            sys.stdin = before


def _read_folder(name: str) -> None:
    """A model's folder, without tracing it: what is still whole would take a minute."""
    from joulecast.architecture.pipeline_config import read_pipeline_folder

    read_pipeline_folder(Path(name))


def _read_live(region: str) -> None:
    """An answer that the cache keeps; where it is of no use, an address is asked that nobody has."""
    from joulecast.footprint.grid.live import live_intensity

    nobody = "http://127.0.0.1:9"
    asked = {"FR": "carbon-intensity/latest?zone=FR", "GB": "intensity"}[region]
    kept = "".join(letter if letter.isalnum() else "_" for letter in f"127.0.0.1:9/{asked}")
    Path("answer.json").rename(f"intensity_{kept}.json")
    key = "k" if region == "FR" else None
    found = live_intensity(region, key=key, url=nobody, cache=Path(), now=lambda: LIVE_S + 60.0)
    if not 0 <= found.intensity.amount.value <= MOST_INTENSITY:
        raise AssertionError(f"an intensity of {found.intensity}")


READERS: Final[Mapping[str, Callable[[str], None]]] = {"READ FOLDER": _read_folder, "READ LIVE": _read_live}


def _problem(case: Case, status: int, out: str, err: str) -> str:
    """What is wrong with how a case ended, or an empty string."""
    if status not in (0, 1, 2):
        return f"exit status {status}"
    if visible(out) != out or visible(err) != err:
        return "characters that act on a terminal"
    if "Traceback" in err or "Warning:" in err:
        return "a traceback or a warning of Python"
    if status == 2:
        last = err.strip().rpartition("\n")[2]
        return "" if last.startswith("error: ") else "an error without its line"
    if "--json" in case.command:
        return _problem_of_json(case, out)
    if case.command[0] in ("predict", "campaign", "footprint") and Path("o.csv").exists():
        return _problem_of_table(Path("o.csv"))
    return ""


def _problem_of_json(case: Case, out: str) -> str:
    try:
        answer = json.loads(out, parse_constant=lambda name: math.nan)
    except ValueError as error:
        return f"no JSON: {error}"
    odd = [f"{name} = {value}" for name, value in _figures(answer) if not 0 <= value < 1e30]
    if odd:
        return f"impossible: {odd[0]}"
    return _problem_of_estimate(answer) if case.command[0] == "estimate" else ""


def _problem_of_estimate(answer: dict[str, Any]) -> str:
    energy, power = answer["energy_j"], answer["power_w"]
    if energy is None or not 0 < energy < 1e30 or not answer["duration_s"] > 0:
        return f"an energy of {energy} J in {answer['duration_s']} s"
    if not answer["energy_low_j"] <= energy <= (answer["energy_high_j"] or math.inf):
        return "an energy outside its interval"
    if power > POWER_MARGIN * answer["gpu"]["tdp_w"] and "power limit" not in " ".join(answer["warnings"]):
        return f"{power:g} W of {answer['gpu']['tdp_w']:g} W, and no warning"
    parts = sum(part["energy_j"] for part in answer["components"])
    if not math.isclose(parts, energy, rel_tol=1e-3):
        return f"components of {parts:g} J in a whole of {energy:g} J"
    return "" if answer["flop"] > 0 else "no arithmetic"


def _figures(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every energy, time, power and mass in an answer."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _figures(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _figures(item, name)
    elif isinstance(value, float | int) and name.endswith(FIGURES):
        yield name, value


def _problem_of_table(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        for row in records(file):
            words = row.get("error") or row.get("footprint_error")
            given = ("carbon_g",) if "footprint_error" in row else ("energy_j",)
            if words and any(row.get(name) for name in given):
                return "a row with an answer and an error"
            for name, cell in row.items():
                if not words and cell and str(name).endswith(FIGURES) and not _is_figure(cell):
                    return f"{name} = {cell}"
    return ""


def _is_figure(cell: str) -> bool:
    try:
        return 0 <= float(cell) < 1e30
    except ValueError:
        return False


# --- workers -----------------------------------------------------------------------------------------


def work(pipe: Connection, seed: int, names: tuple[str, ...], folder: str) -> None:
    """Run the cases whose numbers come through the pipe; answers go back the same way."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HOME": folder}
    warnings.simplefilter("default")
    sys.modules["vl_convert"] = None  # type: ignore[assignment]  # draws pictures, and dies under HARD_LIMIT
    place = Path(folder) / f"case-{os.getpid()}"
    while True:
        number = pipe.recv()
        if number is None:
            shutil.rmtree(place, ignore_errors=True)
            return
        case = case_of(seed, number, names, folder)
        lay(case, place)
        os.chdir(place)
        pipe.send("begun")
        outcome = run_case(case)
        os.chdir(folder)
        pipe.send(outcome)


def lay(case: Case, place: Path) -> None:
    """Write a case's files into an empty folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, content in case.files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


class Worker:
    """A process that runs cases, and is replaced when it hangs, dies or has grown."""

    def __init__(self, seed: int, names: tuple[str, ...], folder: str) -> None:
        self._asked = seed, names, folder
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, *self._asked), daemon=True)
        self._process.start()
        resource.prlimit(self._process.pid or 0, resource.RLIMIT_AS, (HARD_LIMIT, HARD_LIMIT))
        other.close()
        self._left = CASES_OF_A_WORKER

    def run(self, number: int) -> Outcome:
        """The outcome of a case."""
        self._pipe.send(number)
        outcome = self._answer()
        self._left -= 1
        if outcome.problem or not self._left:
            self.stop()
            self._start()
        return outcome

    def _answer(self) -> Outcome:
        try:
            for waiting_s in (120.0, PATIENCE_S):  # to be made ready, and to end
                if not self._pipe.poll(waiting_s):
                    return Outcome(-1, f"no end after {waiting_s:.0f} s")
                answer = self._pipe.recv()
        except EOFError:
            self._process.join(5)
            return Outcome(-1, f"the process died ({self._process.exitcode})")
        return answer if isinstance(answer, Outcome) else Outcome(-1, "no answer")

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()


# --- the whole ---------------------------------------------------------------------------------------


def fuzz(seconds: float, cases: int, seed: int, names: tuple[str, ...], kept: Path) -> int:
    """Run cases until their number or the time is over; how many failed. Files of those lie in `kept`."""
    tally: dict[str, Counter[int]] = {name: Counter() for name in names}
    failures: Counter[str] = Counter()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="joulecast-fuzz-") as folder:
        worker = Worker(seed, names, folder)
        for number in range(cases):
            if time.monotonic() > end:
                break
            outcome = worker.run(number)
            name = names[number % len(names)]
            tally[name][outcome.status] += 1
            if outcome.problem:
                failures[name] += 1
                _keep(case_of(seed, number, names, folder), outcome, kept / f"{name}-{seed}-{number}")
                print(f"FAILED {name} {number}: {outcome.problem}", flush=True)
        worker.stop()
    _print(tally, failures, kept)
    return sum(failures.values())


def _keep(case: Case, outcome: Outcome, place: Path) -> None:
    lay(case, place)
    (place / "COMMAND").write_text(" ".join(["joulecast", *case.command]) + f"\n{outcome.problem}\n")
    (place / "OUTPUT").write_text(outcome.wrote, encoding="utf-8", errors="backslashreplace")


def _print(tally: dict[str, Counter[int]], failures: Counter[str], kept: Path) -> None:
    print(f"{'format':<12}{'cases':>8}{'right':>8}{'rows':>8}{'refused':>9}{'failed':>8}")
    for name, counts in tally.items():
        ends = [counts[status] for status in (0, 1, 2)]
        print(f"{name:<12}{counts.total():>8}{ends[0]:>8}{ends[1]:>8}{ends[2]:>9}{failures[name]:>8}")
    total = sum(counts.total() for counts in tally.values())
    print(f"{total} cases, {failures.total()} failed" + (f": {kept}" if failures else ""))


def main() -> None:
    """Parse the options, run, and exit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default=",".join((*FORMATS, STORE)))
    parser.add_argument("--kept", type=Path, help="folder for the files of cases that failed")
    options = parser.parse_args()
    kept = options.kept or Path(tempfile.gettempdir()) / "joulecast-fuzz-failures"
    names = tuple(options.formats.split(","))
    sys.exit(1 if fuzz(options.seconds, options.cases, options.seed, names, kept) else 0)


if __name__ == "__main__":
    main()
