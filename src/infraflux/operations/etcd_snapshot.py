"""A copy of etcd's data before versions of the control plane change. It holds every Secret of the cluster: 0600, kept
beside the credentials, and only the last few."""

from datetime import UTC, datetime
from pathlib import Path

from infraflux.adapters.talos.seen import look_at_etcd
from infraflux.core.errors import Retryable
from infraflux.core.files import make_private_dir
from infraflux.core.outcomes import Done, Outcome
from infraflux.core.workdir import private_workdir
from infraflux.operations.bootstrap import TalosCluster

KEPT = 3
DEADLINE_S = 600.0
"""etcd keeps 2 GiB at most where nobody raised its quota."""


def take_snapshot(cluster: TalosCluster, *, now: datetime | None = None) -> Outcome:
    """Stream a snapshot into the cluster's private directory and remove the oldest beyond `KEPT`.

    Raises Retryable where no control plane lists an etcd, TalosTransient or TalosRefused where the copy fails.
    """
    planes = cluster.spec.control_planes
    etcd = look_at_etcd(planes, admin=cluster.admin)
    node = next((one for one in planes if etcd is not None and one.name == etcd.asked), None)
    if node is None:
        raise Retryable(
            "no control plane lists an etcd to take a snapshot of",
            cluster=cluster.spec.key,
            stage="snapshot",
            next_step="bring the control planes back, then run again: no version changes without a snapshot",
        )
    directory = snapshots(cluster)
    target = directory / f"etcd-{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    with private_workdir(cluster.workspace.directory) as work:
        part = work / target.name
        cluster.admin.call("etcd", "snapshot", part, node=str(node.address), deadline_s=DEADLINE_S)
        part.chmod(0o600)
        make_private_dir(directory)
        part.rename(target)
    for old in sorted(directory.glob("etcd-*.db"))[:-KEPT]:
        old.unlink()
    return Done(f"etcd of {node.name} copied to {target}, {target.stat().st_size // 1024} KiB")


def snapshots(cluster: TalosCluster) -> Path:
    """Where they are."""
    return cluster.workspace.directory / "snapshots"
