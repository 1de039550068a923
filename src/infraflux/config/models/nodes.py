"""Node pools as written, and nodes as derived from them."""

from enum import StrEnum
from ipaddress import IPv4Address

from pydantic import Field

from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.base import (
    BridgeName,
    HostName,
    LabelKey,
    LabelValue,
    MacAddress,
    Name,
    Section,
    StorageName,
)


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
    value: LabelValue = ""
    effect: TaintEffect


class DataDisk(Section):
    """An extra disk; a plan that would delete one is stopped by the destruction guard."""

    name: Name
    size_gib: int = Field(ge=1, le=65536)
    storage: StorageName | None = None
    """The environment's disk storage where it is not given."""
    ssd: bool = True


class ExtraNic(Section):
    """A second or later network card."""

    name: Name
    bridge: BridgeName
    vlan: int | None = Field(default=None, ge=1, le=4094)


class PciDevice(Section):
    """A PCI or GPU passthrough by Proxmox resource mapping."""

    name: Name
    mapping: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    pcie: bool = True
    rombar: bool = True
    primary_gpu: bool = False


class NamedNode(Section):
    """One node of a pool that differs from the pool, or is pinned."""

    name: Name
    address: IPv4Address | None = None
    host: HostName | None = None
    vm_id: int | None = Field(default=None, ge=100, le=999_999_999)
    mac: MacAddress | None = None
    cores: int | None = Field(default=None, ge=1, le=512)
    memory_mib: int | None = Field(default=None, ge=256)
    system_disk_gib: int | None = Field(default=None, ge=1)
    labels: dict[LabelKey, LabelValue] = {}


class NodePool(Section):
    """Machines of one kind: either `count` of them, or `nodes` by name."""

    name: Name
    role: Role
    count: int | None = Field(default=None, ge=0, le=200)
    nodes: tuple[NamedNode, ...] = ()
    addresses: AddressRange | None = None
    """Nodes get addresses from here in order; not needed where every node names its own."""
    vm_id_start: int | None = Field(default=None, ge=100, le=999_000_000)
    """VM ids count up from here; derived from the cluster's `vm_id_start` and the address where it is not given."""
    cores: int = Field(ge=1, le=512)
    memory_mib: int = Field(ge=256)
    system_disk_gib: int = Field(ge=1, le=65536)
    data_disks: tuple[DataDisk, ...] = ()
    nics: tuple[ExtraNic, ...] = ()
    pci_devices: tuple[PciDevice, ...] = ()
    labels: dict[LabelKey, LabelValue] = {}
    taints: tuple[Taint, ...] = ()
    tags: tuple[Name, ...] = ()


class Node(Section):
    """A node as derived: everything the renders and tasks need, nothing left to guess."""

    name: Name
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
    data_disks: tuple[DataDisk, ...] = ()
    nics: tuple[ExtraNic, ...] = ()
    pci_devices: tuple[PciDevice, ...] = ()
    labels: dict[LabelKey, LabelValue] = {}
    taints: tuple[Taint, ...] = ()
    tags: tuple[str, ...] = ()
    """Sorted, as Proxmox stores them."""
