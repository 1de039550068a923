"""What a simulated cluster consists of. Plain data; every class round-trips through JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

RUNNING = "running"
STOPPED = "stopped"


class Record:
    """JSON round trip for the dataclasses below."""

    def body(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """From a JSON object; fields of an older or newer version are left out."""
        names = {item.name for item in fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: value for key, value in body.items() if key in names})


@dataclass(kw_only=True)
class Guest(Record):
    """A virtual machine."""

    vm_id: int
    node: str
    config: dict[str, Any] = field(default_factory=dict)
    """What runs, or would run if nothing is pending."""
    pending: dict[str, Any] = field(default_factory=dict)
    """Changes that wait for the next start; None deletes the option."""
    status: str = STOPPED
    paused: bool = False
    started_at: float = 0.0
    seed: dict[str, Any] = field(default_factory=dict)
    """Cloud-init options as the drive has them: it is written at a start, or when a client asks for it."""
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Snapshots by name; see `snapshots`."""
    parent: str = ""
    """Snapshot that the present state descends from."""
    ha_state: str = ""
    """State asked of HA before the host went offline; empty where nothing waits."""

    @property
    def wanted(self) -> dict[str, Any]:
        """The configuration with pending changes applied."""
        merged = {**self.config, **self.pending}
        return {key: value for key, value in merged.items() if value is not None}

    @property
    def name(self) -> str:
        return str(self.wanted.get("name", f"VM{self.vm_id}"))

    @property
    def cpus(self) -> int:
        return int(self.config.get("cores", 1)) * int(self.config.get("sockets", 1))

    @property
    def memory_mib(self) -> int:
        return int(self.config.get("memory", 512))

    @property
    def template(self) -> bool:
        return bool(self.config.get("template"))


@dataclass(kw_only=True)
class Volume(Record):
    """A disk, image or cloud-init drive on a storage."""

    volid: str
    node: str
    """Host that has it; empty on a shared storage."""
    content: str
    format: str
    size: int
    """Bytes it takes on the storage and bytes that listings show."""
    virtual_size: int = 0
    """Bytes a guest sees after importing it; equal to `size` for guest disks."""
    vm_id: int | None = None
    image: str | None = None
    generation: str = ""
    created_at: int = 0
    sha256: str = ""
    notes: str = ""
    protected: int = 0
    guest: dict[str, Any] = field(default_factory=dict)
    """What a backup holds: configuration, and size and image of each disk."""

    @property
    def storage(self) -> str:
        return self.volid.partition(":")[0]

    @property
    def key(self) -> str:
        return f"{self.node}/{self.volid}"


@dataclass(kw_only=True)
class Task(Record):
    """A worker, known by its UPID."""

    upid: str
    node: str
    kind: str
    subject: str
    user: str
    pid: int
    pstart: int
    started_at: int
    ended_at: int = 0
    exit_status: str = ""
    """Empty while it runs."""
    log: list[str] = field(default_factory=list)
    vanished: bool = False

    @property
    def running(self) -> bool:
        return not self.exit_status


@dataclass(kw_only=True)
class Pool(Record):
    """A resource pool."""

    id: str
    comment: str = ""
    guests: list[int] = field(default_factory=list)
    storages: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class PciMapping(Record):
    """A PCI device by name, and where each host has it."""

    id: str
    map: list[str] = field(default_factory=list)
    description: str = ""
    mdev: int = 0


@dataclass(kw_only=True)
class HaResource(Record):
    """A guest under high availability; what was never set stays unset, and is not shown."""

    sid: str
    state: str = "started"
    comment: str | None = None
    max_restart: int | None = None
    max_relocate: int | None = None
    failback: int | None = None

    @property
    def vm_id(self) -> int:
        return int(self.sid.partition(":")[2])


@dataclass(kw_only=True)
class HaRule(Record):
    """A node or resource affinity rule (Proxmox VE 9)."""

    rule: str
    type: str
    resources: list[str]
    comment: str | None = None
    disable: int = 0
    nodes: str | None = None
    strict: int | None = None
    affinity: str | None = None
    order: int = 0
