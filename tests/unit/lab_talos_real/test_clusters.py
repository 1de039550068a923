"""Clusters are found by what control planes keep on their disks, and stood beside while one of them answers."""

import asyncio
from pathlib import Path

import pytest
from fakes.specs import make_spec

from infraflux_lab.contracts import Machine, Nic
from infraflux_lab.talos_real import clusters
from infraflux_lab.talos_real.clusters import Clusters, Member, loopback_home, read_member
from infraflux_lab.talos_real.layout import Layout

ID = "Pb_K0x33L_tml5JoMsU4qFbZvWzbeI_9hD96MrnhXQM="


def machine(number: int) -> Machine:
    card = Nic(mac=f"BC:24:11:00:00:{number:02}", bridge="vmbr0", address=f"10.94.1.{number}", gateway="10.94.1.1")
    return Machine(
        environment="dev", vm_id=10000 + number, name=f"node-{number}", uuid="", host="h", cores=2, memory_mib=4096,
        nics=[card],
    )  # fmt: skip


WORKER = f"machine: {{type: worker}}\ncluster: {{id: {ID}}}\n---\nkind: HostnameConfig\nhostname: a\n"
FILES = {
    "a worker": (WORKER, (ID, None)),
    "half written": ("machine: {type: wor", None),
    "empty": ("", None),
    "of no cluster": ("machine: {type: worker}\n", None),
    "a control plane without its keys": (f"machine: {{type: controlplane}}\ncluster: {{id: {ID}}}\n", None),
}


@pytest.mark.parametrize(("text", "wanted"), FILES.values(), ids=FILES.keys())
def test_what_a_disk_says_of_its_cluster(tmp_path, text, wanted):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    found = read_member(machine(21), path)
    assert (found and (found.cluster_id, found.settings)) == wanted


def test_programs_of_each_cluster_have_an_address_of_their_own():
    homes = {loopback_home(f"cluster-{number}") for number in range(50)}
    assert len(homes) == 50
    assert all(home.startswith("127.") for home in homes)


class World:
    """API servers that answer or do not, and somebody who is told."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layout, self.running, self.answering, self.installed = Layout(home=home), [], set(), False
        self.told, self.seen = [], []
        self.members = {}
        monkeypatch.setattr(clusters, "write_admin", lambda *_, **__: None)
        monkeypatch.setattr(clusters, "_client", lambda _layout, address: Api(self, address))
        monkeypatch.setattr(clusters, "read_member", lambda one, _path: self.members[one.name])
        self.clusters = Clusters(layout=self.layout, running=lambda: self.running, observer=self, events=self)

    def add(self, one: Machine, *, plane: bool) -> None:
        path = self.layout.machine(one).volume("/system/state")
        path.mkdir(parents=True)
        (path / "config.yaml").write_text("")
        self.layout.machine(one).volume("/etc/cni").mkdir()
        settings = make_settings() if plane else None
        self.members[one.name] = Member(machine=one, address=one.address, cluster_id=ID, settings=settings)
        self.running.append(one)

    def emit(self, source, kind, **fields):
        self.seen.append(kind)

    async def cluster_up(self, cluster):
        self.told.append(f"up {cluster.server}")

    async def cluster_down(self, cluster_id):
        self.told.append("down")

    def cni(self, one: Machine) -> bool:
        return (self.layout.machine(one).volume("/etc/cni") / "net.d" / "90-lab.conflist").exists()


class Api:
    def __init__(self, world: World, address: str) -> None:
        self.world, self.address = world, address

    async def ready(self):
        return self.address in self.world.answering

    async def get(self, _path):
        return {} if self.world.installed else None

    async def close(self):
        pass


def make_settings():
    class Settings:
        name = make_spec().name

    return Settings()


def test_a_cluster_is_stood_beside_while_one_control_plane_answers(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch)
    first, second, worker = machine(11), machine(12), machine(21)
    for one in (first, second):
        world.add(one, plane=True)
    world.add(worker, plane=False)

    async def play() -> None:
        await world.clusters._look()
        assert world.told == [], "nobody answers yet"
        world.answering = {first.address, second.address}
        for _ in range(2):
            await world.clusters._look()
        assert world.told == ["up https://10.94.1.11:6443"]
        assert not world.cni(worker), "Cilium is not there yet, so no node can be Ready"
        world.installed = True
        await world.clusters._look()
        assert all(world.cni(one) for one in (first, second, worker))
        world.running.remove(first)
        await world.clusters._look()
        assert world.told[1:] == ["down", "up https://10.94.1.12:6443"]
        await world.clusters.stop()
        assert world.told[-1] == "down"

    asyncio.run(play())
