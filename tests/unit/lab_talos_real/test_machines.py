"""What a machine does with its power, with boots that end as a test wants."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from infraflux_lab.contracts import Disk, Machine, Nic
from infraflux_lab.talos_real.boot import Ended
from infraflux_lab.talos_real.cgroups import Groups
from infraflux_lab.talos_real.layout import Layout
from infraflux_lab.talos_real.machines import RESET_ACCEPTED, Machines

CARD = Nic(mac="BC:24:11:00:00:01", bridge="vmbr0", address="10.94.1.11", gateway="10.94.1.1")
DISK = Disk(interface="scsi0", size_bytes=1, volume="v", image="talos.raw", generation="first")
MACHINE = Machine(
    environment="dev", vm_id=10011, name="cp-1", uuid="", host="h", cores=2, memory_mib=4096, disks=[DISK], nics=[CARD]
)


class World:
    """Everything around the machines."""

    def __init__(self, home: Path, ends: Sequence[Ended]) -> None:
        self.ends, self.specs, self.log, self.gateways, self.shut = list(ends), [], [], [], []
        self.layout = Layout(home=home)
        (self.layout.root / "opt" / "cni").mkdir(parents=True)
        self.said = b""
        self.machines = Machines(
            layout=self.layout, groups=Groups("lab", []), networks=self, power=self, events=self,
            new_gateway=self.new_gateway, boot=self.boot,
        )  # fmt: skip

    async def boot(self, spec):
        self.specs.append(spec)
        with Path(spec["console"]).open("ab") as console:
            console.write(self.said)
        if not self.ends:
            await asyncio.Event().wait()
        return self.ends.pop(0)

    def emit(self, source, kind, **fields):
        self.log.append((kind, fields.get("how", "")))

    async def plug(self, segment, gateway):
        return "bridge", gateway is not None and not self.gateways

    async def new_gateway(self, gateway):
        self.gateways.append(str(gateway))

    async def guest_shutdown(self, key):
        self.shut.append(key)

    def volume(self, path: str) -> Path:
        return self.layout.machine(MACHINE).volume(path)


def play(tmp_path: Path, *ends: Ended, machine: Machine = MACHINE, said: bytes = b"", after=None) -> World:
    """Switch the machine on and let things happen."""

    async def run() -> World:
        world = World(tmp_path, ends)
        world.said = said
        await world.machines.powered_on(machine)
        await asyncio.sleep(0.3)
        if after:
            await after(world)
        await world.machines.stop()
        return world

    return asyncio.run(run())


ENDS = {
    "switches itself off": ([Ended.POWER_OFF], 1, True),
    "restarts twice, then switches itself off": ([Ended.REBOOT, Ended.REBOOT, Ended.POWER_OFF], 3, True),
    "dies": ([Ended.KILLED], 1, True),
    "cannot be started": ([Ended.FAILED], 1, False),
    "runs on": ([], 1, False),
}


@pytest.mark.parametrize(("ends", "boots", "shut"), ENDS.values(), ids=ENDS.keys())
def test_a_node_boots_as_often_as_it_wants(tmp_path, ends, boots, shut):
    world = play(tmp_path, *ends)
    assert len(world.specs) == boots
    assert world.shut == ([MACHINE.key] if shut else [])
    assert list(world.machines.failed) == (["cp-1"] if Ended.FAILED in ends else [])
    assert world.gateways == ["10.94.1.1/24"], "told once, however often the node boots"


def test_a_node_gets_its_card_its_address_and_its_limits(tmp_path):
    [spec] = play(tmp_path).specs
    assert spec["environment"] == {"PLATFORM": "container", "TALOSSKU": "2CPU-4096RAM"}
    [nic] = spec["nics"]
    assert (nic["name"], nic["mac"], nic["address"]) == ("eth0", "bc:24:11:00:00:01", "10.94.1.11/24")
    assert Path(spec["files"]["/etc/resolv.conf"]).read_text() == "nameserver 10.94.1.1\n"
    assert (Path(spec["volumes"]["/opt"]) / "cni").is_dir(), "a volume begins as what the image has there"


def test_a_loopback_address_is_said_and_the_machine_stays_on(tmp_path):
    world = play(tmp_path, machine=replace(MACHINE, nics=[replace(CARD, address="127.77.1.11")]))
    assert "is a loopback address" in world.machines.failed["cp-1"]
    assert world.specs == world.shut == []


@pytest.mark.parametrize(
    ("end", "said", "kept"),
    [
        pytest.param(Ended.POWER_OFF, RESET_ACCEPTED, False, id="a reset wipes"),
        pytest.param(Ended.POWER_OFF, b"shutdown via API received", True, id="a shutdown does not"),
        pytest.param(Ended.REBOOT, RESET_ACCEPTED, True, id="nor does a restart"),
    ],
)
def test_a_reset_forgets_the_disk(tmp_path, end, said, kept):
    ends = [end] if end is Ended.POWER_OFF else [end, Ended.KILLED]
    assert play(tmp_path, *ends, said=said).volume("/var").exists() is kept


def test_a_new_disk_is_empty_and_the_same_one_is_not(tmp_path):
    async def again(world: World) -> None:
        (world.volume("/var") / "etcd").write_text("data")
        await world.machines.powered_off(MACHINE)
        await world.machines.powered_on(MACHINE)
        await asyncio.sleep(0.3)
        assert (world.volume("/var") / "etcd").exists()
        await world.machines.powered_off(MACHINE)
        await world.machines.powered_on(replace(MACHINE, disks=[replace(DISK, generation="second")]))
        await asyncio.sleep(0.3)
        assert not (world.volume("/var") / "etcd").exists()
        await world.machines.deleted(MACHINE)
        assert not world.layout.machine(MACHINE).home.exists()
        assert world.machines.running == []

    assert len(play(tmp_path, after=again).specs) == 3
