"""Every fault strikes where it is meant to, as often as it is meant to."""

import pytest

from .conftest import Pve

HTTP = {
    "http-500": (500, "got timeout"),
    "http-502": (502, "Bad Gateway"),
    "http-596": (596, "Connection timed out"),
    "http-401": (401, "invalid token value!"),
    "http-403": (403, "Permission check failed"),
}


@pytest.mark.parametrize(("kind", "answer"), HTTP.items(), ids=HTTP)
def test_http_errors(pve: Pve, kind: str, answer: tuple[int, str]) -> None:
    pve.fault(kind, target="GET /version")
    found = pve.call("GET", "/version")
    assert (found.status, found.reason) == answer
    assert pve.call("GET", "/version").status == 200


def test_a_fault_strikes_its_target_only(pve: Pve) -> None:
    pve.fault("http-500", target="POST /pools", message="broken")
    assert pve.call("GET", "/pools").status == 200
    assert pve.call("POST", "/pools", poolid="p").reason == "broken"
    assert pve.call("POST", "/pools", poolid="p").status == 200


def test_a_fault_on_a_machine_strikes_all_its_calls(pve: Pve) -> None:
    pve.guest(100)
    pve.guest(101)
    pve.fault("http-500", target="101", times=None)
    assert pve.call("GET", "/nodes/h1/qemu/100/config").status == 200
    assert [pve.call("GET", "/nodes/h1/qemu/101/config").status for _ in range(3)] == [500, 500, 500]


def test_lost_reply_does_the_work(pve: Pve) -> None:
    pve.fault("reply-lost")
    assert pve.call("GET", "/pools").status == 200
    pve.lose("POST", "/pools", poolid="p")
    assert pve.ok("GET", "/pools") == [{"poolid": "p"}]


def test_tls_reset_does_nothing(pve: Pve) -> None:
    pve.fault("tls-reset", target="POST /pools")
    pve.lose("POST", "/pools", poolid="p")
    assert pve.ok("GET", "/pools") == []


TASK_FAULTS = {
    "fail-task": ("simulated failure", 0),
    "fail-task-late": ("simulated failure after the work", 1),
    "warn-task": ("WARNINGS: 1", 1),
}


@pytest.mark.parametrize(("kind", "outcome"), TASK_FAULTS.items(), ids=TASK_FAULTS)
@pytest.mark.parametrize("target", ["100", "qmcreate", "qmcreate:100"])
def test_task_ends(pve: Pve, kind: str, outcome: tuple[str, int], target: str) -> None:
    pve.fault(kind, target=target)
    upid = pve.call("POST", "/nodes/h1/qemu", vmid=100, scsi0="lvm:1").data
    assert outcome[0] in pve.end(upid)
    assert len(pve.volumes()) == outcome[1]
    assert pve.ok("GET", f"/nodes/h1/tasks/{upid}/status")["status"] == "stopped"
    log = [line["t"] for line in pve.ok("GET", f"/nodes/h1/tasks/{upid}/log")]
    assert log[-1].startswith("TASK ")


def test_vanished_task_did_its_work(pve: Pve) -> None:
    pve.fault("vanish-task", target="qmcreate")
    upid = pve.call("POST", "/nodes/h1/qemu", vmid=100).data
    assert pve.end(upid) == "OK"
    status = pve.call("GET", f"/nodes/h1/tasks/{upid}/status")
    assert (status.status, status.errors) == (400, {"upid": "no such task"})
    assert pve.status() == "stopped"


def test_slow_task_runs_on(pve: Pve) -> None:
    pve.fault("slow-task", seconds="0.3")
    upid = pve.call("POST", "/nodes/h1/qemu", vmid=100).data
    assert pve.ok("GET", f"/nodes/h1/tasks/{upid}/status")["status"] == "running"
    assert pve.end(upid) == "OK"


def test_a_task_under_a_killed_lab_has_no_good_end(pve: Pve) -> None:
    pve.fault("slow-task", seconds="60")
    upid = pve.call("POST", "/nodes/h1/qemu", vmid=100).data
    pve.reopen()
    assert pve.ok("GET", f"/nodes/h1/tasks/{upid}/status")["exitstatus"] == "unexpected status"
    assert pve.call("PUT", "/nodes/h1/qemu/100/config", cores=2).reason == "VM is locked (create)"


def test_lock(pve: Pve) -> None:
    pve.guest()
    pve.fault("vm-lock", target="100", times=2, lock="migrate")
    assert pve.ok("GET", "/nodes/h1/qemu/100/status/current")["lock"] == "migrate"
    answers = [pve.call("PUT", "/nodes/h1/qemu/100/config", cores=2) for _ in range(3)]
    assert [answer.reason for answer in answers] == ["VM is locked (migrate)", "VM is locked (migrate)", "OK"]


def test_full_storage(pve: Pve) -> None:
    pve.fault("storage-full", target="lvm", times=None)
    assert pve.ok("GET", "/nodes/h1/storage/lvm/status")["avail"] == 0
    upid = pve.call("POST", "/nodes/h1/qemu", vmid=100, scsi0="lvm:1").data
    assert "free space in thin pool" in pve.end(upid)
    pve.clear()
    pve.guest(scsi0="lvm:1")


def test_host_offline_moves_what_is_under_ha(pve: Pve) -> None:
    for vm_id in (100, 101):
        pve.guest(vm_id, scsi0="lvm:1", onboot=1)
        pve.power("start", vm_id)
    pve.ok("POST", "/cluster/ha/resources", sid="vm:100")
    pve.fault("host-offline", target="h1", times=None)
    answer = pve.call("GET", "/nodes/h1/status")
    assert (answer.status, answer.reason) == (595, "No route to host")
    pve.end(next(reversed(pve.sim.cluster.tasks)))
    rows = {row["vmid"]: (row["node"], row["status"]) for row in pve.ok("GET", "/cluster/resources", type="vm")}
    assert rows == {100: ("h2", "running"), 101: ("h1", "unknown")}
    assert pve.watcher.kinds.count("off") == 2
    pve.clear()
    pve.end(next(reversed(pve.sim.cluster.tasks)))
    assert (pve.status(101), pve.status(100, "h2")) == ("running", "running")


def test_requests_are_counted_by_endpoint(pve: Pve) -> None:
    pve.guest()
    pve.config()
    pve.call("GET", "/no/such/call")
    counted = {(row["method"], row["route"], row["mutating"]): row["count"] for row in pve.events.requests()}
    assert counted[("POST", "/nodes/{node}/qemu", True)] == 1
    assert counted[("GET", "/nodes/{node}/qemu/{vmid}/config", False)] == 1
    assert counted[("GET", "(unknown)", False)] == 1
