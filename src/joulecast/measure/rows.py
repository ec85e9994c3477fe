"""Rows of a store: a task, its result, a repeat."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from joulecast.measure.protocol import Repeat
from joulecast.measure.records import Environment, TaskResult, TaskSpec
from joulecast.presented import Presented


@dataclass(frozen=True)
class StoredTask:
    """A task of a store: expected and taken time [s], and what became of it."""

    task: int
    spec: TaskSpec
    state: str
    attempt: int
    cost_s: float
    took_s: float | None
    message: str | None
    gpu: str | None
    worker: str | None

    def to_dict(self) -> dict[str, object]:
        """As one JSON object."""
        return {**dataclasses.asdict(self), "spec": self.spec.to_dict()}


@dataclass(frozen=True, repr=False)
class StoredResult(Presented):
    """A finished task of a store; `finished_at` in seconds since 1970."""

    text_by = "measured_text:measured_text"

    task: int
    spec: TaskSpec
    attempt: int
    environment: Environment
    finished_at: float
    result: TaskResult

    def to_dict(self) -> dict[str, object]:
        """As one JSON object."""
        return {
            "task": self.task,
            "spec": self.spec.to_dict(),
            "attempt": self.attempt,
            "environment": json.loads(self.environment.to_json()),
            "finished_at": self.finished_at,
            "content": json.loads(self.result.to_json()),
        }


@dataclass(frozen=True)
class StoredRepeat:
    """A repeat of a part of a task; `environment` by its id, `measured_at` in seconds since 1970.

    `in_result` tells those of the attempt that finished.
    """

    task: int
    spec: TaskSpec
    attempt: int
    part: str
    number: int
    environment: str
    measured_at: float
    repeat: Repeat
    in_result: bool
