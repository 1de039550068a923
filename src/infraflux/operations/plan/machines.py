"""Terraform's changes as actions: what becomes of each machine, and whom that disturbs. Pure."""

from collections.abc import Iterator

from infraflux.adapters.proxmox.hardware import needs_restart
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.adapters.terraform.plan import Change, PlanSummary
from infraflux.config.models import ClusterSpec, Node
from infraflux.config.models.policy import Disruption
from infraflux.operations.plan.actions import Action, ChangeMachine, ChangeShared, ComputeValues, Field

_NAMES = {
    "proxmox_virtual_environment_vm": "machine",
    "proxmox_virtual_environment_pool": "pool",
    "proxmox_download_file": "image",
    "proxmox_haresource": "HA resource",
    "proxmox_harule": "HA rule",
}
_DONE = {
    Terraform.CREATE: "created",
    Terraform.UPDATE: "changed",
    Terraform.REPLACE: "destroyed and made anew",
    Terraform.DESTROY: "destroyed",
    Terraform.ADOPT: "taken over into the state",
    Terraform.FORGET: "forgotten; it stays as it is",
}


def shared_actions(plan: PlanSummary) -> Iterator[Action]:
    """What happens to pools and images."""
    for change in plan.changes:
        yield ChangeShared(
            object=f"{_NAMES.get(change.type, change.type)} {_key(change.address)}",
            change=_DONE[change.action],
            why=_why(change),
            fields=_fields(change),
        )
    for name in plan.outputs:
        yield ChangeShared(object=f"output {name}", change="computed anew", why="what it follows from changed")


def machine_actions(spec: ClusterSpec, plan: PlanSummary) -> Iterator[Action]:
    """What happens to machines and what belongs to them, and what is computed anew."""
    nodes = {node.name: node for node in spec.nodes}
    for change in plan.changes:
        yield ChangeMachine(
            object=_object(change),
            node=change.node,
            change=_change(change, nodes.get(change.node)),
            why=_why(change),
            disruption=_disruption(change),
            reversible=not (change.ends_machine or change.lost_disks),
            fields=_fields(change),
            ends_machine=change.ends_machine,
        )
    for name in plan.outputs:
        yield ComputeValues(
            object=name, change="values and objects computed anew", why="the configuration they follow from changed"
        )


def new_machines(plan: PlanSummary) -> frozenset[str]:
    """Nodes whose machine is blank after the apply."""
    made = (Terraform.CREATE, Terraform.REPLACE)
    return frozenset(change.node for change in plan.changes if change.is_machine and change.action in made)


def _object(change: Change) -> str:
    if change.is_machine and change.node:
        return change.node
    name = _NAMES.get(change.type, change.type)
    return f"{name} of {change.node}" if change.node else f"{name} {_key(change.address)}"


def _change(change: Change, node: Node | None) -> str:
    parts = [_DONE[change.action]]
    if change.is_machine and node is not None and change.action in (Terraform.CREATE, Terraform.REPLACE):
        parts.append(hardware(node))
    parts += [f"data disk {disk.name} is lost: {disk.why}" for disk in change.lost_disks]
    fields = change.fields if change.is_machine and change.action is Terraform.UPDATE else ()
    if waiting := [one.path for one in fields if needs_restart(one.path)]:
        parts.append(f"{', '.join(waiting)}: in force once the machine has started anew")
    return "; ".join(parts)


def hardware(node: Node) -> str:
    """`pve-1  4 cores  8 GiB  64 GiB disk  10.0.0.11` (pure)."""
    sizes = [f"{node.cores} cores", _gib(node.memory_mib), f"{node.system_disk_gib} GiB disk"]
    sizes += [f"+ {len(node.data_disks)} data disk(s)"] if node.data_disks else []
    return "  ".join([node.host, *sizes, str(node.address)])


def _gib(mib: int) -> str:
    return f"{mib / 1024:g} GiB"


def _why(change: Change) -> str:
    if change.forced_by:
        return f"{', '.join(change.forced_by)} cannot change in place"
    if change.action is Terraform.ADOPT or change.adopted:
        return "an interrupted run made it"
    if change.action in (Terraform.DESTROY, Terraform.FORGET):
        return "it is not declared any more"
    return "it is declared and not there" if change.action is Terraform.CREATE else "it is not as declared"


def _disruption(change: Change) -> Disruption:
    if change.lost_disks:
        return Disruption.DATA_LOST
    return Disruption.NODE_LEAVES if change.ends_machine else Disruption.NONE


def _fields(change: Change) -> tuple[Field, ...]:
    return tuple(Field(path=one.path, before=one.before, after=one.after) for one in change.fields)


def _key(address: str) -> str:
    return address.partition('["')[2].rstrip('"]') or address.rpartition(".")[2]
