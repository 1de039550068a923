"""What is sent, and what is read back."""

import re

import pytest

from .conftest import Pve

ROUND_TRIPS = {
    "numbers stay numbers": ({"cores": "4", "sockets": "2", "balloon": "0"}, {"cores": 4, "sockets": 2, "balloon": 0}),
    "booleans are 1 or 0": (
        {"onboot": "1", "protection": "0", "numa": "1"},
        {"onboot": 1, "protection": 0, "numa": 1},
    ),
    "memory is text": ({"memory": "2048"}, {"memory": "2048"}),
    "memory as a property": ({"memory": "current=4096"}, {"memory": "4096"}),
    "tags are lower-cased, unique and sorted": ({"tags": "Zulu,alpha;zulu mike"}, {"tags": "alpha;mike;zulu"}),
    "free text is kept": (
        {"cpu": "cputype=host", "scsi0": "lvm:1", "net0": "virtio", "boot": "order=scsi0;net0"},
        {"cpu": "cputype=host", "boot": "order=scsi0;net0"},
    ),
    "address in capitals, model in front": (
        {"net0": "model=virtio,bridge=vmbr0,macaddr=bc:24:11:aa:bb:cc,tag=12"},
        {"net0": "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,tag=12"},
    ),
    "fractions": ({"cpulimit": "1.5"}, {"cpulimit": 1.5}),
    "a password is never shown": ({"cipassword": "hunter2"}, {"cipassword": "**********"}),
    "new disk": ({"scsi0": "lvm:8"}, {"scsi0": "lvm:vm-100-disk-0,size=8G"}),
    "new disk as the provider writes it": (
        {"scsi0": "file=lvm:8,format=raw,size=8589934592,iothread=1,discard=on"},
        {"scsi0": "lvm:vm-100-disk-0,discard=on,iothread=1,size=8G"},
    ),
    "disks are numbered": (
        {"scsi0": "lvm:8", "virtio1": "lvm:1"},
        {"scsi0": "lvm:vm-100-disk-0,size=8G", "virtio1": "lvm:vm-100-disk-1,size=1G"},
    ),
    "firmware disks": (
        {"efidisk0": "file=lvm:1,efitype=4m", "tpmstate0": "file=lvm:1,version=v2.0"},
        {"efidisk0": "lvm:vm-100-disk-0,efitype=4m,size=4M", "tpmstate0": "lvm:vm-100-disk-1,size=4M,version=v2.0"},
    ),
    "cloud-init drive": (
        {"ide2": "file=lvm:cloudinit,media=cdrom"},
        {"ide2": "lvm:vm-100-cloudinit,media=cdrom,size=4M"},
    ),
    "empty drive": ({"ide2": "none,media=cdrom"}, {"ide2": "none,media=cdrom"}),
}


@pytest.mark.parametrize(("sent", "read"), ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_round_trip(pve: Pve, sent: dict[str, str], read: dict[str, object]) -> None:
    pve.guest(**sent)
    found = pve.config()
    assert {name: found[name] for name in read} == read


@pytest.mark.parametrize(("sent", "read"), ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_round_trip_of_a_change(pve: Pve, sent: dict[str, str], read: dict[str, object]) -> None:
    pve.guest()
    pve.ok("PUT", "/nodes/h1/qemu/100/config", **sent)
    found = pve.config()
    assert {name: found[name] for name in read} == read


def test_identity_is_made_up_where_none_is_given(pve: Pve) -> None:
    pve.guest(net0="virtio,bridge=vmbr0")
    found = pve.config()
    assert re.fullmatch(r"uuid=[0-9a-f-]{36}", found["smbios1"])
    assert re.fullmatch(r"virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0", found["net0"])
    assert re.fullmatch(r"[0-9a-f]{40}", found["digest"])


REFUSED = {
    "unknown option": ({"colour": "red"}, "colour", "property is not defined in schema"),
    "not a number": ({"cores": "many"}, "cores", "type check ('integer') failed - got 'many'"),
    "too small": ({"cores": "0"}, "cores", "value must have a minimum value of 1"),
    "not a boolean": ({"onboot": "maybe"}, "onboot", "type check ('boolean') failed - got 'maybe'"),
    "not a name": ({"name": "no_underscores"}, "name", "valid DNS name"),
    "not a tag": ({"tags": "a;b$"}, "tags", "invalid characters in tag 'b$'"),
    "no such drive property": (
        {"scsi0": "lvm:1,colour=red"},
        "scsi0",
        "invalid key in comma-separated list property: colour",
    ),
    "no such index": ({"scsi31": "lvm:1"}, "scsi31", "property is not defined in schema"),
    "no such card": ({"net0": "bridge=vmbr0"}, "net0", "model: property is missing"),
    "bad address": ({"net0": "virtio=01:02:03:04:05:06"}, "net0", "unicast MAC address"),
}


@pytest.mark.parametrize(("sent", "option", "text"), REFUSED.values(), ids=REFUSED)
def test_refused_and_nothing_made(pve: Pve, sent: dict[str, str], option: str, text: str) -> None:
    answer = pve.call("POST", "/nodes/h1/qemu", vmid=100, **sent)
    assert (answer.status, answer.reason) == (400, "Parameter verification failed.")
    assert text in answer.errors[option]
    assert pve.ok("GET", "/cluster/resources", type="vm") == []


def test_all_wrong_options_come_at_once(pve: Pve) -> None:
    answer = pve.call("POST", "/nodes/h1/qemu", vmid=100, cores="x", onboot="y")
    assert sorted(answer.errors) == ["cores", "onboot"]
