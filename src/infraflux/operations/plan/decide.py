"""What is wanted and what was seen -> the plan. One pure function per part, in the order in which a run does them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from infraflux.adapters.talos.documents import FieldChange
from infraflux.adapters.talos.facts import NodeSeen, NodeState, SystemImage
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.config.models.policy import Disruption
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop, Outcome
from infraflux.drift.system_image import describe, wanted_image
from infraflux.operations.plan import actions
from infraflux.operations.plan.actions import Action, ClusterPlan, Field
from infraflux.operations.plan.by_hand import require_no_maintenance
from infraflux.operations.plan.effects import effect_of
from infraflux.operations.plan.hooks import with_hooks
from infraflux.operations.plan.kubernetes import cluster_version, plan_kubernetes, with_running_versions
from infraflux.operations.plan.leaving import leaving_actions, undeclared
from infraflux.operations.plan.machines import machine_actions, new_machines, shared_actions
from infraflux.operations.plan.node_decisions import PushConfig, Wait, decide_config
from infraflux.operations.plan.node_labels import plan_labels
from infraflux.operations.plan.observed import Observed, Wanted
from infraflux.operations.plan.restarts import restart_actions
from infraflux.operations.plan.standing import require_changeable
from infraflux.operations.plan.upgrades import plan_upgrade
from infraflux.operations.plan.version_actions import (
    api_warnings,
    kubernetes_actions,
    manifest_actions,
    snapshot_actions,
)


@dataclass
class _Draft:
    """A plan while it is made."""

    actions: list[Action] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)

    def add(self, found: Iterable[Action], *, otherwise: str) -> None:
        """The actions of one part, or why it has none."""
        before = len(self.actions)
        self.actions += found
        if len(self.actions) == before:
            self.unchanged.append(otherwise)


def plan_cluster(spec: ClusterSpec, wanted: Wanted, seen: Observed) -> ClusterPlan:
    """Everything that a run does, in order. Raises Permanent for a machine that is not ours or that is locked."""
    draft = _Draft()
    draft.add(shared_actions(seen.shared), otherwise="what the clusters of the environment share is as declared")
    if not seen.has_secrets:
        draft.actions.append(
            actions.MakeSecrets(
                object="Talos secrets bundle", change="made and encrypted", why="there is none yet", reversible=False
            )
        )
    require_no_maintenance(spec, seen)
    new = new_machines(seen.machines)
    _require_etcd(spec, seen, new)
    versions = _versions(spec, wanted, seen, new)
    draft.actions += versions.snapshot
    draft.actions += leaving_actions(spec, seen, new)
    draft.add(machine_actions(spec, seen.machines), otherwise="the machines are as declared")
    _nodes(spec, wanted, seen, draft, versions)
    require_changeable(spec, draft.actions, seen)
    _platform(wanted, seen, draft)
    draft.add(restart_actions(spec, seen, new), otherwise="no machine waits for a restart, no node is out of service")
    return ClusterPlan(
        cluster=spec.key,
        actions=with_hooks(spec, draft.actions),
        later=tuple(draft.later),
        from_git=seen.platform.from_git if seen.platform else (),
        unchanged=tuple(draft.unchanged),
        warnings=(*seen.warnings, *undeclared(spec, seen), *versions.warnings),
        shared=seen.shared,
        machines=seen.machines,
    )


def _require_etcd(spec: ClusterSpec, seen: Observed, new: frozenset[str]) -> None:
    """Refuse to make blank control planes where the ones that held etcd are all gone."""
    confirmed = seen.marker is not None and seen.marker.confirmed
    if seen.etcd is None and confirmed and all(node.name in new for node in spec.control_planes):
        raise Permanent(
            "every control plane is gone, and etcd with them: new ones would start an empty cluster",
            cluster=spec.key,
            stage="plan",
            error_class=ErrorClass.CONFLICT,
            next_step="restore etcd from a snapshot (docs/operations.md), or destroy the cluster and deploy it again",
        )


@dataclass(frozen=True, kw_only=True)
class _Versions:
    """What the plan does about versions, and which Kubernetes a node joins meanwhile."""

    talos: Sequence[Action]
    kubernetes: Sequence[Action]
    joins: str
    """Empty where that is the wanted one."""
    warnings: Sequence[str]

    @property
    def snapshot(self) -> Iterator[Action]:
        return snapshot_actions([*self.talos, *self.kubernetes])


def _versions(spec: ClusterSpec, wanted: Wanted, seen: Observed, new: frozenset[str]) -> _Versions:
    images = {name: one for name, one in seen.images.items() if name not in new}
    live = {name: one.config for name, one in seen.nodes.items() if name not in new and one.state is NodeState.RUNNING}
    running = cluster_version(spec, live)
    joining = [node.name for node in spec.nodes if node.name not in live]
    steps = plan_kubernetes(spec, wanted.configs, live, joining)
    return _Versions(
        talos=tuple(_upgrades(spec, wanted_image(spec), images)),
        kubernetes=tuple(kubernetes_actions(steps, seen.platform)),
        warnings=tuple(api_warnings(seen.platform, steps.wanted)) if steps.planes else (),
        joins="" if steps.empty else running,
    )


def _nodes(spec: ClusterSpec, wanted: Wanted, seen: Observed, draft: _Draft, versions: _Versions) -> None:
    new = new_machines(seen.machines)
    standing = {name: one for name, one in seen.nodes.items() if name not in new}
    if standing:
        draft.add(versions.talos, otherwise=f"the nodes that answer run {wanted_image(spec)}")
    first, *others = spec.control_planes
    known = _Nodes(cluster=spec.key, wanted=wanted, standing=standing, reboots=seen.reboots, joins=versions.joins)
    draft.add(_configure([first], known, draft), otherwise=f"{first.name} has its machine config")
    draft.add(_bootstrap(spec, seen, new, draft), otherwise="etcd runs")
    rest = [*others, *spec.workers]
    found = _configure(rest, known, draft)
    draft.add(found, otherwise=f"{len(rest)} more node(s) have their machine configs")
    draft.add(_labels(spec, seen, new), otherwise="the nodes have their labels and taints")
    if standing:
        running = f"the nodes that answer run Kubernetes {spec.versions.kubernetes}"
        draft.add(versions.kubernetes, otherwise=running)
        found = manifest_actions(seen.platform, draft.actions)
        draft.add(list(found), otherwise="what Talos brings with it is as the cluster has it")
        if seen.platform and seen.platform.manifests_unknown:
            draft.later.append(f"what Talos brings with it: not known ({seen.platform.manifests_unknown})")


def _upgrades(spec: ClusterSpec, image: SystemImage, running: Mapping[str, SystemImage]) -> Iterator[Action]:
    steps = plan_upgrade(spec, image, running)
    for step in () if isinstance(steps, Noop) else steps:
        yield actions.UpgradeTalos(
            object=step.node.name,
            node=step.node.name,
            change=describe(step.before, step.after),
            why="it runs another image than is declared",
            control_plane=step.node.role is Role.CONTROL_PLANE,
            other_version=step.before.version != step.after.version,
            disruption=Disruption.NODE_RESTART,
            fingerprint=f"{image.schematic}:{image.version}",
        )


@dataclass(frozen=True, kw_only=True)
class _Nodes:
    """What the config of a node is decided from."""

    cluster: str
    wanted: Wanted
    standing: Mapping[str, NodeSeen]
    reboots: Mapping[str, bool]
    joins: str
    """The Kubernetes version of first configs, where it is not the wanted one."""


def _configure(nodes: Iterable[Node], known: _Nodes, draft: _Draft) -> Iterator[Action]:
    wanted, standing = known.wanted, known.standing
    for node in nodes:
        if node.name not in standing:
            yield _first_config(node, known, why="its machine is new")
            continue
        decision = decide_config(
            node,
            standing[node.name],
            wanted=with_running_versions(wanted.configs.get(node.name, ""), standing[node.name].config),
            cluster=known.cluster,
            hidden=wanted.secrets,
        )
        if isinstance(decision, Noop):
            continue
        if isinstance(decision, Wait):
            draft.later.append(f"{node.name} does not answer yet ({decision.last_seen}): it is configured when it does")
            yield _first_config(
                node, known, why="it does not answer; nothing is done to it if it has its config already"
            )
        elif isinstance(decision, PushConfig):
            yield _first_config(node, known, why="it waits for a machine config")
        else:
            yield _new_config(node, decision.changes, wanted, reboots=known.reboots.get(node.name, False))


def _first_config(node: Node, known: _Nodes, *, why: str) -> Action:
    return actions.ConfigureNode(
        object=node.name,
        node=node.name,
        change="first machine config" + (f", with Kubernetes {known.joins}, which runs" if known.joins else ""),
        why=why,
        first=True,
        kubernetes=known.joins,
        fingerprint=known.wanted.fingerprints[node.name],
    )


def _new_config(node: Node, changes: Iterable[FieldChange], wanted: Wanted, *, reboots: bool) -> Action:
    fields = tuple(Field(path=one.path, before=one.seen, after=one.wanted) for one in changes)
    effect = effect_of([one.path for one in fields], reboots=reboots)
    return actions.ConfigureNode(
        object=node.name,
        node=node.name,
        change=f"machine config, {len(fields)} field{'' if len(fields) == 1 else 's'}: {effect.words}",
        why="it differs from what the configuration makes",
        disruption=effect.disruption,
        fields=fields,
        fingerprint=wanted.fingerprints[node.name],
        reboots=reboots,
    )


def _bootstrap(spec: ClusterSpec, seen: Observed, new: frozenset[str], draft: _Draft) -> Iterator[Action]:
    marker, planes = seen.marker, spec.control_planes
    if seen.etcd is not None:
        return
    if marker is not None and marker.confirmed:
        if any(node.name not in new for node in planes):
            draft.later.append("etcd does not answer: the run waits for it, and never bootstraps it a second time")
        return
    target = marker.node if marker else planes[0].name
    yield actions.BootstrapEtcd(
        object="etcd",
        node=target,
        change=f"bootstrapped on {target}",
        why="an earlier call was not confirmed" if marker else "the cluster has none yet",
        reversible=False,
    )


def _labels(spec: ClusterSpec, seen: Observed, new: frozenset[str]) -> Iterator[Action]:
    live = seen.platform.nodes if seen.platform else {}
    for node in spec.nodes:
        if node.name in live and node.name not in new:
            labels = plan_labels(node, live[node.name])
            changed = () if isinstance(labels, Noop) else labels.changes
        else:
            changed = _declared(node)
        if changed:
            yield actions.LabelNode(
                object=node.name,
                node=node.name,
                change="; ".join(changed),
                why="declared for the node, and it may not write them itself",
            )


def _declared(node: Node) -> tuple[str, ...]:
    """What a node that has not registered yet is given besides what it registers with."""
    return tuple(f"label {key}={node.labels[key]}" for key in sorted(node.restricted_labels))


def _platform(wanted: Wanted, seen: Observed, draft: _Draft) -> None:
    platform = seen.platform
    if platform is None:
        if seen.no_platform:
            draft.later.append(f"the platform: {seen.no_platform}")
            return
        draft.actions += _first_platform(wanted)
        return
    draft.add(_installs(platform.installs, wanted), otherwise="Argo CD owns Cilium and itself")
    draft.add(_objects(platform.handoff), otherwise="the objects of the handoff are as declared")


def _first_platform(wanted: Wanted) -> Iterator[Action]:
    for component, fingerprint in wanted.components.items():
        yield actions.InstallComponent(
            object=component,
            change="installed with helm",
            why="the cluster has none yet",
            reversible=False,
            fingerprint=fingerprint,
        )
    for name in wanted.handoff:
        yield actions.ApplyObject(object=name, change="applied", why="Git takes the cluster over")


def _installs(installs: Mapping[str, Outcome], wanted: Wanted) -> Iterator[Action]:
    for component, outcome in installs.items():
        if not isinstance(outcome, Noop):
            yield actions.InstallComponent(
                object=component,
                change=outcome.what,
                why="Argo CD does not own it yet",
                reversible=False,
                fingerprint=wanted.components[component],
            )


def _objects(handoff: Mapping[str, Outcome]) -> Iterator[Action]:
    for name, outcome in handoff.items():
        if not isinstance(outcome, Noop):
            yield actions.ApplyObject(object=name, change=outcome.what, why="it is not as declared")
