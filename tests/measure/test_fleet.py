"""A campaign on a real Ray cluster of several nodes on this machine, with the replay meter."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from command import exit_status as command
from joulecast.cluster import connected
from joulecast.errors import InputError, MeasureError, MissingExtraError
from joulecast.extras import own_version
from joulecast.measure import campaign_plan as plan
from joulecast.measure import fleet
from joulecast.measure import node as node_of_fleet
from joulecast.measure.campaign import Progress, run_campaign
from joulecast.measure.campaign_plan import parse_plan
from joulecast.measure.fleet import run_fleet
from joulecast.measure.node import Answer, GpuSource, Node, ReplaySource
from joulecast.measure.protocol import Settings
from joulecast.measure.records import TaskSpec
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace
from joulecast.measure.store import NewTask, Store
from joulecast.measure.task import Outcome
from joulecast.measure.virtual import VirtualSubject
from joulecast.runs import RunTable

# Ray has no wheels for the newest Pythons at first; where it has, scripts/test installs it.
HAS_RAY = importlib.util.find_spec("ray") is not None
pytestmark = pytest.mark.xdist_group("ray")
needs_ray = pytest.mark.skipif(
    not HAS_RAY and sys.version_info >= (3, 15), reason="Ray has no wheel for this Python"
)
# Ray leaves its log files and sockets to the garbage collector.
their_warnings = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
STORE_BYTES = 80 * 2**20  # the least Ray accepts is 75 MiB
H100, A100 = "H100-SXM5-80GB", "A100-SXM4-80GB"


@dataclass(frozen=True)
class Trap:
    """What befalls the runs of so many steps, on whichever node: until `times` are up, counted in files."""

    steps: int
    deed: str  # "crash" the process, or "wait" for the node to be killed
    folder: str
    times: int = 1_000


@dataclass(frozen=True)
class Trapped:
    """A replay source with traps."""

    inner: ReplaySource
    traps: tuple[Trap, ...] = field(default=())
    is_real: bool = False

    def __call__(self, accelerator: str) -> tuple[Any, Any]:
        subject, meter = self.inner(accelerator)
        return TrappedSubject(subject, self.traps), meter


class TrappedSubject:
    def __init__(self, subject: Any, traps: tuple[Trap, ...]) -> None:
        self._subject, self._traps = subject, traps

    def load(self, spec: TaskSpec) -> None:
        for trap in self._traps:
            sprung = len(list(Path(trap.folder).glob(f"{trap.steps}-*")))
            if spec.steps == trap.steps and sprung < trap.times:
                raylet = os.getppid()
                Path(trap.folder, f"{trap.steps}-{sprung}-{raylet}").touch()
                if trap.deed == "crash":
                    os._exit(1)
                time.sleep(60)
        self._subject.load(spec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)


def source(*traps: Trap) -> Trapped:
    return Trapped(ReplaySource(packaged_trace()), traps)


class Cluster:
    """Nodes of one machine; one that a test kills is replaced for the next test that needs it."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster as RayCluster

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        self._cluster = RayCluster(initialize_head=True, head_node_args=head)
        self.address = str(self._cluster.address)
        self.nodes: list[tuple[str, Any]] = []

    def have(self, *accelerators: str) -> None:
        """Add the nodes that are missing, each with one GPU of its type."""
        missing = Counter(accelerators) - Counter(kind for kind, _ in self.nodes)
        for kind in missing.elements():
            node = self._cluster.add_node(
                wait=False,
                num_cpus=0,
                num_gpus=1,
                resources={f"accelerator_type:{kind}": 1},
                object_store_memory=STORE_BYTES,
            )
            self.nodes.append((kind, node))

    def kill_the_waiting(self, folder: Path) -> None:
        """Kill the node of the run that waits for it, as soon as it does."""
        deadline = time.monotonic() + 50
        while time.monotonic() < deadline:
            waiting = {int(path.name.split("-")[2]) for path in folder.glob("*-*-*")}
            for kind, node in self.nodes:
                if waiting & {process.process.pid for process in node.all_processes.get("raylet", [])}:
                    self._cluster.remove_node(node, allow_graceful=False)
                    self.nodes.remove((kind, node))
                    return
            time.sleep(0.05)

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster()
    yield made
    made.close()


@dataclass
class Told:
    """What a driver says."""

    progress: list[Progress] = field(default_factory=list)
    news: list[str] = field(default_factory=list)


