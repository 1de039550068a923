"""Which nodes leave before Terraform ends their machines, and what dead ones left behind. Pure.

A machine never ends before its node has left: pods are drained, a control plane leaves etcd, Talos is reset, the Node
object goes. What is dead already can only be taken off the lists.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infraflux.adapters.talos.facts import EtcdMember, NodeState
from infraflux.adapters.terraform.plan import Change
from infraflux.config.models import ClusterSpec
from infraflux.config.models.policy import Disruption
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.plan.actions import Action, ForgetNode, LeaveCluster, RemoveMember
from infraflux.operations.plan.node_decisions import quorum
from infraflux.operations.plan.observed import Observed


@dataclass(frozen=True)
class Leaver:
    """A node on its way out; it may be declared no more."""

    name: str
    address: str
    control_plane: bool


def leavers(changes: Collection[Change]) -> list[Leaver]:
    """Nodes whose machines a plan ends: workers first, then control planes, the last one first."""
    ending = [one for one in changes if one.ends_machine and one.node]
    workers = sorted((one for one in ending if not one.control_plane), key=lambda one: one.node)
    planes = sorted((one for one in ending if one.control_plane), key=lambda one: one.node, reverse=True)
    return [Leaver(one.node, one.machine_address, one.control_plane) for one in (*workers, *planes)]


def leaving_actions(spec: ClusterSpec, seen: Observed, new: frozenset[str]) -> Iterator[Action]:
    """In order: what dead machines left behind, then who leaves. Raises Permanent where etcd would not survive it."""
    members = {one.hostname: one for one in (seen.etcd.members if seen.etcd else ())}
    nodes: Mapping[str, Any] = seen.platform.nodes if seen.platform else {}
    out = leavers(seen.machines.changes)
    dead = _dead(spec, seen, nodes, new, leaving={one.name for one in out})
    _require_quorum(spec, seen, members, dead=dead, out=out)
    for name, why in dead.items():
        if name in members:
            yield _remove(members[name], why)
        if name in nodes:
            yield _forget(name, why)
    for one in out:
        if one.name in members or one.name in nodes or one.name in seen.nodes:
            yield _leave(one, is_member=one.name in members)


def _dead(
    spec: ClusterSpec, seen: Observed, nodes: Mapping[str, Any], new: frozenset[str], *, leaving: Collection[str]
) -> dict[str, str]:
    """Names that lists still have, and whose machines are gone; why."""
    names = dict.fromkeys([*(one.hostname for one in (seen.etcd.members if seen.etcd else ())), *nodes])
    declared = {node.name for node in spec.nodes}
    found = {}
    for name in names:
        # Without a name: a member that has not started, at the address of no declared control plane.
        if not name or name in leaving:
            continue
        if name in new:
            found[name] = "its machine is gone; the new one joins as a new node"
        elif name not in declared and not _is_ready(nodes.get(name)):
            found[name] = "it is declared no more and does not answer"
    return found


def undeclared(spec: ClusterSpec, seen: Observed) -> Iterator[str]:
    """Warnings about nodes that run in this cluster and that nothing declares: nobody here ends them."""
    nodes: Mapping[str, Any] = seen.platform.nodes if seen.platform else {}
    known = {node.name for node in spec.nodes} | {one.name for one in leavers(seen.machines.changes)}
    for name, live in nodes.items():
        if name not in known and _is_ready(live):
            yield f"{name} is a Ready node of the cluster and is not declared: remove it by hand, or declare it"


def _is_ready(live: Mapping[str, Any] | None) -> bool:
    conditions = ((live or {}).get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _require_quorum(
    spec: ClusterSpec, seen: Observed, members: Mapping[str, EtcdMember], *, dead: Collection[str], out: list[Leaver]
) -> None:
    """etcd keeps a majority through every single step, or the plan is refused before anything is touched."""
    if not members:
        return
    running = {name for name, one in seen.nodes.items() if one.state is NodeState.RUNNING}
    voters = {name for name, one in members.items() if not one.learner}
    left, alive = len(voters), len([name for name in voters if name in running and name not in dead])
    for name in (one for one in dead if one in voters):
        left = _without(spec, name, members=left, alive=alive)
    for one in out:
        if one.name in voters:
            alive -= one.name in running
            left = _without(spec, one.name, members=left, alive=alive)


def _without(spec: ClusterSpec, name: str, *, members: int, alive: int) -> int:
    if alive < quorum(members - 1) or alive < 1:
        raise Permanent(
            f"{name} cannot leave etcd: {alive} of {members - 1} remaining members would be alive,"
            f" {quorum(members - 1)} are needed",
            cluster=spec.key,
            stage="plan",
            error_class=ErrorClass.CONFLICT,
            next_step="bring the other control planes back first; etcd without a majority is restored from a snapshot"
            " (docs/operations.md)",
        )
    return members - 1


def _remove(member: EtcdMember, why: str) -> Action:
    return RemoveMember(
        object=f"etcd member {member.hostname}",
        node=member.hostname,
        change="taken out of etcd's member list",
        why=why,
        disruption=Disruption.NODE_LEAVES,
        reversible=False,
        member=member.id,
    )


def _forget(name: str, why: str) -> Action:
    return ForgetNode(
        object=f"Node {name}",
        node=name,
        change="deleted; its pods run elsewhere",
        why=why,
        disruption=Disruption.NODE_LEAVES,
        reversible=False,
    )


def _leave(one: Leaver, *, is_member: bool) -> Action:
    steps = ["drained", *(["leaves etcd"] if is_member else []), "reset", "its Node object goes"]
    return LeaveCluster(
        object=one.name,
        node=one.name,
        change=", ".join(steps),
        why="its machine ends",
        disruption=Disruption.NODE_LEAVES,
        reversible=False,
        address=one.address,
        control_plane=one.control_plane,
    )
