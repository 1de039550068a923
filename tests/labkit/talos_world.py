"""One emulated Talos world in a thread: machines to switch on, a hand-made Kubernetes, the real talosctl to ask it."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit.pretend_etcd import PretendEtcd

from infraflux_lab.contracts import Disk, Machine, Nic, NodeFacts
from infraflux_lab.talos import TalosLab

OCTET = os.environ.get("INFRAFLUX_TEST_OCTET", "78")
WAIT_S = 60.0
GIB = 1024**3
SNAPSHOT = b"\0" * 1024 + b"s" * 32


@dataclass
class Log:
    """Event sink that keeps everything in memory."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def emit(self, source: str, kind: str, **fields: Any) -> None:
        self.events.append({"source": source, "kind": kind, **fields})

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]


class NoLatency:
    """Nothing takes time, but for a phase that is held until it is released."""

    def __init__(self) -> None:
        self._held = ""

    async def sleep(self, phase: str) -> None:
        await asyncio.sleep(0)
        while phase == self._held:
            await asyncio.sleep(0.01)

    def hold(self, phase: str) -> None:
        self._held = phase

    def release(self) -> None:
        self._held = ""


@dataclass
class Switches:
    """Faults by kind and machine key; a number of times each, None for always."""

    active: dict[tuple[str, str], tuple[int | None, dict[str, Any]]] = field(default_factory=dict)

    def add(self, kind: str, target: str, *, times: int | None = 1, **params: Any) -> None:
        self.active[kind, target] = (times, params)

    def clear(self) -> None:
        self.active.clear()

    def take(self, kind: str, target: str) -> Mapping[str, Any] | None:
        times, params = self.active.get((kind, target), (0, {}))
        if times == 0:
            return None
        if times is not None:
            self.active[kind, target] = (times - 1, params)
        return params


class Power:
    """The part of the Proxmox simulator a guest can feel: power, and a new disk generation after a wipe."""

    def __init__(self) -> None:
        self.lab: TalosLab | None = None
        self.machines: dict[str, Machine] = {}
        self.on: set[str] = set()

    def add(self, machine: Machine) -> None:
        self.machines[machine.key] = machine

    async def start(self, key: str) -> None:
        assert self.lab
        self.on.add(key)
        await self.lab.powered_on(self.machines[key])

    async def stop(self, key: str) -> None:
        assert self.lab
        self.on.discard(key)
        await self.lab.powered_off(self.machines[key])

    async def delete(self, key: str) -> None:
        assert self.lab
        await self.lab.deleted(self.machines.pop(key))

    async def guest_reboot(self, key: str) -> None:
        await self.stop(key)
        await self.start(key)

    async def guest_shutdown(self, key: str) -> None:
        await self.stop(key)

    async def guest_wipe_disk(self, key: str, interface: str) -> None:
        machine = self.machines[key]
        disks = [
            replace(disk, generation=disk.generation + "'") if disk.interface == interface else disk
            for disk in machine.disks
        ]
        self.machines[key] = replace(machine, disks=disks)


@dataclass
class PretendCluster:
    etcd: PretendEtcd = field(default_factory=lambda: PretendEtcd(SNAPSHOT))
    home: str | None = None
    nodes: dict[str, NodeFacts] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    vip: str | None = None
    starts: int = 0
    manifests: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)


class PretendKubernetes:
    """A Kubernetes host that keeps books instead of running processes."""

    def __init__(self) -> None:
        self.clusters: dict[str, PretendCluster] = {}

    def of(self, cluster_id: str) -> PretendCluster:
        return self.clusters.setdefault(cluster_id, PretendCluster())

    @property
    def only(self) -> PretendCluster:
        (cluster,) = self.clusters.values()
        return cluster

    async def start(self, cluster_id: str, config: Mapping[str, Any], node: NodeFacts, *, new: bool) -> None:
        cluster = self.of(cluster_id)
        assert config["cluster"]["id"] == cluster_id
        await (cluster.etcd.found if new else cluster.etcd.run)(config, node)
        cluster.home, cluster.starts = node.name, cluster.starts + 1

    def etcd(self, cluster_id: str) -> PretendEtcd:
        return self.of(cluster_id).etcd

    async def stop(self, cluster_id: str) -> None:
        self.of(cluster_id).home = None

    async def remove(self, cluster_id: str) -> None:
        self.clusters.pop(cluster_id, None)

    def running(self, cluster_id: str) -> bool:
        return cluster_id in self.clusters and self.of(cluster_id).home is not None

    def has_data(self, cluster_id: str) -> bool:
        return cluster_id in self.clusters and bool(self.of(cluster_id).etcd.data)

    async def node_up(self, cluster_id: str, node: NodeFacts) -> None:
        cluster = self.of(cluster_id)
        cluster.nodes[node.name] = node
        cluster.down.discard(node.name)

    async def node_down(self, cluster_id: str, node_name: str) -> None:
        self.of(cluster_id).down.add(node_name)

    async def set_vip(self, cluster_id: str, vip: str) -> None:
        self.of(cluster_id).vip = vip

    async def apply_manifests(self, cluster_id: str, objects: Sequence[Mapping[str, Any]]) -> list[str]:
        known = self.of(cluster_id).manifests
        known.update({(one["kind"], one["metadata"]["name"]): one for one in objects})
        return []


def address(number: int) -> str:
    return f"127.{OCTET}.1.{number}"


