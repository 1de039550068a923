"""Is etcd complete, and would it stay so: checked before and after each step that takes a control plane down."""

from collections.abc import Sequence

from infraflux.adapters.talos.seen import look_at_etcd, look_at_services, look_for_leader
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.models import Node
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.operations.bootstrap import ETCD_DEADLINE_S, TalosCluster
from infraflux.operations.plan.node_decisions import quorum
from infraflux.operations.plan.upgrades import etcd_problems


def require_whole_etcd(cluster: TalosCluster, *, stage: str) -> None:
    """Wait until every control plane is a full, healthy member. Raises Retryable naming what is missing."""

    def probe() -> NotYet | None:
        problems = look_for_problems(cluster)
        return NotYet("; ".join(problems)) if problems else None

    late = wait_until(
        probe, clock=cluster.clock, deadline_s=ETCD_DEADLINE_S, interval_s=cluster.poll_s, what="etcd to be whole"
    )
    if late is not None:
        raise Retryable(
            f"no control plane is taken down while etcd is incomplete; after {ETCD_DEADLINE_S:.0f} s last seen: {late}",
            cluster=cluster.spec.key,
            stage=stage,
            next_step="bring the named members back, then run again",
        )


def leader_last(cluster: TalosCluster, nodes: Sequence[Node]) -> list[Node]:
    """The same nodes, the one whose member leads etcd behind the others: it hands over once, not once per node."""
    leader = look_for_leader(cluster.spec.control_planes, admin=cluster.admin)
    return sorted(nodes, key=lambda node: node.name == leader)


def look_for_problems(cluster: TalosCluster) -> list[str]:
    """Why no control plane may go down now."""
    planes = cluster.spec.control_planes
    etcd = look_at_etcd(planes, admin=cluster.admin)
    members = {one.hostname: one.learner for one in etcd.members} if etcd else {}
    return etcd_problems(planes, members, {node.name: etcd_runs(cluster, str(node.address)) for node in planes})


def etcd_runs(cluster: TalosCluster, address: str) -> bool:
    """Whether the etcd service of the node at this address runs and is healthy."""
    try:
        service = look_at_services(admin=cluster.admin, address=address).get("etcd")
    except TALOS_ERRORS:
        return False
    return service is not None and bool(service.spec.get("running")) and bool(service.spec.get("healthy"))


def require_majority_while_off(cluster: TalosCluster, node: Node) -> None:
    """Permanent where etcd would lose its majority while this member is away; the only member has none to keep."""
    etcd = look_at_etcd(cluster.spec.control_planes, admin=cluster.admin)
    voters = [one for one in (etcd.members if etcd else ()) if not one.learner]
    if len(voters) == 1 and voters[0].hostname == node.name:
        return
    alive = [one for one in voters if one.hostname != node.name and etcd_runs(cluster, one.address)]
    if etcd is None or len(alive) < quorum(len(voters)):
        raise Permanent(
            f"{node.name} cannot go: {len(alive)} of {len(voters)} etcd members would be healthy,"
            f" {quorum(len(voters))} are needed",
            cluster=cluster.spec.key,
            stage="operate",
            error_class=ErrorClass.CONFLICT,
            next_step="bring the other control planes back first",
        )


def require_majority_without(cluster: TalosCluster, name: str) -> None:
    """Permanent where etcd without this member would have no majority of members that live."""
    planes = [node for node in cluster.spec.control_planes if node.name != name]
    etcd = look_at_etcd(planes, admin=cluster.admin)
    left = [one for one in (etcd.members if etcd else ()) if one.hostname != name and not one.learner]
    # By the address of the member itself: others of them may be on their way out as well, and declared no more.
    alive = [one for one in left if etcd_runs(cluster, one.address)]
    if etcd is None or len(alive) < quorum(len(left)):
        raise Permanent(
            f"{name} cannot leave etcd: {len(alive)} of {len(left)} other members are healthy,"
            f" {quorum(len(left))} must remain",
            cluster=cluster.spec.key,
            stage="leave nodes",
            error_class=ErrorClass.CONFLICT,
            next_step="bring the other control planes back first",
        )
