"""Talos and Kubernetes of one cluster as Prefect tasks: each makes one step of the plan and says what it did."""

from collections.abc import Mapping

from infraflux.core.outcomes import Outcome
from infraflux.operations import credentials, execution, health, talos_secrets, teardown
from infraflux.operations.opening import OpenCluster
from infraflux.operations.planning import Planned
from tasks.engine.step import log_line, log_outcome, log_outcomes, step

Outcomes = Mapping[str, Outcome]


@step("prepare Talos secrets")
def ensure_secrets(*, opened: OpenCluster, planned: Planned) -> Outcomes:
    """Identity, bundle and talosconfig; stops the run before anything is touched where one cannot be had."""
    execution.check_secrets(opened, planned)
    talos = opened.talos
    identity, bundle = talos_secrets.ensure_secrets(talos.workspace)
    return log_outcomes({"identity": identity, "bundle": bundle, "talosconfig": credentials.ensure_talosconfig(talos)})


@step("leave nodes")
def leave_nodes(*, opened: OpenCluster, planned: Planned) -> Outcomes:
    """Nodes whose machines end are drained, leave etcd, are reset and forgotten, one at a time."""
    return log_outcomes(execution.leave_nodes(opened, planned))


@step("upgrade Talos")
def upgrade_nodes(*, opened: OpenCluster, planned: Planned) -> Outcomes:
    """Nodes that run another version than is wanted, one at a time, control planes first."""
    return log_outcomes(execution.upgrade_talos(opened, planned))


@step("configure first control plane")
def configure_first_control_plane(*, opened: OpenCluster, planned: Planned) -> Outcome:
    """Wait for its boot, prove its identity, give it its machine config."""
    return log_outcome(execution.configure_first(opened, planned))


@step("bootstrap etcd")
def bootstrap_etcd(*, opened: OpenCluster, planned: Planned) -> Outcome:
    """Exactly once in the cluster's life."""
    return log_outcome(execution.bootstrap_etcd(opened, planned))


@step("join control planes and workers")
def join_nodes(*, opened: OpenCluster, planned: Planned) -> Outcomes:
    """Control planes one at a time, then workers side by side; every node that fails is named."""
    return log_outcomes(execution.join_nodes(opened, planned))


@step("label and taint nodes")
def label_nodes(*, opened: OpenCluster, planned: Planned) -> Outcomes:
    """What nodes may not write on themselves, and every later change of taints."""
    return log_outcomes(execution.label_nodes(opened, planned))


@step("write kubeconfig")
def write_kubeconfig(*, opened: OpenCluster, planned: Planned) -> Outcome:  # noqa: ARG001 - like its neighbours
    """Private, renewed a month before it ends. A file of this machine, so no part of a cluster's plan."""
    outcome = credentials.ensure_kubeconfig(opened.talos)
    opened.forget_platform()
    return log_outcome(outcome)


@step("wait for health", retries=0)
def wait_for_health(*, opened: OpenCluster, require_ready: bool) -> dict[str, str]:
    """etcd, services and nodes; the wait has its own deadline, so it is not repeated."""
    seen = health.wait_healthy(opened.talos, require_ready=require_ready)
    nodes = {
        node.name: f"{'Ready' if node.ready else 'NotReady'} {node.kubelet_version}" for node in seen.kubernetes or ()
    }
    log_line(f"{opened.key} is healthy: {len(nodes)} nodes")
    return nodes


@step("reset nodes")
def reset_nodes(*, opened: OpenCluster) -> Outcomes:
    """Leave etcd and reset in an order that keeps quorum; nodes that are off already are only forgotten."""
    return log_outcomes(teardown.teardown(opened.talos))


@step("forget credentials")
def forget_cluster(*, opened: OpenCluster) -> str:
    """Remove kubeconfig, talosconfig and markers of a cluster whose machines are gone; its bundle stays."""
    opened.talos.workspace.forget()
    log_line(f"{opened.key}: credentials and markers removed, the secrets bundle is kept")
    return "removed"
