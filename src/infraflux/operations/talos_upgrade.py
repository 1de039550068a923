"""Talos images in place: one node after the other, control planes first, etcd whole around each, each node drained.

https://www.talos.dev/v1.13/talos-guides/upgrading-talos/ . Talos keeps the former image and boots it again where the
new one does not come up; a node that stays at its old image stops the rollout, and a second run goes on from there.
The upgrade call of Talos 1.13 (`LifecycleService.Upgrade`, internal/app/lifecycle) asks nobody about etcd's quorum, and
talosctl's own drain knows nothing of the policy: both are this side's work.
"""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from infraflux.adapters.talos.documents import parse_documents
from infraflux.adapters.talos.facts import SystemImage
from infraflux.adapters.talos.seen import read_image
from infraflux.adapters.talos.talosctl import TALOS_ERRORS, TalosTransient
from infraflux.config.models import Node
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.drift.system_image import runs, wanted_image
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.etcd_health import leader_last
from infraflux.operations.plan.node_decisions import moved
from infraflux.operations.plan.upgrades import UpgradeNode, plan_upgrade
from infraflux.operations.rollout import Rollout

LOOKS_AT_ONCE = 8


def upgrade_nodes(rollout: Rollout, planned: Collection[str] | None = None) -> dict[str, Outcome]:
    """Bring every running node to the wanted Talos image; the outcome of each by name.

    Raises WorldMoved where a node would be upgraded that is not `planned` (None: no plan binds it), RolloutStopped
    where a node does not come back with the image or etcd is incomplete: the rest is left as it is.
    """
    cluster = rollout.cluster
    marker = cluster.workspace.read_marker()
    if marker is None or not marker.confirmed:
        return {"Talos": Noop("the cluster was not bootstrapped yet")}
    found = plan_upgrade(cluster.spec, wanted_image(cluster.spec), _running(cluster))
    if isinstance(found, Noop):
        return {"Talos": found}
    steps = {step.node.name: step for step in found}
    if planned is not None and (more := [str(step) for name, step in steps.items() if name not in planned]):
        raise moved(
            f"an upgrade that the plan does not hold: {', '.join(more)}", cluster=cluster.spec.key, stage="upgrade"
        )
    nodes = leader_last(cluster, [step.node for step in found])
    done = rollout.roll(nodes, lambda node: _upgrade(cluster, steps[node.name]), restarts=lambda _node: True)
    return dict(done)


def _running(cluster: TalosCluster) -> dict[str, SystemImage]:
    """Image by name of the nodes that answer; the others are the business of the steps that wait for nodes."""
    admin = cluster.admin  # makes the talosconfig once, before several threads ask with it

    def ask(node: Node) -> tuple[str, SystemImage | None]:
        try:
            return node.name, read_image(admin, address=str(node.address))
        except TALOS_ERRORS as error:
            cluster.log(f"{node.name}: {error.message}")
            return node.name, None

    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        found = dict(pool.map(ask, cluster.spec.nodes))
    return {name: image for name, image in found.items() if image is not None}


def _upgrade(cluster: TalosCluster, step: UpgradeNode) -> Outcome:
    cluster.log(f"upgrading {step}")
    try:
        _call(cluster, step.node)
    except TalosTransient as error:
        # The node went down under the call, as it should, or it is busy: what it runs afterwards tells.
        cluster.log(f"{step.node.name}: {error.message}")
        _wait(cluster, step, lambda image: runs(image, step.after))
    except TALOS_ERRORS as error:
        raise _stopped(cluster, step, error.message) from error
    else:
        _require_image(cluster, step)
    return Done(f"{step}")


def _call(cluster: TalosCluster, node: Node) -> None:
    """Install beside the running system and reboot; talosctl comes back when the node has booted anew."""
    timeout_s = cluster.spec.talos.boot_timeout_s
    words = ["upgrade", "--image", _installer(cluster, node), "--progress=plain", f"--timeout={timeout_s}s"]
    # Drained already, as the policy says.
    words.append("--drain=false")
    cluster.admin.call(*words, node=str(node.address), deadline_s=2.0 * timeout_s)


def _installer(cluster: TalosCluster, node: Node) -> str:
    """The image that the node's wanted configuration names."""
    document = parse_documents(cluster.workspace.configs.by_node[node.name])["v1alpha1"]
    return str(document["machine"]["install"]["image"])


def _require_image(cluster: TalosCluster, step: UpgradeNode) -> None:
    """The node booted anew. One that has its old image by then went back to it, and would do so again."""
    found = _wait(cluster, step, lambda _image: True)
    if not runs(found, step.after):
        raise Permanent(
            f"{step}: Talos went back to the image it had ({found}): the new one did not come up",
            cluster=cluster.spec.key,
            stage="upgrade",
            error_class=ErrorClass.CONFLICT,
            next_step=f"look at the console of VM {step.node.vm_id} on {step.node.host} and at the image's extensions"
            " and kernel arguments; run again to continue, or declare the former image",
        )


def _wait(cluster: TalosCluster, step: UpgradeNode, accept: Callable[[SystemImage], bool]) -> SystemImage:
    """The image that the node runs, once it answers with one that is accepted. Raises Retryable at its deadline."""

    def probe() -> SystemImage | NotYet:
        try:
            found = read_image(cluster.admin, address=str(step.node.address))
        except TALOS_ERRORS as error:
            return NotYet(error.message)
        return found if accept(found) else NotYet(str(found))

    bound_s = float(cluster.spec.talos.boot_timeout_s)
    what = f"{step.node.name} to run {step.after}"
    found = wait_until(probe, clock=cluster.clock, deadline_s=bound_s, interval_s=cluster.poll_s, what=what)
    if isinstance(found, NotYet):
        raise _stopped(cluster, step, f"within {bound_s:.0f} s it did not run {step.after}; last seen: {found}")
    return found


def _stopped(cluster: TalosCluster, step: UpgradeNode, why: str) -> InfrafluxError:
    return Retryable(
        f"the upgrade stopped at {step}: {why}",
        cluster=cluster.spec.key,
        stage="upgrade",
        next_step=f"look at the console of VM {step.node.vm_id} on {step.node.host}, then run again to continue",
    )
