"""Campaigns: measure the tasks of a store one after the other, within a budget of time."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from joulecast.measure.database import StoreError
from joulecast.measure.heartbeat import Heartbeat
from joulecast.measure.meter import Meter
from joulecast.measure.protocol import Repeat, Settings
from joulecast.measure.records import Environment, TaskResult, TaskSpec
from joulecast.measure.store import Claim, LostError, Store
from joulecast.measure.task import Outcome, Subject, attempt

FEWEST_TO_SCALE: Final = 3  # finished tasks from which the expected times are corrected
SCALES: Final = (0.1, 10.0)  # a correction is no smaller and no greater
REPEATS_SHARE: Final = 0.8  # of the time that is left; the rest is for idle power and components
LEAST_REPEATS_S: Final = 1.0


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands after a task. `left_s` [s] is what the rest may take, roughly; `result`
    None without one; `where` is the machine, of several."""

    done: int
    total: int
    left_s: float
    spec: TaskSpec
    outcome: str
    result: TaskResult | None = None
    where: str = ""


def run_campaign(
    store: Store,
    subject: Subject,
    meter: Meter,
    settings: Settings,
    *,
    gpu: str | None = None,
    budget_s: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> int:
    """Measure tasks until none is left that fits the budget; returns how many were finished.

    `gpu` is the catalogue's name of this GPU: tasks that ask for another are left alone.
    `budget_s` [s] counts by the meter's clock: a task is begun only if it should end within it.
    """
    clock = meter.clock
    start, finished = clock.now(), 0
    while True:
        left = None if budget_s is None else budget_s - (clock.now() - start)
        if left is not None and left <= 0:
            return finished
        claim = store.claim(gpu=gpu, most_s=None if left is None else left / time_scale(store))
        if claim is None:
            return finished
        progress = _attempt(store, claim, subject, meter, settings, left)
        finished += progress.outcome == "done"
        on_progress(progress)


def time_scale(store: Store) -> float:
    """How much longer tasks take than expected: the median of those finished; 1 for too few."""
    ratios = [
        task.took_s / task.cost_s
        for task in store.tasks()
        if task.state == "done" and task.took_s and task.cost_s > 0
    ]
    if len(ratios) < FEWEST_TO_SCALE:
        return 1.0
    return float(min(max(statistics.median(ratios), SCALES[0]), SCALES[1]))


def shortest_s(store: Store) -> float:
    """Roughly, seconds that the shortest pending task takes; 0 when none is pending."""
    costs = [task.cost_s for task in store.tasks() if task.state == "pending"]
    return time_scale(store) * min(costs, default=0.0)


def time_left_s(store: Store, workers: int = 1) -> float:
    """Roughly, seconds until all tasks are done by so many workers."""
    waiting = [task.cost_s for task in store.tasks() if task.state in ("pending", "running")]
    return time_scale(store) * float(sum(waiting)) / workers


class StoreRecorder:
    """Records a claimed task's repeats in the store, each as soon as it is there."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self._store, self._claim = store, claim
        self.identity = ""

    def environment(self, environment: Environment) -> None:
        """Record the environment of all repeats that follow."""
        self.identity = self._store.environment(environment)

    def repeat(self, part: str, number: int, repeat: Repeat) -> None:
        """Record one repeat. Raises LostError when another worker took the task over."""
        self._store.record(self._claim, part, number, repeat, self.identity)


def _attempt(
    store: Store, claim: Claim, subject: Subject, meter: Meter, settings: Settings, left_s: float | None
) -> Progress:
    """One task from claim to result; what goes wrong with it is recorded and the campaign goes on."""
    recorder = StoreRecorder(store, claim)
    try:
        with Heartbeat(store, claim):
            outcome = attempt(claim.spec, subject, meter, within(settings, left_s), recorder)
            settle(store, claim, outcome, recorder.identity)
    except LostError as error:
        outcome = Outcome("lost", str(error), None, 0.0)
    except (KeyboardInterrupt, SystemExit):
        with contextlib.suppress(StoreError):  # it was finished as the interrupt came, or the disk is full
            store.release(claim)
        raise
    return progress_of(store, claim, outcome)


def settle(store: Store, claim: Claim, outcome: Outcome, environment: str) -> None:
    """Record what became of a task. Raises LostError when another worker took it over."""
    if outcome.result is not None:
        store.finish(claim, outcome.result, environment, outcome.took_s)
    else:
        store.fail(claim, outcome.message, state=outcome.state, took_s=outcome.took_s)


def progress_of(store: Store, claim: Claim, outcome: Outcome, workers: int = 1, where: str = "") -> Progress:
    """Where the campaign stands after a task."""
    counts = store.counts()
    total = sum(counts.values())
    words = {"done": "done", "too_large": f"too large: {outcome.message}"}
    return Progress(
        total - counts["pending"] - counts["running"],
        total,
        time_left_s(store, workers),
        claim.spec,
        words.get(outcome.state, outcome.message),
        outcome.result,
        where,
    )


def waiting(store: Store, have: Collection[str | None]) -> dict[str, int]:
    """Pending tasks that ask for a GPU which none of those at hand is: how many, by its name."""
    asked = [task.gpu for task in store.tasks() if task.state == "pending" and task.gpu]
    return {gpu: asked.count(gpu) for gpu in sorted(set(asked) - set(have))}


def within(settings: Settings, left_s: float | None) -> Settings:
    """Settings that begin no more repeats than the time that is left allows, if three are there."""
    if left_s is None:
        return settings
    most = max(REPEATS_SHARE * left_s, LEAST_REPEATS_S)
    return dataclasses.replace(
        settings, most_s=most if settings.most_s is None else min(settings.most_s, most)
    )