def run(store: Store, address: str, *traps: Trap, **options: Any) -> tuple[int, Told]:
    told = Told()
    done = run_fleet(
        store,
        Settings(),
        source(*traps),
        address,
        on_progress=told.progress.append,
        on_news=told.news.append,
        **options,
    )
    return done, told


def tasks(*steps: int, gpu: str | None = None) -> list[NewTask]:
    return [NewTask(plan.make_spec({"model": "sd2", "steps": n}), 1.0, gpu) for n in steps]


def all_once(store: Store) -> None:
    """Every finished task has one result, and the repeats of its result once each."""
    results = store.results()
    assert len({result.task for result in results}) == len(results) == store.counts()["done"]
    found = [(r.task, r.part, r.number) for r in store.repeats() if r.in_result]
    assert len(found) == len(set(found))
    for result in results:
        numbers = [number for task, _, number in found if task == result.task]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= Settings().repeats


# --- on a cluster ---------------------------------------------------------------------------------


@needs_ray
@their_warnings
@pytest.mark.slow
def test_runs_go_to_the_gpu_they_ask_for(cluster: Cluster, tmp_path: Path) -> None:
    cluster.have("H100", "H100", "A100")
    with Store(tmp_path / "s.db") as store:
        store.add(
            [*tasks(5, 6, gpu=H100), *tasks(5, 6, gpu=A100), *tasks(7, 8), *tasks(5, gpu="H200-SXM-141GB")]
        )
        done, told = run(store, cluster.address, version="9.9")
        assert done == 6
        all_once(store)
        where = {(r.spec.steps, r.environment.gpu) for r in store.results()}
        assert {(5, "H100"), (6, "H100"), (5, "A100"), (6, "A100")} <= where
        assert {steps for steps, _ in where} == {5, 6, 7, 8}
        assert store.counts()["pending"] == 1  # nobody has an H200
        assert "no node has a H200-SXM-141GB: 1 task left pending" in told.news
        words = f"joulecast {own_version()} on {store.results()[0].environment.node}, 9.9 where"
        for result in store.results():
            assert result.environment.node in {p.where for p in told.progress}
            assert result.environment.differs[0].startswith("joulecast ")
        assert words in store.results()[0].result.warnings[-1]
    assert [progress.done for progress in told.progress] == [1, 2, 3, 4, 5, 6]
    assert told.progress[-1].left_s > 0
    assert sum(words.endswith(("1 GPU, " + H100, "1 GPU, " + A100)) for words in told.news) == 3


@needs_ray
@their_warnings
@pytest.mark.slow
def test_a_poisoned_task_is_tried_elsewhere_and_given_up(cluster: Cluster, tmp_path: Path) -> None:
    cluster.have("H100", "H100", "A100")
    with Store(tmp_path / "s.db") as store:
        store.add([*tasks(9, gpu=H100), *tasks(5, 6, 7)])
        done, told = run(store, cluster.address, Trap(9, "crash", str(tmp_path)))
        assert done == 3
        all_once(store)
        failed = [task for task in store.tasks() if task.state == "failed"]
        assert [task.spec.steps for task in failed] == [9]
        message = failed[0].message or ""
        assert message.startswith("lost 3 times: ")
        assert message.count("its process died") == 3
    assert sum("its process died" in progress.outcome for progress in told.progress) == 3
    raylets = [path.name.split("-", 2)[2] for path in sorted(tmp_path.glob("9-*"))]
    assert len(raylets) == 3
    assert len(set(raylets[:2])) == 2  # the second try was on the other H100


