"""Taking nodes out of a cluster in an order that keeps quorum: leave etcd, reset, forget in Kubernetes."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.talos.seen import HasAddress, look_at_etcd
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.models import Node, Role
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.health import API_TIMEOUT_S
from infraflux.operations.plan.node_decisions import quorum

RESET_DEADLINE_S = 120.0
"""A graceful reset stops services and wipes two partitions; the machine is destroyed afterwards, so not longer."""


@dataclass(frozen=True)
class Leave:
    """Take one node out; `graceful` leaves etcd first, which the last member cannot."""

    node: str
    graceful: bool


def plan_teardown(nodes: Sequence[Node]) -> list[Leave]:
    """Workers first, then control planes from the last to the first; the last one takes etcd with it."""
    workers = [Leave(node.name, graceful=True) for node in nodes if node.role is Role.WORKER]
    planes = [node.name for node in reversed(nodes) if node.role is Role.CONTROL_PLANE]
    return workers + [Leave(name, graceful=index < len(planes) - 1) for index, name in enumerate(planes)]


def check_quorum(*, members: int, alive: int, leaving: str, cluster: str) -> None:
    """Permanent where taking out a living member would leave fewer alive than the smaller etcd needs."""
    if members > 1 and alive - 1 < quorum(members - 1):
        raise Permanent(
            f"{leaving} cannot leave: {alive} of {members} etcd members are alive, {quorum(members - 1)} must remain",
            cluster=cluster,
            stage="teardown",
            error_class=ErrorClass.CONFLICT,
            next_step="bring the other control planes back first",
        )


def remove_node(cluster: TalosCluster, node: Node, *, graceful: bool = True) -> Outcome:
    """Reset one node and forget it in Kubernetes; a node that is off already is only forgotten."""
    seen = cluster.look(node)
    if seen.state is not NodeState.RUNNING:
        forgotten = _forget_in_kubernetes(cluster, node)
        return Done(f"{node.name} removed from Kubernetes") if forgotten else Noop(f"{node.name} is {seen.state}")
    if node.role is Role.CONTROL_PLANE and graceful:
        _check_members(cluster, node)
    reset_node(cluster, node, graceful=graceful)
    _forget_in_kubernetes(cluster, node)
    return Done(f"{node.name} {'left etcd and was' if node.role is Role.CONTROL_PLANE and graceful else 'was'} reset")


def teardown(cluster: TalosCluster) -> dict[str, Outcome]:
    """Every node of a cluster that is to be destroyed, in order."""
    if cluster.workspace.untouched:
        return {"nodes": Noop(f"no secrets were ever made for {cluster.spec.key}, so no node was configured")}
    by_name = {node.name: node for node in cluster.spec.nodes}
    return {
        step.node: remove_node(cluster, by_name[step.node], graceful=step.graceful)
        for step in plan_teardown(cluster.spec.nodes)
    }


def _check_members(cluster: TalosCluster, node: Node) -> None:
    etcd = look_at_etcd(cluster.spec.control_planes, admin=cluster.admin)
    members = len(etcd.members) if etcd else 0
    alive = sum(1 for one in cluster.spec.control_planes if cluster.look(one).state is NodeState.RUNNING)
    check_quorum(members=members, alive=alive, leaving=node.name, cluster=cluster.spec.key)


def reset_node(cluster: TalosCluster, node: HasAddress, *, graceful: bool) -> None:
    """Reset one node and wait until it no longer answers as ours; `graceful` drains it and leaves etcd first."""
    _ask_for_reset(cluster, node, f"--graceful={str(graceful).lower()}", "--reboot=false")

    def still_runs() -> NotYet | None:
        seen = cluster.look(node)
        return NotYet(f"it is {seen.state} with Talos {seen.version}") if seen.state is NodeState.RUNNING else None

    late = wait_until(
        still_runs,
        clock=cluster.clock,
        deadline_s=RESET_DEADLINE_S,
        interval_s=cluster.poll_s,
        what=f"{node.name} to reset",
    )
    if late is not None:
        raise Permanent(
            f"{node.name} was not reset within {RESET_DEADLINE_S:.0f} s; last seen: {late}",
            cluster=cluster.spec.key,
            stage="teardown",
            error_class=ErrorClass.TRANSIENT,
            next_step="run again; destroying the VM does not need the reset",
        )


def reset_to_maintenance(cluster: TalosCluster, node: Node) -> None:
    """Wipe what Talos wrote on one node, and wait until it asks for a machine config; a control plane leaves etcd.

    Only the two partitions that Talos fills anew: without the others a machine made from a disk image starts no more
    (https://docs.siderolabs.com/talos/v1.13/configure-your-talos-cluster/lifecycle-management/resetting-a-machine).
    """
    wiped = [f"--system-labels-to-wipe={label}" for label in ("STATE", "EPHEMERAL")]
    _ask_for_reset(cluster, node, "--graceful=true", "--reboot", *wiped)

    def waits() -> NotYet | None:
        seen = cluster.look(node)
        return None if seen.state is NodeState.MAINTENANCE else NotYet(f"it is {seen.state}")

    deadline_s = RESET_DEADLINE_S + cluster.spec.talos.boot_timeout_s
    late = wait_until(
        waits,
        clock=cluster.clock,
        deadline_s=deadline_s,
        interval_s=cluster.poll_s,
        what=f"{node.name} to be wiped",
    )
    if late is not None:
        raise Retryable(
            f"{node.name} does not wait for a machine config within {deadline_s:.0f} s; last seen: {late}",
            cluster=cluster.spec.key,
            stage="reset",
            next_step=f"look at the console of VM {node.vm_id}, then run again",
        )


def _ask_for_reset(cluster: TalosCluster, node: HasAddress, *flags: str) -> None:
    """The reply may be lost because the node obeyed: whoever asks looks at the node afterwards."""
    try:
        cluster.admin.call("reset", *flags, "--wait=false", node=str(node.address), deadline_s=RESET_DEADLINE_S)
    except TALOS_ERRORS as error:
        cluster.log(f"{node.name}: reset said {error.message}")


def _forget_in_kubernetes(cluster: TalosCluster, node: Node) -> bool:
    """Delete the Node object; False where it is gone or no API is left to ask."""
    if not cluster.workspace.kubeconfig.exists():
        return False
    try:
        with closing(Kubernetes.from_kubeconfig(cluster.workspace.kubeconfig, timeout_s=API_TIMEOUT_S)) as api:
            return isinstance(api.delete(Ref(api_version="v1", kind="Node", name=node.name)), Done)
    except InfrafluxError as error:
        cluster.log(f"{node.name}: not removed from Kubernetes: {error.message[:200]}")
        return False
