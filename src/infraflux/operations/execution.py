"""The executors of a plan, in their order: each does what its actions say, looks again before it does, and refuses to
do more. Whoever brings a cluster up goes through these steps: the deploy, and `infraflux cluster bootstrap`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from infraflux.adapters.kubernetes.facts import ROLLING
from infraflux.config.models import Node
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations import credentials, talos_secrets
from infraflux.operations.bootstrap import PlannedConfigs
from infraflux.operations.etcd_snapshot import take_snapshot
from infraflux.operations.handoff_secrets import sensitive_values
from infraflux.operations.kubernetes_upgrade import PlannedVersions, sync_manifests, upgrade_kubernetes
from infraflux.operations.leaving import NodeExit
from infraflux.operations.node_labels import reconcile_labels
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan import actions
from infraflux.operations.plan.actions import ClusterPlan
from infraflux.operations.plan.leaving import Leaver
from infraflux.operations.plan.node_decisions import PlannedConfig, moved
from infraflux.operations.planning import Planned
from infraflux.operations.talos_upgrade import upgrade_nodes

Outcomes = Mapping[str, Outcome]


@dataclass(frozen=True)
class Step:
    """One step of a plan's execution."""

    stage: str
    """Its place on the timeline."""
    name: str
    """What it does, as a person reads it."""
    run: Callable[[OpenCluster, Planned], Outcome | Outcomes]


def planned_configs(plan: ClusterPlan) -> PlannedConfigs:
    """What a plan allows to be done to each node's machine config (pure)."""
    return {
        one.node: PlannedConfig(
            first=one.first,
            fields=frozenset((field.path, field.after) for field in one.fields),
            kubernetes=one.kubernetes,
        )
        for one in plan.of(actions.ConfigureNode)
    }


def check_secrets(opened: OpenCluster, planned: Planned) -> None:
    """Raises WorldMoved where the secrets bundle that the plan was made with is gone."""
    if not opened.talos.workspace.has_bundle and not planned.plan.of(actions.MakeSecrets):
        raise moved("the Talos secrets bundle is gone since the plan was made", cluster=opened.key, stage="secrets")


