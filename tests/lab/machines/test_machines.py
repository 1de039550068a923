"""The real Terraform and the real provider make, change and remove machines on the simulated Proxmox."""

import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest

from infraflux.adapters.proxmox.privileges import required
from infraflux.adapters.terraform.events import EventKind
from infraflux.adapters.terraform.plan import Action
from infraflux.adapters.tools.locate import locate
from infraflux.core import process
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done, Noop
from infraflux.operations.guard import DestructionRefused
from infraflux.operations.machines import Machines, MachinesPlan
from infraflux_lab.proxmox.facts.replay import violations

from .conftest import Project

pytestmark = [pytest.mark.lab, pytest.mark.tools]
TODAY = date(2026, 11, 23)
STAGING = "clusters/overlays/staging/staging-1.yaml"


def planned(project: Project, key: str) -> tuple[Machines, MachinesPlan]:
    machines = project.machines(key)
    return machines, machines.plan()


def apply(project: Project, key: str) -> Any:
    machines, plan = planned(project, key)
    machines.guard(plan, today=TODAY)
    return machines.apply(plan)


def counts(plan: MachinesPlan) -> Counter[str]:
    return Counter(f"{change.action} {change.type.removeprefix('proxmox_')}" for change in plan.changes)


def pool(name: str, **values: Any) -> Callable[[Any], None]:
    """Change one node pool of an overlay."""

    def change(document: Any) -> None:
        for one in document["node_pools"]:
            if one["name"] == name:
                one.update(values)

    return change


def assert_nothing_left(project: Project, environment: str, number: int) -> None:
    client = project.client(environment, number)
    assert client.cluster.resources.get(type="vm") == []
    assert client.cluster.ha.resources.get() == []
    assert client.cluster.ha.rules.get() == []
    assert client.pools.get() == []
    for host in client.nodes.get():
        for storage in ("local", "local-lvm"):
            assert client.nodes(host["node"]).storage(storage).content.get() == []


def test_one_small_cluster_from_the_shipped_configuration(project: Project) -> None:
    machines, plan = planned(project, "dev/dev-1")
    assert counts(plan) == {
        "create virtual_environment_vm": 2,
        "create virtual_environment_pool": 1,
        "create download_file": 2,
    }
    assert isinstance(machines.apply(plan), Done)
    project.ask("requests-reset")
    outcome = apply(project, "dev/dev-1")
    assert isinstance(outcome, Noop)
    assert project.writes() == 0
    project.machines("dev/dev-1").destroy()
    assert_nothing_left(project, "dev", 1)
    assert all(isinstance(outcome, Noop) for outcome in project.machines("dev/dev-1").destroy())
    requests = project.events(kind="request", source="proxmox")
    assert len(requests) > 100
    assert list(violations(requests)) == [], "a call that Proxmox would not take"


@pytest.fixture(params=["terraform-cli", "tofu"])
def by_each_program(project: Project, request: pytest.FixtureRequest) -> Project:
    """The project with Terraform and again with OpenTofu, where this machine has them."""
    try:
        locate(request.param)
    except Permanent as error:
        pytest.skip(error.message)
    return replace(project, program=request.param)


def test_whole_life_of_three_and_three_with_ha(by_each_program: Project) -> None:
    project = by_each_program
    project.edit("config/environments/staging.yaml", lambda document: document["proxmox"].update(ha=True))
    project.edit(STAGING, pool("worker", count=3))
    apply(project, "staging/staging-1")
    machines, plan = planned(project, "staging/staging-1")
    assert plan.empty, plan.changes
    assert [machine.name for machine in (machines.own.state() or pytest.fail("no state")).machines] == [
        *(f"staging-1-cp-{index}" for index in (1, 2, 3)),
        *(f"staging-1-worker-{index}" for index in (1, 2, 3)),
    ]

    # Scale up: one machine and its HA resource, nobody else is touched.
    project.edit(STAGING, pool("worker", count=4))
    machines, plan = planned(project, "staging/staging-1")
    assert counts(plan) == {
        "create virtual_environment_vm": 1,
        "create haresource": 1,
        "update harule": 1,
    }
    machines.apply(plan)
    assert planned(project, "staging/staging-1")[1].empty

    # Proxmox HA moves a machine: that is no difference, and it is not moved back.
    project.act("ha-move", environment="staging", vm="20021", host="pve-staging-3")
    assert planned(project, "staging/staging-1")[1].empty

    # Scale down beyond what the policy allows is refused, within it is done.
    project.edit(STAGING, pool("worker", count=1))
    machines, plan = planned(project, "staging/staging-1")
    with pytest.raises(DestructionRefused, match="3 of 7 machines"):
        machines.guard(plan, today=TODAY)
    project.edit(STAGING, pool("worker", count=2))
    apply(project, "staging/staging-1")
    assert planned(project, "staging/staging-1")[1].empty

    project.machines("staging/staging-1").destroy()
    assert_nothing_left(project, "staging", 2)


