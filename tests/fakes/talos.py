"""A small Talos world behind the command line of talosctl: machines, their configurations, one etcd.

It answers as the real program does (same texts on standard error), remembers every change that was made, and can be
told to misbehave: `lose_reply` does the work and then says that the connection broke.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infraflux.adapters.talos.configs import MachineConfigs
from infraflux.adapters.talos.facts import BootstrapMarker
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.config.models.talos import Schematic
from infraflux.core.process import Completed
from infraflux.render.talos import installer_image, schematic_id

REFUSED = "rpc error: code = Unavailable desc = connection error: dial tcp {0}:50000: connect: connection refused"
NO_CERTIFICATE = "rpc error: code = Unavailable desc = connection error: remote error: tls: certificate required"
UNKNOWN_CA = "rpc error: code = Unavailable desc = tls: x509: certificate signed by unknown authority"
LOST = "rpc error: code = Unavailable desc = error reading from server: EOF"
UPGRADE_SAYS = """\
updating "kube-apiserver" to version "1.36.3"
 > "10.0.0.11": kube-apiserver: waiting, config version mismatch: got "1", expected "2"
 < "10.0.0.11": successfully updated
 < configured Secret/kube-system/bootstrap-token
--- a
+++ b
-  token: b2xk
+  token: bmV3
"""
"""Parts of what `talosctl upgrade-k8s` prints."""
PLAIN = schematic_id(Schematic())
"""The schematic that nothing was added to."""


def etcd_table(rows: Sequence[tuple[str, ...]]) -> str:
    """As talosctl prints members: columns as wide as their widest cell, three spaces between."""
    table = [("NODE", "ID", "HOSTNAME", "PEER URLS", "CLIENT URLS", "LEARNER"), *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)


@dataclass
class FakeMachine:
    node: Node
    powered: bool = True
    config: str = ""
    uuid: str = ""
    mac: str = ""
    locked: bool = False
    version: str = "v1.13.9"
    schematic: str = PLAIN
    extensions: tuple[str, ...] = ()
    refuse: str = ""


@dataclass
class FakeTalos:
    """Runner of `Talosctl` that keeps its machines in memory."""

    spec: ClusterSpec
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    bootstraps: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)
    upgrades: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """What was done for another Kubernetes, in order."""
    no_image: set[str] = field(default_factory=set)
    """Nodes that cannot pull an image."""
    gone: str = ""
    """What the new Kubernetes does not have any more, as `upgrade-k8s` says it."""
    stops: bool = False
    """`upgrade-k8s` ends after its first control plane."""
    stuck: set[str] = field(default_factory=set)
    """Nodes that boot their old image again after an upgrade."""
    rebooting: set[str] = field(default_factory=set)
    """Nodes that cannot take a configuration without a reboot."""
    lose_reply: set[str] = field(default_factory=set)
    leader: str = ""
    """The node whose member leads etcd."""
    joins: bool = True
    argv: list[list[str]] = field(default_factory=list)
    kill_at: Callable[[list[str]], bool] = lambda words: False

    def __post_init__(self) -> None:
        for node in self.spec.nodes:
            self.machines[str(node.address)] = FakeMachine(node, uuid=node.uuid, mac=node.mac)

    def machine(self, name: str) -> FakeMachine:
        return next(one for one in self.machines.values() if one.node.name == name)

    def __call__(self, argv: Sequence[str | Path], *, deadline_s: float, on_line: Any = None) -> Completed:
        words = [str(word) for word in argv][1:]
        self.argv.append(words)
        address = words[words.index("--nodes") + 1]
        machine = self.machines[address]
        insecure = "--insecure" in words
        error = self._door(machine, insecure)
        if error:
            return self._answer("", error)
        reply = getattr(self, f"_{words[0].replace('-', '_')}")(machine, words)
        for line in f"{reply.stdout}\n{reply.stderr}".splitlines() if on_line else ():
            on_line(line)
        if self.kill_at(words):
            raise KeyboardInterrupt
        if words[0] in self.lose_reply:
            self.lose_reply.discard(words[0])
            return self._answer("", LOST)
        return reply

    def _door(self, machine: FakeMachine, insecure: bool) -> str:
        if not machine.powered:
            return REFUSED.format(machine.node.address)
        if machine.locked:
            return NO_CERTIFICATE if insecure else UNKNOWN_CA
        if insecure and machine.config:
            return NO_CERTIFICATE
        return UNKNOWN_CA if not insecure and not machine.config else ""

    @staticmethod
    def _answer(stdout: str, stderr: str = "") -> Completed:
        return Completed(argv=("talosctl",), returncode=1 if stderr else 0, stdout=stdout, stderr=stderr, elapsed_s=0)

    def _get(self, machine: FakeMachine, words: list[str]) -> Completed:
        specs: dict[str, list[tuple[str, Any]]] = {
            "systeminformation": [("systeminformation", {"uuid": machine.uuid})],
            "links": [("lo", {"hardwareAddr": ""}), ("eth0", {"hardwareAddr": machine.mac})],
            "machineconfig": [("v1alpha1", machine.config)],
            "extensions": [(str(at), {"metadata": one}) for at, one in enumerate(self._extensions(machine))],
            "services": [(name, {"running": True, "healthy": True}) for name in ("apid", "kubelet", "etcd")],
        }
        found = specs[words[1]]
        return self._answer("".join(json.dumps({"metadata": {"id": i}, "spec": spec}, indent=1) for i, spec in found))

    @staticmethod
    def _extensions(machine: FakeMachine) -> list[dict[str, str]]:
        names = [{"name": name, "version": "v1"} for name in machine.extensions]
        return [*names, *([{"name": "schematic", "version": machine.schematic}] if machine.schematic else [])]

    def _version(self, machine: FakeMachine, words: list[str]) -> Completed:
        return self._answer(f"Client:\n\tTag: v0\nServer:\n\tNODE: x\n\tTag:         {machine.version}\n")

    def _upgrade(self, machine: FakeMachine, words: list[str]) -> Completed:
        if machine.refuse:
            return self._answer("", machine.refuse)
        self.upgrades.append(machine.node.name)
        if machine.node.name not in self.stuck:
            name, _, machine.version = words[words.index("--image") + 1].rpartition(":")
            machine.schematic = name.rpartition("/")[2]
            wanted = self.spec.image.schematic.extensions
            machine.extensions = tuple(sorted(one.rpartition("/")[2] for one in wanted))
        return self._answer("upgrade completed")

    def _apply_config(self, machine: FakeMachine, words: list[str]) -> Completed:
        if machine.refuse:
            return self._answer("", machine.refuse)
        if "--dry-run" in words:
            how = "with" if machine.node.name in self.rebooting else "without"
            return self._answer(f"Dry run summary:\nApplied configuration {how} a reboot (skipped in dry-run).")
        machine.config = Path(words[words.index("--file") + 1]).read_text()
        self.pushed.append(machine.node.name)
        name = machine.node.name
        if self.joins and self.members and machine.node.role is Role.CONTROL_PLANE and name not in self.members:
            self.members.append(name)
        return self._answer("")

    def _bootstrap(self, machine: FakeMachine, words: list[str]) -> Completed:
        if self.members:
            return self._answer("", "rpc error: code = AlreadyExists desc = etcd data directory is not empty")
        self.bootstraps.append(machine.node.name)
        self.members.append(machine.node.name)
        return self._answer("")

    def _etcd(self, machine: FakeMachine, words: list[str]) -> Completed:
        if words[1] == "snapshot":
            Path(words[2]).write_text(f"snapshot of {machine.node.name}")
            return self._answer("")
        if words[1] == "status":
            leader = str(self.members.index(self.leader)) if self.leader in self.members else ""
            return self._answer(f"NODE   MEMBER   LEADER   RAFT INDEX\nx      0        {leader.ljust(6)}   7\n")
        if machine.node.name not in self.members:
            return self._answer("", "rpc error: code = Unavailable desc = etcd is not running")
        asked = str(machine.node.address)
        known = {one.node.name: address for address, one in self.machines.items()}
        urls = [f"https://{known.get(name, 'x')}" for name in self.members]
        rows = [
            (asked, str(number), name, f"{url}:2380", f"{url}:2379", "false")
            for number, (name, url) in enumerate(zip(self.members, urls, strict=True))
        ]
        return self._answer(etcd_table(rows))

    def _image(self, machine: FakeMachine, words: list[str]) -> Completed:
        if machine.node.name in self.no_image:
            return self._answer("", "rpc error: code = NotFound desc = failed to resolve image: not found")
        self.done.append(f"pull {machine.node.name} {words[2]}")
        return self._answer("")

    def _upgrade_k8s(self, machine: FakeMachine, words: list[str]) -> Completed:
        """One component after the other; told to stop, it has changed the first node only."""
        if self.gone:
            return self._answer("", f"NODE COMPONENT REMOVED FLAG\n{self.gone}")
        version = words[words.index("--to") + 1]
        for one in self.machines.values():
            if one.node.role is Role.CONTROL_PLANE:
                one.config = re.sub(r"(registry\.k8s\.io/[\w-]+):v\S+", rf"\1:v{version}", one.config)
                self.done.append(f"control plane {one.node.name} v{version}")
                if self.stops:
                    return self._answer("", "error updating node: context deadline exceeded")
        return self._answer(UPGRADE_SAYS)

    def _kubeconfig(self, machine: FakeMachine, words: list[str]) -> Completed:
        Path(words[1]).write_text("kubeconfig")
        return self._answer("")

    def _reset(self, machine: FakeMachine, words: list[str]) -> Completed:
        self.resets.append(machine.node.name)
        if "--graceful=true" in words and machine.node.name in self.members:
            self.members.remove(machine.node.name)
        machine.powered, machine.config = "--reboot" in words, ""
        return self._answer("")


@dataclass
class FakeWorkspace:
    """`TalosWorkspace` without talosctl's generators: configurations are small texts that name their node."""

    spec: ClusterSpec
    directory: Path
    talosctl: Talosctl
    marker: BootstrapMarker | None = None
    cluster_id: str = "cluster-id-1"
    untouched: bool = False
    has_bundle: bool = True
    added: str = ""
    """Lines below `machine:` of every wanted configuration."""
    with_images: bool = False
    """Whether configurations name the images of Kubernetes, as talosctl writes them."""

    @property
    def admin(self) -> Talosctl:
        return self.talosctl

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def talosconfig(self) -> Path:
        return self.directory / "talosconfig"

    @property
    def bundle(self) -> "FakeWorkspace":
        return self

    @property
    def configs(self) -> MachineConfigs:
        return MachineConfigs({node.name: self.config(node) for node in self.spec.nodes})

    def config(self, node: Node) -> str:
        install = f"  install:\n    image: {installer_image(self.spec)}\n"
        machine = f"machine:\n  type: {node.role.machine_type}\n  name: {node.name}\n{self.added}{install}"
        cluster = f"cluster:\n  id: {self.cluster_id}\n"
        if not self.with_images:
            return f"{machine}{cluster}"
        version = self.spec.versions.kubernetes
        kubelet = f"  kubelet:\n    image: ghcr.io/siderolabs/kubelet:{version}\n"
        if node.role is Role.WORKER:
            return f"{machine}{kubelet}{cluster}"
        parts = {"apiServer": "apiserver", "controllerManager": "controller-manager", "scheduler": "scheduler"}
        images = (f"  {key}:\n    image: registry.k8s.io/kube-{name}:{version}\n" for key, name in parts.items())
        return f"{machine}{kubelet}{cluster}{''.join(images)}"

    def read_marker(self) -> BootstrapMarker | None:
        return self.marker

    def write_marker(self, marker: BootstrapMarker) -> None:
        self.marker = marker
