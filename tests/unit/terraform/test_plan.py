"""The plan reader and the destruction guard, as tables of small plans."""

import copy
from datetime import date
from typing import Any

import pytest

from infraflux.adapters.terraform.plan import EMPTY_PLAN, SENSITIVE, Action, DiskLoss, read_plan
from infraflux.config.models.policy import DestructionGuard, GuardOverride
from infraflux.operations.guard import DestructionRefused, judge_plan, require_allowed

TODAY, TOMORROW = date(2026, 11, 23), date(2026, 11, 24)


def disk(interface: str, **changes: Any) -> dict[str, Any]:
    return {"interface": interface, "size": 50, "serial": "", "datastore_id": "local-lvm", **changes}


def vm(name: str, role: str = "worker", **changes: Any) -> dict[str, Any]:
    return {"name": name, "tags": ["infraflux", role], "cpu": [{"cores": 2}], "disk": [disk("scsi0")], **changes}


def entry(
    actions: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    *,
    replace: list[list[str | int]] | None = None,
    **change: Any,
) -> dict[str, Any]:
    name = (before or after or {})["name"]
    return {
        "address": f'module.machines.module.node["{name}"].proxmox_virtual_environment_vm.this',
        "mode": "managed",
        "type": "proxmox_virtual_environment_vm",
        "change": {
            "actions": actions.split(),
            "before": before,
            "after": after,
            "replace_paths": replace or [],
            **change,
        },
    }


def plan_of(*entries: dict[str, Any], **document: Any) -> dict[str, Any]:
    return {"resource_changes": list(entries), **document}


def quiet(*names: str, role: str = "worker") -> list[dict[str, Any]]:
    """Machines that stay as they are."""
    return [entry("no-op", vm(name, role), vm(name, role)) for name in names]


CP, W = vm("cp-1", "control-plane"), vm("w-1")
DATA = vm("w-1", disk=[disk("scsi0"), disk("scsi1", serial="data")])

CASES: dict[str, tuple[dict[str, Any], Action, dict[str, Any]]] = {
    "create": (entry("create", None, W), Action.CREATE, {"ends_machine": False}),
    "update": (entry("update", W, vm("w-1", cpu=[{"cores": 4}])), Action.UPDATE, {"ends_machine": False}),
    "destroy": (entry("delete", CP, None), Action.DESTROY, {"ends_machine": True, "control_plane": True}),
    "replace": (
        entry("delete create", W, W, replace=[["disk", 0, "file_id"]]),
        Action.REPLACE,
        {"ends_machine": True, "forced_by": ("disk[0].file_id",)},
    ),
    "create first": (entry("create delete", W, W), Action.REPLACE, {"ends_machine": True}),
    "adopt": (entry("no-op", W, W, importing={"id": "pve1/1"}), Action.ADOPT, {"adopted": True}),
    "adopt and change": (
        entry("update", W, vm("w-1", cpu=[{"cores": 4}]), importing={"id": "pve1/1"}),
        Action.UPDATE,
        {"adopted": True},
    ),
    "destroy with data": (
        entry("delete", DATA, None),
        Action.DESTROY,
        {"lost_disks": (DiskLoss(name="data", why="its machine is not kept"),)},
    ),
    "data disk removed": (
        entry("update", DATA, W),
        Action.UPDATE,
        {"lost_disks": (DiskLoss(name="data", why="scsi1 is removed"),)},
    ),
    "data disk changes places": (
        entry("update", DATA, vm("w-1", disk=[disk("scsi0"), disk("scsi1", serial="other")])),
        Action.UPDATE,
        {"lost_disks": (DiskLoss(name="data", why="scsi1 gets another serial"),)},
    ),
    "data disk shrinks": (
        entry("update", DATA, vm("w-1", disk=[disk("scsi0"), disk("scsi1", serial="data", size=5)])),
        Action.UPDATE,
        {"lost_disks": (DiskLoss(name="data", why="scsi1 shrinks"),)},
    ),
    "data disk grows": (
        entry("update", DATA, vm("w-1", disk=[disk("scsi0"), disk("scsi1", serial="data", size=99)])),
        Action.UPDATE,
        {"lost_disks": ()},
    ),
}


@pytest.mark.parametrize(("document", "action", "facts"), CASES.values(), ids=CASES.keys())
def test_a_change_is_read(document: dict[str, Any], action: Action, facts: dict[str, Any]) -> None:
    (change,) = read_plan(plan_of(document)).changes
    assert change.action is action
    assert change.node in ("cp-1", "w-1")
    assert {name: getattr(change, name) for name in facts} == facts


def test_only_the_attribute_that_differs_is_shown() -> None:
    (change,) = read_plan(plan_of(entry("update", W, vm("w-1", cpu=[{"cores": 4}])))).changes
    assert [(field.path, field.before, field.after) for field in change.fields] == [("cpu[0].cores", "2", "4")]


def test_a_key_without_a_value_is_not_the_same_as_no_key() -> None:
    """The hosts of an HA rule are a map whose values are null."""
    before, after = vm("w-1", nodes={"pve-1": None}), vm("w-1", nodes={"pve-1": None, "pve-2": None})
    (change,) = read_plan(plan_of(entry("update", before, after))).changes
    assert [(field.path, field.before, field.after) for field in change.fields] == [("nodes.pve-2", "(absent)", "null")]