@needs_ray
@their_warnings
@pytest.mark.slow
def test_interrupted_a_fleet_gives_its_tasks_back(cluster: Cluster, tmp_path: Path) -> None:
    cluster.have("A100")
    with Store(tmp_path / "s.db") as store:
        store.add(tasks(5, 6, 7, 8))

        def interrupt(progress: Progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_fleet(store, Settings(), source(), cluster.address, on_progress=interrupt)
        counts = store.counts()
        assert (counts["done"], counts["pending"], counts["running"]) == (1, 3, 0)
        here = VirtualClock()  # a process of this machine goes on with the same store
        assert run_campaign(store, VirtualSubject(here), ReplayMeter(packaged_trace(), here), Settings()) == 3
        all_once(store)


@needs_ray
@their_warnings
@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_a_store_to_go_on_with(cluster: Cluster, tmp_path: Path) -> None:
    cluster.have("A100")
    plan_file = tmp_path / "plan.toml"
    plan_file.write_text(f'[[grid]]\nmodel = "sd2"\nsteps = {list(range(5, 65))}\n')
    arguments = ["campaign", "run", str(plan_file), "--dry-run", "--fleet", cluster.address, "--store"]
    with subprocess.Popen(
        [sys.executable, "-m", "joulecast", *arguments, str(tmp_path / "s.db")],
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stderr is not None
        while not driver.stderr.readline().startswith("[2/60"):
            assert driver.poll() is None
        driver.kill()
    with Store(tmp_path / "s.db") as store:
        before = {result.task: result.finished_at for result in store.results()}
        assert 2 <= len(before) < 60
        run(store, cluster.address)
        all_once(store)
        assert store.counts()["done"] == 60
        after = {result.task: result.finished_at for result in store.results()}
        assert before.items() <= after.items()


@needs_ray
@their_warnings
@pytest.mark.slow
def test_a_fleets_budget(cluster: Cluster, tmp_path: Path) -> None:
    cluster.have("A100")
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(task.spec, 30.0, A100) for task in tasks(5, 6, 7, 8)])
        done, _ = run(store, cluster.address, budget_s=31)
        assert done == 1  # an A100 has 31 s, and spent more than one of them


PLAN = """
[[grid]]
model = "sd2"
size = "256x256"
steps = [5, 6]
gpu = ["H100", "A100"]
[[grid]]
model = "sd2"
steps = 7
gpu = "H200"
"""


@needs_ray
@their_warnings
@pytest.mark.slow
def test_the_command(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.have("A100", "H100")
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(PLAN)
    assert command("campaign", "run", "plan.toml", "--fleet", cluster.address, "--dry-run") == 1
    told = capsys.readouterr()
    assert told.out == "1 pending, 4 done\n"
    assert "no node has a H200-SXM-141GB: 1 task left pending" in told.err
    assert "[4/5, about " in told.err
    assert command("campaign", "export", "plan.db", "--out", "runs.csv") == 0
    assert Counter(RunTable.read("runs.csv").column("gpu")) == {H100: 2, A100: 2}
    if Path("/dev/nvidiactl").exists():
        return  # the nodes have a real GPU, which would be measured
    assert command("campaign", "run", "plan.toml", "--fleet", cluster.address, "--store", "real.db") == 2
    told = capsys.readouterr()
    assert "error: no node is left that can measure" in told.err
    assert "Traceback" not in told.err


@needs_ray
@their_warnings
@pytest.mark.slow
def test_the_runs_of_a_node_that_dies_are_done_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    cluster.have("H100", "H100", "A100")
    with Store(tmp_path / "s.db") as store:
        store.add(tasks(9, 5, 6, 7, 8, gpu=H100))
        killer = threading.Thread(target=cluster.kill_the_waiting, args=(tmp_path,))
        killer.start()
        done, told = run(store, cluster.address, Trap(9, "wait", str(tmp_path), times=1))
        killer.join()
        assert done == 5
        all_once(store)
        assert store.counts()["done"] == 5
        assert any("is lost: the node died" in words for words in told.news)
        again = next(result for result in store.results() if result.spec.steps == 9)
        assert again.attempt == 2
        lost = next(p.where for p in told.progress if "the node died" in p.outcome)
        assert again.environment.node != lost


# --- without one ----------------------------------------------------------------------------------


@needs_ray
def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as closed, Store(tmp_path / "s.db") as store:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(MeasureError, match=f"nothing answers at {address}"):
            run_fleet(store, Settings(), source(), address)


@needs_ray
def test_another_service_is_no_cluster(tmp_path: Path) -> None:
    def answer() -> None:
        connection, _ = other.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.0 400 Bad request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as other, Store(tmp_path / "s.db") as store:
        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(MeasureError, match="is not Ray; expected the head node"):
            run_fleet(store, Settings(), source(), address)


@needs_ray
@pytest.mark.parametrize("address", ["somewhere", "host:", ":6379", "ray://host:10001", "host:port"])
def test_what_is_no_address(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store, pytest.raises(InputError, match="expected auto or HOST:PORT"):
        run_fleet(store, Settings(), source(), address)


@needs_ray
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fleet", "nowhere"], "'nowhere' is no address of a Ray cluster"),
        (["--fleet", "127.0.0.1:1"], "nothing answers at 127.0.0.1:1"),
        (["--fleet", "auto", "--gpu", "H100"], "nodes of a fleet tell their own"),
    ],
)
def test_command_errors_are_one_line(
    more: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("campaign", "run", "calibrate", "--dry-run", *more) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        Store(tmp_path / "s.db") as store,
        pytest.raises(MissingExtraError, match=r"pip install .*fleet|pip install .*ray"),
    ):
        run_fleet(store, Settings(), source())


