"""The quick look misses nothing that a full plan would see: every kind of change, injected behind Terraform's back.

The proof has two halves. Every call by which the real provider reads a machine is one whose answer the quick look
compares; and every attribute the modules set is changed once, is flagged, and is seen by the real plan.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infraflux.adapters.proxmox.snapshot import Snapshot
from infraflux.adapters.terraform.plan import Action, PlanSummary
from infraflux.config.load import Fleet
from infraflux.core.outcomes import Done, Noop
from infraflux.drift.findings import DriftClass
from infraflux.drift.quick import evidence_of
from infraflux.operations.drift_check import look_at_drift
from infraflux.operations.machines import Machines, proxmox_access
from infraflux.operations.machines_drift import (
    MachinesLook,
    Sweep,
    baseline_file,
    look_at_machines,
    see_own,
    see_shared,
)

from .by_hand import APART_RULE, CP1, CP2, CP3, ENVIRONMENT, HOSTS_RULE, W1, W2, W3, Hands
from .conftest import REPOSITORY, Project

pytestmark = [pytest.mark.lab, pytest.mark.tools]
KEY = "staging/staging-1"
NOW = datetime(2026, 11, 25, 2, 15, tzinfo=UTC)


@pytest.fixture
def made(project: Project) -> Project:
    """Three and three under HA, the workers with a data disk."""

    def change(document: Any) -> None:
        for one in document["node_pools"]:
            if one["name"] == "worker":
                one.update(count=3, data_disks=[{"name": "data", "size_gib": 10}])

    project.edit("config/environments/staging.yaml", lambda document: document["proxmox"].update(ha=True))
    project.edit("clusters/overlays/staging/staging-1.yaml", change)
    machines = project.machines(KEY)
    machines.apply(machines.plan())
    return project


def look(project: Project, *, now: datetime = NOW, full: bool = False) -> MachinesLook:
    fleet = Fleet.load(project.root)
    return look_at_machines(fleet.cluster(KEY), sweep=Sweep(root=project.root, fleet=fleet, full=full, now=now))


def opened(project: Project) -> tuple[Machines, Snapshot]:
    machines = project.machines(KEY)
    return machines, Snapshot(proxmox_access(machines.spec, root=project.root))


def spared(one: MachinesLook) -> tuple[bool, bool]:
    """Of the shared stack and of the cluster's."""
    assert {type(one.shared.how), type(one.own.how)} <= {Noop, Done}
    return isinstance(one.shared.how, Noop), isinstance(one.own.how, Noop)


# Calls of the provider -> what the quick look compares in their place.
COMPARED = {
    "/cluster/resources": "the same call",
    "/nodes/{node}/qemu/{vmid}/config": "the same call",
    "/nodes/{node}/qemu/{vmid}/status/current": "its row of /cluster/resources: status, name, tags, lock, sizes",
    "/nodes/{node}/storage/{storage}/content": "the same call",
    "/nodes/{node}/storage/{storage}/content/{volume:.+}": "its row of .../content: size and format",
    "/pools": "the same call; the members are in /cluster/resources",
    "/cluster/ha/resources/{sid}": "its row of /cluster/ha/resources",
    "/cluster/ha/rules/{rule}": "its row of /cluster/ha/rules",
}


def test_every_answer_that_the_provider_reads_is_compared(made: Project) -> None:
    machines, world = opened(made)
    own, shared = see_own(machines, world, machines.known()).variables, see_shared(machines, world).variables
    made.ask("requests-reset")
    assert machines.own.plan(own).summary.empty
    assert machines.shared.plan(shared).summary.empty
    asked = {row["route"] for row in made.ask("requests")}
    assert asked <= set(COMPARED)
    assert {"/nodes/{node}/qemu/{vmid}/status/current", "/cluster/ha/rules/{rule}"} <= asked, (
        "the provider was not there"
    )

    look(made)
    made.ask("requests-reset")
    again = look(made)
    assert spared(again) == (True, True)
    assert again.findings == ()
    rows = made.ask("requests")
    assert not any(row["mutating"] for row in rows)
    assert "/nodes/{node}/qemu/{vmid}/status/current" not in {row["route"] for row in rows}
    # One list, six configurations and what waits of them, HA and pools once, the volumes and images of three hosts.
    assert sum(row["count"] for row in rows) == 1 + 6 + 6 + 3 + 6


