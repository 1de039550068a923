"""Machines behind `MachinePower`: on or off, with what waits for their next start, and Talos inside them."""

from dataclasses import dataclass, field, replace

from fakes.talos import FakeTalos

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import Hardware
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import Retryable


@dataclass
class FakePower:
    """`waiting`: options of the next start by node. `deaf`: nodes that take no notice of a shutdown."""

    spec: ClusterSpec
    talos: FakeTalos
    running: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    """Nodes that do not become Ready."""
    calls: list[str] = field(default_factory=list)
    boots: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    """Nodes for which Proxmox goes on to keep what waits."""

    def __post_init__(self) -> None:
        for node in self.spec.nodes:
            self.running[node.name] = {"cores": str(node.cores), "memory": str(node.memory_mib)}
            self.boots[node.name] = 1

    def wait(self, name: str, **options: str) -> None:
        """Let a machine run with other values than those it will start with."""
        for option, before in options.items():
            self.waiting.setdefault(name, {})[option] = self.running[name][option]
            self.running[name][option] = before

    def machine(self, vm_id: int) -> Guest:
        node = next(one for one in self.spec.nodes if one.vm_id == vm_id)
        return Guest(vm_id=vm_id, name=node.name, host=node.host, running=node.name not in self.off)

    def hardware(self, guest: Guest) -> Hardware:
        return Hardware(running=self.running[guest.name], waiting=self.waiting.get(guest.name, {}))

    def shut_down(self, guest: Guest, *, timeout_s: int, force: bool) -> None:
        self.calls.append(f"shut down {guest.name}{' by force' if force else ''}")
        if guest.name in self.deaf and not force:
            raise Retryable(f"{guest.name}: VM quit/powerdown failed - got timeout")
        self.off.add(guest.name)
        self.talos.machine(guest.name).powered = False
        if guest.name not in self.kept:
            self.running[guest.name] |= self.waiting.pop(guest.name, {})

    def start(self, guest: Guest) -> None:
        self.calls.append(f"start {guest.name}")
        self.off.discard(guest.name)
        self.boots[guest.name] += 1
        self.talos.machine(guest.name).powered = True

    def nodes(self) -> list[KubernetesNode]:
        """Node objects: each kubelet counts what its machine runs with."""
        return [
            replace(
                KubernetesNode(name=name, ready=True, addresses=(), kubelet_version=""),
                ready=name not in self.off | self.broken,
                boot_id=str(self.boots[name]),
                cores=int(values["cores"]),
                memory_mib=int(int(values["memory"]) * 0.95),
            )
            for name, values in self.running.items()
        ]
