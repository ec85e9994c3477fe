"""The store: a queue for many workers; killed at any instant nothing is lost and nothing is twice."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from task_samples import ENVIRONMENT, RESULT, numbered_spec, repeat_of

from joulecast.errors import FileFormatError, InputError, visible
from joulecast.files.fields import check_fields
from joulecast.measure import store as stores
from joulecast.measure.database import Database, StoreError
from joulecast.measure.heartbeat import Heartbeat
from joulecast.measure.protocol import Idle
from joulecast.measure.records import (
    ComponentEnergy,
    ComponentResult,
    Environment,
    Output,
    Software,
    StepResult,
    TaskResult,
    TaskSpec,
    TorchState,
)
from joulecast.measure.store import Claim, LostError, NewTask, Store
from joulecast.measure.worker import is_dead, worker_name

WORKER = Path(__file__).with_name("crashing_worker.py")
KILLS = 100


def numbered(count: int) -> list[NewTask]:
    return [NewTask(numbered_spec(n), cost_s=float(n)) for n in range(count)]


def claimed(store: Store) -> Claim:
    found = store.claim()
    assert found is not None
    return found


def test_a_task_from_queue_to_result(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        assert store.add(numbered(2)) == 2
        assert store.add(numbered(3)) == 1  # the first two are known
        claim = claimed(store)
        assert claim.spec == numbered_spec(0)
        odd = dataclasses.replace(ENVIRONMENT, gpu="X", power_limit_w=float("nan"))
        environment = store.environment(odd)
        unknown = dataclasses.replace(odd, power_limit_w=None)
        assert store.environment(unknown) == environment
        store.record(claim, "pipeline", 0, repeat_of(5.0), environment)
        store.finish(claim, RESULT, environment, took_s=2.0)
        assert store.counts() == {
            "pending": 2, "running": 0, "done": 1, "too_large": 0, "failed": 0, "refused": 0
        }  # fmt: skip
    with Store(tmp_path / "s.db", create=False) as again:
        assert again.results()[0].result == RESULT
        assert again.results()[0].environment == unknown
        assert again.repeats()[0].in_result is True
        assert again.repeats()[0].repeat == repeat_of(5.0)
        assert again.tasks()[0].took_s == 2.0


def test_tasks_are_chosen_by_gpu_and_time(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add(
            [
                NewTask(numbered_spec(1), 100.0),
                NewTask(numbered_spec(2), 1.0, gpu="A"),
                NewTask(numbered_spec(3), 1.0),
            ]
        )
        short = store.claim(most_s=10)
        assert short is not None
        assert short.spec == numbered_spec(3)
        assert store.claim(most_s=10) is None
        of_a = store.claim(gpu="A", most_s=10)
        assert of_a is not None
        assert of_a.spec == numbered_spec(2)


def test_failures_are_tried_again_behind_the_others(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add([*numbered(2), NewTask(numbered_spec(9), refused="too odd")])
        store.fail(claimed(store), "broke")
        order = []
        while claim := store.claim():
            order.append(claim.spec.steps)
            store.fail(claim, "broke", state="too_large" if claim.spec.steps else "failed")
        assert order == [1, 0, 0]
        states = {task.spec.steps: (task.state, task.message) for task in store.tasks()}
        assert states == {0: ("failed", "broke"), 1: ("too_large", "broke"), 9: ("refused", "too odd")}


def test_a_released_task_comes_back(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add(numbered(1))
        store.release(claimed(store))
        assert claimed(store).attempt == 2


def test_a_lease_that_ended_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "s.db", worker="elsewhere:1:1") as slow, Store(tmp_path / "s.db") as other:
        slow.add(numbered(1))
        mine = claimed(slow)
        assert other.claim() is None
        slow.renew(mine)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + stores.LEASE_S + 1)
        theirs = claimed(other)
        environment = slow.environment(ENVIRONMENT)
        attempts: tuple[Callable[[], None], ...] = (
            lambda: slow.record(mine, "pipeline", 0, repeat_of(1.0), environment),
            lambda: slow.finish(mine, RESULT, environment, 1.0),
            lambda: slow.fail(mine, "x"),
            lambda: slow.renew(mine),
        )
        for act in attempts:
            with pytest.raises(LostError):
                act()
        other.finish(theirs, RESULT, environment, 1.0)
        assert len(other.results()) == 1


def test_the_heartbeat_renews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "LEASE_S", 0.2)
    with Store(tmp_path / "s.db", worker="elsewhere:1:1") as store, Store(tmp_path / "s.db") as other:
        store.add(numbered(1))
        claim = claimed(store)
        with Heartbeat(store, claim):
            time.sleep(0.5)
            assert other.claim() is None
        time.sleep(0.3)
        assert other.claim() is not None


def test_the_living_are_not_dead() -> None:
    me = worker_name()
    assert not is_dead(me)
    assert is_dead(me[: me.rindex(":")] + ":1")  # our number, but begun at another time
    assert not is_dead("elsewhere:1:1")
    assert not is_dead(None)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_dead(f"{me.split(':')[0]}:{gone.pid}:5")


def test_a_stores_json_is_of_one_form(tmp_path: Path) -> None:
    """Tasks are told apart by this text: another would make every task of a store new."""
    spec = TaskSpec("sd2", 512, 768, 10, 2, 4, "fp32", 77, "compiled", "on", True, "trained")
    text = (
        '{"batch_size":4,"components":true,"height":768,"model":"sd2","passes":2,"precision":"fp32",'
        '"runtime":"compiled","steps":10,"text_tokens":77,"tf32":"on","weights":"trained","width":512}'
    )
    assert spec.to_json() == text
    assert TaskSpec.from_json(text) == spec
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(spec, gpu="A")])
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as raw:
        assert raw.execute("select key, spec from tasks").fetchall() == [
            (f'{{"gpu":"A","spec":{text}}}', text)
        ]


def test_records_come_back_as_they_went(tmp_path: Path) -> None:
    idle = Idle(80.0, 3.0)
    energy = ComponentEnergy(5.0, None, 0.5, 10.0, 2.0, 1.0, ("short",))
    full = dataclasses.replace(
        RESULT,
        idle_before=idle,
        idle_after=idle,
        warnings=("a", "b"),
        components=(
            ComponentResult("unet", "denoiser", 1, 2, "2x4", energy),
            ComponentResult("vae", "decoder", 0, 1, "", problem="too short"),
        ),
        steps=(StepResult(1, ("unet", "unet#2"), 0.5, 0.4, 7.0), StepResult(2, ("vae",), 0.5, 0.4, None)),
        steps_departure=0.25,
        output=Output(True, 2**33),
    )
    assert TaskResult.from_json(full.to_json()) == full
    assert TaskResult.from_json(RESULT.to_json()) == RESULT
    assert (
        json.loads(RESULT.to_json()).keys().isdisjoint({"components", "steps", "steps_departure", "output"})
    )
    parts = json.loads(full.to_json())["components"]
    assert [(part["is_resolved"], "problem" in part, "energy_j" in part) for part in parts] == [
        (True, False, True),
        (False, True, False),
    ]
    torch = TorchState("cuda", {"backend": "inductor", "dynamic": False}, False, True)
    real = dataclasses.replace(
        ENVIRONMENT, software=Software("trained", "sdpa", {"torch": "2"}, torch), node="a", differs=("b",)
    )
    for environment in (ENVIRONMENT, real):
        assert Environment.from_json(environment.to_json()) == environment
    assert json.loads(real.to_json()).keys() - json.loads(ENVIRONMENT.to_json()).keys() == {
        "compiled", "device", "tf32_convolutions", "tf32_products", "node", "differs",
    }  # fmt: skip


@pytest.mark.parametrize("dynamic_j", [-3.5, 0.0])
def test_a_dynamic_energy_of_nothing_in_an_older_store_is_none(tmp_path: Path, dynamic_j: float) -> None:
    energy = ComponentEnergy(5.0, None, 0.5, 10.0, dynamic_j, 1.0)
    part = ComponentResult("unet", "denoiser", 0, 2, "2x4", energy)
    with Store(tmp_path / "s.db") as store:
        store.add(numbered(1))
        claim, environment = claimed(store), store.environment(ENVIRONMENT)
        old = dataclasses.replace(RESULT, dynamic_j=dynamic_j, components=(part,))
        store.finish(claim, old, environment, 1.0)
        (found,) = store.results()
    assert found.result.dynamic_j is None
    measured = found.result.components[0].measured
    assert measured == dataclasses.replace(energy, dynamic_j=None)


def test_a_record_is_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def counting(record: object, **options: bool) -> None:
        check_fields(record, **options)
        seen.append(record)

    with Store(tmp_path / "s.db") as store:
        store.add(numbered(1))
        monkeypatch.setattr(stores, "check_fields", counting)
        (task,) = store.tasks()
        assert seen == [task.spec, task]
        store._db.change("update tasks set state = 5.5, worker = x'00'")
        with pytest.raises(FileFormatError, match=r"s\.db' was changed: worker is"):
            store.tasks()


def test_a_record_of_another_version_is_told(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add(numbered(1))
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as raw:
            raw.execute("""update tasks set spec = '{"n": 3}'""")
            raw.commit()
        for read in (store.tasks, store.claim):
            with pytest.raises(
                FileFormatError, match=r"s\.db' holds a record that this joulecast cannot read"
            ):
                read()
        assert store.counts()["pending"] == 1  # it was not taken


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no store"):
        Store(tmp_path / "none.db", create=False)
    with pytest.raises(InputError, match="is its folder there"):
        Store(tmp_path / "nowhere" / "s.db")
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be looked at " * 5)
    with pytest.raises(FileFormatError, match="no campaign store"):
        Store(tmp_path / "text.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("create table songs (name)")
        other.commit()
    with pytest.raises(FileFormatError, match="not ours"):
        Store(tmp_path / "other.db")


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    """Workers, two at a time on one store, are killed 100 times; another takes over each time."""
    path, chance = tmp_path / "s.db", random.Random(4)
    count, kills = 0, 0
    with Store(path) as store:
        printed: list[str] = []
        while kills < KILLS:
            if store.counts()["pending"] < 150:
                store.add([NewTask(numbered_spec(count + n)) for n in range(200)])
                count += 200
            before = {row.task for row in store.results()}
            workers = [
                subprocess.Popen([sys.executable, str(WORKER), str(path)], stdout=subprocess.PIPE, text=True)
                for _ in range(2)
            ]
            first = workers[0].stdout
            assert first is not None
            printed.append(first.readline())  # it is at work
            time.sleep(chance.uniform(0, 0.03))
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
            for worker in workers:
                printed += worker.communicate()[0].splitlines()
                kills += worker.returncode == -signal.SIGKILL
            assert before <= {row.task for row in store.results()}
        subprocess.run([sys.executable, str(WORKER), str(path)], check=True, timeout=60, capture_output=True)
        counts = store.counts()
        assert counts["done"] == count
        done = [row.task for row in store.results()]
        assert len(done) == len(set(done)) == count
        assert {int(line) for line in printed if line.strip()} <= set(done)
        found = Counter((row.task, row.number) for row in store.repeats() if row.in_result)
        assert found == Counter((task, number) for task in done for number in range(3))
        for row in store.repeats():
            assert row.repeat.energy_j == row.spec.steps + row.number


def fill(store: Store) -> None:
    """Leave the store's disk no room, as sqlite sees it."""
    [(pages,)] = store._db.rows("pragma page_count")
    store._db.change(f"pragma max_page_count = {pages}")


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        store.add(numbered(1))
        claim, environment = claimed(store), store.environment(ENVIRONMENT)
        fill(store)
        recorded = 0
        with pytest.raises(StoreError, match=r"s\.db' cannot be used .*full.*; with room on the disk"):  # noqa: PT012
            while True:
                store.record(claim, "pipeline", recorded, repeat_of(1.0), environment)
                recorded += 1
        with pytest.raises(StoreError, match="full"):
            store.add(numbered(1000))
        assert store.counts()["running"] == 1  # it can still be read
    with Store(tmp_path / "s.db") as store:  # there is room again
        store.record(claim, "pipeline", recorded, repeat_of(1.0), environment)
        assert [stored.number for stored in store.repeats()] == list(range(recorded + 1))


