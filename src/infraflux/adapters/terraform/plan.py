"""A saved plan, read: what happens to which machine, and why. Pure functions over `terraform show -json`."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

VM_TYPE = "proxmox_virtual_environment_vm"
SYSTEM_DISK = "scsi0"
CONTROL_PLANE_TAG = "control-plane"
SENSITIVE = "(sensitive)"
UNKNOWN = "(known after apply)"
_ABSENT = "(absent)"
# A key of a map whose value is null is not the same as no key: the hosts of an HA rule are such a map.
_NODE_KEY = re.compile(r'\.(?:node|ha_node)\["([^"]+)"\]')
# Disk fields whose change means: what was on this disk is no longer the same data in the same place.
_DISK_IDENTITY = ("datastore_id", "serial")


class Action(StrEnum):
    """What a plan does to one object."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    ADOPT = "adopt"
    """Import without any other change."""
    FORGET = "forget"


_ACTIONS = {
    ("create",): Action.CREATE,
    ("update",): Action.UPDATE,
    ("delete",): Action.DESTROY,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
    ("forget",): Action.FORGET,
}


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One attribute before and after, as text that may be shown."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class DiskLoss:
    """A disk whose data the plan gives up."""

    name: str
    """Serial of the disk, which is its name in the configuration; its interface where it has none."""
    why: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a plan does to one object."""

    address: str
    type: str
    action: Action
    node: str = ""
    """Name of the machine the object belongs to; empty for what belongs to none."""
    control_plane: bool = False
    machine_address: str = ""
    """Of a machine that exists: where it answers now."""
    adopted: bool = False
    forced_by: tuple[str, ...] = ()
    """The attributes that make a replacement necessary."""
    fields: tuple[FieldChange, ...] = ()
    lost_disks: tuple[DiskLoss, ...] = ()

    @property
    def is_machine(self) -> bool:
        return self.type == VM_TYPE

    @property
    def ends_machine(self) -> bool:
        """Whether the machine as it is now is gone afterwards."""
        return self.is_machine and self.action in (Action.REPLACE, Action.DESTROY)


@dataclass(frozen=True, kw_only=True)
class PlanSummary:
    """All changes of a plan, by address."""

    changes: tuple[Change, ...]
    outputs: tuple[str, ...] = ()
    """Names of the outputs that change: Cilium values and Argo CD objects are among them."""
    warnings: tuple[str, ...] = ()
    machines_before: int = 0
    digest: str = ""
    """Equal for every plan that does the same: an approval is bound to it."""
    planned_outputs: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """What the outputs will be, as far as it is known before the apply; None where the plan was not read."""

    @property
    def empty(self) -> bool:
        return not self.changes and not self.outputs

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)

    def __str__(self) -> str:
        if self.empty:
            return "no changes"
        counts = [f"{self.count(action)} to {action}" for action in Action if self.count(action)]
        if self.outputs:
            counts.append(f"outputs: {', '.join(self.outputs)}")
        return ", ".join(counts)


EMPTY_PLAN = PlanSummary(changes=(), digest=hashlib.sha256(b"[]").hexdigest())


def vm_address(node: str) -> str:
    """Where a cluster's stack has a node's machine (terraform/cluster, modules talos-cluster and proxmox-vm)."""
    return f'module.machines.module.node["{node}"].{VM_TYPE}.this'


def read_plan(document: Mapping[str, Any]) -> PlanSummary:
    """The summary of `terraform show -json PLAN`."""
    entries = document.get("resource_changes") or []
    changes = sorted(
        (change for entry in entries if (change := _change(entry)) is not None), key=lambda change: change.address
    )
    outputs = {
        name: change
        for name, change in sorted((document.get("output_changes") or {}).items())
        if change.get("actions") != ["no-op"]
    }
    return PlanSummary(
        changes=tuple(changes),
        outputs=tuple(outputs),
        warnings=tuple(_failed_checks(document)),
        machines_before=sum(
            entry["type"] == VM_TYPE and entry["change"].get("before") is not None for entry in entries
        ),
        digest=_digest(entries, outputs),
        planned_outputs=(document.get("planned_values") or {}).get("outputs"),
    )


def _change(entry: Mapping[str, Any]) -> Change | None:
    raw: Mapping[str, Any] = entry["change"]
    adopted = bool(raw.get("importing"))
    action = _ACTIONS.get(tuple(raw["actions"]), Action.ADOPT if adopted else None)
    if action is None or entry.get("mode") != "managed":
        return None
    before, after = raw.get("before") or {}, raw.get("after") or {}
    return Change(
        address=entry["address"],
        type=entry["type"],
        action=action,
        node=_node(entry, before, after),
        # Either side: one that lost its tags by hand is a control plane all the same.
        control_plane=CONTROL_PLANE_TAG in {*(before.get("tags") or ()), *(after.get("tags") or ())},
        machine_address=_address(before) if entry["type"] == VM_TYPE else "",
        adopted=adopted,
        forced_by=tuple(sorted({_dotted(path) for path in raw.get("replace_paths") or ()})),
        fields=tuple(_fields(raw)) if action in (Action.UPDATE, Action.REPLACE) else (),
        lost_disks=tuple(_lost_disks(action, before, after)) if entry["type"] == VM_TYPE else (),
    )


def _node(entry: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    keyed = _NODE_KEY.search(entry["address"])
    if keyed:
        return keyed.group(1)
    return str(before.get("name") or after.get("name") or "") if entry["type"] == VM_TYPE else ""


def _address(before: Mapping[str, Any]) -> str:
    """The first card's address as the cloud-init drive gives it: `initialization.ip_config.ipv4.address`."""
    for block in ("initialization", "ip_config", "ipv4"):
        before = (before.get(block) or [{}])[0] or {}
    return str(before.get("address") or "").partition("/")[0]


