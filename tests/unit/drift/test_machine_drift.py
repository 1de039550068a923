"""Each kind of drift of the machines is found with its class; machines as declared show none."""

import pytest
from fakes.specs import make_spec

from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.orphans import Orphans
from infraflux.adapters.terraform.plan import VM_TYPE, Action, Change, DiskLoss, FieldChange, PlanSummary
from infraflux.drift.findings import DriftClass, Layer, Owner
from infraflux.drift.machines import find_machine_drift

SPEC = make_spec(control_planes=1, workers=1)
CP, WORKER = "dev-1-cp-1", "dev-1-worker-1"
TAG = frozenset({"infraflux-dev-dev-1"})


def guest(vm_id: int, name: str, host: str = "pve-1", **changes) -> Guest:
    return Guest(**({"vm_id": vm_id, "name": name, "host": host, "running": True, "tags": TAG} | changes))


GUESTS = (guest(10011, CP), guest(10021, WORKER))


def change(action: Action, node: str = WORKER, **changes) -> Change:
    fields = {"address": f'module.nodes["{node}"].this', "type": VM_TYPE, "action": action, "node": node}
    return Change(**(fields | {"control_plane": node == CP} | changes))


def update(path: str, node: str = WORKER, **changes) -> Change:
    return change(Action.UPDATE, node, fields=(FieldChange(path=path, before="seen", after="wanted"),), **changes)


def find(*changes: Change, guests=GUESTS, orphans: Orphans | None = None, outputs=(), answers=None, **spec):
    plan = PlanSummary(changes=changes, outputs=outputs)
    wanted = make_spec(control_planes=1, workers=1, **spec) if spec else SPEC
    return find_machine_drift(wanted, plans=(plan,), guests=guests, orphans=orphans or Orphans(), answers=answers)


def test_machines_as_declared_show_nothing():
    assert find() == []


PLANNED = {
    "cores of a worker": (update("cpu[0].cores"), (WORKER, "cpu[0].cores", DriftClass.REPAIRABLE)),
    "memory of a control plane": (
        update("memory[0].dedicated", CP),
        (CP, "memory[0].dedicated", DriftClass.DANGEROUS),
    ),
    "tags": (update("tags", CP), (CP, "tags", DriftClass.HARMLESS)),
    "description": (update("description"), (WORKER, "description", DriftClass.HARMLESS)),
    "network card": (update("network_device[0].bridge"), (WORKER, "network_device[0].bridge", DriftClass.REPAIRABLE)),
    "worker deleted": (change(Action.CREATE), (WORKER, "existence", DriftClass.REPAIRABLE)),
    "control plane deleted": (change(Action.CREATE, CP), (CP, "existence", DriftClass.DANGEROUS)),
    "worker to be replaced": (
        change(Action.REPLACE, forced_by=("tpm_state",)),
        (WORKER, "tpm_state", DriftClass.DANGEROUS),
    ),
    "worker to be destroyed": (change(Action.DESTROY), (WORKER, "existence", DriftClass.DANGEROUS)),
    "data disk lost": (
        change(Action.UPDATE, lost_disks=(DiskLoss(name="data", why="gone"),)),
        (WORKER, "existence", DriftClass.DANGEROUS),
    ),
    "disk that somebody added and a deploy would take away": (
        update("disk", lost_disks=(DiskLoss(name="scsi1", why="scsi1 is removed"),)),
        (WORKER, "disk", DriftClass.DANGEROUS),
    ),
    "protection of a control plane": (update("protection", CP), (CP, "protection", DriftClass.REPAIRABLE)),
    "boot order": (update("boot_order", CP), (CP, "boot_order", DriftClass.REPAIRABLE)),
    "HA resource of a machine": (
        Change(address='x.ha_node["n"]', type="proxmox_haresource", action=Action.CREATE, node=CP, control_plane=True),
        (f"{CP} haresource", "existence", DriftClass.REPAIRABLE),
    ),
    "machine of an interrupted run": (change(Action.ADOPT), (WORKER, "existence", DriftClass.REPAIRABLE)),
    "pool gone": (
        Change(address="proxmox_pool.this", type="proxmox_pool", action=Action.CREATE),
        ("proxmox_pool.this", "existence", DriftClass.REPAIRABLE),
    ),
}


@pytest.mark.parametrize(("planned", "expected"), PLANNED.values(), ids=PLANNED.keys())
def test_what_terraform_would_change(planned: Change, expected: tuple):
    [found] = find(planned)
    assert (found.object, found.field, found.drift_class) == expected
    assert found.layer is Layer.MACHINES


def test_field_is_said_as_wanted_and_seen():
    [found] = find(update("cpu[0].cores"))
    assert (found.wanted, found.seen) == ("wanted", "seen")