def test_any_error_of_the_database_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"s\.db' cannot be used \(no such table: elsewhere\)"),
        Store(tmp_path / "s.db") as store,
    ):
        store._db.rows("select * from elsewhere")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Database, "_prepare", full)
    with pytest.raises(StoreError, match=r"s\.db' cannot be used \(disk I/O error\)"):
        Store(tmp_path / "s.db")


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store with tasks, a result and repeats."""
    path = tmp_path_factory.mktemp("whole") / "s.db"
    with Store(path) as store:
        store.add(numbered(40))
        claim, environment = claimed(store), store.environment(ENVIRONMENT)
        for number in range(20):
            store.record(claim, "pipeline", number, repeat_of(1.0), environment)
        store.finish(claim, RESULT, environment, 3.0)
    return path.read_bytes()


def reads(store: Store) -> tuple[Callable[[], object], ...]:
    return (
        store.tasks, store.counts, store.results, store.repeats, store.environments, store.facts,
        lambda: store.is_dry_run, store.claim, lambda: store.add(numbered(50)), lambda: store.note("a", "b"),
    )  # fmt: skip


def test_whatever_bytes_are_damaged_is_told_in_a_line(whole: bytes, tmp_path: Path) -> None:
    """Each way to read or write a store, within `with` or not, of stores with bytes that were changed."""
    told: Counter[str] = Counter()
    for seed in range(60):
        draw, content = random.Random(seed), bytearray(whole)
        for _ in range(draw.choice((1, 10, 300))):
            content[draw.randrange(100, len(content))] = draw.randrange(256)
        for left in tmp_path.iterdir():
            left.unlink()
        (tmp_path / "s.db").write_bytes(content)
        try:
            store = Store(tmp_path / "s.db")
        except (StoreError, FileFormatError) as error:
            told[str(error)] += 1
            continue
        with store:
            for read in reads(store):
                with contextlib.suppress(StoreError, FileFormatError):  # any other error fails
                    read()
                    told["read"] += 1
    assert told.pop("read") > 100
    assert all("\n" not in words and visible(words) == words and len(words) < 500 for words in told)


@pytest.mark.parametrize("place", [1, 2])
def test_a_damaged_store_is_not_told_to_go_on(whole: bytes, tmp_path: Path, place: int) -> None:
    """Every page but the first `place` is blank."""
    page = int.from_bytes(whole[16:18], "big")
    (tmp_path / "s.db").write_bytes(whole[: place * page].ljust(len(whole), b"\0"))
    with (
        pytest.raises(StoreError, match=r"s\.db' is damaged \(.*malformed") as error,
        Store(tmp_path / "s.db") as store,
    ):
        store.tasks()
    assert "goes on where it ended" not in str(error.value)


def test_text_that_is_no_text_is_damage(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(whole.replace(b'"model"', b'"mod\xffl"'))
    with (
        Store(tmp_path / "s.db") as store,
        pytest.raises(StoreError, match=r"s\.db' is damaged \(Could not decode .*; put a copy of it"),
    ):
        store.tasks()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, LostError])
def test_an_interrupted_transaction_leaves_the_store_usable(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    with Store(tmp_path / "s.db") as store:
        with pytest.raises(interruption), store._db.transaction():  # noqa: PT012
            store._db.change("insert into facts values ('half', 'done')")
            raise interruption
        assert "half" not in store.facts()
        store.note("whole", "done")
        assert store.facts()["whole"] == "done"