def prepare_secrets(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Identity, bundle and talosconfig; stops the run before anything is touched where one cannot be had."""
    check_secrets(opened, planned)
    identity, bundle = talos_secrets.ensure_secrets(opened.talos.workspace)
    talosconfig = credentials.ensure_talosconfig(opened.talos)
    return {"identity": identity, "bundle": bundle, "talosconfig": talosconfig}


def snapshot_etcd(opened: OpenCluster, planned: Planned) -> Outcome:
    """A copy of etcd's data, where versions of the control plane are going to change."""
    if not planned.plan.of(actions.SnapshotEtcd):
        return Noop("no version of the control plane changes")
    return take_snapshot(opened.talos)


def leave_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Dead members and Node objects go, then nodes leave, one at a time: before any machine ends."""
    plan = planned.plan
    going = [one for one in plan.actions if isinstance(one, _GOING)]
    if not going:
        return {"nodes": Noop("the plan takes no node out of the cluster")}
    leave = opened.node_exit()
    outcomes: dict[str, Outcome] = {}
    for action in going:
        outcomes[action.object] = _let_go(leave, action)
    return outcomes


_GOING = (actions.RemoveMember, actions.ForgetNode, actions.LeaveCluster)


def _let_go(leave: NodeExit, action: actions.Action) -> Outcome:
    match action:
        case actions.RemoveMember():
            return leave.remove_member(action.member, action.node)
        case actions.LeaveCluster():
            return leave.leave(Leaver(action.node, action.address, action.control_plane))
        case _:
            gone = leave.forget(action.node)
            return Done(f"Node {action.node} deleted") if gone else Noop(f"there is no Node {action.node}")


def upgrade_talos(opened: OpenCluster, planned: Planned) -> Outcomes:
    """The planned upgrades, one node at a time, control planes first."""
    steps = {one.node for one in planned.plan.of(actions.UpgradeTalos)}
    if not steps:
        return {"Talos": Noop("the plan upgrades no node")}
    return upgrade_nodes(opened.rollout(), steps)


def configure_first(opened: OpenCluster, planned: Planned) -> Outcome:
    """Wait for the first control plane's boot, prove its identity, give it its machine config."""
    allowed, node = planned_configs(planned.plan), opened.spec.control_planes[0]
    if node.name not in allowed or not allowed[node.name].first:
        return Noop(f"{node.name} has a machine config")
    return opened.talos.configure_first_control_plane(allowed)


def bootstrap_etcd(opened: OpenCluster, planned: Planned) -> Outcome:
    """etcd, where the plan bootstraps it; else the look that confirms what an earlier run began."""
    wanted = bool(planned.plan.of(actions.BootstrapEtcd))
    marker = planned.seen.marker
    if planned.seen.etcd is not None and marker is not None and marker.confirmed:
        return Noop("etcd runs already")
    return opened.talos.bootstrap_etcd(planned=wanted)


def write_kubeconfig(opened: OpenCluster, _planned: Planned) -> Outcome:
    """Private, renewed a month before it ends. A file of this machine, so no part of a cluster's plan."""
    outcome = credentials.ensure_kubeconfig(opened.talos)
    opened.forget_platform()
    return outcome


def join_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """The other nodes' machine configs: control planes one at a time, each until etcd counts it, then the workers."""
    allowed = {name: one for name, one in planned_configs(planned.plan).items() if one.first}
    if not allowed:
        return {"nodes": Noop("the plan brings no node in")}
    return opened.talos.join_nodes(allowed)


def update_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """New machine configs of nodes that run, one after the other; the first failure stops the rest."""
    changes = [one for one in planned.plan.of(actions.ConfigureNode) if not one.first]
    if not changes:
        return {"nodes": Noop("the plan changes no machine config of a node that runs")}
    allowed = planned_configs(planned.plan)
    restarting = {one.node for one in changes if one.reboots}
    names = {one.node for one in changes}
    return opened.rollout().roll(
        [node for node in opened.spec.nodes if node.name in names],
        lambda node: opened.talos.configure(node, allowed),
        restarts=lambda node: node.name in restarting,
    )


def restart_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """The planned restarts, one node after the other, drained before and taken back after, and the proof of each."""
    plan = planned.plan
    allowed = {one.node: {(field.path, field.after) for field in one.fields} for one in plan.of(actions.RestartNode)}
    back = {one.node for one in plan.of(actions.ReturnNode)}
    touched = {one.node for one in plan.of(actions.ChangeMachine) if one.fields}
    nodes = [node for node in opened.spec.nodes if node.name in {*allowed, *back, *touched}]
    if not nodes:
        return _no_restart()
    restart, rollout = opened.node_restart(), replace(opened.rollout(), stage="restart nodes")
    restart.require_planned(nodes, allowed)
    rolled = [node for node in nodes if node.name in {*allowed, *back}]
    due = restart.due(rolled, always={one.node for one in plan.of(actions.RestartNode) if one.always})
    whoever = {one.node for one in plan.of(actions.ReturnNode) if one.whoever}

    def bring_back(node: Node) -> Outcome:
        if node.name in due:
            return restart.cycle(node)
        restart.prove(node)
        return rollout.leave.take_back(node.name, mark=None if node.name in whoever else ROLLING)

    return rollout.roll(rolled, bring_back, restarts=lambda node: node.name in due) or _no_restart()


def _no_restart() -> Outcomes:
    return {"nodes": Noop("the plan restarts no node, and none waits for it")}


def upgrade_versions(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Another Kubernetes: all control planes, then one kubelet after the other, each node drained meanwhile."""
    kubelets = {one.node for one in planned.plan.of(actions.UpgradeKubelet)}
    planes = bool(planned.plan.of(actions.UpgradeKubernetes))
    manifests = bool(planned.plan.of(actions.SyncManifests))
    outcomes: dict[str, Outcome] = {}
    if planes or kubelets:
        outcomes |= upgrade_kubernetes(opened.rollout(), PlannedVersions(planes=planes, kubelets=kubelets))
    if manifests:
        outcomes["bootstrap manifests"] = sync_manifests(opened.talos)
    return outcomes or {"Kubernetes": Noop("the plan changes no Kubernetes version")}


def label_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Labels and taints of the planned nodes; a new node's are read when it has registered."""
    new = {one.node for one in planned.plan.of(actions.ConfigureNode) if one.first}
    labelled = {one.node for one in planned.plan.of(actions.LabelNode)}
    if not new and not labelled:
        return {"nodes": Noop("the plan labels no node")}
    return reconcile_labels(opened.talos, new | labelled)


def install_cilium(opened: OpenCluster, planned: Planned) -> Outcome:
    """Cilium, where the plan installs it: before any node can be Ready, and nothing once Argo CD owns it."""
    if not _installs(planned, "cilium"):
        return Noop("Argo CD owns cilium, or nothing of its first install is left to do")
    return opened.platform().installer.install_cilium()


def install_argocd(opened: OpenCluster, planned: Planned) -> Outcome:
    """Argo CD, where the plan installs it: its secrets, every component's CRDs, then the chart."""
    if not _installs(planned, "argocd"):
        return Noop("Argo CD owns itself, or nothing of its first install is left to do")
    platform = opened.platform()
    return platform.installer.install_argocd(platform.secrets())


def _installs(planned: Planned, component: str) -> bool:
    """Whether the plan installs it; one whose platform could not be looked at installs what is missing."""
    if planned.seen.platform is None:
        return True
    return component in {one.object for one in planned.plan.of(actions.InstallComponent)}


def hand_off(opened: OpenCluster, planned: Planned) -> Outcomes:
    """The objects of the handoff that are not as declared."""
    if planned.seen.platform is not None and not planned.plan.of(actions.ApplyObject):
        return {"handoff": Noop("the objects of the handoff are as declared")}
    platform = opened.platform()
    secrets = platform.secrets()
    opened.learn(frozenset(sensitive_values(secrets)))
    outcomes = platform.installer.hand_off(secrets)
    return {str(number): outcome for number, outcome in enumerate(outcomes, start=1)}


SECRETS = Step("Talos secrets", "prepare Talos secrets", prepare_secrets)
BEFORE_MACHINES = (
    SECRETS,
    Step("snapshot etcd", "take a snapshot of etcd", snapshot_etcd),
    Step("leave nodes", "drain and remove nodes", leave_nodes),
)
"""What comes before Terraform changes machines."""
BOOTSTRAP = (
    Step("first control plane", "configure first control plane", configure_first),
    Step("etcd", "bootstrap etcd", bootstrap_etcd),
    Step("kubeconfig", "write kubeconfig", write_kubeconfig),
    Step("join nodes", "join control planes and workers", join_nodes),
    Step("update nodes", "roll out machine configs", update_nodes),
    Step("label nodes", "label and taint nodes", label_nodes),
)
"""From machines that booted to a Kubernetes of nodes, which no CNI makes Ready yet."""
AFTER_MACHINES = (
    Step("upgrade Talos", "upgrade Talos", upgrade_talos),
    *BOOTSTRAP,
    Step("upgrade Kubernetes", "upgrade Kubernetes", upgrade_versions),
    Step("Cilium", "install Cilium", install_cilium),
    Step("Argo CD", "install Argo CD", install_argocd),
    Step("handoff", "hand over to Git", hand_off),
    # Last: a node can only be waited for once everything is there that makes it Ready.
    Step("restart nodes", "restart nodes for their hardware", restart_nodes),
)