def _fields(raw: Mapping[str, Any]) -> Iterator[FieldChange]:
    before, after = raw.get("before") or {}, raw.get("after") or {}
    unknown, hidden_before, hidden_after = (
        raw.get(name) or {} for name in ("after_unknown", "before_sensitive", "after_sensitive")
    )
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name) or (unknown.get(name) is True and name not in after):
            continue
        if hidden_before is True or hidden_after is True or _any(hidden_before, name) or _any(hidden_after, name):
            yield FieldChange(path=name, before=SENSITIVE, after=SENSITIVE)
        else:
            yield from _differences(name, before.get(name), after.get(name))


def _any(hidden: Any, name: str) -> bool:
    """Whether any part of this attribute is marked: `{"a": [{"b": true}]}`."""
    value = hidden.get(name) if isinstance(hidden, Mapping) else hidden
    if isinstance(value, Mapping):
        return any(_any(value, inner) for inner in value)
    if isinstance(value, list):
        return any(_any({"item": item}, "item") for item in value)
    return value is True


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """Down to the attribute that differs, so that a changed disk does not show as two whole lists."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            one, other = before.get(name, _ABSENT), after.get(name, _ABSENT)
            if one != other:
                yield from _differences(f"{path}.{name}", one, other)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            if one != other:
                yield from _differences(f"{path}[{index}]", one, other)
    else:
        yield FieldChange(path=path, before=_text(before), after=_text(after))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _lost_disks(action: Action, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[DiskLoss]:
    present = {disk["interface"]: disk for disk in before.get("disk") or () if disk["interface"] != SYSTEM_DISK}
    if action in (Action.DESTROY, Action.REPLACE):
        for disk in present.values():
            yield DiskLoss(name=_disk_name(disk), why="its machine is not kept")
        return
    wanted = {disk["interface"]: disk for disk in after.get("disk") or ()}
    for interface, disk in present.items():
        if interface not in wanted:
            yield DiskLoss(name=_disk_name(disk), why=f"{interface} is removed")
        elif changed := [name for name in _DISK_IDENTITY if disk.get(name) != wanted[interface].get(name)]:
            yield DiskLoss(name=_disk_name(disk), why=f"{interface} gets another {' and '.join(changed)}")
        elif (wanted[interface].get("size") or 0) < (disk.get("size") or 0):
            yield DiskLoss(name=_disk_name(disk), why=f"{interface} shrinks")


def _disk_name(disk: Mapping[str, Any]) -> str:
    return str(disk.get("serial") or disk["interface"])


def _dotted(path: Sequence[Any]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _failed_checks(document: Mapping[str, Any]) -> Iterator[str]:
    for check in document.get("checks") or ():
        for instance in check.get("instances") or ():
            if instance.get("status") in ("fail", "error"):
                yield from (problem["message"] for problem in instance.get("problems") or ())


def _digest(entries: Sequence[Mapping[str, Any]], outputs: Mapping[str, Any]) -> str:
    """Only what will be done counts: neither when nor where nor by which Terraform the plan was made."""
    doing = [
        [
            entry["address"],
            entry["change"]["actions"],
            entry["change"].get("importing"),
            entry["change"].get("after"),
            entry["change"].get("after_unknown"),
            sorted(_dotted(path) for path in entry["change"].get("replace_paths") or ()),
        ]
        for entry in sorted(entries, key=lambda entry: str(entry["address"]))
        if entry["change"]["actions"] not in (["no-op"], ["read"]) or entry["change"].get("importing")
    ]
    doing += [[name, change["actions"], change.get("after")] for name, change in outputs.items()]
    canonical = json.dumps(doing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
