"""A plan as people read it."""

from infraflux.adapters.terraform.plan import EMPTY_PLAN, Action, Change, DiskLoss, FieldChange, PlanSummary
from infraflux.adapters.terraform.stack import Plan
from infraflux.operations.machines import MachinesPlan
from infraflux.operations.plan_report import MAX_MARKDOWN, facts, markdown, rows


def machine(action: Action, node: str, **changes: object) -> Change:
    address = f'module.machines.module.node["{node}"].proxmox_virtual_environment_vm.this'
    return Change(address=address, type="proxmox_virtual_environment_vm", action=action, node=node, **changes)  # type: ignore[arg-type]


def plan_of(*changes: Change, outputs: tuple[str, ...] = ()) -> MachinesPlan:
    pool = Change(
        address='proxmox_virtual_environment_pool.this["infraflux-dev"]',
        type="proxmox_virtual_environment_pool",
        action=Action.CREATE,
    )
    shared = PlanSummary(changes=(pool,), digest="s")
    own = PlanSummary(changes=changes, outputs=outputs, digest="c")
    return MachinesPlan(
        shared=Plan(run_id="1", summary=shared, sha256=""),
        cluster=Plan(run_id="2", summary=own, sha256=""),
        warnings=("an even number of control planes",),
    )


def test_rows_say_what_happens_to_what_and_why() -> None:
    plan = plan_of(
        machine(Action.UPDATE, "a", fields=(FieldChange(path="cpu[0].cores", before="2", after="4"),)),
        machine(Action.REPLACE, "b", forced_by=("vm_id",), lost_disks=(DiskLoss(name="data", why="gone"),)),
        outputs=("cilium",),
    )
    assert [(row.action, row.what, row.name, row.detail) for row in rows(plan)] == [
        (Action.CREATE, "pool", "infraflux-dev", ""),
        (Action.UPDATE, "machine", "a", "cpu[0].cores: 2 → 4"),
        (Action.REPLACE, "machine", "b", "lost: data (gone); forced by vm_id"),
        (Action.UPDATE, "output", "cilium", ""),
    ]
    assert facts(plan) == {
        "digest": plan.digest,
        "summary": "1 to create; 1 to update, 1 to replace, outputs: cilium",
        "changes": 4,
        "destroys": 1,
        "shared_run": "1",
        "cluster_run": "2",
        "cluster_digest": "c",
        "shared_digest": "s",
        "shared_changes": 1,
    }
    assert "> an even number of control planes" in markdown(plan)


def test_an_image_that_is_no_longer_used_is_nothing_to_ask_about() -> None:
    image = Change(address="image", type="proxmox_download_file", action=Action.DESTROY)
    assert facts(plan_of(image))["destroys"] == 0


def test_a_plan_of_a_hundred_machines_stays_readable() -> None:
    many = plan_of(*(machine(Action.CREATE, f"node-{index}") for index in range(2000)))
    assert len(markdown(many)) < MAX_MARKDOWN + 200
    assert "2000 to create" in markdown(many)


def test_pipes_of_a_value_do_not_break_the_table() -> None:
    plan = plan_of(machine(Action.UPDATE, "a", fields=(FieldChange(path="description", before="x", after="a|b\nc"),)))
    assert "a\\|b c" in markdown(plan)


def test_the_digest_covers_both_stacks() -> None:
    one = plan_of(machine(Action.CREATE, "a"))
    other = MachinesPlan(shared=Plan(run_id="9", summary=EMPTY_PLAN, sha256=""), cluster=one.cluster)
    assert one.digest != other.digest
