"""The machines layer: Terraform's plan, where the machines really are, and what no state knows."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import AttributeChange, hardware_of, shown, waiting_values
from infraflux.adapters.proxmox.orphans import Orphans
from infraflux.adapters.terraform.plan import Action, Change, PlanSummary
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.drift.findings import DriftClass, Finding, Layer, Owner

HOST_FIELD = "node_name"
POWER_FIELD = "started"
# Proxmox shows these and nothing runs by them.
_COSMETIC = ("description", "tags", "keyboard_layout", "timeout_")
# Written to the configuration of a running machine, which does not notice.
_UNNOTICED = ("protection", "on_boot", "startup", "boot_order", "pool_id")


_DRIVE = re.compile(r"^(?:scsi|sata|virtio|ide)\d+$")
COMPUTED_ALONE = "platform"
"""The one output that follows from the configuration and from no object."""


def find_machine_drift(
    spec: ClusterSpec,
    *,
    plans: Sequence[PlanSummary],
    guests: Iterable[Guest],
    orphans: Orphans,
    answers: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Findings of the shared stack, the cluster's stack and Proxmox itself (`answers`: by `vm/<id>`, see Snapshot)."""
    by_id = {guest.vm_id: guest for guest in guests if spec.ownership_tag in guest.tags}
    found = [finding for plan in plans for finding in _plan_findings(plan)]
    moved = DriftClass.EXPECTED if spec.proxmox.ha else DriftClass.REPAIRABLE
    for node in spec.nodes:
        if guest := by_id.get(node.vm_id):
            found += _guest_findings(node, guest, moved=moved)
        answer = (answers or {}).get(f"vm/{node.vm_id}")
        found += _hidden_drives(node, answer)
        found += _waiting_hardware(node, answer, plans)
    planned = {change.node for plan in plans for change in plan.changes if change.is_machine}
    return found + list(_orphan_findings(orphans, planned=planned))


def _finding(name: str, field: str, *, wanted: str, seen: str, drift_class: DriftClass, owner: Owner) -> Finding:
    return Finding(
        layer=Layer.MACHINES, object=name, field=field, wanted=wanted, seen=seen, drift_class=drift_class, owner=owner
    )


def _plan_findings(plan: PlanSummary) -> Iterator[Finding]:
    for change in plan.changes:
        yield from _change_findings(change)
    # Beside objects that change, what is computed from them changes too: that is the same difference twice.
    for name in (one for one in plan.outputs if one == COMPUTED_ALONE or not plan.changes):
        yield _finding(
            f"output {name}",
            "value",
            wanted="as the configuration computes it",
            seen="as the last apply left it",
            drift_class=DriftClass.REPAIRABLE,
            owner=Owner.TERRAFORM,
        )


def _change_findings(change: Change) -> Iterator[Finding]:
    name = _name(change)
    if change.action is Action.UPDATE and change.fields:
        # Where a machine is and whether it runs, Proxmox itself says below, and whether it moved by design.
        for one in (field for field in change.fields if field.path not in (HOST_FIELD, POWER_FIELD)):
            drift_class = _field_class(change, one.path)
            yield _finding(
                name, one.path, wanted=one.after, seen=one.before, drift_class=drift_class, owner=Owner.TERRAFORM
            )
        return
    wanted, seen = _WORDS[change.action]
    field = ", ".join(change.forced_by) if change.forced_by else "existence"
    yield _finding(name, field, wanted=wanted, seen=seen, drift_class=_object_class(change), owner=Owner.TERRAFORM)


def _name(change: Change) -> str:
    """The machine, what belongs to a machine (`dev-1-cp-1 haresource`), or the address in the stack."""
    if change.is_machine or not change.node:
        return change.node or change.address
    return f"{change.node} {change.type.removeprefix('proxmox_')}"


_WORDS = {
    Action.CREATE: ("exists", "absent"),
    Action.UPDATE: ("as declared", "changed"),
    Action.REPLACE: ("as declared", "so different that it would be made anew"),
    Action.DESTROY: ("absent", "exists"),
    Action.ADOPT: ("in the state", "made by an interrupted run"),
    Action.FORGET: ("not in the state", "in the state"),
}


