"""Power of guests, and guests that do not obey."""

import time

import pytest

from .conftest import Pve

STATUS = "/nodes/h1/qemu/100/status"


def running(pve: Pve, **options: object) -> None:
    pve.guest(**options)
    pve.power("start")


# what is asked, and what becomes of it: exit status of the task, power afterwards
DISOBEDIENT = {
    "shutdown in vain": ("shutdown", {"timeout": 1}, "VM quit/powerdown failed - got timeout", "running"),
    "shutdown by force": ("shutdown", {"timeout": 1, "forceStop": 1}, "OK", "stopped"),
    "reboot in vain": ("reboot", {"timeout": 1}, "VM quit/powerdown failed - got timeout", "running"),
    "stop asks nobody": ("stop", {}, "OK", "stopped"),
    "reset asks nobody": ("reset", {}, "OK", "running"),
}


@pytest.mark.parametrize(("verb", "form", "outcome", "power"), DISOBEDIENT.values(), ids=DISOBEDIENT)
def test_a_guest_that_ignores_a_shutdown(pve: Pve, verb: str, form: dict[str, int], outcome: str, power: str) -> None:
    running(pve)
    pve.fault("ignores-shutdown", target="100", times=None)
    upid = pve.call("POST", f"{STATUS}/{verb}", **form).data
    assert pve.end(upid) == outcome
    assert pve.status() == power


def test_the_patience_of_a_guest_is_its_own(pve: Pve) -> None:
    running(pve, startup="order=1,down=1")
    pve.fault("ignores-shutdown", target="100")
    began = time.monotonic()
    assert "got timeout" in pve.end(pve.call("POST", f"{STATUS}/shutdown").data)
    assert 0.9 < time.monotonic() - began < 5


def test_a_stop_behind_a_shutdown_gives_up_or_overrules(pve: Pve) -> None:
    running(pve)
    pve.sim.guests.locks.patience_s = 0.2
    pve.fault("ignores-shutdown", target="100", times=None)
    shutdown = pve.call("POST", f"{STATUS}/shutdown", timeout=60).data
    stop = pve.call("POST", f"{STATUS}/stop").data
    assert _ended(pve, stop) == "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    stop = pve.call("POST", f"{STATUS}/stop", **{"overrule-shutdown": 1}).data
    assert pve.end(stop) == "OK"
    assert pve.end(shutdown) == "interrupted by signal"
    assert pve.status() == "stopped"


def _ended(pve: Pve, upid: str) -> str:
    """Exit status of a task beside others that run on."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = pve.ok("GET", f"/nodes/h1/tasks/{upid}/status")
        if row["status"] == "stopped":
            return str(row["exitstatus"])
        time.sleep(0.02)
    raise AssertionError("the task does not end")


def test_a_change_waits_for_the_lock_and_gives_up(pve: Pve) -> None:
    running(pve)
    pve.sim.guests.locks.patience_s = 0.2
    pve.fault("slow-task", target="qmstop", seconds="1")
    stop = pve.call("POST", f"{STATUS}/stop").data
    answer = pve.call("PUT", "/nodes/h1/qemu/100/config", cores=2)
    assert answer.status == 500
    assert answer.reason == "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    assert pve.end(stop) == "OK"
    pve.ok("PUT", "/nodes/h1/qemu/100/config", cores=2)


def test_ten_seconds_are_the_patience_of_proxmox(pve: Pve) -> None:
    assert pve.sim.guests.locks.patience_s == 10


def test_clones_of_one_guest_do_not_wait_for_each_other(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1")
    pve.sim.guests.locks.patience_s = 0.2
    pve.fault("slow-task", target="qmclone", times=None, seconds="0.5")
    upids = [pve.call("POST", "/nodes/h1/qemu/100/clone", newid=number).data for number in (201, 202)]
    assert [pve.end(upid) for upid in upids] == ["OK", "OK"]


def test_paused(pve: Pve) -> None:
    running(pve)
    pve.power("suspend")
    assert pve.ok("GET", f"{STATUS}/current")["qmpstatus"] == "paused"
    assert pve.call("POST", f"{STATUS}/shutdown").reason == "VM is paused - cannot shutdown"
    assert pve.call("POST", f"{STATUS}/reboot").reason == "VM is paused - cannot shutdown"
    pve.power("resume")
    assert pve.ok("GET", f"{STATUS}/current")["qmpstatus"] == "running"
    assert pve.watcher.kinds == ["on"], "what runs inside is not told"


def test_suspended_to_disk(pve: Pve) -> None:
    running(pve)
    pve.ok("POST", f"{STATUS}/suspend", todisk=1)
    current = pve.ok("GET", f"{STATUS}/current")
    assert (current["status"], current["lock"]) == ("stopped", "suspended")
    assert pve.call("PUT", "/nodes/h1/qemu/100/config", cores=2).reason == "VM is locked (suspended)"
    pve.power("start")
    assert pve.status() == "running"


NOT_RUNNING = ("reboot", "reset", "suspend", "resume")


@pytest.mark.parametrize("verb", NOT_RUNNING)
def test_of_a_guest_that_is_off(pve: Pve, verb: str) -> None:
    pve.guest()
    assert pve.call("POST", f"{STATUS}/{verb}").reason == "VM 100 not running"


def test_stopping_a_task(pve: Pve) -> None:
    pve.guest()
    pve.fault("slow-task", target="qmstart", seconds="60")
    upid = pve.call("POST", f"{STATUS}/start").data
    pve.ok("DELETE", f"/nodes/h1/tasks/{upid}")
    assert pve.end(upid) == "interrupted by signal"
    assert pve.status() == "stopped"


def test_a_device_must_be_on_the_host(pve: Pve) -> None:
    pve.guest()
    entry = "node=h1,path=0000:02:00.0,id=10de:2204"
    assert pve.as_root("PUT", "/nodes/h1/qemu/100/config", hostpci0="mapping=gpu").status == 200
    assert pve.end(pve.call("POST", f"{STATUS}/start").data) == "PCI device mapping not found for 'gpu'"
    assert pve.as_root("POST", "/cluster/mapping/pci", id="gpu", map=entry).status == 200
    pve.power("start")
