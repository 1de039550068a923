"""What a machine runs with, and what Proxmox keeps for its next start. Facts and pure functions, no call.

`GET /nodes/{node}/qemu/{vmid}/pending` lists each option with the `value` in force and, where another one waits,
`pending` or `delete` (pve-docs, API viewer). What reaches a running machine at once depends on qm.conf's `hotplug`,
`network,disk,usb` where it is not set (qm.conf(5)); everything else waits until the machine's process starts anew, by
a stop and a start or Proxmox' own reboot. A reboot from inside keeps the process, and the old hardware with it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ABSENT = "(absent)"
_UNITS = {"memory": " MiB", "balloon": " MiB"}
_DEFAULTS = {"cores": "1", "sockets": "1", "memory": "512", "bios": "seabios", "scsihw": "lsi", "cpu": "kvm64"}
"""qm.conf(5): what an option means that is not there."""
_SAME_WORD = {
    "cpu[0].cores": "cores",
    "cpu[0].sockets": "sockets",
    "cpu[0].type": "cpu",
    "memory[0].dedicated": "memory",
    "memory[0].floating": "balloon",
    "machine": "machine",
    "bios": "bios",
    "scsi_hardware": "scsihw",
}
"""Attribute of bpg/proxmox' `proxmox_virtual_environment_vm` and the option that has its value as it is."""
_OTHER_WORDS = {
    r"cpu\[0\]\.(?:flags|architecture)": "cpu",
    r"cpu\[0\]\.numa": "numa",
    r"cpu\[0\]\.affinity": "affinity",
    r"cpu\[0\]\.hotplugged": "vcpus",
    r"memory\[0\]\.(?:shared|hugepages|keep_hugepages)": "hugepages",
    "acpi": "acpi",
    "agent": "agent",
    "amd_sev": "amd-sev",
    "audio_device": "audio",
    "boot_order": "boot",
    "efi_disk": "efidisk",
    "hostpci": "hostpci",
    "keyboard_layout": "keyboard",
    "kvm_arguments": "args",
    "numa": "numa",
    "operating_system": "ostype",
    "rng": "rng",
    "serial_device": "serial",
    "smbios": "smbios",
    "tpm_state": "tpmstate",
    "vga": "vga",
    "virtiofs": "virtiofs",
    "watchdog": "watchdog",
    r"disk\[\d+\]\.(?:aio|cache|discard|iothread|queues|ssd)": "scsi",
}
"""Attributes that wait as well, by pattern, and the family of options that they are written to in other words. Of a
drive that stays only what its device is made with (PVE::QemuServer, `vmconfig_update_disk`); drives, cards and USB
devices themselves are plugged at once."""


@dataclass(frozen=True, kw_only=True)
class WaitingValue:
    """One option of a machine whose value in force is not the one of its next start; both as text that is shown."""

    option: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.option}: {self.before} → {self.after}"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Options of one machine by name."""

    running: Mapping[str, str] = field(default_factory=dict)
    """Values in force."""
    waiting: Mapping[str, str | None] = field(default_factory=dict)
    """Values of the next start, where another is in force; None: the option goes."""


@dataclass(frozen=True, kw_only=True)
class AttributeChange:
    """What Terraform changes of a machine: an attribute before and after, as its plan shows them."""

    path: str
    before: str
    after: str


def hardware_of(rows: Iterable[Mapping[str, Any]]) -> Hardware:
    """The answer of `GET pending` as facts."""
    running: dict[str, str] = {}
    waiting: dict[str, str | None] = {}
    for row in rows:
        name = str(row["key"])
        if "value" in row:
            running[name] = _plain(name, row["value"])
        if row.get("delete"):
            waiting[name] = None
        elif "pending" in row:
            waiting[name] = _plain(name, row["pending"])
    return Hardware(running=running, waiting=waiting)


def waiting_values(hardware: Hardware, changes: Iterable[AttributeChange] = ()) -> tuple[WaitingValue, ...]:
    """What will wait for the machine's next start once these changes are made, by option.

    One that brings an option back to the value in force leaves nothing to wait for: Proxmox drops what waited. Where
    the words of attribute and option differ, a change of what waits already is taken for that.
    """
    ahead, others = dict(hardware.waiting), []
    for one in changes:
        if option := _SAME_WORD.get(one.path):
            ahead[option] = _plain(option, one.after)
        elif family := _family_of(one.path):
            back = [option for option in ahead if option.rstrip("0123456789") == family]
            for option in back:
                del ahead[option]
            others += [] if back else [WaitingValue(option=one.path, before=one.before, after=one.after)]
    found = [_value(option, hardware, after) for option, after in ahead.items()]
    values = [one for one in found if one.before != one.after]
    return tuple(sorted([*values, *others], key=lambda one: one.option))


def needs_restart(path: str) -> bool:
    """Whether a running machine takes a change of this attribute up at its next start only."""
    return path in _SAME_WORD or bool(_family_of(path))


def _family_of(path: str) -> str:
    return next((option for words, option in _OTHER_WORDS.items() if re.match(rf"{words}\b", path)), "")


def is_known(option: str) -> bool:
    """Whether the value of an option follows from one attribute, so that a plan can hold it."""
    return option in _SAME_WORD.values()


def _value(option: str, hardware: Hardware, after: str | None) -> WaitingValue:
    before = hardware.running.get(option, _DEFAULTS.get(option, ABSENT))
    if after is None:
        return WaitingValue(option=option, before=before, after=_DEFAULTS.get(option, ABSENT))
    return WaitingValue(option=option, before=before, after=after)


def _plain(option: str, value: Any) -> str:
    """An option's text without what can be said in two ways: `current=8192` is `8192`, `cputype=host` is `host`."""
    text = str(value)
    if option == "memory":
        text = text.removeprefix("current=")
    elif option == "cpu":
        text = text.removeprefix("cputype=").removesuffix(",flags=")
    return text


def shown(one: WaitingValue) -> str:
    """For people: `memory: 8192 → 12288 MiB`."""
    return f"{one}{_UNITS.get(one.option, '')}"