def _object_class(change: Change) -> DriftClass:
    """Making a worker or a shared object again repairs; ending a machine or touching quorum needs a person."""
    if change.ends_machine or change.lost_disks or (change.is_machine and change.control_plane):
        return DriftClass.DANGEROUS
    return DriftClass.REPAIRABLE


def _field_class(change: Change, path: str) -> DriftClass:
    if path.startswith(_COSMETIC):
        return DriftClass.HARMLESS
    if path.startswith(_UNNOTICED):
        return DriftClass.REPAIRABLE
    if change.lost_disks and path.startswith("disk"):
        # The plan would take the disk away, and whatever somebody put on it.
        return DriftClass.DANGEROUS
    # Any other attribute of a running VM may restart it when it is put back.
    return DriftClass.DANGEROUS if change.control_plane and change.is_machine else DriftClass.REPAIRABLE


def _guest_findings(node: Node, guest: Guest, *, moved: DriftClass) -> Iterator[Finding]:
    if guest.host != node.host:
        yield _finding(
            node.name,
            "host",
            wanted=node.host,
            seen=guest.host,
            drift_class=moved,
            owner=Owner.NOBODY if moved is DriftClass.EXPECTED else Owner.TERRAFORM,
        )
    if not guest.running:
        drift_class = DriftClass.DANGEROUS if node.role is Role.CONTROL_PLANE else DriftClass.REPAIRABLE
        yield _finding(
            node.name, "power", wanted="running", seen="stopped", drift_class=drift_class, owner=Owner.TERRAFORM
        )
    if guest.lock:
        yield _finding(
            node.name, "lock", wanted="none", seen=guest.lock, drift_class=DriftClass.DANGEROUS, owner=Owner.NOBODY
        )


def _hidden_drives(node: Node, answer: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Drives that Terraform's provider passes over: it knows only those that it was told of."""
    declared = {"scsi0", *(f"scsi{number + 1}" for number in range(len(node.data_disks)))}
    for option, value in sorted((answer or {}).get("config", {}).items()):
        if _DRIVE.match(option) and option not in declared and "media=cdrom" not in str(value):
            yield _finding(
                node.name,
                option,
                wanted="absent",
                seen=str(value),
                drift_class=DriftClass.DANGEROUS,
                owner=Owner.NOBODY,
            )


def _waiting_hardware(node: Node, answer: Mapping[str, Any] | None, plans: Sequence[PlanSummary]) -> Iterator[Finding]:
    """What is as declared and not in force; what Terraform itself would change is told of already."""
    changes = [
        AttributeChange(path=one.path, before=one.before, after=one.after)
        for plan in plans
        for change in plan.changes
        if change.is_machine and change.node == node.name and change.action is Action.UPDATE
        for one in change.fields
    ]
    changing = {one.option for one in waiting_values(hardware_of(()), changes)}
    for one in waiting_values(hardware_of((answer or {}).get("pending") or ()), changes):
        if one.option not in changing:
            yield Finding(
                layer=Layer.MACHINES,
                object=node.name,
                field=f"{one.option} in force",
                wanted=one.after,
                seen=one.before,
                drift_class=DriftClass.DANGEROUS if node.role is Role.CONTROL_PLANE else DriftClass.REPAIRABLE,
                owner=Owner.INFRAFLUX,
                note=f"Proxmox keeps {shown(one)} for its next start: `restart node`, which a deploy does",
            )


def _orphan_findings(orphans: Orphans, *, planned: Collection[str]) -> Iterator[Finding]:
    for guest in orphans.stray:
        yield _finding(
            f"{guest.name} (VM {guest.vm_id} on {guest.host})",
            "existence",
            wanted="absent, no node is declared so",
            seen="carries our ownership tag",
            drift_class=DriftClass.DANGEROUS,
            owner=Owner.NOBODY,
        )
    for name in orphans.vanished:
        # One that is declared is in the plan already, as a machine to be made.
        if name not in planned:
            yield _finding(
                name,
                "existence",
                wanted="absent, as declared",
                seen="in the state, Proxmox has none",
                drift_class=DriftClass.HARMLESS,
                owner=Owner.TERRAFORM,
            )
