"""The executors of a plan: each does what its actions say, looks again before it does, and refuses to do more."""

from collections.abc import Mapping

from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations.bootstrap import PlannedConfigs
from infraflux.operations.handoff_secrets import sensitive_values
from infraflux.operations.leaving import NodeExit
from infraflux.operations.node_labels import reconcile_labels
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan import actions
from infraflux.operations.plan.actions import ClusterPlan
from infraflux.operations.plan.leaving import Leaver
from infraflux.operations.plan.node_decisions import PlannedConfig, moved
from infraflux.operations.planning import Planned
from infraflux.operations.talos_upgrade import upgrade_nodes


def planned_configs(plan: ClusterPlan) -> PlannedConfigs:
    """What a plan allows to be done to each node's machine config (pure)."""
    return {
        one.node: PlannedConfig(first=one.first, fields=frozenset((field.path, field.after) for field in one.fields))
        for one in plan.of(actions.ConfigureNode)
    }


def check_secrets(opened: OpenCluster, planned: Planned) -> None:
    """Raises WorldMoved where the secrets bundle that the plan was made with is gone."""
    if not opened.talos.workspace.has_bundle and not planned.plan.of(actions.MakeSecrets):
        raise moved("the Talos secrets bundle is gone since the plan was made", cluster=opened.key, stage="secrets")


def leave_nodes(opened: OpenCluster, planned: Planned) -> Mapping[str, Outcome]:
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


def upgrade_talos(opened: OpenCluster, planned: Planned) -> Mapping[str, Outcome]:
    """The planned upgrades, one node at a time."""
    steps = {one.node for one in planned.plan.of(actions.UpgradeTalos)}
    if not steps:
        return {"Talos": Noop("the plan upgrades no node")}
    return upgrade_nodes(opened.talos, steps)


def configure_first(opened: OpenCluster, planned: Planned) -> Outcome:
    """The first control plane's machine config."""
    allowed, node = planned_configs(planned.plan), opened.spec.control_planes[0]
    if node.name not in allowed:
        return Noop(f"{node.name} has the wanted machine config")
    return opened.talos.configure_first_control_plane(allowed)


def bootstrap_etcd(opened: OpenCluster, planned: Planned) -> Outcome:
    """etcd, where the plan bootstraps it; else the look that confirms what an earlier run began."""
    wanted = bool(planned.plan.of(actions.BootstrapEtcd))
    marker = planned.seen.marker
    if planned.seen.etcd is not None and marker is not None and marker.confirmed:
        return Noop("etcd runs already")
    return opened.talos.bootstrap_etcd(planned=wanted)


def join_nodes(opened: OpenCluster, planned: Planned) -> Mapping[str, Outcome]:
    """The other nodes' machine configs, and each control plane's place in etcd."""
    allowed = planned_configs(planned.plan)
    if not allowed and planned.seen.etcd is not None:
        return {"nodes": Noop("the plan configures no node")}
    return opened.talos.join_nodes(allowed)


def label_nodes(opened: OpenCluster, planned: Planned) -> Mapping[str, Outcome]:
    """Labels and taints of the planned nodes; a new node's are read when it has registered."""
    new = {one.node for one in planned.plan.of(actions.ConfigureNode) if one.first}
    labelled = {one.node for one in planned.plan.of(actions.LabelNode)}
    if not new and not labelled:
        return {"nodes": Noop("the plan labels no node")}
    return reconcile_labels(opened.talos, new | labelled)


def install_cilium(opened: OpenCluster, planned: Planned) -> Outcome:
    """Cilium, where the plan installs it."""
    if not _installs(planned, "cilium"):
        return Noop("Argo CD owns cilium, or nothing of its first install is left to do")
    return opened.platform().installer.install_cilium()


def install_argocd(opened: OpenCluster, planned: Planned) -> Outcome:
    """Argo CD, where the plan installs it."""
    if not _installs(planned, "argocd"):
        return Noop("Argo CD owns itself, or nothing of its first install is left to do")
    platform = opened.platform()
    return platform.installer.install_argocd(platform.secrets())


def _installs(planned: Planned, component: str) -> bool:
    """Whether the plan installs it; one whose platform could not be looked at installs what is missing."""
    if planned.seen.platform is None:
        return True
    return component in {one.object for one in planned.plan.of(actions.InstallComponent)}


def hand_off(opened: OpenCluster, planned: Planned) -> Mapping[str, Outcome]:
    """The objects of the handoff that are not as declared."""
    if planned.seen.platform is not None and not planned.plan.of(actions.ApplyObject):
        return {"handoff": Noop("the objects of the handoff are as declared")}
    platform = opened.platform()
    secrets = platform.secrets()
    opened.learn(frozenset(sensitive_values(secrets)))
    outcomes = platform.installer.hand_off(secrets)
    return {str(number): outcome for number, outcome in enumerate(outcomes, start=1)}
