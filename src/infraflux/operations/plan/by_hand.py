"""What somebody asks for by hand, as a plan like any other: shown, approved by its digest, executed. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infraflux.adapters.kubernetes.facts import MAINTENANCE, OUT_OF_SERVICE
from infraflux.adapters.proxmox.hardware import shown, waiting_values
from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.terraform.plan import EMPTY_PLAN
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.config.models.policy import Disruption
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.plan import actions
from infraflux.operations.plan.actions import Action, ClusterPlan, Field
from infraflux.operations.plan.node_decisions import quorum
from infraflux.operations.plan.observed import Observed, Wanted


class HandAction(StrEnum):
    RESTART = "restart"
    DRAIN = "drain"
    UNCORDON = "uncordon"
    REPLACE = "replace"
    """Its machine is made anew; planned as a deploy is."""
    RESET = "reset"
    """Talos is wiped, the machine stays, the node joins anew."""
    REMOVE = "remove"
    """A node that is declared no more and still there."""
    MAINTENANCE_START = "maintenance-start"
    MAINTENANCE_END = "maintenance-end"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wants: an action, and the node or the host that it is about."""

    action: HandAction
    node: str = ""
    host: str = ""

    @property
    def leaves_all_in_service(self) -> bool:
        """Whether every node has to be Ready afterwards."""
        return self.action not in (HandAction.DRAIN, HandAction.REMOVE, HandAction.MAINTENANCE_START)


def require_target(spec: ClusterSpec, asked: Asked) -> None:
    """Raises Permanent where the action is about a node or a host that there is not."""
    of_host = asked.action in (HandAction.MAINTENANCE_START, HandAction.MAINTENANCE_END)
    names = {host.name for host in spec.proxmox.hosts} if of_host else {node.name for node in spec.nodes}
    target = asked.host if of_host else asked.node
    if asked.action is HandAction.REMOVE and target and target not in names:
        return
    if asked.action is HandAction.REMOVE and target in names:
        raise _refuse(
            spec,
            f"{target} is declared, so that the next deploy would make it again",
            "take it out of its pool and deploy: the plan lets it leave in order; `replace` makes its machine anew",
        )
    if target not in names:
        what = "host" if of_host else "node"
        raise _refuse(spec, f"there is no {what} {target!r}", f"one of {', '.join(sorted(names))}")


def plan_by_hand(spec: ClusterSpec, asked: Asked, wanted: Wanted, seen: Observed) -> ClusterPlan:
    """Everything that the action does. Raises Permanent where it cannot be done, or would cost etcd its majority."""
    require_target(spec, asked)
    make: Mapping[HandAction, Callable[[], Iterator[Action]]] = {
        HandAction.RESTART: lambda: _restart(spec.node(asked.node), seen),
        HandAction.DRAIN: lambda: _drain(spec.node(asked.node)),
        HandAction.UNCORDON: lambda: _uncordon(spec.node(asked.node), seen),
        HandAction.RESET: lambda: _reset(spec, spec.node(asked.node), wanted, seen),
        HandAction.REMOVE: lambda: _remove(spec, asked.node, seen),
        HandAction.MAINTENANCE_START: lambda: _stop_all(spec, asked.host, seen),
        HandAction.MAINTENANCE_END: lambda: _start_all(spec, asked.host, seen),
    }
    found = tuple(make[asked.action]())
    return ClusterPlan(cluster=spec.key, actions=found, shared=EMPTY_PLAN, machines=EMPTY_PLAN)


def _restart(node: Node, seen: Observed) -> Iterator[Action]:
    hardware = seen.hardware.get(node.name)
    waiting = waiting_values(hardware) if hardware else ()
    yield actions.RestartNode(
        object=node.name,
        node=node.name,
        change="drained, shut down, started, taken back"
        + (f"; comes into force: {', '.join(shown(one) for one in waiting)}" if waiting else ""),
        why="asked for by hand",
        disruption=Disruption.NODE_RESTART,
        fields=tuple(Field(path=one.option, before=one.before, after=one.after) for one in waiting),
        always=True,
    )


def _drain(node: Node) -> Iterator[Action]:
    yield actions.DrainNode(
        object=node.name,
        node=node.name,
        change="cordoned and drained; it stays out of service until somebody takes it back",
        why="asked for by hand",
        disruption=Disruption.NODE_RESTART,
    )


def _uncordon(node: Node, seen: Observed) -> Iterator[Action]:
    live = _live(seen, node.name)
    if (live.get("spec") or {}).get("unschedulable"):
        yield actions.ReturnNode(
            object=node.name,
            node=node.name,
            change="taken back into service once it is Ready",
            why="asked for by hand",
            whoever=True,
        )


def _reset(spec: ClusterSpec, node: Node, wanted: Wanted, seen: Observed) -> Iterator[Action]:
    if node.role is Role.CONTROL_PLANE:
        _require_majority(spec, [node], seen, doing="cannot leave etcd")
        if len(spec.control_planes) == 1:
            raise _refuse(
                spec, f"{node.name} is the only control plane: etcd would be gone with it", "restore etcd instead"
            )
    yield actions.ResetNode(
        object=node.name,
        node=node.name,
        change="drained, out of etcd, wiped, joins anew; its machine and its data disks stay",
        why="asked for by hand",
        disruption=Disruption.NODE_LEAVES,
        reversible=False,
        control_plane=node.role is Role.CONTROL_PLANE,
    )
    yield actions.ConfigureNode(
        object=node.name,
        node=node.name,
        change="first machine config",
        why="it is wiped",
        first=True,
        fingerprint=wanted.fingerprints[node.name],
    )


