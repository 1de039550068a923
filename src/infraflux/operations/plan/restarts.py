"""Which machines start anew for hardware that Proxmox keeps pending, and which nodes come back into service. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from infraflux.adapters.kubernetes.facts import OUT_OF_SERVICE, ROLLING
from infraflux.adapters.proxmox.hardware import AttributeChange, Hardware, WaitingValue, shown, waiting_values
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.adapters.terraform.plan import PlanSummary
from infraflux.config.models import ClusterSpec
from infraflux.config.models.policy import Disruption
from infraflux.operations.plan.actions import Action, Field, RestartNode, ReturnNode
from infraflux.operations.plan.observed import Observed


def restart_actions(spec: ClusterSpec, seen: Observed, new: frozenset[str]) -> Iterator[Action]:
    """In the order of the rollout. What Terraform changes in this very run counts as if it were made already."""
    nodes: Mapping[str, Any] = seen.platform.nodes if seen.platform else {}
    for node in spec.nodes:
        waiting = () if node.name in new else _waiting(node.name, seen)
        if waiting:
            yield _restart(node.name, waiting)
        elif node.name not in new and _is_out_of_service(nodes.get(node.name)):
            yield ReturnNode(
                object=node.name,
                node=node.name,
                change="taken back into service once it is Ready",
                why="an interrupted run left it cordoned",
            )


def machine_changes(plan: PlanSummary, name: str) -> tuple[AttributeChange, ...]:
    """What Terraform changes in place of one node's machine."""
    return tuple(
        AttributeChange(path=one.path, before=one.before, after=one.after)
        for change in plan.changes
        if change.is_machine and change.node == name and change.action is Terraform.UPDATE
        for one in change.fields
    )


def _waiting(name: str, seen: Observed) -> tuple[WaitingValue, ...]:
    """Nothing for a machine that is off: it takes everything up when it is started."""
    hardware: Hardware | None = seen.hardware.get(name)
    return waiting_values(hardware, machine_changes(seen.machines, name)) if hardware else ()


def _restart(name: str, waiting: Collection[WaitingValue]) -> Action:
    return RestartNode(
        object=name,
        node=name,
        change="drained, shut down, started, taken back",
        why=f"its machine takes this up at a start only: {', '.join(shown(one) for one in waiting)}",
        disruption=Disruption.NODE_RESTART,
        fields=tuple(Field(path=one.option, before=one.before, after=one.after) for one in waiting),
    )


def _is_out_of_service(live: Mapping[str, Any] | None) -> bool:
    found = live or {}
    marks = (found.get("metadata") or {}).get("annotations") or {}
    return bool((found.get("spec") or {}).get("unschedulable")) and marks.get(OUT_OF_SERVICE) == ROLLING
