"""A campaign over the GPUs of a Ray cluster (extra `fleet`): one store, a Ray task for each run.

The driver alone writes: sqlite is not safe on network drives. It claims a task of the store when a
GPU is free, sends it to that GPU's node and records what comes back, so a fleet and processes on
one machine can share a store. Every node is asked once for its GPU and its joulecast. A run whose
node dies, or whose process does, is tried again, elsewhere where it can be; after
`store.MOST_ATTEMPTS` losses it is given up, with the record saying why.

On real GPUs each run has a process of its own, so nothing that an earlier one left shares the card.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast.cluster import connected
from joulecast.errors import MeasureError, in_short
from joulecast.extras import own_version
from joulecast.measure import store as stores
from joulecast.measure.campaign import Progress, progress_of, settle, time_scale, waiting, within
from joulecast.measure.database import StoreError
from joulecast.measure.node import ACCELERATOR, Answer, Node, Source, gpu_name, introduce, known_gpu, run_task
from joulecast.measure.protocol import Settings
from joulecast.measure.store import Claim, LostError, Store
from joulecast.measure.task import Outcome
from joulecast.units import counted

LOOK_S: Final = 5.0  # between looks for nodes that joined
WAIT_S: Final = 1.0  # longest wait for a result before leases are renewed and nodes looked for


def run_fleet(
    store: Store,
    settings: Settings,
    source: Source,
    address: str = "auto",
    *,
    budget_s: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_news: Callable[[str], None] = lambda words: None,
    version: str = "",
) -> int:
    """Measure a store's tasks on the GPUs of a Ray cluster; returns how many were finished.

    Parameters
    ----------
    address : of the cluster: ``"auto"`` for the one this machine is part of, or ``"HOST:PORT"``.
    budget_s : a task is begun only if it should end within it [s]; in a dry run, of each GPU's
        virtual time.
    on_news : told of nodes that join or are lost, and of tasks no node can do.
    version : joulecast's, for comparing nodes with; this one's by default.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    MeasureError
        The cluster cannot be reached, or none of its nodes can measure.
    """
    with connected(address, "a campaign over several machines") as ray:
        driver = _Driver(ray, store, settings, source, budget_s, on_progress, on_news)
        driver.version = version or own_version()
        return driver.run()


@dataclass
class _Flight:
    """A run on its way: where it was sent, and the claim it fulfils."""

    claim: Claim
    node: Node
    slot: int


@dataclass
class _Driver:
    ray: Any
    store: Store
    settings: Settings
    source: Source
    budget_s: float | None
    on_progress: Callable[[Progress], None]
    on_news: Callable[[str], None]
    version: str = ""
    nodes: dict[str, Node] = field(default_factory=dict)
    asking: dict[Any, Node] = field(default_factory=dict)
    away: dict[Any, _Flight] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)  # nodes not to be used again, and why
    losses: dict[int, list[tuple[str, str]]] = field(default_factory=dict)  # by task: node, what happened
    spent_s: dict[tuple[str, int], float] = field(default_factory=dict)  # by GPU, on its own clock
    finished: int = 0
    _looked: float = -LOOK_S
    _renewed: float = field(default_factory=time.monotonic)
    _start: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """Until nothing is left that any node can do within the budget."""
        try:
            while self._go_on():
                refs = [*self.asking, *self.away]
                for ref in self.ray.wait(refs, num_returns=1, timeout=WAIT_S)[0]:
                    self._landed(ref)
        except BaseException:
            self._give_back()
            raise
        for node in self.asking.values():
            self.on_news(f"node {node.name} has not answered within the budget")
        self._tell_waiting()
        return self.finished

    def _go_on(self) -> bool:
        """Look, renew and send; whether anything is on its way."""
        self._look()
        self._renew()
        for node in list(self.nodes.values()):
            for slot in self._free(node):
                if not self._send(node, slot):
                    break
        nothing = not (self.nodes or self.asking or self.away)
        if nothing and (not self.gone or self.store.counts()["pending"]):
            raise MeasureError(self._why_no_node())
        return bool(self.away or (self.asking and not self._is_over()))

    def _is_over(self) -> bool:
        """Whether the budget is spent: nodes that have not answered yet are not waited for."""
        is_spent = self.budget_s is not None and time.monotonic() - self._start >= self.budget_s
        return self.source.is_real and is_spent

    # --- nodes --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Ask nodes that joined for their GPU."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        known = {*self.nodes, *self.gone, *(node.identity for node in self.asking.values())}
        for node in gpu_nodes(self.ray):
            if node.identity not in known:
                ref = self._remote(introduce, node).remote(self.source, node.accelerator)
                self.asking[ref] = node
                self.on_news(f"asking node {node.name} for its GPU (it waits while another program has it)")

    def _introduced(self, ref: Any) -> None:
        node = self.asking.pop(ref)
        try:
            answer: Answer = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            answer = Answer(problem=_what_happened(self.ray, error))
        if answer.problem:
            self.gone[node.identity] = f"{node.name}: {answer.problem}"
            self.on_news(f"node {node.name} cannot measure: {answer.problem}")
            return
        gpu = known_gpu(answer.stated, node.accelerator)
        node = dataclasses.replace(node, stated=answer.stated, gpu=gpu, version=answer.version)
        self.nodes[node.identity] = node
        self.on_news(f"node {node.name}: {counted(node.slots, 'GPU')}, {gpu or answer.stated}")
        if answer.version != self.version:
            self.on_news(f"node {node.name} has joulecast {answer.version}; here it is {self.version}")

    def _lose(self, node: Node, why: str) -> None:
        if self.nodes.pop(node.identity, None) is not None:
            self.gone[node.identity] = f"{node.name}: {why}"
            self.on_news(f"node {node.name} is lost: {why}")

    def _why_no_node(self) -> str:
        if self.gone:
            return f"no node is left that can measure ({'; '.join(self.gone.values())})"
        return (
            "no node of the Ray cluster has a GPU; start them with `ray start --address=HOST:PORT`, for a "
            "dry run with --num-gpus=1"
        )

    def _tell_waiting(self) -> None:
        for gpu, count in waiting(self.store, {node.gpu for node in self.nodes.values()}).items():
            self.on_news(f"no node has a {gpu}: {counted(count, 'task')} left pending")

    # --- runs ---------------------------------------------------------------------------------

    def _free(self, node: Node) -> Iterator[int]:
        taken = {flight.slot for flight in self.away.values() if flight.node.identity == node.identity}
        return (slot for slot in range(node.slots) if slot not in taken)

    def _send(self, node: Node, slot: int) -> bool:
        """Claim the next task for a free GPU and send it there; False when there is none."""
        left = self._left_s(node, slot)
        if left is not None and left <= 0:
            return False
        most = None if left is None else left / time_scale(self.store)
        claim = self.store.claim(gpu=node.gpu, most_s=most, but_not=self._elsewhere(node))
        if claim is None:
            return False
        ref = self._remote(run_task, node).remote(
            claim.spec, claim.gpu, within(self.settings, left), self.source, node, self.version
        )
        self.away[ref] = _Flight(claim, node, slot)
        return True

    def _left_s(self, node: Node, slot: int) -> float | None:
        if self.budget_s is None:
            return None
        if self.source.is_real:
            return self.budget_s - (time.monotonic() - self._start)
        return self.budget_s - self.spent_s.get((node.identity, slot), 0.0)

    def _elsewhere(self, node: Node) -> list[int]:
        """Tasks that were lost on this node and that another one could do."""
        others = [n.identity for n in self.nodes.values() if n.gpu == node.gpu and n is not node]
        asked = [(n.identity, gpu_name(n.accelerator)) for n in self.asking.values()]
        others += [identity for identity, gpu in asked if gpu in (None, node.gpu)]  # may well be able to
        found = []
        for task, losses in self.losses.items():
            lost_on = {identity for identity, _ in losses}
            if node.identity in lost_on and set(others) - lost_on:
                found.append(task)
        return found

    def _remote(self, function: Callable[..., Answer], node: Node) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = {"num_gpus": 1, "num_cpus": 0, "max_retries": 0}
        options["max_calls"] = 1 if self.source.is_real else 0
        there = NodeAffinitySchedulingStrategy(node.identity, soft=False)
        return self.ray.remote(**options)(function).options(scheduling_strategy=there)

    def _landed(self, ref: Any) -> None:
        if ref in self.asking:
            return self._introduced(ref)
        flight = self.away.pop(ref)
        try:
            answer: Answer = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            return self._lost(flight, error)
        if answer.outcome is None:
            self._lose(flight.node, answer.problem)
            return self._release(flight)
        key = flight.node.identity, flight.slot
        self.spent_s[key] = self.spent_s.get(key, 0.0) + answer.outcome.took_s
        self._record(flight, answer, answer.outcome)
        return None

    def _record(self, flight: _Flight, answer: Answer, outcome: Outcome) -> None:
        try:
            identity = "" if answer.environment is None else self.store.environment(answer.environment)
            for part, number, repeat in answer.repeats:
                self.store.record(flight.claim, part, number, repeat, identity)
            settle(self.store, flight.claim, outcome, identity)
        except LostError as error:
            outcome = Outcome("lost", str(error), None, 0.0)
        self.finished += outcome.state == "done"
        workers = max(1, sum(node.slots for node in self.nodes.values()))
        self.on_progress(progress_of(self.store, flight.claim, outcome, workers, flight.node.name))

    def _lost(self, flight: _Flight, error: Exception) -> None:
        """A run did not come back: its node died, or its process did, or it broke."""
        why, exceptions = _what_happened(self.ray, error), self.ray.exceptions
        if isinstance(error, exceptions.NodeDiedError | exceptions.TaskUnschedulableError):
            self._lose(flight.node, why)
        if isinstance(error, exceptions.TaskUnschedulableError):  # it never began
            return self._release(flight)
        losses = self.losses.setdefault(flight.claim.task, [])
        losses.append((flight.node.identity, f"{flight.node.name}: {why}"))
        words = f"lost {len(losses)} times: {'; '.join(what for _, what in losses)}"
        if len(losses) == 1:
            words = f"lost on {losses[0][1]}"
        self._record(flight, Answer(), Outcome("failed", words, None, 0.0))
        return None

    def _release(self, flight: _Flight) -> None:
        with contextlib.suppress(StoreError):  # else it is freed when its lease ends
            self.store.release(flight.claim)

    def _renew(self) -> None:
        """Extend the leases of all runs that are away; a run that another took over is ended."""
        if time.monotonic() - self._renewed < stores.LEASE_S / 4:
            return
        self._renewed = time.monotonic()
        for ref, flight in list(self.away.items()):
            try:
                self.store.renew(flight.claim)
            except LostError:
                del self.away[ref]
                self.ray.cancel(ref, force=True)

    def _give_back(self) -> None:
        """Interrupted: what is away ends, and its tasks are free again."""
        for ref, flight in self.away.items():
            with contextlib.suppress(Exception):
                self.ray.cancel(ref, force=True)
            self._release(flight)


# --- Ray ------------------------------------------------------------------------------------------


def gpu_nodes(ray: Any) -> list[Node]:
    """The living nodes with a GPU, in the order of their names."""
    found = []
    for node in ray.nodes():
        resources = node["Resources"]
        slots = int(resources.get("GPU", 0))
        if node["Alive"] and slots:
            names = [name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR)]
            name = str(node.get("NodeManagerHostname") or node["NodeManagerAddress"])
            found.append(Node(node["NodeID"], name, names[0] if names else "", slots))
    return _told_apart(sorted(found, key=lambda node: (node.name, node.identity)))


def _told_apart(nodes: list[Node]) -> list[Node]:
    """Nodes of one machine get the beginning of their id behind its name."""
    names = [node.name for node in nodes]
    return [
        dataclasses.replace(node, name=f"{node.name}/{node.identity[:6]}")
        if names.count(node.name) > 1
        else node
        for node in nodes
    ]


def _what_happened(ray: Any, error: Exception) -> str:
    exceptions = ray.exceptions
    if isinstance(error, exceptions.NodeDiedError | exceptions.TaskUnschedulableError):
        return "the node died or left the cluster"
    if isinstance(error, exceptions.WorkerCrashedError):
        return "its process died"
    if isinstance(error, exceptions.OutOfMemoryError):
        return "its process was ended as the machine ran out of memory"
    if isinstance(error, exceptions.RayTaskError):
        return in_short(error.cause if isinstance(error.cause, Exception) else error)
    return in_short(error)