def test_sensitive_values_are_not_shown() -> None:
    before, after = vm("w-1", initialization=[{"password": "old"}]), vm("w-1", initialization=[{"password": "new"}])
    hidden = {"initialization": [{"password": True}]}
    (change,) = read_plan(
        plan_of(entry("update", before, after, before_sensitive=hidden, after_sensitive=hidden))
    ).changes
    assert [(field.path, field.before, field.after) for field in change.fields] == [
        ("initialization", SENSITIVE, SENSITIVE)
    ]


def test_what_stays_is_no_change() -> None:
    document = plan_of(*quiet("w-1", "w-2"), output_changes={"nodes": {"actions": ["no-op"]}})
    assert read_plan(document).empty
    assert read_plan(document).digest == EMPTY_PLAN.digest
    assert read_plan({}).digest == EMPTY_PLAN.digest


def test_digest_ignores_order_and_circumstances_and_sees_every_effect() -> None:
    one, other = entry("create", None, W), entry("create", None, CP)
    base = read_plan(plan_of(one, other, terraform_version="1.11.4", timestamp="2026-11-23T08:00:00Z")).digest
    assert read_plan(plan_of(other, one, terraform_version="1.12.0")).digest == base
    changed = copy.deepcopy(other)
    changed["change"]["after"]["cpu"][0]["cores"] = 3
    effects = [
        plan_of(one),
        plan_of(one, changed),
        plan_of(one, other, output_changes={"cilium_values": {"actions": ["update"], "after": "x"}}),
        plan_of(one, {**other, "change": {**other["change"], "actions": ["update"]}}),
    ]
    digests = [read_plan(document).digest for document in effects]
    assert len({base, *digests}) == len(effects) + 1


def test_failed_checks_are_warnings() -> None:
    problems = [{"message": "control planes share a host"}]
    document = plan_of(checks=[{"status": "fail", "instances": [{"status": "fail", "problems": problems}]}])
    assert read_plan(document).warnings == ("control planes share a host",)


def override(target: str, expires: date = TOMORROW) -> GuardOverride:
    return GuardOverride(name="why-not", target=target, reason="wanted", expires=expires)


def guard(*overrides: GuardOverride, percent: int = 34) -> DestructionGuard:
    return DestructionGuard(max_destroyed_percent=percent, overrides=overrides)


GUARD_CASES: dict[str, tuple[list[dict[str, Any]], DestructionGuard, list[str]]] = {
    "creating is free": ([entry("create", None, CP)], guard(), []),
    "updating is free": ([entry("update", CP, vm("cp-1", "control-plane", cpu=[]))], guard(percent=0), []),
    "one worker of three": ([entry("delete", W, None), *quiet("w-2", "w-3")], guard(), []),
    "one worker of two": ([entry("delete", W, None), *quiet("w-2")], guard(), ["1 of 2 machines"]),
    "a worker by name": ([entry("delete", W, None), *quiet("w-2")], guard(override("w-1")), []),
    "control plane destroyed": (
        [entry("delete", CP, None), *quiet("w-1", "w-2", "w-3")],
        guard(),
        ["cp-1: control plane would be destroyed"],
    ),
    "control plane replaced": (
        [entry("delete create", CP, CP, replace=[["vm_id"]]), *quiet("w-1", "w-2")],
        guard(),
        ["cp-1: control plane would be replaced (forced by vm_id)"],
    ),
    "control plane by name": ([entry("delete", CP, None), *quiet("w-1", "w-2")], guard(override("cp-1")), []),
    "override of another": (
        [entry("delete", CP, None), *quiet("w-1", "w-2")],
        guard(override("cp-2")),
        ["cp-1: control plane would be destroyed"],
    ),
    "override expired": (
        [entry("delete", CP, None), *quiet("w-1", "w-2")],
        guard(override("cp-1", TODAY)),  # the day from which it is forbidden again
        ["its override expired on 2026-11-23"],
    ),
    "data disk": ([entry("update", DATA, W)], guard(), ["w-1/data: data disk would be lost, scsi1 is removed"]),
    "data disk by name": ([entry("update", DATA, W)], guard(override("w-1/data")), []),
    "data of a worker that goes": (
        [entry("delete", DATA, None), *quiet("w-2", "w-3")],
        guard(),
        ["w-1/data: data disk would be lost"],
    ),
    "everything at once": (
        [entry("delete", CP, None), entry("delete", DATA, None)],
        guard(),
        ["cp-1: control plane", "w-1/data: data disk", "2 of 2 machines"],
    ),
}


@pytest.mark.parametrize(("entries", "policy", "expected"), GUARD_CASES.values(), ids=GUARD_CASES.keys())
def test_destruction_guard(entries: list[dict[str, Any]], policy: DestructionGuard, expected: list[str]) -> None:
    refusals = judge_plan(read_plan(plan_of(*entries)), policy=policy, today=TODAY)
    assert len(refusals) == len(expected)
    for refusal, part in zip(refusals, expected, strict=True):
        assert part in refusal.message


def test_the_refusal_names_the_override_that_would_help() -> None:
    plan = read_plan(plan_of(entry("delete", CP, None), *quiet("w-1", "w-2")))
    with pytest.raises(DestructionRefused, match="overrides entry for cp-1") as refused:
        require_allowed(plan, policy=guard(), today=TODAY, cluster="dev/dev-1")
    assert not refused.value.retryable
    require_allowed(plan, policy=guard(override("cp-1")), today=TODAY, cluster="dev/dev-1")
