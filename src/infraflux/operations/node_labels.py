"""Labels and taints of Node objects that the nodes cannot keep by themselves: written by the cluster's admin."""

from collections.abc import Collection
from contextlib import closing

from infraflux.adapters.kubernetes.client import FieldConflict, Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, Ref
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.plan.node_decisions import moved
from infraflux.operations.plan.node_labels import LabelChange, plan_labels


def reconcile_labels(cluster: TalosCluster, planned: Collection[str] | None = None) -> dict[str, Outcome]:
    """Bring every Node to its declared labels and taints; one that has not registered yet is waited for.

    Raises WorldMoved where a node would change that is not `planned` (None: no plan binds it), Retryable
    naming the nodes that did not register, or what the API server said.
    """
    outcomes: dict[str, Outcome] = {}
    with closing(Kubernetes.from_kubeconfig(cluster.workspace.kubeconfig, cluster=cluster.spec.key)) as kubernetes:
        deadline_s = cluster.spec.talos.health_timeout_s
        late = wait_until(
            lambda: _look(cluster.spec, kubernetes, outcomes, planned),
            clock=cluster.clock,
            deadline_s=deadline_s,
            interval_s=cluster.poll_s,
            what="nodes to register",
        )
    if late is None:
        return outcomes
    raise Retryable(
        f"not every node has its labels and taints within {deadline_s} s; last seen: {late}",
        cluster=cluster.spec.key,
        stage="label nodes",
        next_step="`kubectl get nodes` shows who registered; run again once the cause is gone",
    )


def _look(
    spec: ClusterSpec, kubernetes: Kubernetes, outcomes: dict[str, Outcome], planned: Collection[str] | None
) -> NotYet | None:
    """One look at all nodes; Talos starts the API server a while after etcd, and moves the virtual IP only then."""
    try:
        return _reconcile_all(spec, kubernetes, outcomes, planned)
    except Retryable as error:
        return NotYet(error.message)


def _reconcile_all(
    spec: ClusterSpec, kubernetes: Kubernetes, outcomes: dict[str, Outcome], planned: Collection[str] | None
) -> NotYet | None:
    """Adds to `outcomes` what could be done at this look; says of every other node why not."""
    live = {one["metadata"]["name"]: one for one in kubernetes.list_objects("v1", "Node")}
    missing = []
    for node in spec.nodes:
        if node.name not in outcomes:
            outcome = _reconcile_one(spec, node, live.get(node.name), kubernetes, planned)
            if isinstance(outcome, NotYet):
                missing.append(f"{node.name} {outcome}")
            else:
                outcomes[node.name] = outcome
    return NotYet("; ".join(missing)) if missing else None


def _require_planned(spec: ClusterSpec, plan: LabelChange | Noop, planned: Collection[str] | None) -> None:
    if isinstance(plan, LabelChange) and plan.changes and planned is not None and plan.node not in planned:
        raise moved(f"{plan} is not in the plan", cluster=spec.key, stage="label nodes")


def _reconcile_one(
    spec: ClusterSpec, node: Node, live: Manifest | None, kubernetes: Kubernetes, planned: Collection[str] | None
) -> Outcome | NotYet:
    if live is None:
        if node.labels or node.taints:
            return NotYet("is not registered")
        return Noop(f"{node.name} is not registered yet and has no labels or taints")
    plan = plan_labels(node, live)
    _require_planned(spec, plan, planned)
    if isinstance(plan, Noop):
        return plan
    try:
        kubernetes.merge(Ref(api_version="v1", kind="Node", name=node.name), plan.body)
    except FieldConflict as error:
        # Changed since it was read, as a Node often is: the next look plans anew.
        return NotYet(f"was changed by others meanwhile ({error.message})")
    return Done(str(plan))
