"""A ledger read by a real Ray cluster of three nodes on this machine, one of which is killed."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulecast.errors import InputError, MissingExtraError
from joulecast.extras import own_version
from joulecast.law.load import load_law
from joulecast.ledger.log import Partition
from joulecast.ledger.make import Ledger, make_ledger
from joulecast.ledger.meanings import by_names
from joulecast.ledger.nodes import Job, _read
from joulecast.ledger.partition import Cells
from joulecast.ledger.synthetic import synthetic_log
from joulecast.ledger.totals import total

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves its files to the collector
]
PARTS = 12
STORE_BYTES = 80 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(3):
        made.add_node(wait=False, num_cpus=1, object_store_memory=STORE_BYTES)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, log = tmp_path_factory.mktemp("log"), synthetic_log(6_000, seed=11)
    for i in range(PARTS):
        log[i::PARTS].write_csv(folder / f"{i:02}.csv")
    return [str(folder)]


@pytest.fixture(scope="module")
def alone(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return make_ledger(parts, tmp_path_factory.mktemp("alone"), by=["day", "customer"])


def same(one: Ledger, other: Ledger) -> bool:
    return (
        one.cells.equals(other.cells)
        and one.set_aside.equals(other.set_aside)
        and total(one.cells, "roofline") == total(other.cells, "roofline")
    )


@pytest.mark.slow
def test_a_cluster(
    cluster: Any, parts: list[str], alone: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, for starting a cluster takes most of its time."""
    address = str(cluster.address)
    the_same_is_found_to_the_last_digit_also_when_a_node_is_killed(cluster, parts, alone, tmp_path / "out")
    files_are_found_from_the_folder_that_the_user_is_in(address, tmp_path, monkeypatch)
    a_file_that_a_node_cannot_read_is_named(address, tmp_path)


def the_same_is_found_to_the_last_digit_also_when_a_node_is_killed(
    cluster: Any, parts: list[str], alone: Ledger, out: Path
) -> None:
    told: list[str] = []
    victim = sorted(cluster.worker_nodes, key=lambda node: node.node_id)[0]

    def tell(words: str) -> None:
        told.append(words)
        if len(told) == 1:
            cluster.remove_node(victim, allow_graceful=False)

    by = ["day", "customer"]
    found = make_ledger(parts, out, by=by, cluster=str(cluster.address), tell=tell)
    assert len(told) == PARTS
    assert same(found, alone)
    again = make_ledger(parts, out, by=by)  # what nodes found is kept here
    assert same(again, alone)


def files_are_found_from_the_folder_that_the_user_is_in(
    address: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes work in the one that their cluster was started in."""
    monkeypatch.chdir(folder)
    Path("log.csv").write_text("model,gpu\nsdxl,H100\nnobody-knows,H100\n")
    found = make_ledger(["log.csv"], "of-log", cluster=address)
    assert (found.rows, found.set_aside["file"].to_list()) == (2, ["log.csv"])


def a_file_that_a_node_cannot_read_is_named(address: str, folder: Path) -> None:
    (folder / "log.csv").write_text("model,gpu\nsdxl,H100\n")
    with pytest.raises(InputError, match=r"'tenant'; found: model, gpu \(on a node"):
        make_ledger([str(folder / "log.csv")], folder / "of-tenant", by=["tenant"], cluster=address)


def test_without_ray_the_extra_is_named(
    parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="a ledger over several machines needs the extra `fleet`"):
        make_ledger(parts, tmp_path / "out", cluster="auto")


def a_job(path: Path, size: int) -> Job:
    return Job("name", Partition(str(path), size, "digest"), by_names(["model", "gpu"], "log"), (), False)


def test_a_node_reads_only_what_this_machine_has(tmp_path: Path) -> None:
    path, law = tmp_path / "log.csv", pickle.dumps(load_law())
    job = a_job(path, 20)
    words = f"joulecast is {own_version()} there and 0.0 here: install one version on all"
    assert _read(job, law, "0.0") == words
    assert str(_read(job, law, own_version())).endswith(
        "log.csv' is not there: every node must have it under this path"
    )
    path.write_text("model,gpu\nsdxl,L4\n")
    assert "has 18 bytes, not the 20 of this machine's" in str(_read(job, law, own_version()))
    found = _read(a_job(path, 18), law, own_version())
    assert isinstance(found, Cells)
    assert found.rows == 1
