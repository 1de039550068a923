"""Kubernetes versions of a cluster that runs: all control planes by `talosctl upgrade-k8s`, then kubelets one by one.

What talosctl does right is left to it: its checks of flags, feature gates and resources that are gone, the pull of
images, one API server after the other, then controllers and schedulers, each waited for, then the bootstrap
manifests. It does not drain a node before its kubelet changes, so that part goes through the rollout of this side
(docs/adr/0020-kubernetes-versions-by-talosctl.md).
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.models import Node, Role
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import LOOKS_AT_ONCE, TalosCluster
from infraflux.operations.etcd_health import leader_last, require_whole_etcd
from infraflux.operations.plan.kubernetes import KUBELET, ImageChange, KubernetesSteps, images_of, plan_kubernetes
from infraflux.operations.plan.node_decisions import PlannedConfig, moved
from infraflux.operations.rollout import Rollout

STAGE = "upgrade Kubernetes"
FLAGS = {
    "cluster.apiServer.image": "--apiserver-image",
    "cluster.controllerManager.image": "--controller-manager-image",
    "cluster.scheduler.image": "--scheduler-image",
    "cluster.proxy.image": "--proxy-image",
}
"""Which flag of `upgrade-k8s` names the image of a component, without its version."""
POD_S = 300
"""How long talosctl waits for one static pod (`checkPodStatus`), and for the bootstrap manifests."""
PULL_S = 600
_TOLD = re.compile(
    r'( [<>] |> "|updating |checking |discovered |waiting for )(?!.*(config version mismatch|pod is not ready))'
)
"""Lines of `upgrade-k8s` that say where it is. Of the others many are diffs of objects, Secrets among them."""
_GONE = "REMOVED "
"""How the tables begin in which talosctl lists what the new version does not have any more."""


@dataclass(frozen=True, kw_only=True)
class PlannedVersions:
    """What a plan allows."""

    planes: bool
    kubelets: Collection[str]


def upgrade_kubernetes(rollout: Rollout, planned: PlannedVersions) -> Mapping[str, Outcome]:
    """From what runs to the wanted version. Raises WorldMoved where that is more than was planned.

    Raises Permanent where an image cannot be pulled or the new version lacks what the cluster uses: nothing was
    changed then. Retryable where a component does not come up, RolloutStopped where a node does not: run again.
    """
    cluster = rollout.cluster
    steps = _look(cluster)
    _require_planned(cluster, steps, planned)
    if steps.empty:
        return {"Kubernetes": Noop(f"every node runs Kubernetes {steps.wanted}")}
    _pull_kubelets(cluster, steps)
    outcomes: dict[str, Outcome] = {}
    if steps.planes:
        outcomes["control plane"] = _upgrade_planes(cluster, steps)
    nodes = [node for node in cluster.spec.nodes if node.name in steps.kubelets]
    kubelets = _Kubelets(rollout, steps.kubelets)
    return outcomes | dict(rollout.roll(_ordered(cluster, nodes), kubelets.change, restarts=lambda _node: True))


def _look(cluster: TalosCluster) -> KubernetesSteps:
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        seen = list(pool.map(cluster.look, cluster.spec.nodes))
    live = {one.name: one.config for one in seen if one.state is NodeState.RUNNING}
    return plan_kubernetes(cluster.spec, cluster.workspace.configs.by_node, live)


def _require_planned(cluster: TalosCluster, steps: KubernetesSteps, planned: PlannedVersions) -> None:
    more = [f"the kubelet of {name}" for name in steps.kubelets if name not in planned.kubelets]
    if steps.planes and not planned.planes:
        more.insert(0, f"the control plane ({', '.join(steps.planes)})")
    if more:
        what = f"another Kubernetes for what the plan does not hold: {', '.join(more)}"
        raise moved(what, cluster=cluster.spec.key, stage=STAGE)


def _ordered(cluster: TalosCluster, nodes: Collection[Node]) -> list[Node]:
    planes = [node for node in nodes if node.role is Role.CONTROL_PLANE]
    return [*leader_last(cluster, planes), *(node for node in nodes if node.role is not Role.CONTROL_PLANE)]


# Images


def _pull_kubelets(cluster: TalosCluster, steps: KubernetesSteps) -> None:
    """On every node that will need it, before anything is changed; talosctl pulls those of the control plane."""
    admin = cluster.admin

    def pull(node: Node) -> str:
        image = steps.kubelets[node.name].after
        words = ("image", "pull", image, "--namespace", "system")
        try:
            admin.call(*words, node=str(node.address), deadline_s=PULL_S)
        except TALOS_ERRORS as error:
            return f"{node.name} cannot pull {image}: {error.message}"
        return ""

    nodes = [node for node in cluster.spec.nodes if node.name in steps.kubelets]
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        problems = [one for one in pool.map(pull, nodes) if one]
    if problems:
        raise Retryable(
            "; ".join(problems),
            cluster=cluster.spec.key,
            stage=STAGE,
            next_step="nothing was changed; see that the registry has the image (machine.registries), then run again",
        )
    cluster.log(f"{len(nodes)} node(s) have the kubelet's image")


# Control planes


def _upgrade_planes(cluster: TalosCluster, steps: KubernetesSteps) -> Outcome:
    require_whole_etcd(cluster, stage=STAGE)
    cluster.log(f"upgrading the control plane from {steps.lowest} to {steps.wanted}")
    _upgrade_k8s(
        cluster, f"the upgrade of the control plane to {steps.wanted}", before=steps.lowest, after=steps.wanted
    )
    require_whole_etcd(cluster, stage=STAGE)
    return Done(f"control plane {steps.lowest} → {steps.wanted}")


def sync_manifests(cluster: TalosCluster) -> Outcome:
    """Bring forward what Talos brings with it, at the version that runs. Raises Retryable where that fails."""
    version = cluster.spec.versions.kubernetes
    doing = "bringing the bootstrap manifests forward"
    _upgrade_k8s(cluster, doing, "--pre-pull-images=false", before=version, after=version)
    return Done("the cluster has what Talos brings with it")


def _upgrade_k8s(cluster: TalosCluster, doing: str, *more: str, before: str, after: str) -> None:
    plane = cluster.spec.control_planes[0]
    words = [
        *("upgrade-k8s", "--from", before.removeprefix("v"), "--to", after.removeprefix("v")),
        # With them the machine configs would come back full of comments.
        *("--with-docs=false", "--with-examples=false"),
        "--upgrade-kubelet=false",
        *more,
        *_image_flags(cluster.workspace.configs.by_node[plane.name]),
    ]
    deadline_s = float(PULL_S + POD_S * (1 + len(cluster.spec.control_planes) * 3))
    heard = _Listener(cluster.log)
    try:
        cluster.admin.call(*words, node=str(plane.address), deadline_s=deadline_s, on_line=heard)
    except TALOS_ERRORS as error:
        raise _stopped(cluster, doing, error, gone=heard.gone) from error


def _image_flags(config: str) -> Iterator[str]:
    """Where the configuration takes images from; talosctl puts the version behind."""
    for path, image in images_of(config).items():
        if flag := FLAGS.get(path):
            repository, _, name = image.partition("@")[0].rpartition("/")
            yield from (flag, f"{repository}/{name.partition(':')[0]}")


class _Listener:
    """Hears `upgrade-k8s`: tells where it is, and keeps what it says is gone."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self.gone: list[str] = []

    def __call__(self, line: str) -> None:
        if _GONE in line or (self.gone and line.strip()):
            self.gone.append(" ".join(line.split()))
        elif _TOLD.match(line):
            self._log(f"upgrade-k8s: {line.strip()}")


