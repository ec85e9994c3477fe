"""Partitions read by the nodes of a Ray cluster (extra `fleet`), each as this machine would read it.

The driver alone writes: nodes send their cells back. A partition whose node dies is read by another.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from joulecast.cluster import connected
from joulecast.errors import InputError, JoulecastError, MeasureError, in_short
from joulecast.extras import own_version
from joulecast.law.law import Law
from joulecast.ledger.answers import Oracle
from joulecast.ledger.log import Partition
from joulecast.ledger.meanings import Meanings
from joulecast.ledger.partition import Cells, cells_of
from joulecast.records import Record

AHEAD: Final = 2  # partitions that are sent for each CPU, so that none waits
MOST_RETRIES: Final = 5  # of a partition whose node or process dies


class Job(Record):
    """A partition, what its columns mean, and what is asked of it; `name` is that of its finished part."""

    name: str
    partition: Partition
    meanings: Meanings
    by: tuple[str, ...]
    hourly: bool

    def read(self, oracle: Oracle) -> Cells:
        """What becomes of it. Raises as `cells_of`."""
        return cells_of(self.partition, self.meanings, self.by, oracle, self.hourly)


def read_on_nodes(jobs: Sequence[Job], law: Law, address: str) -> Iterator[tuple[Job, Cells]]:
    """Jobs with what became of them, as nodes finish them.

    Raises MissingExtraError without Ray, MeasureError when no cluster answers or a partition is lost again
    and again, InputError for what a node cannot read, or has otherwise than this machine.
    """
    with connected(address, "a ledger over several machines") as ray:
        there = ray.put(pickle.dumps(law))
        read = ray.remote(num_cpus=1, max_retries=MOST_RETRIES)(_read)
        most = AHEAD * max(int(ray.cluster_resources().get("CPU", 0)), 1)
        left, away = list(reversed(jobs)), dict[Any, Job]()
        while left or away:
            while left and len(away) < most:
                job = left.pop()
                away[read.remote(_placed(job), there, own_version())] = job
            for ref in ray.wait(list(away), num_returns=1)[0]:
                job = away.pop(ref)
                yield job, _answer(ray, ref, job)


def _placed(job: Job) -> Job:
    """A job whose file a node finds, whichever folder it works in."""
    partition = dataclasses.replace(job.partition, path=str(Path(job.partition.path).absolute()))
    return dataclasses.replace(job, partition=partition)


def _answer(ray: Any, ref: Any, job: Job) -> Cells:
    try:
        found: Cells | str = ray.get(ref)
    except ray.exceptions.RayError as error:
        raise MeasureError(f"{job.partition.where} was read by no node: {in_short(error)}") from error
    if isinstance(found, str):
        raise InputError(f"{found} (on a node of the cluster)")
    return found


def _read(job: Job, law: bytes, version: str) -> Cells | str:
    """On a node: a partition's cells, or why there are none."""
    if version != own_version():
        return f"joulecast is {own_version()} there and {version} here: install one version on all"
    path, size = Path(job.partition.path), job.partition.size
    if not path.is_file():
        return f"{job.partition.where} is not there: every node must have it under this path"
    if path.stat().st_size != size:
        return f"{job.partition.where} has {path.stat().st_size:,} bytes, not the {size:,} of this machine's"
    try:
        return job.read(_oracle(law))
    except JoulecastError as error:
        return str(error)


@functools.lru_cache(maxsize=1)
def _oracle(law: bytes) -> Oracle:
    """The oracle of a pickled law, one a process."""
    return Oracle(pickle.loads(law))
