"""A plan for people: rows for a terminal table, a Markdown table for an approval, counts for a decision. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infraflux.adapters.terraform.plan import Action, Change
from infraflux.core.markdown import cell
from infraflux.operations.machines import MachinesPlan

MAX_MARKDOWN = 20_000
"""Characters: an approval form is read by a person, and the table is kept in a database."""
_SHOWN_FIELDS = 6
_TYPES = {
    "proxmox_virtual_environment_vm": "machine",
    "proxmox_virtual_environment_pool": "pool",
    "proxmox_download_file": "image",
    "proxmox_haresource": "HA resource",
    "proxmox_harule": "HA rule",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    action: Action
    what: str
    name: str
    detail: str


def rows(plan: MachinesPlan) -> Iterator[Row]:
    """Every change, and every output that changes."""
    for change in plan.changes:
        yield Row(
            action=change.action,
            what=_TYPES.get(change.type, change.type),
            name=change.node or _key(change.address),
            detail=detail(change),
        )
    for name in plan.cluster.summary.outputs:
        yield Row(action=Action.UPDATE, what="output", name=name, detail="")


def detail(change: Change) -> str:
    """Why, or what exactly, in one line."""
    parts = [f"lost: {disk.name} ({disk.why})" for disk in change.lost_disks]
    if change.forced_by:
        parts.append(f"forced by {', '.join(change.forced_by)}")
    if change.adopted and change.action is not Action.ADOPT:
        parts.append("adopted")
    parts += [f"{field.path}: {field.before} → {field.after}" for field in change.fields[:_SHOWN_FIELDS]]
    if len(change.fields) > _SHOWN_FIELDS:
        parts.append(f"and {len(change.fields) - _SHOWN_FIELDS} more")
    return "; ".join(parts)


def markdown(plan: MachinesPlan) -> str:
    """The table for an approval, with its warnings; cut where it is longer than a person reads."""
    lines = ["| action | what | name | detail |", "|---|---|---|---|"]
    lines += [f"| {row.action} | {row.what} | {cell(row.name)} | {cell(row.detail)} |" for row in rows(plan)]
    lines += [f"\n> {warning}" for warning in plan.warnings]
    text = "\n".join(lines) if not plan.empty else "\n".join(["No changes.", *lines[2:]])
    return text if len(text) <= MAX_MARKDOWN else f"{text[:MAX_MARKDOWN]}\n\n... cut: {plan}"


def facts(plan: MachinesPlan) -> dict[str, Any]:
    """What a task hands on: small, without any value of the configuration."""
    # An image that no machine is made from any more is removed with every new version: nothing anybody would miss.
    ended = [
        change
        for change in plan.changes
        if change.action in (Action.DESTROY, Action.REPLACE) and change.type != "proxmox_download_file"
    ]
    return {
        "digest": plan.digest,
        "summary": str(plan),
        "changes": len(plan.changes) + len(plan.cluster.summary.outputs) + len(plan.shared.summary.outputs),
        "destroys": len(ended),
        "shared_run": plan.shared.run_id,
        "cluster_run": plan.cluster.run_id,
        "cluster_digest": plan.cluster.summary.digest,
        "shared_digest": plan.shared.summary.digest,
        "shared_changes": len(plan.shared.summary.changes) + len(plan.shared.summary.outputs),
    }


def _key(address: str) -> str:
    return address.partition('["')[2].rstrip('"]') or address.rpartition(".")[2]