def _stopped(cluster: TalosCluster, doing: str, error: InfrafluxError, *, gone: Collection[str]) -> InfrafluxError:
    if gone:
        return Permanent(
            f"{doing} stopped: {'; '.join(gone)}",
            cluster=cluster.spec.key,
            stage=STAGE,
            error_class=ErrorClass.CONFIG,
            next_step="nothing was changed; take out what the new version does not have any more (talos.patches)",
        )
    next_step = "look at `talosctl get staticpodstatus` of the control planes, then run again: it goes on there"
    return Retryable(f"{doing} stopped: {error.message}", cluster=cluster.spec.key, stage=STAGE, next_step=next_step)


# Kubelets


@dataclass(frozen=True)
class _Kubelets:
    """Nodes whose kubelet is behind, while they are rolled out."""

    rollout: Rollout
    changes: Mapping[str, ImageChange]

    def change(self, node: Node) -> Outcome:
        """The machine config with the new image, and the wait until Kubernetes counts the node with it."""
        change = self.changes[node.name]
        allowed = PlannedConfig(fields=frozenset({(f"v1alpha1.{KUBELET}", change.after)}))
        self.rollout.cluster.configure(node, {node.name: allowed}, versions=True)
        before, after = change.versions
        self._wait_for(node, after)
        return Done(f"{node.name}: kubelet {before} → {after}")

    def _wait_for(self, node: Node, version: str) -> None:
        cluster = self.rollout.cluster

        def probe() -> KubernetesNode | NotYet:
            try:
                seen = next((one for one in self.rollout.read_nodes() if one.name == node.name), None)
            except Retryable as error:
                return NotYet(error.message)
            if seen is None:
                return NotYet("it is not registered")
            return seen if seen.kubelet_version == version else NotYet(f"it runs kubelet {seen.kubelet_version}")

        bound_s = cluster.spec.talos.health_timeout_s
        what = f"{node.name} to run kubelet {version}"
        found = wait_until(probe, clock=cluster.clock, deadline_s=bound_s, interval_s=cluster.poll_s, what=what)
        if isinstance(found, NotYet):
            raise Retryable(
                f"{node.name} does not run kubelet {version} within {bound_s} s; last seen: {found}",
                cluster=cluster.spec.key,
                stage=STAGE,
                next_step=f"look at `talosctl -n {node.address} logs kubelet`, then run again",
            )