@pytest.mark.parametrize(("before", "after"), [(None, "0"), ("0", "0"), ("1", "1")])
def test_ray_tells_its_makers_nothing_unless_asked_to(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    stand_in = SimpleNamespace(
        init=lambda **options: seen.append(os.environ.get("RAY_USAGE_STATS_ENABLED")), shutdown=lambda: None
    )
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", before or "")
    if before is None:
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    with connected("auto", "a test"):
        pass
    assert seen == [after]


def test_what_differs_on_a_node_is_told() -> None:
    node = Node("1", "a", "H100", 1, stated="NVIDIA H100 80GB HBM3")
    assert list(node_of_fleet.differences(node, node.stated, "1", "1")) == []
    assert list(node_of_fleet.differences(node, "NVIDIA A40", "1", "2")) == [
        "joulecast 1 on a, 2 where the campaign runs",
        "the GPU is 'NVIDIA A40'; a said 'NVIDIA H100 80GB HBM3'",
    ]


def test_a_run_on_another_gpu_than_it_asks_for_fails() -> None:
    node = Node("1", "a", "H100", 1, stated="H100")
    answer = node_of_fleet.run_task(tasks(5)[0].spec, A100, Settings(), source(), node, own_version())
    assert answer.outcome is not None
    assert answer.outcome.state == "failed"
    assert f"it asks for {A100}, and node a gave it 'H100'" in answer.outcome.message


def test_a_name_that_only_ray_knows_will_do() -> None:
    assert node_of_fleet.known_gpu("NVIDIA H200", "H100") == "H200-SXM-141GB"
    assert node_of_fleet.known_gpu("Tesla V100-SXM9", "V100") == "V100-SXM2"
    assert node_of_fleet.known_gpu("Quadro", "") is None


def test_a_node_without_a_gpu_is_a_problem_of_the_node() -> None:
    @dataclass(frozen=True)
    class Broken:
        is_real: bool = True

        def __call__(self, accelerator: str) -> tuple[Any, Any]:
            raise MeasureError("NVML cannot start")

    assert node_of_fleet.introduce(Broken(), "") == Answer(problem="NVML cannot start")
    answer = node_of_fleet.run_task(tasks(5)[0].spec, None, Settings(), Broken(), Node("1", "a", "", 1), "1")
    assert (answer.outcome, answer.problem) == (None, "NVML cannot start")


def test_what_comes_back_is_what_the_store_would_hold(tmp_path: Path) -> None:
    spec = parse_plan('[[grid]]\nmodel = "sd2"\nsteps = 5\ncomponents = true\n', "x").tasks[0].spec
    node = Node("1", "a", "H100", 1, stated="H100")
    answer = node_of_fleet.run_task(spec, H100, Settings(), source(), node, own_version())
    clock = VirtualClock()
    with Store(tmp_path / "s.db") as store:
        store.add([NewTask(spec)])
        run_campaign(store, VirtualSubject(clock), ReplayMeter(packaged_trace(), clock), Settings())
        result, repeats = store.results()[0], store.repeats()
    assert isinstance(answer.outcome, Outcome)
    found = answer.outcome.result
    assert found is not None
    assert json.loads(found.to_json()).keys() == json.loads(result.result.to_json()).keys()
    assert found.energy_j == result.result.energy_j
    assert [(part, number) for part, number, _ in answer.repeats] == [(r.part, r.number) for r in repeats]
    assert answer.environment is not None
    here, there = json.loads(result.environment.to_json()), json.loads(answer.environment.to_json())
    assert there.keys() == {*here, "node", "differs"}


def test_a_node_that_does_not_answer_is_not_waited_for_beyond_the_budget(tmp_path: Path) -> None:
    class Silent:
        def nodes(self) -> list[Any]:
            return []

        def wait(self, refs: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
            return [], refs

    news: list[str] = []
    with Store(tmp_path / "runs.db") as store:
        store.add(tasks(5))
        driver = fleet._Driver(
            Silent(), store, Settings(), GpuSource(), 0.0, lambda progress: None, news.append
        )
        driver.asking["asked"] = Node("1", "a", "H100", 1)
        assert driver.run() == 0
        assert store.counts()["pending"] == 1
    assert news[0] == "node a has not answered within the budget"