def test_changed_output_means_that_the_configuration_was_not_applied():
    [found] = find(outputs=("platform",))
    assert (found.object, found.drift_class) == ("output platform", DriftClass.REPAIRABLE)


@pytest.mark.parametrize(("ha", "expected"), [(True, DriftClass.EXPECTED), (False, DriftClass.REPAIRABLE)])
def test_a_move_is_expected_where_ha_may_do_it_and_told_once(ha: bool, expected: DriftClass):
    proxmox = SPEC.proxmox.model_copy(update={"ha": ha}).model_dump()
    moved = (guest(10011, CP, host="pve-2"), GUESTS[1])
    [found] = find(update("node_name", CP), guests=moved, proxmox=proxmox)
    assert (found.object, found.field, found.seen, found.drift_class) == (CP, "host", "pve-2", expected)


POWER = {
    "worker off": (guest(10021, WORKER, running=False), (WORKER, "power", DriftClass.REPAIRABLE)),
    "control plane off": (guest(10011, CP, running=False), (CP, "power", DriftClass.DANGEROUS)),
    "locked": (guest(10021, WORKER, lock="backup"), (WORKER, "lock", DriftClass.DANGEROUS)),
}


@pytest.mark.parametrize(("seen", "expected"), POWER.values(), ids=POWER.keys())
def test_what_proxmox_shows(seen: Guest, expected: tuple):
    [found] = find(guests=(seen,))
    assert (found.object, found.field, found.drift_class) == expected


def test_machine_with_our_tag_that_nobody_declared_is_a_persons_decision():
    [found] = find(orphans=Orphans(stray=(guest(300, "stray"),)))
    assert (found.object, found.drift_class) == ("stray (VM 300 on pve-1)", DriftClass.DANGEROUS)


def test_machine_of_somebody_else_is_not_ours_to_judge():
    assert find(guests=(*GUESTS, guest(10011, "foreign", tags=frozenset({"other"}), running=False))) == []


def test_a_machine_that_only_the_state_knows_is_told_once():
    [found] = find(orphans=Orphans(vanished=("dev-1-worker-9",)))
    assert (found.object, found.field, found.drift_class) == ("dev-1-worker-9", "existence", DriftClass.HARMLESS)
    [found] = find(change(Action.CREATE), orphans=Orphans(vanished=(WORKER,)))
    assert found.seen == "absent"


def test_power_is_told_by_proxmox_and_not_by_the_plan_too():
    [found] = find(update("started"), guests=(guest(10021, WORKER, running=False),))
    assert (found.field, found.seen) == ("power", "stopped")


def test_an_output_beside_a_changed_object_is_the_same_difference_twice_but_the_platforms_is_not():
    assert [one.object for one in find(change(Action.CREATE), outputs=("images",))] == [WORKER]
    assert [one.object for one in find(change(Action.CREATE), outputs=("platform",))] == [WORKER, "output platform"]


def test_a_drive_that_terraform_passes_over_is_found_in_proxmox():
    config = {
        "scsi0": "local-lvm:vm-10021-disk-0,size=20G",
        "ide2": "local-lvm:vm-10021-cloudinit,media=cdrom",
        "scsihw": "virtio-scsi-single",
        "scsi1": "local-lvm:vm-10021-disk-1,size=5G",
    }
    [found] = find(answers={"vm/10021": {"config": config}, "vm/10011": None})
    assert (found.object, found.field, found.drift_class, found.owner) == (
        WORKER,
        "scsi1",
        DriftClass.DANGEROUS,
        Owner.NOBODY,
    )


WAITING = {
    "a worker's memory": (
        10021,
        [{"key": "memory", "value": "4096", "pending": "8192"}],
        [],
        (WORKER, "memory in force", "8192", "4096", DriftClass.REPAIRABLE),
    ),
    "a control plane's": (
        10011,
        [{"key": "cores", "value": 2, "pending": 4}],
        [],
        (CP, "cores in force", "4", "2", DriftClass.DANGEROUS),
    ),
    "what Terraform puts back is told once": (
        10021,
        [{"key": "cores", "value": 2, "pending": 4}],
        [change(Action.UPDATE, fields=(FieldChange(path="cpu[0].cores", before="4", after="2"),))],
        (WORKER, "cpu[0].cores", "2", "4", DriftClass.REPAIRABLE),
    ),
}


@pytest.mark.parametrize(("vm_id", "rows", "changes", "expected"), WAITING.values(), ids=WAITING)
def test_what_is_declared_and_not_in_force_names_what_repairs_it(vm_id, rows, changes, expected):
    answers = {f"vm/{vm_id}": {"config": {}, "pending": rows}}
    [found] = find(*changes, answers=answers)
    assert (found.object, found.field, found.wanted, found.seen, found.drift_class) == expected
    if "in force" in found.field:
        assert (found.owner, "`restart node`" in found.note) == (Owner.INFRAFLUX, True)