def test_a_control_plane_is_not_given_up_without_its_name_in_git(project: Project) -> None:
    apply(project, "staging/staging-1")
    project.edit(STAGING, pool("cp", count=1))
    project.edit("config/environments/staging.yaml", lambda it: it["policy"].update(allow_single_control_plane=True))
    machines, plan = planned(project, "staging/staging-1")
    with pytest.raises(DestructionRefused, match="staging-1-cp-3: control plane would be destroyed"):
        machines.guard(plan, today=TODAY)


def test_every_change_of_a_machine_is_an_update_in_place(project: Project) -> None:
    apply(project, "dev/dev-1")
    project.edit("clusters/overlays/dev/dev-1.yaml", pool("worker", cores=4, memory_mib=6144))
    machines, plan = planned(project, "dev/dev-1")
    (change,) = plan.changes
    assert change.action is Action.UPDATE
    assert change.node == "dev-1-worker-1"
    assert {field.path: field.after for field in change.fields} == {
        "cpu[0].cores": "4",
        "memory[0].dedicated": "6144",
    }
    machines.apply(plan)
    assert planned(project, "dev/dev-1")[1].empty
    # A restart belongs to a flow that drains the node: Proxmox keeps the new values for the next start.
    assert project.events(kind="powered-off") == []

    project.edit("clusters/overlays/dev/dev-1.yaml", pool("worker", system_disk_gib=30))
    apply(project, "dev/dev-1")
    assert planned(project, "dev/dev-1")[1].empty
    assert project.events(kind="powered-off") == []


def test_data_disks_grow_and_are_not_lost_unasked(project: Project) -> None:
    overlay = "clusters/overlays/dev/dev-1.yaml"
    disks = [{"name": "etcd", "size_gib": 5}, {"name": "data", "size_gib": 10}]
    project.edit(overlay, pool("worker", data_disks=disks, nics=[{"name": "storage", "bridge": "vmbr0", "vlan": 30}]))
    apply(project, "dev/dev-1")
    assert planned(project, "dev/dev-1")[1].empty
    project.edit(overlay, pool("worker", data_disks=[disks[0], {"name": "data", "size_gib": 20}]))
    apply(project, "dev/dev-1")
    assert planned(project, "dev/dev-1")[1].empty
    project.edit(overlay, pool("worker", data_disks=disks[1:]))
    machines, plan = planned(project, "dev/dev-1")
    with pytest.raises(DestructionRefused, match=r"dev-1-worker-1/etcd.*\n.*dev-1-worker-1/data"):
        machines.guard(plan, today=TODAY)


def test_a_new_image_is_for_new_machines_only(project: Project) -> None:
    apply(project, "dev/dev-1")
    project.edit("config/defaults/versions.yaml", lambda document: document["versions"].update(talos="v1.13.8"))
    _, plan = planned(project, "dev/dev-1")
    assert not plan.cluster.summary.changes
    assert {change.type for change in plan.changes} == {"proxmox_download_file"}


