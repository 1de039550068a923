"""Labels and taints of Node objects that the nodes cannot keep by themselves: written by the cluster's admin."""

from collections.abc import Collection
from contextlib import closing

from infraflux.adapters.kubernetes.client import FieldConflict, Kubernetes
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.clock import wait_for
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
        if wait_for(
            lambda: _reconcile_all(cluster.spec, kubernetes, outcomes, planned),
            clock=cluster.clock,
            deadline_s=deadline_s,
            interval_s=cluster.poll_s,
            what="nodes to register",
        ):
            return outcomes
    missing = ", ".join(node.name for node in cluster.spec.nodes if node.name not in outcomes)
    raise Retryable(
        f"no labels or taints on {missing} within {deadline_s} s: not registered, or changed by others all the time",
        cluster=cluster.spec.key,
        stage="label nodes",
        next_step="`kubectl get nodes` shows who registered; run again once the cause is gone",
    )


def _reconcile_all(
    spec: ClusterSpec, kubernetes: Kubernetes, outcomes: dict[str, Outcome], planned: Collection[str] | None
) -> bool | None:
    live = {one["metadata"]["name"]: one for one in kubernetes.list_objects("v1", "Node")}
    for node in spec.nodes:
        if node.name in outcomes:
            continue
        if node.name in live:
            plan = plan_labels(node, live[node.name])
            _require_planned(spec, plan, planned)
            _reconcile_one(node, plan, kubernetes, outcomes)
        elif not (node.labels or node.taints):
            outcomes[node.name] = Noop(f"{node.name} is not registered yet and has no labels or taints")
    return True if len(outcomes) == len(spec.nodes) else None


def _require_planned(spec: ClusterSpec, plan: LabelChange | Noop, planned: Collection[str] | None) -> None:
    if isinstance(plan, LabelChange) and plan.changes and planned is not None and plan.node not in planned:
        raise moved(f"{plan} is not in the plan", cluster=spec.key, stage="label nodes")


def _reconcile_one(node: Node, plan: LabelChange | Noop, kubernetes: Kubernetes, outcomes: dict[str, Outcome]) -> None:
    if isinstance(plan, Noop):
        outcomes[node.name] = plan
        return
    try:
        kubernetes.merge(Ref(api_version="v1", kind="Node", name=node.name), plan.body)
    except FieldConflict:
        # Changed since it was read, as a Node often is: the next look plans anew.
        return
    outcomes[node.name] = Done(str(plan))
