"""What the parts of the lab say to each other.

The Proxmox simulator owns machines (power, disks, addresses). The Talos emulator watches machines and answers for
the operating system inside. The Kubernetes host runs the real control plane processes that Talos would have run.
Each part knows the others only through the protocols in this file, so each is tested with a small fake of the rest.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One disk of a machine as the guest sees it."""

    interface: str
    """Proxmox name: `scsi0`, `virtio1`."""
    size_bytes: int
    volume: str
    """Proxmox volume id, `local-lvm:vm-100-disk-0`."""
    image: str | None = None
    """Volume id of the image it was imported from; None for a blank disk."""
    ssd: bool = False
    """Presented as a solid state disk (`ssd=1`)."""
    generation: str = ""
    """Changes whenever the content was made anew: a new generation means whatever was installed is gone."""


@dataclass(frozen=True, kw_only=True)
class Nic:
    """One network card; `address` comes from the cloud-init drive (`ipconfigN`), as nocloud gives it to Talos."""

    mac: str
    bridge: str
    vlan: int | None = None
    address: str | None = None
    """Without prefix length: `127.77.1.11`."""
    prefix_length: int = 24
    gateway: str | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A virtual machine at the moment its power state changed."""

    environment: str
    vm_id: int
    name: str
    uuid: str
    """SMBIOS UUID, lower case."""
    host: str
    cores: int
    memory_mib: int
    disks: Sequence[Disk] = ()
    nics: Sequence[Nic] = ()

    @property
    def key(self) -> str:
        """Unique in the whole lab and stable over power cycles: `dev/10011`."""
        return f"{self.environment}/{self.vm_id}"

    @property
    def address(self) -> str | None:
        """Address of the first card that has one."""
        return next((nic.address for nic in self.nics if nic.address), None)


class MachineObserver(Protocol):
    """Told by the Proxmox simulator, in order, one call at a time per machine."""

    async def powered_on(self, machine: Machine) -> None: ...
    async def powered_off(self, machine: Machine) -> None: ...
    async def deleted(self, machine: Machine) -> None: ...


class PowerControl(Protocol):
    """What a guest may do to its own machine; implemented by the Proxmox simulator."""

    async def guest_reboot(self, key: str) -> None:
        """The guest restarts: `powered_off` then `powered_on` reach the observer; the Proxmox status stays running."""

    async def guest_shutdown(self, key: str) -> None:
        """The guest powers off: Proxmox shows the machine as stopped."""

    async def guest_wipe_disk(self, key: str, interface: str) -> None:
        """The guest wiped its system disk; the image the VM was made from boots again (new generation)."""


class EventSink(Protocol):
    """The lab's append-only log, ground truth for tests and benchmarks."""

    def emit(self, source: str, kind: str, **fields: Any) -> None: ...


class Latency(Protocol):
    """Simulated durations by phase (`vm-create`, `boot`, `config-install-reboot`, `etcd-bootstrap`, ...)."""

    async def sleep(self, phase: str) -> None: ...


class Faults(Protocol):
    """Switches set by `infraflux lab fault`; `take` counts down a fault that is to strike a number of times."""

    def take(self, kind: str, target: str) -> Mapping[str, Any] | None:
        """The parameters of an active fault for this target (exact or `*`), or None."""


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What the Kubernetes host needs to know of a Talos node."""

    name: str
    address: str
    control_plane: bool
    machine_key: str
    cores: int
    memory_mib: int
    kubelet_version: str
    """`v1.36.3`, read from the kubelet image of the machine config."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What Talos writes onto the Node; a worker's API server may refuse it."""
    taints: Sequence[str] = ()
    """The same of taints, as `key=value:Effect`."""
    registered_taints: Sequence[str] = ()
    """What the kubelet registers with."""
    system_uuid: str = ""
    """SMBIOS UUID, by which Kubernetes tells a new machine under an old name."""
    boot_id: str = ""
    os_image: str = "Talos"
    """`Talos (v1.13.9)`, as the kubelet reports it."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Image of each static pod that the machine config names one for: `kube-apiserver` and so on."""
    config_versions: Mapping[str, str] = field(default_factory=dict)
    """Per static pod the version of its config resource; `upgrade-k8s` waits for pods that carry it."""


class EtcdError(Exception):
    """etcd refused, in its own words, or gave no answer."""


