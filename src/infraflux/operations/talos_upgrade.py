"""Talos versions in place: one node after the other, control planes first, etcd whole before each step.

https://www.talos.dev/v1.13/talos-guides/upgrading-talos/ . Talos keeps the former image and boots it again where the
new one does not come up; a node that stays at its old version stops the rollout, and a second run goes on from there.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from infraflux.adapters.talos.documents import parse_documents
from infraflux.adapters.talos.talosctl import TALOS_ERRORS, TalosTransient
from infraflux.config.models import Node, Role
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import InfrafluxError, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.etcd_health import require_whole_etcd
from infraflux.operations.plan.node_decisions import moved
from infraflux.operations.plan.upgrades import UpgradeNode, plan_upgrade

DRAIN_TIMEOUT_S = 300
"""talosctl's own default: how long a PodDisruptionBudget may hold a node back before the rollout stops."""
LOOKS_AT_ONCE = 8


def upgrade_nodes(cluster: TalosCluster, planned: Collection[str] | None = None) -> dict[str, Outcome]:
    """Bring every running node to the wanted Talos version; the outcome of each by name.

    Raises WorldMoved where a node would be upgraded that is not `planned` (None: no plan binds it), Retryable
    where a node does not come back in its time or etcd is incomplete: the rest is left as it is.
    """
    marker = cluster.workspace.read_marker()
    if marker is None or not marker.confirmed:
        return {"Talos": Noop("the cluster was not bootstrapped yet")}
    steps = plan_upgrade(cluster.spec, _running(cluster))
    if isinstance(steps, Noop):
        return {"Talos": steps}
    if planned is not None and (more := [str(step) for step in steps if step.node.name not in planned]):
        raise moved(
            f"an upgrade that the plan does not hold: {', '.join(more)}", cluster=cluster.spec.key, stage="upgrade"
        )
    return {step.node.name: _upgrade(cluster, step) for step in steps}


def _running(cluster: TalosCluster) -> dict[str, str]:
    """Version by name of the nodes that answer; the others are the business of the steps that wait for nodes."""

    def ask(node: Node) -> tuple[str, str]:
        try:
            return node.name, cluster.admin.version(node=str(node.address))
        except TALOS_ERRORS as error:
            cluster.log(f"{node.name}: {error.message}")
            return node.name, ""

    admin = cluster.admin  # makes the talosconfig once, before several threads ask with it
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        found = dict(pool.map(ask, cluster.spec.nodes))
    return {name: version for name, version in found.items() if version and admin}


def _upgrade(cluster: TalosCluster, step: UpgradeNode) -> Outcome:
    if step.node.role is Role.CONTROL_PLANE:
        require_whole_etcd(cluster, stage="upgrade")
    cluster.log(f"upgrading {step}")
    try:
        _call(cluster, step.node)
    except TalosTransient as error:
        # The node went down under the call, as it should, or it is busy: what it runs afterwards tells.
        cluster.log(f"{step.node.name}: {error.message}")
    except TALOS_ERRORS as error:
        raise _stopped(cluster, step, error.message) from error
    _wait_until_back(cluster, step)
    if step.node.role is Role.CONTROL_PLANE:
        require_whole_etcd(cluster, stage="upgrade")
    return Done(f"{step}")


def _call(cluster: TalosCluster, node: Node) -> None:
    timeout_s = cluster.spec.talos.boot_timeout_s
    words = ["upgrade", "--image", _installer(cluster, node), "--progress=plain", f"--timeout={timeout_s}s"]
    words += [f"--drain-timeout={DRAIN_TIMEOUT_S}s"]
    deadline_s = float(timeout_s + DRAIN_TIMEOUT_S)
    cluster.admin.call(*words, node=str(node.address), endpoint=_endpoint(cluster, node), deadline_s=deadline_s)


def _installer(cluster: TalosCluster, node: Node) -> str:
    """The image that the node's wanted configuration names."""
    document = parse_documents(cluster.workspace.configs.by_node[node.name])["v1alpha1"]
    return str(document["machine"]["install"]["image"])


def _endpoint(cluster: TalosCluster, node: Node) -> str:
    """Draining asks the Kubernetes API through a control plane, best through one that stays up."""
    others = [one for one in cluster.spec.control_planes if one.name != node.name]
    return str((others or cluster.spec.control_planes)[0].address)


def _wait_until_back(cluster: TalosCluster, step: UpgradeNode) -> None:
    def probe() -> str | NotYet:
        try:
            version = cluster.admin.version(node=str(step.node.address))
        except TALOS_ERRORS as error:
            return NotYet(error.message)
        return version if version == step.after else NotYet(version)

    bound_s = float(cluster.spec.talos.boot_timeout_s)
    what = f"{step.node.name} to run {step.after}"
    back = wait_until(probe, clock=cluster.clock, deadline_s=bound_s, interval_s=cluster.poll_s, what=what)
    if isinstance(back, NotYet):
        raise _stopped(cluster, step, f"within {bound_s:.0f} s it did not run {step.after}; last seen: {back}")


def _stopped(cluster: TalosCluster, step: UpgradeNode, why: str) -> InfrafluxError:
    return Retryable(
        f"the upgrade stopped at {step}: {why}",
        cluster=cluster.spec.key,
        stage="upgrade",
        next_step=f"look at the console of VM {step.node.vm_id} on {step.node.host}, then run again to continue",
    )
