"""What survives a crash of the lab: per machine what is on its disk, per cluster who is an etcd member.

Each record is one JSON file, 0600 because machine configs carry every key of a cluster, written beside and renamed,
so that a kill leaves either the old or the new one.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infraflux.core.files import write_private


@dataclass(kw_only=True)
class MachineRecord:
    """Content of one machine's system disk."""

    key: str
    disk_generation: str = ""
    config: str | None = None
    """Machine config on the STATE partition; None is a machine that boots into maintenance."""
    version: str = ""
    """Talos version that boots, `v1.13.9`."""
    image: str = ""
    """Installer image or boot image the version came from."""
    next_image: str | None = None
    """Installer image that takes effect at the next boot (upgrade done, not yet rebooted)."""
    etcd_data: bool = False
    """The EPHEMERAL partition holds an etcd data directory."""
    meta: dict[str, str] = field(default_factory=dict)
    """Values of the META partition by key."""
    node_id: str = ""
    """Discovery identity: random, kept over reboots, lost when wiped."""

    def __repr__(self) -> str:
        return f"MachineRecord({self.key}, version={self.version}, configured={self.config is not None})"


@dataclass(kw_only=True)
class Member:
    """One etcd member; `machine` is the key of the machine it runs on."""

    id: int
    name: str
    address: str
    machine: str
    learner: bool = False
    """Has not been promoted yet: it holds data and has no vote."""


@dataclass(kw_only=True)
class ClusterRecord:
    """What the etcd cluster itself remembers, independent of any one machine."""

    cluster_id: str
    members: list[Member] = field(default_factory=list)
    home: str | None = None
    """Key of the machine the real control plane runs as."""
    pending: str = ""
    """`new`, `recover` or `recover-unchecked` while the first start of the data has not happened yet."""
    known_nodes: list[str] = field(default_factory=list)
    """Names with a Node object in Kubernetes."""


def _file_name(identity: str) -> str:
    # Cluster ids are base64 and machine keys hold a slash; a digest is short, safe and still unique.
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


class Store:
    """Records below one directory; `machines/`, `clusters/`, `snapshots/`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def machine(self, key: str) -> MachineRecord:
        """The record of a machine, empty if it was never seen."""
        found = self._read(self._machine_path(key))
        return MachineRecord(**found) if found else MachineRecord(key=key)

    def save_machine(self, record: MachineRecord) -> None:
        write_private(self._machine_path(record.key), json.dumps(asdict(record)).encode())

    def forget_machine(self, key: str) -> None:
        self._machine_path(key).unlink(missing_ok=True)
        self.snapshot_path(key).unlink(missing_ok=True)

    def machines(self) -> Iterator[MachineRecord]:
        for path in sorted((self._directory / "machines").glob("*.json")):
            if found := self._read(path):
                yield MachineRecord(**found)

    def cluster(self, cluster_id: str) -> ClusterRecord:
        found = self._read(self._cluster_path(cluster_id))
        if not found:
            return ClusterRecord(cluster_id=cluster_id)
        members = [Member(**member) for member in found.pop("members")]
        return ClusterRecord(members=members, **found)

    def save_cluster(self, record: ClusterRecord) -> None:
        write_private(self._cluster_path(record.cluster_id), json.dumps(asdict(record)).encode())

    def forget_cluster(self, cluster_id: str) -> None:
        self._cluster_path(cluster_id).unlink(missing_ok=True)

    def snapshot_path(self, key: str) -> Path:
        """Where an uploaded etcd snapshot waits for `Bootstrap` with recovery."""
        return self._directory / "snapshots" / f"{_file_name(key)}.db"

    def _machine_path(self, key: str) -> Path:
        return self._directory / "machines" / f"{_file_name(key)}.json"

    def _cluster_path(self, cluster_id: str) -> Path:
        return self._directory / "clusters" / f"{_file_name(cluster_id)}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        return found if isinstance(found, dict) else None
