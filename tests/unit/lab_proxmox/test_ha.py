"""High availability."""

import pytest

from .conftest import Pve

RULES = {
    "free choice takes the emptiest host": ({}, "h3"),
    "strict node affinity": ({"type": "node-affinity", "resources": "vm:100", "nodes": "h2", "strict": 1}, "h2"),
    "preference": ({"type": "node-affinity", "resources": "vm:100", "nodes": "h2:2"}, "h2"),
    "apart": ({"type": "resource-affinity", "resources": "vm:100,vm:103", "affinity": "negative"}, "h2"),
    "together": ({"type": "resource-affinity", "resources": "vm:100,vm:102", "affinity": "positive"}, "h2"),
    "a disabled rule is none": (
        {"type": "node-affinity", "resources": "vm:100", "nodes": "h2", "strict": 1, "disable": 1},
        "h3",
    ),
}


@pytest.mark.parametrize(("rule", "host"), RULES.values(), ids=RULES)
def test_host_for_a_machine_in_need(pve: Pve, rule: dict[str, object], host: str) -> None:
    for vm_id, node, memory in ((100, "h1", 1024), (102, "h2", 4096), (103, "h3", 2048)):
        pve.guest(vm_id, node, memory=memory)
        pve.power("start", vm_id, node)
        pve.ok("POST", "/cluster/ha/resources", sid=f"vm:{vm_id}")
    if rule:
        pve.ok("POST", "/cluster/ha/rules", rule="r1", **rule)
    assert pve.sim.ha.choose_host(pve.sim.cluster.guests[100]) == host


def test_no_host_left(pve: Pve) -> None:
    pve.guest()
    pve.ok("POST", "/cluster/ha/resources", sid="100", state="stopped")
    pve.ok("POST", "/cluster/ha/rules", rule="r1", type="node-affinity", resources="vm:100", nodes="h1", strict=1)
    assert pve.sim.ha.choose_host(pve.sim.cluster.guests[100]) is None


def test_started_means_started(pve: Pve) -> None:
    pve.guest()
    pve.ok("POST", "/cluster/ha/resources", sid="vm:100")
    pve.end(next(reversed(pve.sim.cluster.tasks)))
    assert pve.status() == "running"
    pve.ok("PUT", "/cluster/ha/resources/vm:100", state="stopped")
    pve.end(next(reversed(pve.sim.cluster.tasks)))
    assert pve.status() == "stopped"


def test_stop_of_a_managed_machine_changes_what_is_wanted(pve: Pve) -> None:
    pve.guest()
    pve.power("start")
    pve.ok("POST", "/cluster/ha/resources", sid="vm:100")
    assert ":hastop:" in pve.power("stop")
    assert pve.ok("GET", "/cluster/ha/resources/vm:100")["state"] == "stopped"


def test_only_what_was_set_is_shown(pve: Pve) -> None:
    pve.guest()
    pve.ok("POST", "/cluster/ha/resources", sid="vm:100", state="stopped", max_restart=2)
    shown = pve.ok("GET", "/cluster/ha/resources/vm:100")
    assert shown == {"sid": "vm:100", "state": "stopped", "max_restart": 2, "type": "vm"}
    pve.ok("PUT", "/cluster/ha/resources/vm:100", state="stopped", delete="max_restart")
    assert "max_restart" not in pve.ok("GET", "/cluster/ha/resources/vm:100")


REFUSED = {
    "no such machine": ("POST", "/cluster/ha/resources", {"sid": "vm:999"}, "resource 'vm:999' does not exist"),
    "twice": ("POST", "/cluster/ha/resources", {"sid": "vm:100"}, "already defined"),
    "unmanaged": (
        "POST",
        "/cluster/ha/rules",
        {"rule": "r1", "type": "node-affinity", "resources": "vm:101", "nodes": "h1"},
        "cannot use unmanaged resource(s) vm:101.",
    ),
    "groups are gone": ("GET", "/cluster/ha/groups", {}, "migrated to rules"),
    "unknown resource": ("GET", "/cluster/ha/resources/vm:101", {}, "no such resource 'vm:101'"),
    "unknown rule": ("GET", "/cluster/ha/rules/xx", {}, "no such ha rule 'xx'"),
    "removal without purge": ("DELETE", "/nodes/h1/qemu/100", {}, "used in HA resources and purge parameter not set"),
}


@pytest.mark.parametrize(("method", "path", "form", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(pve: Pve, method: str, path: str, form: dict[str, object], text: str) -> None:
    pve.guest(100)
    pve.guest(101)
    pve.ok("POST", "/cluster/ha/resources", sid="vm:100", state="stopped")
    answer = pve.call(method, path, **form)
    assert answer.status == 500
    assert text in answer.reason


def test_purge_takes_a_machine_out_of_ha(pve: Pve) -> None:
    for vm_id in (100, 101, 102):
        pve.guest(vm_id)
        pve.ok("POST", "/cluster/ha/resources", sid=f"vm:{vm_id}", state="stopped")
    resources = "vm:100,vm:101,vm:102"
    pve.ok("POST", "/cluster/ha/rules", rule="r1", type="resource-affinity", resources=resources, affinity="negative")
    pve.ok("DELETE", "/nodes/h1/qemu/100", purge=1)
    assert pve.ok("GET", "/cluster/ha/rules/r1")["resources"] == "vm:101,vm:102"


def test_moving_through_ha(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1")
    pve.power("start")
    pve.ok("POST", "/cluster/ha/resources", sid="vm:100")
    asked = pve.ok("POST", "/cluster/ha/resources/vm:100/migrate", node="h2")
    assert asked == {"sid": "vm:100", "requested-node": "h2"}
    pve.end(next(reversed(pve.sim.cluster.tasks)))
    assert pve.status(node="h2") == "running"