def machine(number: int, *, memory_mib: int = 4096) -> Machine:
    return Machine(
        environment="test",
        vm_id=number,
        name=f"node-{number}",
        uuid=f"00000000-0000-4000-8000-{number:012d}",
        host="pve-1",
        cores=2,
        memory_mib=memory_mib,
        disks=[
            Disk(
                interface="scsi0",
                size_bytes=20 * GIB,
                volume=f"local-lvm:vm-{number}-disk-0",
                image="local:import/talos-v1.13.9-nocloud-amd64.raw",
                generation="1",
            )
        ],
        nics=[Nic(mac=f"BC:24:11:00:00:{number:02X}", bridge="vmbr0", address=address(number))],
    )


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class World:
    """Everything a test needs, driven from an ordinary thread; the lab runs in its own event loop."""

    def __init__(self, *, directory: Path, talosctl: Path, generated: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.directory = directory
        self.generated = generated
        self._talosctl = talosctl
        self._loop = loop
        self.log, self.faults, self.power = Log(), Switches(), Power()
        self.kubernetes: Any = PretendKubernetes()
        self.latency = NoLatency()
        self.lab = self.make()

    def make(self) -> TalosLab:
        lab = TalosLab(
            state_dir=self.directory / "state",
            power=self.power,
            kubernetes=self.kubernetes,
            events=self.log,
            latency=self.latency,
            faults=self.faults,
            talosctl=self._talosctl,
        )
        self.power.lab = lab
        return lab

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    @staticmethod
    def address(number: int) -> str:
        return address(number)

    def restart_lab(self) -> None:
        """Stop the emulator as a crash of the lab would and start it on the same state; machines get power again."""
        self.run(self.lab.stop())
        self.lab = self.make()
        self.run(self.lab.start())
        for key in sorted(self.power.on):
            self.run(self.power.start(key))

    def boot(self, *numbers: int, memory_mib: int = 4096) -> None:
        """Make machines and wait until their ports are open."""
        for number in numbers:
            self.power.add(machine(number, memory_mib=memory_mib))
            self.run(self.power.start(f"test/{number}"))
        for number in numbers:
            self.until(lambda number=number: self.stage(number) == "maintenance", f"maintenance on {number}")

    def stage(self, number: int) -> str:
        return next(
            (entry["stage"] for entry in self.lab.describe()["machines"] if entry["machine"] == f"test/{number}"), ""
        )

    def ready(self, number: int) -> bool:
        found = [entry for entry in self.lab.describe()["machines"] if entry["machine"] == f"test/{number}"]
        return bool(found and found[0]["ready"] and found[0]["type"])

    def until(self, condition: Callable[[], bool], what: str) -> None:
        async def wait() -> None:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    await asyncio.sleep(0.02)

        try:
            self.run(wait())
        except TimeoutError:
            raise AssertionError(f"{what}: not within {WAIT_S} s; {self.log.events[-20:]}") from None

    def talosctl(
        self,
        *words: str,
        node: int | None = None,
        endpoint: int | None = None,
        talosconfig: Path | None = None,
        check: bool = True,
    ) -> Answer:
        argv = self._argv(*words, node=node, endpoint=endpoint, talosconfig=talosconfig)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_S, check=False)
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert not check or answer.code == 0, f"{words}: {answer.text}"
        return answer

    def _argv(
        self, *words: str, node: int | None, endpoint: int | None = None, talosconfig: Path | None = None
    ) -> list[str]:
        argv = [str(self._talosctl), *words]
        if node is not None:
            argv += ["--nodes", address(node), "--endpoints", address(endpoint or node)]
        if "--insecure" not in words:
            argv += ["--talosconfig", str(talosconfig or self.generated / "talosconfig")]
        return argv

    def follow(self, *words: str, node: int, until: str, after_start: Callable[[], object] | None = None) -> str:
        """Output of a command that does not end by itself, up to a text; `after_start` runs at its first output."""
        seen, deadline = "", time.monotonic() + WAIT_S
        with subprocess.Popen(self._argv(*words, node=node), stdout=subprocess.PIPE) as process:
            assert process.stdout
            os.set_blocking(process.stdout.fileno(), False)
            while until not in seen:
                assert time.monotonic() < deadline, seen
                if chunk := process.stdout.read():
                    seen += chunk.decode()
                    if after_start:
                        after_start()
                        after_start = None
                time.sleep(0.05)
            process.terminate()
        return seen

    def edit(self, number: int, patch: Mapping[str, Any]) -> None:
        """Change a configuration out of band."""
        self.run(self.lab.edit_config(f"test/{number}", patch))

    def config_path(self, kind: str, number: int) -> Path:
        """A machine config of this kind that names the machine."""
        text = (self.generated / f"{kind}.yaml").read_text()
        path = self.directory / f"{kind}-{number}.yaml"
        path.write_text(text)
        return path

    def apply(self, number: int, kind: str) -> None:
        """Push a first configuration and wait until the machine runs it."""
        self.talosctl("apply-config", "--insecure", "--file", str(self.config_path(kind, number)), node=number)
        self.until(lambda: self.stage(number) in ("booting", "running"), f"{kind} config on {number}")

    def cluster(self, *, control_planes: int, workers: int) -> None:
        """A bootstrapped cluster: control planes from 11, workers from 21."""
        planes = [11 + at for at in range(control_planes)]
        others = [21 + at for at in range(workers)]
        self.boot(*planes, *others)
        for number in planes:
            self.apply(number, "controlplane")
        for number in others:
            self.apply(number, "worker")
        self.talosctl("bootstrap", node=11)
        for number in (*planes, *others):
            self.until(lambda number=number: self.ready(number), f"{number} ready")
