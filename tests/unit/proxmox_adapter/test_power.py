"""The power button: which call is made when, and what is said where a machine does not follow."""

from typing import Any

import pytest

from infraflux.adapters.proxmox.client import ProxmoxAccess
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.power import MachinePower
from infraflux.core.errors import Permanent, Retryable

TAG = "infraflux-dev-dev-1"
GUEST = Guest(vm_id=101, name="a", host="pve1", running=True, tags=frozenset({TAG}))
POWER = "nodes/pve1/qemu/101/status"


class FakeProxmox:
    """One machine. `obeys`: whether it goes off when it is asked to; `lag`: looks until a call is seen (HA)."""

    def __init__(self, *, status: str = "running", obeys: bool = True, lag: int = 0, tags: str = TAG) -> None:
        self.status, self.obeys, self.lag, self.tags = status, obeys, lag, tags
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.exit = "OK"
        self.failure = "VM quit/powerdown failed - got timeout"
        self.next_status = status

    def __call__(self, path: str) -> "FakeCall":
        return FakeCall(self, path)

    def get(self, path: str) -> Any:
        if path == "cluster/resources":
            return [
                {"type": "qemu", "vmid": 101, "node": "pve1", "name": "a", "status": self.status, "tags": self.tags}
            ]
        if path.endswith("/status/current"):
            if self.status != self.next_status:
                self.lag -= 1
                self.status = self.next_status if self.lag < 0 else self.status
            return {"status": self.status}
        return {"status": "stopped", "exitstatus": self.exit}

    def post(self, path: str, options: dict[str, Any]) -> str:
        verb = path.rpartition("/")[2]
        self.calls.append((verb, options))
        if verb == "shutdown" and not (self.obeys or options.get("forceStop")):
            self.exit = self.failure
        else:
            self.next_status = "running" if verb == "start" else "stopped"
        return "UPID:1"


class FakeCall:
    def __init__(self, proxmox: FakeProxmox, path: str) -> None:
        self.proxmox, self.path = proxmox, path

    def get(self, **_parameters: Any) -> Any:
        return self.proxmox.get(self.path)

    def post(self, **options: Any) -> str:
        return self.proxmox.post(self.path, options)


def power(proxmox: FakeProxmox) -> MachinePower:
    access = ProxmoxAccess(endpoint="https://pve:8006", token_id="a@pve!b", token_secret="c")
    made = MachinePower(access, tag=TAG, sleep=lambda _seconds: None, wait_s=0)
    made._api = proxmox  # type: ignore[assignment]
    return made


def test_it_is_asked_to_power_off_within_its_time():
    proxmox = FakeProxmox()
    power(proxmox).shut_down(GUEST, timeout_s=60, force=False)
    assert (proxmox.calls, proxmox.status) == ([("shutdown", {"timeout": 60})], "stopped")


def test_one_that_does_not_obey_runs_on_and_is_named():
    proxmox = FakeProxmox(obeys=False)
    with pytest.raises(Permanent, match=r"a \(VM 101 on pve1\): .*powerdown failed - got timeout") as caught:
        power(proxmox).shut_down(GUEST, timeout_s=60, force=False)
    assert "policy.rollout" in caught.value.next_step
    assert not caught.value.retryable
    assert proxmox.status == "running"


def test_one_that_does_not_obey_is_switched_off_where_that_is_declared():
    proxmox = FakeProxmox(obeys=False)
    power(proxmox).shut_down(GUEST, timeout_s=60, force=True)
    assert (proxmox.calls, proxmox.status) == ([("shutdown", {"timeout": 60, "forceStop": 1})], "stopped")


def test_a_machine_that_another_task_holds_may_be_asked_again():
    proxmox = FakeProxmox(obeys=False)
    proxmox.failure = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout"
    with pytest.raises(Retryable, match="can't lock file"):
        power(proxmox).shut_down(GUEST, timeout_s=60, force=False)


def test_one_that_is_off_is_not_asked():
    proxmox = FakeProxmox(status="stopped")
    power(proxmox).shut_down(GUEST, timeout_s=60, force=False)
    assert proxmox.calls == []


def test_one_that_runs_is_not_started():
    proxmox = FakeProxmox()
    power(proxmox).start(GUEST)
    assert proxmox.calls == []


def test_under_ha_the_machine_itself_is_waited_for():
    proxmox = FakeProxmox(lag=5)
    power(proxmox).shut_down(GUEST, timeout_s=60, force=False)
    assert proxmox.status == "stopped"
    proxmox.lag = 5
    power(proxmox).start(GUEST)
    assert proxmox.status == "running"


def test_one_that_never_follows_is_told():
    proxmox = FakeProxmox(status="stopped", lag=10_000)
    with pytest.raises(Retryable, match=r"a \(VM 101 on pve1\) does not run after 120 s"):
        power(proxmox).start(GUEST)


def test_a_machine_of_others_is_refused():
    with pytest.raises(Permanent, match="VM 101 does not carry our tag"):
        power(FakeProxmox(tags="somebody-elses")).machine(101)
    with pytest.raises(Permanent, match="VM 102 does not exist"):
        power(FakeProxmox()).machine(102)
