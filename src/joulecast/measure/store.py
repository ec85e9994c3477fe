"""The store of a campaign: what is to be run and what was found, in one sqlite file.

Several processes may share it. A worker claims a task with a lease that it renews; each repeat is
recorded as soon as it is measured, under the attempt it belongs to, and a task is finished by the
attempt that still holds it and by no other. A worker that dies leaves its repeats, and its task to
be claimed again: at once on the same machine, else when the lease ends.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from joulecast.errors import DAMAGE, FileFormatError, InputError, JoulecastError
from joulecast.files.documents import parse_json
from joulecast.files.fields import check_fields
from joulecast.files.paths import shown_path
from joulecast.measure.database import Database, StoreError
from joulecast.measure.protocol import Repeat
from joulecast.measure.records import Environment, TaskResult, TaskSpec, canonical
from joulecast.measure.rows import StoredRepeat, StoredResult, StoredTask
from joulecast.measure.worker import is_dead, worker_name

FORMAT: Final = "joulecast store 1"
LEASE_S: Final = 120.0
DRY_RUN: Final = "dry run"  # the noted kind of a store whose results a replayed trace gave
STATES: Final = ("pending", "running", "done", "too_large", "failed", "refused")
MOST_ATTEMPTS: Final = 3  # of a task that fails; a worker that dies is no failure of the task

_Record = TypeVar("_Record")

_SCHEMA: Final = """
create table if not exists tasks (
    id integer primary key,
    key text not null unique,
    spec text not null,
    position integer not null,
    cost_s real not null,
    gpu text,
    state text not null default 'pending',
    attempt integer not null default 0,
    failures integer not null default 0,
    worker text,
    lease_until real,
    took_s real,
    message text
);
create index if not exists tasks_by_state on tasks (state, position);
create table if not exists environments (id text primary key, facts text not null);
create table if not exists repeats (
    task integer not null references tasks,
    attempt integer not null,
    part text not null,
    number integer not null,
    environment text not null references environments,
    measured_at real not null,
    content text not null,
    primary key (task, attempt, part, number)
);
create table if not exists results (
    task integer primary key references tasks,
    attempt integer not null,
    environment text not null references environments,
    finished_at real not null,
    content text not null
);
"""


@dataclass(frozen=True)
class NewTask:
    """A task to queue: its specification, and the time [s] it is expected to take."""

    spec: TaskSpec
    cost_s: float = 0.0
    gpu: str | None = None
    refused: str = ""


@dataclass(frozen=True)
class Claim:
    """A task that this worker holds, and which attempt at it this is; `gpu` is the one it asks for."""

    task: int
    attempt: int
    spec: TaskSpec
    cost_s: float
    gpu: str | None = None


class LostError(StoreError):
    """The task is no longer this worker's: its lease ended and another took it over."""