def test_whatever_else_a_plan_follows_from_makes_one(made: Project) -> None:
    assert spared(look(made)) == (False, False)
    assert spared(look(made)) == (True, True)
    assert spared(look(made, now=NOW + timedelta(days=8))) == (False, False)
    assert spared(look(made, full=True)) == (False, False)

    # HA moves a machine: no difference for a plan that is told of it, and known from then on.
    made.act("ha-move", environment=ENVIRONMENT, vm=str(W1), host="pve-staging-3")
    moved = look(made)
    assert spared(moved) == (True, False)
    assert moved.own.summary.empty
    again = look(made)
    assert spared(again) == (True, True)
    assert [(one.field, one.drift_class) for one in again.findings] == [("host", DriftClass.EXPECTED)]

    # A wish that nobody applied yet.
    overlay = "clusters/overlays/staging/staging-1.yaml"
    before = (made.root / overlay).read_text()
    made.edit(overlay, lambda document: document["node_pools"][1].update(cores=3))
    wished = look(made)
    assert spared(wished) == (True, False)
    assert {one.field for one in wished.findings if one.drift_class is not DriftClass.EXPECTED} == {"cpu[0].cores"}
    assert spared(look(made)) == (True, False), "a plan that was not empty is no baseline"
    (made.root / overlay).write_text(before)
    assert spared(look(made)) == (True, True)

    # Another module, another state, a baseline that is cut off.
    module = made.root / "terraform" / "modules" / "proxmox-vm" / "outputs.tf"
    module.write_text(module.read_text() + "\n# a comment\n")
    assert spared(look(made)) == (False, False)
    stack = made.machines(KEY).own
    text = stack.place.local_state.read_text()
    stack.place.local_state.write_text(re.sub(r'"serial": (\d+),', r'"serial": 1\1,', text, count=1))
    assert spared(look(made)) == (True, False)
    baseline_file(stack).write_text("{")
    assert spared(look(made)) == (True, False)
    assert baseline_file(stack).stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_read_is_unknown_and_no_baseline_hides_it(made: Project) -> None:
    look(made)
    made.fault("http-502", environment=ENVIRONMENT, target="GET /nodes/*/qemu/*/config", times=99)
    fleet = Fleet.load(made.root)
    report = look_at_drift(fleet.cluster(KEY), root=made.root, fleet=fleet, commit="", now=NOW)
    assert report.unknown[0].startswith("machines: ")
    assert "502" in report.unknown[0]
    made.ask("fault-clear")
    assert spared(look(made)) == (True, True)


def seen_now(project: Project) -> dict[str, str]:
    """Digest by object, of both stacks."""
    machines, world = opened(project)
    objects = {**see_own(machines, world, machines.known()).objects, **see_shared(machines, world).objects}
    return dict(evidence_of(inputs="", state="", objects=objects).objects)


def objects_of(summary: PlanSummary) -> Iterator[tuple[str, str]]:
    """(object as the quick look calls it, attribute or action) of everything a plan would change."""
    ids = {"cp-1": CP1, "cp-2": CP2, "cp-3": CP3, "worker-1": W1, "worker-2": W2, "worker-3": W3}
    for change in summary.changes:
        vm_id = ids.get(change.node.removeprefix("staging-1-"), 0)
        host, _, file = change.address.partition('["')[2].removesuffix('"]').partition("/")
        name = {
            "proxmox_virtual_environment_vm": f"vm/{vm_id}",
            "proxmox_haresource": f"ha/vm:{vm_id}",
            "proxmox_harule": f"rule/{APART_RULE if 'apart' in change.address else HOSTS_RULE}",
            "proxmox_virtual_environment_pool": f"pool/{host}",
            "proxmox_download_file": f"file/{host}/local:import/{file}",
        }[change.type]
        if change.action is not Action.UPDATE:
            yield name, change.action
        for one in change.fields:
            yield name, re.sub(r"\[\d+\]", "", one.path)


