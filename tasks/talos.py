"""Talos and Kubernetes of one cluster as Prefect tasks: health, and the end of a cluster."""

from collections.abc import Mapping

from infraflux.core.outcomes import Outcome
from infraflux.operations import health, maintenance, teardown
from infraflux.operations.opening import OpenCluster
from tasks.engine.step import log_line, log_outcomes, step

Outcomes = Mapping[str, Outcome]


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
    maintenance.forget(opened.state)
    log_line(f"{opened.key}: credentials and markers removed, the secrets bundle is kept")
    return "removed"
