"""Logged calls, held against the table again."""

import json

import pytest

from infraflux_lab.events import read_events
from infraflux_lab.proxmox.facts.replay import NOT_SAID, violations

from .conftest import Pve

GUEST = "/nodes/{node}/qemu/{vmid}"
LOGGED = {
    "right": ("PUT", f"{GUEST}/config", "/nodes/h1/qemu/100/config", {"cores": "2"}, ""),
    "a volume with a slash": (
        "GET",
        "/nodes/{node}/storage/{storage}/content/{volume:.+}",
        "/nodes/h1/storage/local/content/local:import/x.raw",
        {},
        "",
    ),
    "unknown name": ("PUT", f"{GUEST}/config", "/nodes/h1/qemu/100/config", {"colour": "red"}, "colour"),
    "wrong value": ("PUT", f"{GUEST}/config", "/nodes/h1/qemu/100/config", {"cores": "0"}, "minimum value of 1"),
    "wrong path": ("GET", f"{GUEST}/config", "/nodes/h1/qemu/7/config", {}, "valid VM ID"),
    "no such call": ("GET", "(unknown)", "/nodes/h1/ceph", {}, "no such call"),
}


@pytest.mark.parametrize(("method", "route", "path", "form", "words"), LOGGED.values(), ids=LOGGED)
def test_one_call(method: str, route: str, path: str, form: dict[str, str], words: str) -> None:
    found = list(violations([{"method": method, "route": route, "path": path, "form": form}]))
    assert len(found) == bool(words)
    assert words in "".join(found)


def test_the_log_of_a_life_holds_what_was_sent_and_no_secret(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1", ide2="lvm:cloudinit", cipassword="hunter2", net0="virtio,bridge=vmbr0")
    pve.power("start")
    pve.power("stop")
    pve.ok("DELETE", "/nodes/h1/qemu/100", purge=1)
    pve.as_root("GET", "/version")
    requests = list(read_events(pve.directory / "events.jsonl", kind="request"))
    assert list(violations(requests)) == []
    created = next(request for request in requests if request["route"] == "/nodes/{node}/qemu")
    assert created["form"]["net0"] == "virtio,bridge=vmbr0"
    assert created["form"]["cipassword"] == NOT_SAID
    assert not [secret for secret in ("hunter2", "toor", "s3cret") if secret in json.dumps(requests)]
    assert len(list(violations([{**created, "form": {"vmid": "1"}}]))) == 1