def test_a_token_with_exactly_the_documented_privileges_is_enough(project: Project) -> None:
    project.edit("config/environments/staging.yaml", lambda document: document["proxmox"].update(ha=True))
    granted = {path: sorted(names) for path, names in required(project.machines("staging/staging-1").spec).items()}
    # Machines get their privileges through the pool; the lab reads its specification only when it starts.
    project.restart_lab(lambda spec: spec["environments"]["staging"]["tokens"][0].update(privileges=granted))
    apply(project, "staging/staging-1")
    assert planned(project, "staging/staging-1")[1].empty
    project.machines("staging/staging-1").destroy()


def test_two_applies_at_once_have_one_holder(project: Project) -> None:
    (first, plan), (second, other) = planned(project, "dev/dev-1"), planned(project, "dev/dev-1")
    begun, errors = threading.Event(), []

    def start() -> None:
        first.apply(plan, on_event=lambda event: begun.set() if event.kind is EventKind.STARTED else None)

    thread = threading.Thread(target=start)
    thread.start()
    assert begun.wait(60)
    try:
        second.apply(other)
    except Exception as error:  # noqa: BLE001 - whichever of the two it is
        errors.append(error)
    thread.join()
    assert [type(error).__name__ for error in errors] in (["PlanStale"], ["StateLocked"])
    created = [event["subject"] for event in project.events(kind="task-started") if event["task"] == "qmcreate"]
    assert sorted(created) == ["10011", "10021"]
    assert project.vms("dev", 1) == {10011: "dev-1-cp-1", 10021: "dev-1-worker-1"}
    assert planned(project, "dev/dev-1")[1].empty


def test_the_token_is_nowhere(project: Project) -> None:
    secret = project.token("dev")
    machines, plan = planned(project, "dev/dev-1")
    heard: list[str] = []
    argvs: list[str] = []

    def listen(event: Any) -> None:
        heard.append(repr(event))
        for child in process.live_children():
            with suppress(psutil.NoSuchProcess):  # it may have ended since
                argvs.append(" ".join(psutil.Process(child.process.pid).cmdline()))

    outcome = machines.apply(plan, on_event=listen)
    texts = [*heard, *argvs, repr(outcome), repr(plan), repr(machines.__dict__)]
    assert argvs
    assert not any(secret in text for text in texts)
    state = project.root / ".infraflux" / "terraform"
    for path in state.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert secret.encode() not in path.read_bytes(), path
    assert os.environ.get("PROXMOX_VE_API_TOKEN") is None


def test_a_lost_state_adopts_the_machines_instead_of_making_them_again(project: Project) -> None:
    apply(project, "dev/dev-1")
    shutil.rmtree(project.root / ".infraflux" / "terraform" / "dev" / "dev-1")
    machines, plan = planned(project, "dev/dev-1")
    own = [change for change in plan.changes if change.is_machine]
    assert {change.node for change in own} == {"dev-1-cp-1", "dev-1-worker-1"}
    assert all(change.adopted and change.action in (Action.ADOPT, Action.UPDATE) for change in own)
    machines.apply(plan)
    assert planned(project, "dev/dev-1")[1].empty
    assert project.vms("dev", 1) == {10011: "dev-1-cp-1", 10021: "dev-1-worker-1"}


def test_a_changed_and_a_deleted_machine_show_by_name_and_field(project: Project) -> None:
    apply(project, "dev/dev-1")
    project.act("edit-vm", vm="10011", cores="8")
    project.act("delete-vm", vm="10021")
    machines, plan = planned(project, "dev/dev-1")
    found = {change.node: (change.action, [field.path for field in change.fields]) for change in plan.changes}
    assert found == {"dev-1-cp-1": (Action.UPDATE, ["cpu[0].cores"]), "dev-1-worker-1": (Action.CREATE, [])}
    machines.apply(plan)
    assert planned(project, "dev/dev-1")[1].empty


def test_the_state_directory_is_private(project: Project) -> None:
    apply(project, "dev/dev-1")
    for path in (project.root / ".infraflux" / "terraform").rglob("*"):
        if not path.is_symlink() and "work" not in path.parts:
            assert path.stat().st_mode & 0o077 == 0, path
    assert Path(project.machines("dev/dev-1").own.place.local_state).stat().st_mode & 0o777 == 0o600