def test_every_kind_of_change_is_flagged_and_none_that_a_plan_sees_is_missed(made: Project) -> None:
    flagged: set[str] = set()
    wanted: set[tuple[str, str, str]] = set()
    before = seen_now(made)
    hands = Hands(made)
    for kind in hands.kinds():
        name = f"vm/{kind.on}" if isinstance(kind.on, int) else kind.on
        kind.do(hands.client)
        after = seen_now(made)
        differing = {one for one in {*before, *after} if before.get(one) != after.get(one)}
        assert name in differing, f"{kind.name} was not flagged"
        flagged |= differing
        before = after
        if kind.seen:
            wanted.add((kind.name, name, kind.seen))

    machines, world = opened(made)
    plans = [
        machines.own.plan(see_own(machines, world, machines.known()).variables),
        machines.shared.plan(see_shared(machines, world).variables),
    ]
    planned = {one for plan in plans for one in objects_of(plan.summary)}
    assert {name for name, _ in planned} <= flagged, "the plan sees an object that the quick look does not flag"
    # A machine that is made again shows nothing else of what was done to it before.
    anew = {name for name, what in planned if what == Action.CREATE}
    missing = {
        (kind, name, what)
        for kind, name, what in wanted
        if not any(name == on and (shown == what or shown.startswith(f"{what}.")) for on, shown in planned)
        and not (name in anew and what != Action.CREATE)
    }
    assert not missing, sorted(planned)


# Attributes of the modules that no answer of Proxmox can contradict.
ONLY_TERRAFORM = {
    "migrate": "how the provider moves a machine",
    "reboot_after_update": "how the provider changes a machine",
    "stop_on_destroy": "how the provider removes a machine",
    "purge_on_destroy": "how the provider removes a machine",
    "delete_unreferenced_disks_on_destroy": "how the provider removes a machine",
    "disabled": "whether the provider waits for the agent",
    "import_from": "read at creation only",
    "vm_id": "the name of the object itself",
    "node_name": "follows Proxmox HA through `placement`; another host is a finding of its own",
    "device": "of `hostpci` and named by its place",
    "mapping": "see `hostpci`",
    "pcie": "see `hostpci`",
    "rombar": "see `hostpci`",
    "xvga": "see `hostpci`",
    "resource_id": "the name of the object itself",
    "rule": "the name of the object itself",
    "type": "another type is another rule",
    "affinity": "see the rule that is gone",
    "lifecycle": "Terraform's own",
}


def test_every_attribute_that_the_modules_set_is_a_kind_of_change(made: Project) -> None:
    """A new attribute in the modules needs a row above, or a reason here why Proxmox cannot contradict it."""
    leaves = {part for kind in Hands(made).kinds() for part in kind.seen.split(".")} | {"started"}
    for file in (Path("proxmox-vm/main.tf"), Path("talos-cluster/ha.tf")):
        text = (REPOSITORY / "terraform" / "modules" / file).read_text()
        for block in re.findall(r'^resource "proxmox_[a-z_]+" .*?^}', text, re.MULTILINE | re.DOTALL):
            names = set(re.findall(r"^\s+([a-z_]+)\s+= ", block, re.MULTILINE)) - {
                "for_each",
                "count",
                "ignore_changes",
            }
            assert names <= leaves | set(ONLY_TERRAFORM), f"{file}: {sorted(names - leaves - set(ONLY_TERRAFORM))}"
