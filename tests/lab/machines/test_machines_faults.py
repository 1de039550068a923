"""What goes wrong while machines are made, and that the same command again converges without a second machine."""

import os
import signal
import threading
import time
from contextlib import suppress
from datetime import date
from typing import Any

import pytest

from infraflux.adapters.proxmox.preflight import PreflightFailed
from infraflux.adapters.terraform.plan import Action
from infraflux.core import process
from infraflux.core.errors import ErrorClass, InfrafluxError
from infraflux.core.outcomes import Done

from .conftest import Project

pytestmark = [pytest.mark.lab, pytest.mark.tools]
BOTH = {10011: "dev-1-cp-1", 10021: "dev-1-worker-1"}


def apply(project: Project) -> Any:
    machines = project.machines("dev/dev-1")
    plan = machines.plan()
    machines.guard(plan, today=date(2026, 11, 23))
    return machines.apply(plan)


def created(project: Project) -> list[str]:
    """Ids of every machine that Proxmox was ever told to make."""
    return sorted(event["subject"] for event in project.events(kind="task-started") if event["task"] == "qmcreate")


def converged(project: Project) -> None:
    assert project.machines("dev/dev-1").plan().empty
    assert project.vms("dev", 1) == BOTH


def wait_until(condition: Any, *, patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_killed_between_create_and_state_write(project: Project) -> None:
    # Both: one that ends may be in the state already when Terraform dies.
    project.fault("slow-task", target="qmcreate", seconds="12", times=2)
    machines = project.machines("dev/dev-1")
    plan = machines.plan()
    errors: list[InfrafluxError] = []

    def run() -> None:
        try:
            machines.apply(plan)
        except InfrafluxError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    # The task of the create runs: Proxmox will finish it, Terraform will not live to hear of it.
    wait_until(lambda: len(created(project)) == 2)
    for child in process.live_children():
        os.kill(child.process.pid, signal.SIGKILL)
    thread.join()
    assert len(errors) == 1
    project.ask("fault-clear")
    wait_until(lambda: project.vms("dev", 1) == BOTH)
    known = project.machines("dev/dev-1").own.state()
    assert known is None or not known.machines

    wait_until(lambda: not project.machines("dev/dev-1").orphans().being_made)
    assert set(project.machines("dev/dev-1").orphans().adopt) == {"dev-1-cp-1", "dev-1-worker-1"}
    again = project.machines("dev/dev-1").plan()
    assert all(change.adopted for change in again.changes if change.is_machine)
    assert not any(change.action is Action.CREATE and change.is_machine for change in again.changes)
    project.machines("dev/dev-1").apply(again)
    converged(project)
    assert created(project) == ["10011", "10021"]


def test_orphans_are_removed_by_a_destroy(project: Project) -> None:
    project.act("create-vm", vm="10011", host="pve-dev-1", name="dev-1-cp-1", tags="infraflux;infraflux-dev-dev-1")
    project.act("create-vm", vm="300", host="pve-dev-1", name="stray", tags="infraflux-dev-dev-1")
    project.act("create-vm", vm="301", host="pve-dev-1", name="somebody-elses", tags="infraflux-dev-dev-10")
    outcomes = project.machines("dev/dev-1").destroy()
    assert [type(outcome) for outcome in outcomes].count(Done) == 2
    assert project.vms("dev", 1) == {301: "somebody-elses"}


def test_a_lost_reply_makes_no_second_machine(project: Project) -> None:
    project.fault("reply-lost", target="POST /nodes/pve-dev-1/qemu", times=1)
    with suppress(InfrafluxError):  # the provider's own retry may have taken "already exists" for success
        apply(project)
    apply(project)
    converged(project)
    assert created(project) == ["10011", "10021"]


@pytest.mark.parametrize(
    ("kind", "target", "params", "error_class", "retryable"),
    [
        ("fail-task", "qmcreate", {"message": "unable to create image: no space left on device"}, "capacity", False),
        (
            "fail-task",
            "qmcreate",
            {"message": "can't lock file 'lock-1.conf'"},
            "transient",
            True,
        ),
        ("http-596", "POST /nodes/*/qemu", {}, "transient", True),
        ("http-403", "POST /nodes/*/qemu", {"message": "Permission check failed"}, "user", False),
        ("storage-full", "local-lvm", {}, "capacity", False),
    ],
    ids=["no-space", "lock", "596", "403", "storage-full"],
)
def test_a_failed_create_is_classed_and_the_next_apply_converges(
    project: Project, kind: str, target: str, params: dict[str, str], error_class: str, retryable: bool
) -> None:
    machines = project.machines("dev/dev-1")
    plan = machines.plan()
    # More often than the provider itself repeats a call.
    project.fault(kind, target=target, times=None if kind == "storage-full" else 20, **params)
    with pytest.raises(InfrafluxError) as failed:
        machines.apply(plan)
    assert (str(failed.value.error_class), failed.value.retryable) == (error_class, retryable), failed.value
    assert failed.value.cluster == "dev/dev-1"
    project.ask("fault-clear")
    apply(project)
    converged(project)


def test_nothing_is_written_where_a_machine_of_somebody_else_is_in_the_way(project: Project) -> None:
    project.act("create-vm", vm="10011", host="pve-dev-1", name="somebody-elses")
    project.act("create-vm", vm="777", host="pve-dev-2", name="dev-1-worker-1")
    project.ask("requests-reset")
    with pytest.raises(PreflightFailed) as refused:
        apply(project)
    assert "VM id 10011 of dev-1-cp-1 belongs to 'somebody-elses'" in str(refused.value)
    assert "the name dev-1-worker-1 is taken by VM 777" in str(refused.value)
    assert refused.value.error_class is ErrorClass.CONFLICT
    assert project.writes() == 0


def test_the_preflight_names_everything_at_once(project: Project) -> None:
    def change(document: Any) -> None:
        document["proxmox"]["hosts"].append({"name": "pve-dev-9"})
        document["proxmox"]["bridge"] = {"name": "vmbr7"}
        document["proxmox"]["storage"] = {"disks": "ceph", "images": "local-lvm"}

    project.edit("config/environments/dev.yaml", change)
    overlay = "clusters/overlays/dev/dev-1.yaml"
    project.edit(overlay, lambda document: document["node_pools"][0].update(cores=99, memory_mib=99_000))
    with pytest.raises(PreflightFailed) as refused:
        project.machines("dev/dev-1").preflight()
    for part in (
        "host pve-dev-9 does not exist",
        "dev-1-cp-1 wants 99 cores, host pve-dev-1 has 16",
        "bridge vmbr7 does not exist on host pve-dev-1",
        "storage ceph does not exist on host pve-dev-1",
        "does not allow content 'import'",
        "host pve-dev-1 has 65536 MiB memory",
    ):
        assert part in str(refused.value)


def test_a_token_that_may_do_nothing_is_told_what_it_lacks(project: Project) -> None:
    few = {"/": ["Sys.Audit", "Datastore.Audit", "VM.Audit", "Pool.Audit"]}
    project.restart_lab(lambda spec: spec["environments"]["dev"]["tokens"][0].update(privileges=few))
    with pytest.raises(PreflightFailed, match=r"lacks .*VM\.Allocate.* on /pool/infraflux-dev") as refused:
        project.machines("dev/dev-1").preflight()
    assert refused.value.error_class is ErrorClass.USER


def test_a_wrong_token_and_a_dead_api_are_two_different_errors(project: Project) -> None:
    path = project.lab.credentials / "dev.token"
    right = path.read_text()
    path.write_text("00000000-0000-0000-0000-000000000000\n")
    with pytest.raises(InfrafluxError, match="401") as refused:
        project.machines("dev/dev-1").preflight()
    assert (refused.value.error_class, refused.value.retryable) == (ErrorClass.USER, False)
    path.write_text(right)
    project.fault("http-502", times=20)
    with pytest.raises(InfrafluxError, match="502") as refused:
        project.machines("dev/dev-1").preflight()
    assert (refused.value.error_class, refused.value.retryable) == (ErrorClass.TRANSIENT, True)
