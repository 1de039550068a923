"""Changes that wait for the next start of a guest, and what happens to its drives when they are made."""

import re
from collections.abc import Mapping
from typing import Any

from infraflux_lab.proxmox.drives import volume_of
from infraflux_lab.proxmox.facts.check import split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.model import Guest
from infraflux_lab.proxmox.rights import CLOUD_INIT
from infraflux_lab.proxmox.schema import SYSTEM_DRIVES, family, is_drive
from infraflux_lab.proxmox.storage import Storages

HIDDEN = "**********"
_SEED_FAMILIES = frozenset({"ipconfig", "net"})
_SEPARATORS = re.compile(r"[;, ]+")


def shown_pending(guest: Guest) -> list[dict[str, Any]]:
    """What GET pending answers."""
    rows = []
    for key in sorted({*guest.config, *guest.pending}):
        row: dict[str, Any] = {"key": key}
        if key in guest.config:
            row["value"] = HIDDEN if key == "cipassword" else guest.config[key]
        if key in guest.pending and guest.pending[key] is None:
            row["delete"] = 1
        elif key in guest.pending:
            row["pending"] = HIDDEN if key == "cipassword" else guest.pending[key]
        rows.append(row)
    return rows


def apply_pending(guest: Guest, storages: Storages) -> None:
    """Make what waits true: the guest is off, or about to start."""
    for option, value in list(guest.pending.items()):
        old = guest.config.get(option)
        replaced = (
            value is None or volume_of(str(value)) != volume_of(str(old)) if _is_volume(option) and old else False
        )
        if replaced:
            retire(guest, str(old), storages)
        if value is None:
            guest.config.pop(option, None)
        else:
            guest.config[option] = value
    guest.pending = {}


def _is_volume(option: str) -> bool:
    return is_drive(option) or option in SYSTEM_DRIVES


def retire(guest: Guest, text: str, storages: Storages) -> None:
    """A detached disk stays as `unusedN`; a cloud-init drive is deleted."""
    volid = volume_of(text)
    if ":" not in volid or storages.find(volid, guest.node) is None:
        return
    if "cloudinit" in volid:
        storages.delete(volid, guest.node)
    elif "media=cdrom" not in text:
        free = next(f"unused{index}" for index in range(256) if f"unused{index}" not in guest.config)
        guest.config[free] = volid


def is_cd(text: str) -> bool:
    """Whether a drive is a CD that somebody put in, not the cloud-init drive."""
    return "media=cdrom" in text and "cloudinit" not in text


def boot_order(options: Mapping[str, Any]) -> list[str]:
    """Devices of the option `boot`, if it names any."""
    order = split_pairs(PAIRS["boot"], str(options.get("boot", ""))).get("order", "")
    return [device for device in _SEPARATORS.split(order) if device]


def print_boot_order(devices: list[str]) -> str:
    """The option `boot` for these devices; empty where there are none."""
    return f"order={';'.join(devices)}" if devices else ""


def default_boot_order(config: Mapping[str, Any]) -> str:
    """What a guest without an order gets: its first disk, CD and card (PVE::QemuServer, `get_default_bootdevices`)."""
    drives = [option for option in sorted(config, key=_by_bus) if is_drive(option)]
    firsts = (
        next((option for option in drives if "media=cdrom" not in str(config[option])), None),
        next((option for option in drives if is_cd(str(config[option]))), None),
        next((option for option in sorted(config) if family(option) == "net" != option), None),
    )
    return print_boot_order([option for option in firsts if option])


def _by_bus(option: str) -> tuple[int, int]:
    buses = ("ide", "scsi", "virtio", "sata")
    kind = family(option)
    return (buses.index(kind) if kind in buses else len(buses), int(option.removeprefix(kind) or 0))


def seed_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a cloud-init drive is written from."""
    return {
        option: value
        for option, value in config.items()
        if option in CLOUD_INIT
        or option == "name"
        or (option != family(option) and family(option) in ("ipconfig", "net"))
    }


def shown_seed(guest: Guest) -> list[dict[str, Any]]:
    """What the cloud-init drive has, and what it would have if it were written now."""
    new = seed_of(guest.wanted)
    rows = []
    for key in sorted({*guest.seed, *new}):
        row: dict[str, Any] = {"key": key}
        if key in guest.seed:
            row["value"] = HIDDEN if key == "cipassword" else guest.seed[key]
        if key not in new:
            row["delete"] = 1
        elif guest.seed.get(key) != new[key]:
            row["pending"] = HIDDEN if key == "cipassword" else new[key]
        rows.append(row)
    return rows
