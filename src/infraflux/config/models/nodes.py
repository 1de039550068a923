"""Node pools as written, and nodes as derived from them."""

from enum import StrEnum
from ipaddress import IPv4Address

from pydantic import Field

from infraflux.config import patterns
from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.base import (
    BridgeName,
    HostName,
    LabelKey,
    LabelValue,
    MacAddress,
    Name,
    NodeName,
    Section,
    StorageName,
    Tag,
)
from infraflux.config.node_labels import kubelet_may_set


class Role(StrEnum):
    """What Talos calls the machine type."""

    CONTROL_PLANE = "control-plane"
    WORKER = "worker"

    @property
    def machine_type(self) -> str:
        """Talos' own spelling."""
        return "controlplane" if self is Role.CONTROL_PLANE else "worker"


class TaintEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Taint(Section):
    key: LabelKey
    """Key of the taint."""
    value: LabelValue = ""
    """Value of the taint."""
    effect: TaintEffect
    """What it keeps away."""

    @property
    def identity(self) -> str:
        """`key:effect`: a node has at most one of each."""
        return f"{self.key}:{self.effect}"


class Filesystem(StrEnum):
    XFS = "xfs"
    EXT4 = "ext4"
    RAW = "raw"


class DiskEncryption(StrEnum):
    NONE = "none"
    NODE_ID = "node-id"


class DataDisk(Section):
    """An extra disk; a plan that would delete one is stopped by the destruction guard."""

    name: Name
    size_gib: int = Field(ge=1, le=65536)
    """Size; it can grow and never shrink."""
    storage: StorageName | None = None
    """The environment's disk storage where it is not given."""
    ssd: bool = True
    """Present it to the guest as a solid state disk."""
    filesystem: Filesystem | None = None
    """`xfs`, `ext4`: Talos formats it and mounts it at `/var/mnt/<name>`; `raw`: for what takes whole disks."""
    encryption: DiskEncryption = DiskEncryption.NONE
    """`node-id`: encrypted with a key that the machine's UUID gives, so that the disk opens in its machine only."""

    @property
    def is_volume(self) -> bool:
        """Whether Talos formats and mounts it."""
        return self.filesystem in (Filesystem.XFS, Filesystem.EXT4)


class ExtraNic(Section):
    """A second or later network card."""

    name: Name
    bridge: BridgeName
    """The bridge it is plugged into."""
    vlan: int | None = Field(default=None, ge=1, le=4094)
    """Its VLAN tag."""
    addresses: AddressRange | None = None
    """Nodes get the addresses of this card from here in order; without, and without `dhcp`, it has none."""
    prefix_length: int = Field(default=24, ge=8, le=32)
    """How long the network part of its address is."""
    mtu: int | None = Field(default=None, ge=1280, le=9216)
    """Largest packet on it, in bytes; Talos' default where it is not given."""
    dhcp: bool = False
    """Ask DHCP there. A default route that comes with it is only used while the first card has none."""


class PciDevice(Section):
    """A PCI or GPU passthrough by Proxmox resource mapping."""

    name: Name
    mapping: str = Field(pattern=patterns.MAPPING.regex)
    """Name of the Proxmox resource mapping."""
    pcie: bool = True
    """Pass it through as PCI Express."""
    rombar: bool = True
    """Show its ROM to the guest."""
    primary_gpu: bool = False
    """Make it the guest's main display."""


class NamedNode(Section):
    """One node of a pool that differs from the pool, or is pinned."""

    name: NodeName
    address: IPv4Address | None = None
    """Its address; the next of the pool's range where it is not given."""
    host: HostName | None = None
    """Pins it to a Proxmox host."""
    vm_id: int | None = Field(default=None, ge=100, le=999_999_999)
    """Its VM id; derived where it is not given."""
    mac: MacAddress | None = None
    """MAC of its first card; derived from its name where it is not given."""
    cores: int | None = Field(default=None, ge=1, le=512)
    """Overrides the pool's."""
    memory_mib: int | None = Field(default=None, ge=256)
    """Overrides the pool's."""
    system_disk_gib: int | None = Field(default=None, ge=1)
    """Overrides the pool's."""
    system_disk_storage: StorageName | None = None
    """Overrides the pool's."""
    labels: dict[LabelKey, LabelValue] = {}
    """Added to the pool's."""


class NodePool(Section):
    """Machines of one kind: either `count` of them, or `nodes` by name."""

    name: Name
    role: Role
    """What its nodes are."""
    count: int | None = Field(default=None, ge=0, le=200)
    """How many nodes; they are named `<cluster>-<pool>-<number>`."""
    nodes: tuple[NamedNode, ...] = ()
    """Its nodes by name, in place of `count`."""
    addresses: AddressRange | None = None
    """Nodes get addresses from here in order; not needed where every node names its own."""
    vm_id_start: int | None = Field(default=None, ge=100, le=999_000_000)
    """VM ids count up from here; derived from the cluster's `vm_id_start` and the address where it is not given."""
    cores: int = Field(ge=1, le=512)
    """CPU cores of each node."""
    memory_mib: int = Field(ge=256)
    """Memory of each node."""
    system_disk_gib: int = Field(ge=1, le=65536)
    """System disk of each node; it can grow and never shrink."""
    system_disk_storage: StorageName | None = None
    """Where the system disks are; the environment's disk storage where it is not given."""
    cpu_type: str | None = Field(default=None, pattern=patterns.CPU_TYPE.regex)
    """CPU type of its machines; the environment's where it is not given."""
    data_disks: tuple[DataDisk, ...] = ()
    """Extra disks of each node."""
    nics: tuple[ExtraNic, ...] = ()
    """Extra network cards of each node."""
    pci_devices: tuple[PciDevice, ...] = ()
    """PCI and GPU devices of each node."""
    labels: dict[LabelKey, LabelValue] = {}
    """Kubernetes labels of its nodes; the deploy writes those that a worker may not give itself."""
    taints: tuple[Taint, ...] = ()
    """Kubernetes taints of its nodes; new nodes register with them, and each deploy brings the others to them."""
    tags: tuple[Tag, ...] = ()
    """Extra Proxmox tags of its machines."""


class Node(Section):
    """A node as derived: everything the renders and tasks need, nothing left to guess."""

    name: NodeName
    pool: Name
    role: Role
    address: IPv4Address
    host: HostName
    vm_id: int
    mac: MacAddress
    uuid: str
    """SMBIOS UUID, lower case; the machine that answers must show this one before any config is pushed."""
    cores: int
    memory_mib: int
    system_disk_gib: int
    system_disk_storage: StorageName | None = None
    cpu_type: str | None = None
    data_disks: tuple[DataDisk, ...] = ()
    nics: tuple[ExtraNic, ...] = ()
    """Its further cards; of `addresses` the one that is its own."""
    pci_devices: tuple[PciDevice, ...] = ()
    labels: dict[LabelKey, LabelValue] = {}
    taints: tuple[Taint, ...] = ()
    tags: tuple[str, ...] = ()
    """Sorted, as Proxmox stores them."""

    @property
    def restricted_labels(self) -> dict[str, str]:
        """Labels that the API server would not let this node give itself."""
        worker = self.role is Role.WORKER
        return {key: value for key, value in self.labels.items() if worker and not kubelet_may_set(key)}