@dataclass(frozen=True, kw_only=True)
class EtcdFacts:
    """Status of one etcd member, as it says itself."""

    member_id: int
    cluster_id: int
    db_size_bytes: int
    db_size_in_use_bytes: int
    leader: int
    """Id of the member it takes for the leader; 0 while it knows none."""
    raft_index: int
    raft_term: int
    raft_applied_index: int
    version: str
    storage_version: str = ""
    is_learner: bool = False
    errors: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class EtcdMember:
    """One entry of etcd's member list; a member that has not started yet has no name."""

    id: int
    name: str
    peer_urls: Sequence[str]
    client_urls: Sequence[str]
    is_learner: bool


@dataclass(frozen=True, kw_only=True)
class EtcdAlarm:
    """An alarm that a member has raised: `NOSPACE` or `CORRUPT`."""

    member_id: int
    kind: str


class EtcdMembers(Protocol):
    """The real etcd members of one cluster, each on its machine's address with its machine's data.

    Machines are named by their key. Whatever etcd refuses is an EtcdError with etcd's words.
    """

    def has_data(self, machine: str) -> bool: ...

    def database(self, machine: str) -> Path:
        """The machine's database file, whether it is there or not."""

    def started(self) -> set[str]:
        """Machines whose member runs."""

    async def found(self, config: Mapping[str, Any], node: NodeFacts) -> None:
        """Begin a new cluster; FileExistsError where the machine has data."""

    async def recover(
        self, config: Mapping[str, Any], node: NodeFacts, snapshot: bytes, *, checked: bool = True
    ) -> None:
        """Begin a new cluster with the data of a snapshot; FileExistsError where the machine has data.

        Not `checked`: a copy of the database file, which has no checksum, is taken as well.
        """

    async def join(self, config: Mapping[str, Any], node: NodeFacts, *, via: str) -> int:
        """Add the machine as a learner and start its member; the answer is the member's id.

        What Talos does first: a member of the same name is removed.
        """

    async def run(self, config: Mapping[str, Any], node: NodeFacts) -> None:
        """Let the machine's member run with its data, without waiting for it; FileNotFoundError where there is none."""

    async def halt(self, machine: str) -> None:
        """Stop the machine's member; its data stays."""

    async def drop(self, machine: str) -> None:
        """Stop the machine's member and delete its data."""

    async def promote(self, member_id: int, *, via: str) -> None:
        """Make a learner a voter; refused until it has caught up with the leader."""

    async def remove(self, member_id: int, *, via: str) -> None: ...

    async def members(self, machine: str) -> list[EtcdMember]: ...

    async def status(self, machine: str) -> EtcdFacts: ...

    async def alarms(self, machine: str) -> list[EtcdAlarm]: ...

    async def disarm(self, machine: str) -> list[EtcdAlarm]:
        """Clear every alarm; the answer names those that were cleared."""

    async def defragment(self, machine: str) -> None: ...

    async def move_leader(self, machine: str, target: int) -> None:
        """Let the machine's member, which has to be the leader, hand over to another."""

    def snapshot(self, machine: str) -> AsyncIterator[bytes]:
        """A real snapshot of the machine's member, chunk by chunk."""


class KubernetesHost(Protocol):
    """Runs the real etcd, kube-apiserver, controller-manager, scheduler and kwok of each lab cluster.

    `cluster_id` is `cluster.id` of the Talos machine config. `config` is the v1alpha1 document of a control plane,
    already parsed. All calls are idempotent.
    """

    def etcd(self, cluster_id: str) -> EtcdMembers:
        """The cluster's etcd members."""

    async def start(self, cluster_id: str, config: Mapping[str, Any], node: NodeFacts, *, new: bool) -> None:
        """Start the control plane with `node` as its home, beside the home's own etcd member.

        `new` founds etcd (Talos Bootstrap) and raises FileExistsError where data exists already; without it the
        existing data is used, and FileNotFoundError says that there is none.
        """

    async def stop(self, cluster_id: str) -> None:
        """Stop everything but the etcd members."""

    async def remove(self, cluster_id: str) -> None:
        """Stop everything and delete the data."""

    def running(self, cluster_id: str) -> bool: ...

    def has_data(self, cluster_id: str) -> bool:
        """Whether any machine of the cluster has data of etcd."""

    async def node_up(self, cluster_id: str, node: NodeFacts) -> None:
        """Create or update the Node object (and control plane pods), kwok plays its kubelet; control planes get a
        forward of their :6443 to the home node."""

    async def node_down(self, cluster_id: str, node_name: str) -> None:
        """The machine is off: the Node stays, becomes NotReady, forwards close."""

    async def set_vip(self, cluster_id: str, vip: str) -> None:
        """Forward the virtual IP's :6443 to the home node."""

    async def apply_manifests(self, cluster_id: str, objects: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Create what is absent and was never applied, as Talos does; the answer says what was refused and why.

        Any exception means that the API server could not be asked: try again.
        """