class Store:
    """One campaign's queue and results in a sqlite file; a connection for each process and thread.

    Raises
    ------
    InputError
        The file cannot be opened, or does not exist and `create` is false.
    FileFormatError
        The file is no store.
    StoreError
        The disk is full, or the file cannot be read or written; also of what is done within ``with``.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, worker: str = "") -> None:
        self.path = Path(path)
        self.worker = worker or worker_name()
        if not create and not self.path.is_file():
            raise InputError(f"there is no store {shown_path(path)}; `joulecast campaign run` makes one")
        self._db = Database(self.path, FORMAT, _SCHEMA)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    # --- the queue ------------------------------------------------------------------------------

    def add(self, tasks: Iterable[NewTask]) -> int:
        """Queue tasks in order; those already there are left alone. Returns how many were new."""
        added = 0
        with self._db.transaction():
            [(last,)] = self._db.rows("select coalesce(max(position), 0) from tasks")
            for place, task in enumerate(tasks, last + 1):
                added += self._db.change(
                    "insert or ignore into tasks (key, spec, position, cost_s, gpu, state, message) "
                    "values (?, ?, ?, ?, ?, ?, ?)",
                    (
                        _key(task),
                        task.spec.to_json(),
                        place,
                        task.cost_s,
                        task.gpu,
                        "refused" if task.refused else "pending",
                        task.refused or None,
                    ),
                )
        return added

    def claim(
        self, *, gpu: str | None = None, most_s: float | None = None, but_not: Collection[int] = ()
    ) -> Claim | None:
        """Take the next task, or None: the first in order that is free, fits the GPU, is none of
        `but_not`, and whose expected time is at most `most_s` [s]."""
        marks = ", ".join("?" * len(but_not))
        with self._db.transaction():
            self._free_abandoned()
            found = self._db.rows(
                "select id, attempt, spec, cost_s, gpu from tasks where state = 'pending' "
                f"and (gpu is null or gpu = ?) and cost_s <= ? and id not in ({marks}) "
                "order by position limit 1",
                (gpu, float("inf") if most_s is None else most_s, *but_not),
            )
            if not found:
                return None
            (row,) = found
            claim = Claim(
                row["id"],
                row["attempt"] + 1,
                self._read(TaskSpec.from_json, row["spec"]),
                row["cost_s"],
                row["gpu"],
            )
            self._db.change(
                "update tasks set state = 'running', attempt = attempt + 1, worker = ?, lease_until = ? "
                "where id = ?",
                (self.worker, time.time() + LEASE_S, claim.task),
            )
        return claim

    def renew(self, claim: Claim) -> None:
        """Extend the lease. Raises LostError when another holds the task."""
        with self._db.transaction():
            self._hold(claim)

    def release(self, claim: Claim) -> None:
        """Give the task back unfinished."""
        with self._db.transaction():
            self._hold(claim)
            self._db.change(
                "update tasks set state = 'pending', worker = null, lease_until = null where id = ?",
                (claim.task,),
            )

    # --- what was found -------------------------------------------------------------------------

    def environment(self, environment: Environment) -> str:
        """Record an environment once; returns its id."""
        text = environment.to_json()
        identity = hashlib.sha256(text.encode()).hexdigest()[:16]
        with self._db.transaction():
            self._db.change("insert or ignore into environments values (?, ?)", (identity, text))
        return identity

    def record(self, claim: Claim, part: str, number: int, repeat: Repeat, environment: str) -> None:
        """Record one repeat of a part (``pipeline``, or a component) and extend the lease.

        Raises LostError when another holds the task.
        """
        with self._db.transaction():
            self._hold(claim)
            self._db.change(
                "insert into repeats values (?, ?, ?, ?, ?, ?, ?)",
                (
                    claim.task,
                    claim.attempt,
                    part,
                    number,
                    environment,
                    time.time(),
                    canonical(dataclasses.asdict(repeat)),
                ),
            )

    def finish(self, claim: Claim, result: TaskResult, environment: str, took_s: float) -> None:
        """Record a task's result. Raises LostError when another holds the task."""
        with self._db.transaction():
            self._hold(claim)
            self._db.change(
                "insert into results values (?, ?, ?, ?, ?)",
                (claim.task, claim.attempt, environment, time.time(), result.to_json()),
            )
            self._end(claim, "done", None, took_s)

    def fail(self, claim: Claim, message: str, *, state: str = "failed", took_s: float = 0.0) -> None:
        """Record that a task cannot be done: ``too_large`` for the memory, ``refused``, or
        ``failed``, which is tried again a few times. Raises LostError when another holds the task."""
        with self._db.transaction():
            self._hold(claim)
            [(failures,)] = self._db.rows("select failures + 1 from tasks where id = ?", (claim.task,))
            again = state == "failed" and failures < MOST_ATTEMPTS
            self._db.change("update tasks set failures = ? where id = ?", (failures, claim.task))
            self._end(claim, "pending" if again else state, message, took_s)
            if again:  # behind the others: a failure that repeats itself must not stop the campaign
                self._db.change(
                    "update tasks set position = (select max(position) + 1 from tasks) where id = ?",
                    (claim.task,),
                )

    # --- reading --------------------------------------------------------------------------------

    def tasks(self) -> list[StoredTask]:
        """Every task in order."""
        rows = self._db.rows(
            "select id as task, spec, state, attempt, cost_s, took_s, message, gpu, worker from tasks "
            "order by position"
        )
        return [
            self._checked(StoredTask(**{**dict(row), "spec": self._read(TaskSpec.from_json, row["spec"])}))
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """Tasks by state, all states named."""
        found = dict(map(tuple, self._db.rows("select state, count(*) from tasks group by state")))
        return {state: int(found.get(state, 0)) for state in STATES}

    def results(self) -> list[StoredResult]:
        """Every finished task in order."""
        rows = self._db.rows(
            "select tasks.id as task, spec, results.attempt, facts, finished_at, content from results "
            "join tasks on tasks.id = results.task join environments on environments.id = environment "
            "order by position"
        )
        return [
            self._checked(
                StoredResult(
                    row["task"],
                    self._read(TaskSpec.from_json, row["spec"]),
                    row["attempt"],
                    self._read(Environment.from_json, row["facts"]),
                    row["finished_at"],
                    self._read(TaskResult.from_json, row["content"]),
                )
            )
            for row in rows
        ]

    def repeats(self) -> list[StoredRepeat]:
        """Every repeat ever recorded, in the order of tasks, attempts and time."""
        rows = self._db.rows(
            "select repeats.task, spec, repeats.attempt, part, number, repeats.environment, measured_at, "
            "repeats.content as repeat, coalesce(results.attempt = repeats.attempt, 0) as in_result "
            "from repeats join tasks on tasks.id = repeats.task "
            "left join results on results.task = repeats.task "
            "order by position, repeats.attempt, measured_at, part, number"
        )
        return [
            self._checked(
                StoredRepeat(
                    **{
                        **dict(row),
                        "spec": self._read(TaskSpec.from_json, row["spec"]),
                        "repeat": self._read(_repeat_of, row["repeat"]),
                        "in_result": bool(row["in_result"]),
                    }
                )
            )
            for row in rows
        ]

    def environments(self) -> dict[str, Environment]:
        """Environments by id."""
        rows = self._db.rows("select id, facts from environments")
        return {row["id"]: self._read(Environment.from_json, row["facts"]) for row in rows}

    def facts(self) -> dict[str, str]:
        """What is noted of the store as a whole."""
        return self._db.facts()

    @property
    def is_dry_run(self) -> bool:
        """Whether its results are invented."""
        return self.facts().get("kind") == DRY_RUN

    def note(self, name: str, value: str) -> None:
        """Note a fact of the store as a whole."""
        self._db.note(name, value)

    # --- inside ---------------------------------------------------------------------------------

    def _read(self, parse: Callable[[str], _Record], text: str) -> _Record:
        """A record of a cell, its fields of the types they should have."""
        try:
            found = parse(text)
            check_fields(found)
            return found
        except (*DAMAGE, JoulecastError) as error:
            raise FileFormatError(
                f"{shown_path(self.path)} holds a record that this joulecast cannot read ({error}): another "
                "version wrote it; read it with that one, or give --store another file"
            ) from error

    def _checked(self, row: _Record) -> _Record:
        """A row of the tables, its columns of the types they should have; its records `_read` has checked."""
        try:
            check_fields(row, within=False)
        except TypeError as error:
            raise FileFormatError(f"{shown_path(self.path)} was changed: {error}") from None
        return row

    def _hold(self, claim: Claim) -> None:
        """Extend the lease of a claim that is still valid."""
        changed = self._db.change(
            "update tasks set lease_until = ? "
            "where id = ? and attempt = ? and state = 'running' and worker = ?",
            (time.time() + LEASE_S, claim.task, claim.attempt, self.worker),
        )
        if changed != 1:
            raise LostError("another worker took this task over; nothing more is recorded for it here")

    def _end(self, claim: Claim, state: str, message: str | None, took_s: float) -> None:
        self._db.change(
            "update tasks set state = ?, message = ?, took_s = ?, worker = null, lease_until = null "
            "where id = ?",
            (state, message, took_s, claim.task),
        )

    def _free_abandoned(self) -> None:
        running = self._db.rows("select id, worker, lease_until from tasks where state = 'running'")
        for task, worker, lease_until in running:
            if lease_until < time.time() or is_dead(worker):
                self._db.change("update tasks set state = 'pending', worker = null where id = ?", (task,))


def _key(task: NewTask) -> str:
    """What tells a task from others: its specification and the GPU it asks for."""
    return canonical({"spec": task.spec.to_dict(), "gpu": task.gpu})


def _repeat_of(text: str) -> Repeat:
    return Repeat(**parse_json(text, "a repeat"))
