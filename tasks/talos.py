"""Talos and Kubernetes of one cluster as Prefect tasks: each opens the cluster, makes one step, says what it did."""

from infraflux.operations import credentials, health, teardown
from infraflux.operations import talos_secrets as setup
from infraflux.operations import talos_upgrade as upgrade
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.node_labels import mark_nodes as write_marks
from infraflux.operations.talos import open_talos
from tasks.engine.masking import add_secrets
from tasks.engine.step import log_line, project_root, spec_of, step, told


def _open(cluster: str) -> TalosCluster:
    return open_talos(spec_of(cluster), root=project_root(), log=log_line, learn=add_secrets)


@step("prepare Talos secrets")
def ensure_secrets(*, cluster: str) -> dict[str, str] | str:
    """Identity, bundle and talosconfig; stops the run before anything is touched where one cannot be had."""
    talos = _open(cluster)
    identity, bundle = setup.ensure_secrets(talos.workspace)
    return told({"identity": identity, "bundle": bundle, "talosconfig": credentials.ensure_talosconfig(talos)})


@step("upgrade Talos")
def upgrade_nodes(*, cluster: str) -> dict[str, str] | str:
    """Nodes that run another version than is wanted, one at a time, control planes first."""
    return told(upgrade.upgrade_nodes(_open(cluster)))


@step("configure the first control plane")
def configure_first_control_plane(*, cluster: str) -> dict[str, str] | str:
    """Wait for its boot, prove its identity, give it its machine config."""
    return told(_open(cluster).configure_first_control_plane())


@step("bootstrap etcd")
def bootstrap_etcd(*, cluster: str) -> dict[str, str] | str:
    """Exactly once in the cluster's life."""
    return told(_open(cluster).bootstrap_etcd())


@step("join control planes and workers")
def join_nodes(*, cluster: str) -> dict[str, str] | str:
    """Control planes one at a time, then workers side by side; every node that fails is named."""
    return told(_open(cluster).join_nodes())


@step("label and taint nodes")
def mark_nodes(*, cluster: str) -> dict[str, str] | str:
    """What nodes may not write on themselves, and every later change of taints."""
    return told(write_marks(_open(cluster)))


@step("write kubeconfig")
def write_kubeconfig(*, cluster: str) -> dict[str, str] | str:
    """Private, renewed a month before it ends."""
    return told(credentials.ensure_kubeconfig(_open(cluster)))


@step("wait for health", retries=0)
def wait_for_health(*, cluster: str, require_ready: bool) -> dict[str, str] | str:
    """etcd, services and nodes; the wait has its own deadline, so it is not repeated."""
    seen = health.wait_healthy(_open(cluster), require_ready=require_ready)
    nodes = {
        node.name: f"{'Ready' if node.ready else 'NotReady'} {node.kubelet_version}" for node in seen.kubernetes or ()
    }
    log_line(f"{cluster} is healthy: {len(nodes)} nodes")
    return nodes


@step("reset nodes")
def reset_nodes(*, cluster: str) -> dict[str, str] | str:
    """Leave etcd and reset in an order that keeps quorum; nodes that are off already are only forgotten."""
    return told(teardown.teardown(_open(cluster)))


@step("forget credentials")
def forget_cluster(*, cluster: str) -> str:
    """Remove kubeconfig, talosconfig and markers of a cluster whose machines are gone; its bundle stays."""
    _open(cluster).workspace.forget()
    log_line(f"{cluster}: credentials and markers removed, the secrets bundle is kept")
    return "removed"
