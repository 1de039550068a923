"""What somebody asks for by hand: looked at, planned and executed by the same parts as a deploy."""

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from infraflux.adapters.kubernetes.facts import BY_HAND, MAINTENANCE
from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.observe import observe_guests
from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.terraform.plan import EMPTY_PLAN
from infraflux.config.models import Node, Role
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.operations import maintenance
from infraflux.operations.etcd_health import require_majority_while_off, require_whole_etcd
from infraflux.operations.execution import SECRETS, Outcomes, Step, join_nodes, label_nodes, leave_nodes, restart_nodes
from infraflux.operations.machines import Preflight, proxmox_access
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan import actions
from infraflux.operations.plan.by_hand import Asked, HandAction, plan_by_hand, require_target
from infraflux.operations.plan.observed import Observed, PlatformSeen
from infraflux.operations.planning import Planned, look_at_nodes, make_plan, wanted_nodes
from infraflux.operations.teardown import reset_to_maintenance

STAGE = "operate"


def make_hand_plan(opened: OpenCluster, asked: Asked, *, preflight: Callable[[], Preflight] | None = None) -> Planned:
    """Look at what the action is about, and decide. Changes nothing.

    A replaced machine is planned as a deploy is, with that machine made anew: the rest of the plan comes with it.
    """
    if asked.action is HandAction.REPLACE:
        require_target(opened.spec, asked)
        seen = preflight() if preflight else opened.machines.preflight()
        return make_plan(opened, preflight=seen, replaced=frozenset({asked.node}))
    require_target(opened.spec, asked)
    if not opened.reachable:
        raise Permanent(
            f"{opened.key} was never deployed",
            cluster=opened.key,
            stage="plan",
            error_class=ErrorClass.USER,
            next_step=f"infraflux deploy {opened.key}",
        )
    observed = _look(opened)
    plan = plan_by_hand(opened.spec, asked, wanted_nodes(opened), observed)
    return Planned(plan=plan, machines=None, seen=observed)


def _look(opened: OpenCluster) -> Observed:
    spec = opened.spec
    found = observe_guests(ProxmoxReader(proxmox_access(spec, root=opened.root)))
    ours = {guest.vm_id: guest for guest in found if spec.ownership_tag in guest.tags}
    guests = {node.name: ours[node.vm_id] for node in spec.nodes if node.vm_id in ours}
    talos = look_at_nodes(opened, [node for node in spec.nodes if node.name in guests], reboots=False)
    return Observed(
        shared=EMPTY_PLAN,
        machines=EMPTY_PLAN,
        guests=guests,
        maintenance=maintenance.in_maintenance(opened.state),
        hardware=opened.machines.hardware(list(guests.values())),
        platform=PlatformSeen(installs={}, handoff={}, nodes=_node_objects(opened)),
        **talos,
    )


def _node_objects(opened: OpenCluster) -> Mapping[str, dict[str, Any]]:
    """Nothing where the API does not answer: the only control plane may be the one that is off."""
    try:
        with closing(opened.connect()) as kubernetes:
            return {one["metadata"]["name"]: one for one in kubernetes.list_objects("v1", "Node")}
    except InfrafluxError as error:
        opened.log(f"the Kubernetes API does not answer: {error.message[:200]}")
        return {}


# Executors


def drain_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Out of service until somebody takes them back."""
    leave = opened.node_exit()

    def drain(name: str) -> Outcome:
        leave.drain(name, mark=BY_HAND)
        return Done(f"{name} is out of service")

    return _each(planned, actions.DrainNode, lambda one: drain(one.node)) or _none("the plan drains no node")


def stop_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Drained and off, one after the other; etcd keeps its majority at every step."""
    leave, restart = opened.node_exit(), opened.node_restart()

    def stop(node: Node) -> Outcome:
        power = restart.open_power()
        if not power.machine(node.vm_id).running:
            return Noop(f"{node.name} is off already")
        if node.role is Role.CONTROL_PLANE:
            require_majority_while_off(opened.talos, node)
        maintenance.begin(opened.state, node.name)
        leave.drain(node.name, mark=MAINTENANCE)
        restart.shut_down(power, power.machine(node.vm_id))
        return Done(f"{node.name} is off")

    found = _each(planned, actions.StopNode, lambda one: stop(opened.spec.node(one.node)))
    return found or _none("the plan shuts no machine down")


def start_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """All on, then each proven and taken back, control planes first."""
    wanted = {one.node for one in planned.plan.of(actions.StartNode)}
    if not wanted:
        return _none("the plan starts no machine")
    leave, restart, power = opened.node_exit(), opened.node_restart(), opened.machines.power()
    nodes = [node for node in opened.spec.nodes if node.name in wanted]
    for node in nodes:
        restart.start(power, power.machine(node.vm_id))
    outcomes: dict[str, Outcome] = {}
    for node in nodes:
        restart.prove(node)
        outcomes[node.name] = leave.take_back(node.name, mark=MAINTENANCE)
        maintenance.end(opened.state, node.name)
    require_whole_etcd(opened.talos, stage=STAGE)
    return outcomes


def reset_nodes(opened: OpenCluster, planned: Planned) -> Outcomes:
    """Drained, out of etcd, forgotten, and Talos wiped: each waits for a machine config afterwards."""
    leave = opened.node_exit()

    def reset(node: Node) -> Outcome:
        if opened.talos.look(node).state is NodeState.MAINTENANCE:
            return Noop(f"{node.name} waits for a machine config already")
        if node.role is Role.CONTROL_PLANE:
            require_majority_while_off(opened.talos, node)
        leave.drain(node.name)
        reset_to_maintenance(opened.talos, node)
        leave.forget(node.name)
        return Done(f"{node.name} was wiped")

    found = _each(planned, actions.ResetNode, lambda one: reset(opened.spec.node(one.node)))
    return found or _none("the plan wipes no node")


def _each(planned: Planned, kind: Any, act: Callable[[Any], Outcome]) -> dict[str, Outcome]:
    return {one.node: act(one) for one in planned.plan.of(kind)}


def _none(why: str) -> Outcomes:
    return {"nodes": Noop(why)}


STEPS = (
    SECRETS,
    Step("drain nodes", "drain nodes by hand", drain_nodes),
    Step("stop nodes", "shut nodes down", stop_nodes),
    Step("start nodes", "start nodes", start_nodes),
    Step("reset nodes", "wipe nodes", reset_nodes),
    Step("leave nodes", "remove nodes", leave_nodes),
    Step("join nodes", "join nodes again", join_nodes),
    Step("label nodes", "label and taint nodes again", label_nodes),
    Step("restart nodes", "restart nodes by hand", restart_nodes),
)
"""What a plan by hand can hold; one that makes a machine anew goes through the steps of a deploy."""
