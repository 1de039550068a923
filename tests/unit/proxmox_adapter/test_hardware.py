"""What waits for a machine's next start: as Proxmox answers, and as it will be once Terraform has changed it."""

import pytest

from infraflux.adapters.proxmox.hardware import (
    AttributeChange,
    WaitingValue,
    hardware_of,
    needs_restart,
    shown,
    waiting_values,
)

RUNNING = [
    {"key": "cores", "value": 2},
    {"key": "cpu", "value": "x86-64-v2-AES"},
    {"key": "memory", "value": "4096"},
    {"key": "name", "value": "a"},
    {"key": "scsi0", "value": "lvm:vm-1-disk-0,size=20G"},
]


def rows(**changes):
    """RUNNING with what waits, by option; None deletes it."""
    known = {row["key"]: row for row in RUNNING}
    for option, value in changes.items():
        row = known.setdefault(option, {"key": option})
        known[option] = {**row, **({"delete": 1} if value is None else {"pending": value})}
    return list(known.values())


def change(path, before, after):
    return AttributeChange(path=path, before=before, after=after)


CASES = {
    "nothing waits": ({}, [], []),
    "memory waits": ({"memory": "8192"}, [], ["memory: 4096 → 8192 MiB"]),
    "memory in its long form": ({"memory": "current=8192"}, [], ["memory: 4096 → 8192 MiB"]),
    "the same in its long form is nothing": ({"memory": "current=4096"}, [], []),
    "an option that goes": ({"cpu": None}, [], ["cpu: x86-64-v2-AES → kvm64"]),
    "a card that goes": ({"hostpci0": None}, [], []),
    "a device that comes": ({"hostpci0": "mapping=gpu"}, [], ["hostpci0: (absent) → mapping=gpu"]),
    "Terraform gives it memory": ({}, [("memory[0].dedicated", "4096", "8192")], ["memory: 4096 → 8192 MiB"]),
    "Terraform gives it more than what waits": (
        {"memory": "8192"},
        [("memory[0].dedicated", "8192", "12288")],
        ["memory: 4096 → 12288 MiB"],
    ),
    "Terraform takes back what somebody edited": ({"cores": 4}, [("cpu[0].cores", "4", "2")], []),
    "it takes one of two back": (
        {"cores": 4, "memory": "8192"},
        [("cpu[0].cores", "4", "2")],
        ["memory: 4096 → 8192 MiB"],
    ),
    "Terraform puts back a boot order that somebody edited": (
        {"boot": "order=net0"},
        [("boot_order[0]", "net0", "scsi0")],
        [],
    ),
    "a boot order that changes": ({}, [("boot_order[0]", "scsi0", "net0")], ["boot_order[0]: scsi0 → net0"]),
    "another processor": ({}, [("cpu[0].type", "x86-64-v2-AES", "host")], ["cpu: x86-64-v2-AES → host"]),
    "SSD emulation of a drive": ({}, [("disk[0].ssd", "false", "true")], ["disk[0].ssd: false → true"]),
    "a passed-through device": ({}, [("hostpci", "[]", '[{"device": "hostpci0"}]')], ["hostpci: [] → "]),
    "a bigger disk does not wait": ({}, [("disk[0].size", "20", "30")], []),
    "another disk does not wait": ({}, [("disk", "[1]", "[1, 2]")], []),
    "another bridge does not wait": ({}, [("network_device[0].bridge", "vmbr0", "vmbr1")], []),
    "its weight does not wait": ({}, [("cpu[0].units", "100", "50")], []),
    "tags and start order do not wait": ({}, [("tags", "a", "b"), ("startup[0].order", "1", "2")], []),
    "power is no hardware": ({}, [("started", "false", "true")], []),
}  # fmt: skip


@pytest.mark.parametrize(("waiting", "changes", "expected"), CASES.values(), ids=CASES)
def test_what_waits(waiting, changes, expected):
    found = [shown(one) for one in waiting_values(hardware_of(rows(**waiting)), [change(*one) for one in changes])]
    assert len(found) == len(expected), found
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


def test_values_are_shown_with_their_unit():
    assert shown(WaitingValue(option="cores", before="2", after="4")) == "cores: 2 → 4"


@pytest.mark.parametrize(
    ("path", "waits"),
    [("memory[0].dedicated", True), ("numa[0].cpus", True), ("name", False), ("node_name", False), ("started", False)],
)
def test_attributes_that_wait(path, waits):
    assert needs_restart(path) is waits
