"""Control planes that join, leave, die and come back, beside etcd members in a book: who is asked to do what."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from labkit.talos_world import Log, NoLatency, Power, PretendKubernetes, Switches, machine

from infraflux_lab.talos import TalosLab
from infraflux_lab.talos.cluster import Cluster
from infraflux_lab.talos.config_loading import parse
from infraflux_lab.talos.errors import TalosError
from infraflux_lab.talos.machine_config import dump
from infraflux_lab.talos.node import Node

PATIENCE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


class Planes:
    """Three control planes of one cluster, driven without talosctl."""

    def __init__(self, directory: Path) -> None:
        self.log, self.power, self.kubernetes = Log(), Power(), PretendKubernetes()
        self.lab = TalosLab(
            state_dir=directory,
            power=self.power,
            kubernetes=self.kubernetes,
            events=self.log,
            latency=NoLatency(),
            faults=Switches(),
        )
        self.power.lab = self.lab

    async def configure(self, number: int, config: bytes) -> None:
        self.power.add(machine(number))
        await self.power.start(f"test/{number}")
        await until(lambda: self.node(number).stage.label == "maintenance")
        self.lab._lifecycle.install(self.node(number), parse(config))
        await until(lambda: self.node(number).stage.label == "booting")

    def node(self, number: int) -> Node:
        return self.lab._context.nodes[f"test/{number}"]

    @property
    def cluster(self) -> Cluster:
        (cluster,) = self.lab._clusters.all()
        return cluster

    @property
    def etcd(self) -> Any:
        return self.kubernetes.only.etcd

    async def ready(self, *numbers: int) -> None:
        await until(lambda: all(self.node(number).ready for number in numbers))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def planes(tmp_path: Path, control_plane: list[dict[str, Any]]) -> AsyncIterator[Planes]:
    made = Planes(tmp_path)
    control_plane[0]["machine"]["network"] = {}
    await made.lab.start()
    try:
        for number in (11, 12, 13):
            await made.configure(number, dump(control_plane))
        await made.cluster.bootstrap(made.node(11), recover=False)
        await made.ready(11, 12, 13)
        yield made
    finally:
        await made.lab.stop()
    assert not {"task-failed", "reconcile-failed"} & set(made.log.kinds()), made.log.events


@pytest.mark.anyio
async def test_learners_are_promoted_one_after_the_other(planes: Planes) -> None:
    assert {member.id for member in planes.cluster.members} == set(planes.etcd.entries)
    assert not any(member.learner for member in planes.cluster.members)
    assert [kind for kind in planes.log.kinds() if kind in ("etcd-learner", "etcd-joined")] == [
        *("etcd-learner", "etcd-joined"),
        *("etcd-learner", "etcd-joined"),
    ]


@pytest.mark.anyio
async def test_the_member_of_a_machine_that_is_off_does_not_run(planes: Planes) -> None:
    await planes.power.stop("test/11")
    await until(lambda: planes.kubernetes.only.home == "node-12")
    assert planes.etcd.started() == {"test/12", "test/13"}
    await planes.power.start("test/11")
    await planes.ready(11)
    assert planes.etcd.started() == {"test/11", "test/12", "test/13"}


@pytest.mark.anyio
async def test_the_api_moves_before_its_member_leaves(planes: Planes) -> None:
    assert planes.kubernetes.only.home == "node-11"
    await planes.cluster.leave(planes.node(11))
    assert planes.kubernetes.only.home == "node-12"
    assert "test/11" not in planes.etcd.data
    await planes.power.guest_reboot("test/11")
    await planes.ready(11)
    assert len(planes.cluster.members) == 3


@pytest.mark.anyio
async def test_without_a_majority_the_member_that_is_left_knows_no_leader(planes: Planes) -> None:
    await planes.power.stop("test/12")
    await planes.power.stop("test/13")
    await until(lambda: planes.kubernetes.only.home is None)
    assert planes.etcd.started() == {"test/11"}
    assert (await planes.cluster.membership.status(planes.node(11))).leader == 0
    with pytest.raises(TalosError, match="etcdserver: no leader"):
        await planes.cluster.membership.list_members(planes.node(11), local=True)
    await planes.power.start("test/13")
    await until(lambda: planes.kubernetes.only.home is not None)


@pytest.mark.anyio
async def test_a_machine_that_is_gone_takes_its_data_and_stays_a_member_until_it_is_removed(planes: Planes) -> None:
    (dead,) = [member for member in planes.cluster.members if member.machine == "test/13"]
    await planes.power.delete("test/13")
    await until(lambda: "test/13" not in planes.etcd.data)
    assert dead.id in planes.etcd.entries
    await planes.cluster.remove_member(dead.id)
    assert {member.machine for member in planes.cluster.members} == {"test/11", "test/12"}
    with pytest.raises(TalosError, match="member not found"):
        await planes.cluster.remove_member(dead.id)
