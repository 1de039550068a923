"""What Talos nodes and etcd show, as facts. No client, no call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from infraflux.adapters.talos.documents import FieldChange


@dataclass(frozen=True)
class EtcdMember:
    """One line of `talosctl etcd members`."""

    id: str
    hostname: str
    peer_urls: tuple[str, ...]
    learner: bool

    @property
    def address(self) -> str:
        """Where the member's node answers; empty where it has no peer URL yet."""
        return urlsplit(self.peer_urls[0]).hostname or "" if self.peer_urls else ""


class NodeState(StrEnum):
    """Which door of the Talos API answers."""

    SILENT = "silent"
    """Nothing answers: off, booting or rebooting."""
    MAINTENANCE = "maintenance"
    """Booted, no configuration: asks for one without a client certificate."""
    RUNNING = "running"
    """Configured with our cluster's keys."""
    LOCKED = "locked"
    """Wants a client certificate that our cluster's keys did not make: somebody else's cluster, or our lost keys."""


@dataclass(frozen=True, kw_only=True)
class SystemImage:
    """What a Talos image is made of."""

    version: str
    schematic: str = ""
    """Its id at the image factory; empty where no factory made the image."""
    extensions: tuple[str, ...] | None = ()
    """Their names as a node lists them, sorted: `iscsi-tools`. None where only the schematic is known."""

    def __str__(self) -> str:
        return f"Talos {self.version}{f', schematic {self.schematic[:12]}' if self.schematic else ''}"


@dataclass(frozen=True, kw_only=True)
class NodeSeen:
    """One look at one node; `detail` is the last thing that was heard, for messages."""

    name: str
    address: str
    state: NodeState
    uuid: str = ""
    macs: tuple[str, ...] = ()
    version: str = ""
    config: str = field(default="", repr=False)
    detail: str = ""


@dataclass(frozen=True)
class EtcdSeen:
    """The members as one control plane lists them; no members: etcd was never bootstrapped there."""

    members: tuple[EtcdMember, ...]
    asked: str


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """One node against its spec; `unknown` says why nothing could be read."""

    name: str
    state: NodeState
    config_changes: tuple[FieldChange, ...] = ()
    image: SystemImage | None = None
    """None where it could not be read."""
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class TalosFacts:
    """All of one cluster; certificates by what they are for, with the moment they end."""

    nodes: Mapping[str, NodeFacts]
    etcd: EtcdSeen | None
    certificates: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class BootstrapMarker:
    """Written before etcd is bootstrapped and confirmed after: survives a lost reply and a killed run."""

    node: str
    cluster_id: str
    confirmed: bool = False