def _remove(spec: ClusterSpec, name: str, seen: Observed) -> Iterator[Action]:
    """Only what the lists still have: nobody here knows the machine of a node that is not declared."""
    member = next((one for one in (seen.etcd.members if seen.etcd else ()) if one.hostname == name), None)
    live = _live(seen, name)
    if member is None and not live:
        raise _refuse(spec, f"neither etcd nor Kubernetes knows a node {name!r}", "nothing is left of it")
    if member is not None:
        yield actions.RemoveMember(
            object=f"etcd member {name}",
            node=name,
            change="taken out of etcd's member list",
            why="asked for by hand; it is declared no more",
            disruption=Disruption.NODE_LEAVES,
            reversible=False,
            member=member.id,
        )
    if live:
        yield actions.LeaveCluster(
            object=name,
            node=name,
            change="drained, its Node object goes",
            why="asked for by hand; it is declared no more",
            disruption=Disruption.NODE_LEAVES,
            reversible=False,
        )


# Maintenance of a host


def _stop_all(spec: ClusterSpec, host: str, seen: Observed) -> Iterator[Action]:
    """Workers first, then control planes, the last one last."""
    if spec.proxmox.ha:
        raise _refuse(
            spec,
            "the machines are under HA, which would start them again",
            f"use Proxmox' own mode: `ha-manager crm-command node-maintenance enable {host}` moves them",
        )
    running = [node for node in _on(spec, host, seen) if seen.guests[node.name].running]
    planes = [node for node in running if node.role is Role.CONTROL_PLANE]
    _require_majority(spec, planes, seen, doing="cannot be shut down")
    for node in [*(one for one in running if one.role is Role.WORKER), *reversed(planes)]:
        yield actions.StopNode(
            object=node.name,
            node=node.name,
            change=f"drained, shut down; off until `infraflux host maintenance {spec.environment}/{host} end`",
            why=f"maintenance of {host}",
            disruption=Disruption.NODE_RESTART,
            control_plane=node.role is Role.CONTROL_PLANE,
        )


def _start_all(spec: ClusterSpec, host: str, seen: Observed) -> Iterator[Action]:
    for node in _on(spec, host, seen):
        if not seen.guests[node.name].running or _is_in_maintenance(node.name, seen):
            yield actions.StartNode(
                object=node.name,
                node=node.name,
                change="started, taken back into service once it is Ready",
                why=f"the maintenance of {host} ends",
            )


def _is_in_maintenance(name: str, seen: Observed) -> bool:
    """Whether its machine was shut down for maintenance: as remembered, or as its Node object says."""
    marks = (_live(seen, name).get("metadata") or {}).get("annotations") or {}
    return name in seen.maintenance or marks.get(OUT_OF_SERVICE) == MAINTENANCE


def require_no_maintenance(spec: ClusterSpec, seen: Observed) -> None:
    """Raises Permanent where a machine is off for the maintenance of its host: a deploy would start it."""
    held = [node for node in spec.nodes if _is_in_maintenance(node.name, seen)]
    if held:
        names, hosts = ", ".join(node.name for node in held), sorted({node.host for node in held})
        ways = " and ".join(f"`infraflux host maintenance {spec.environment}/{host} end`" for host in hosts)
        raise _refuse(spec, f"off for maintenance, and a deploy would start it: {names}", f"{ways}, then deploy")


def _on(spec: ClusterSpec, host: str, seen: Observed) -> list[Node]:
    """Where the machines are, which need not be where they are declared."""
    return [node for node in spec.nodes if (guest := seen.guests.get(node.name)) and guest.host == host]


def _require_majority(spec: ClusterSpec, planes: Sequence[Node], seen: Observed, *, doing: str) -> None:
    """etcd keeps the majority of its members while these are away; a single control plane has none to keep."""
    voters = {one.hostname for one in (seen.etcd.members if seen.etcd else ()) if not one.learner}
    away = {node.name for node in planes}
    if not away or (voters == away and len(voters) == 1):
        return
    running = {name for name, one in seen.nodes.items() if one.state is NodeState.RUNNING}
    alive = voters & running - away
    if len(alive) < quorum(len(voters)):
        raise _refuse(
            spec,
            f"{', '.join(sorted(away))} {doing}: {len(alive)} of {len(voters)} etcd members would be alive,"
            f" {quorum(len(voters))} are needed",
            "bring the other control planes back first, or move one to another host",
        )


def _live(seen: Observed, name: str) -> Mapping[str, Any]:
    nodes: Mapping[str, Any] = seen.platform.nodes if seen.platform else {}
    return nodes.get(name) or {}


def _refuse(spec: ClusterSpec, message: str, next_step: str) -> Permanent:
    return Permanent(message, cluster=spec.key, stage="plan", error_class=ErrorClass.USER, next_step=next_step)
