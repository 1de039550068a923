"""Which privileges a change of each option needs.

From PVE::API2::Qemu of Proxmox VE 9.1: `check_vm_modify_config_perm`, and the checks of drives, serial ports, USB, PCI
and directories beside it. What no table names is for root alone, and no API token is root.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infraflux_lab.proxmox.errors import PveError, bad_parameter
from infraflux_lab.proxmox.facts.check import split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.schema import SYSTEM_DRIVES, family, is_drive

_BY_PRIVILEGE: Mapping[str, str] = {
    "VM.Config.CPU": "cores cpu cpulimit cpuunits numa smp sockets vcpus",
    "VM.Config.Memory": "allow-ksm balloon memory shares",
    "VM.Config.HWType": "acpi audio0 hotplug kvm machine rng0 scsihw smbios1 tablet vga watchdog",
    "VM.Config.Options": "agent autostart bios description keyboard localtime migrate_downtime migrate_speed name "
    "onboot ostype protection reboot startdate startup tags tdf template",
    "VM.PowerMgmt": "freeze",
    "VM.Config.Disk": "boot bootdisk vmstatestorage",
}
_PRIVILEGE = {name: privilege for privilege, names in _BY_PRIVILEGE.items() for name in names.split()}
_FAMILY_PRIVILEGE = {"net": "VM.Config.Network", "numa": "VM.Config.CPU", "unused": "VM.Config.Disk"}
CLOUD_INIT = frozenset(
    {"cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain", "sshkeys"}
)


@dataclass(frozen=True, kw_only=True)
class Need:
    """Any one of the privileges on a path; an empty path is the guest itself."""

    privileges: tuple[str, ...]
    path: str = ""


_HARDWARE = Need(privileges=("VM.Config.HWType",))


def needs(option: str, text: str, *, verb: str = "set") -> list[Need]:
    """What changing an option to, or from, this text needs; raises where only root may.

    Such refusals have status 500: they come from a plain `die`, not from the permission check.
    """
    kind = family(option)
    if is_drive(option) or option in SYSTEM_DRIVES:
        return _drive(text)
    if kind != option and kind in _DEVICES:
        return _DEVICES[kind](option, text, verb)
    if option in CLOUD_INIT or kind == "ipconfig" != option:
        return [Need(privileges=("VM.Config.Cloudinit", "VM.Config.Network"))]
    privilege = _FAMILY_PRIVILEGE.get(kind) if kind != option else _PRIVILEGE.get(option)
    if privilege is None:
        raise PveError(f"only root can set '{option}' config")
    return [Need(privileges=(privilege,)), *_beside(option, text)]


def _beside(option: str, text: str) -> list[Need]:
    if option == "startup":
        # It changes what the host does at its own start.
        return [Need(path="/", privileges=("Sys.Modify",))]
    if option == "rng0" and "/dev/hwrng" in text:
        return [Need(path="/mapping/hwrng", privileges=("Mapping.Use",))]
    return []


def _drive(text: str) -> list[Need]:
    names = ["VM.Config.Disk"]
    if "cloudinit" in text:
        names = ["VM.Config.Cloudinit", "VM.Config.CDROM"]
    elif "media=cdrom" in text:
        names = ["VM.Config.CDROM"]
    return [Need(privileges=(name,)) for name in names]


def _serial(option: str, text: str, verb: str) -> list[Need]:
    if text != "socket":
        raise PveError(f"only root can {verb} '{option}' config for real devices")
    return [_HARDWARE]


def _usb(option: str, text: str, _verb: str) -> list[Need]:
    device = split_pairs(PAIRS["usb"], text)
    if device.get("host", "").lower() == "spice":
        return [_HARDWARE]
    if "host" in device:
        raise PveError(f"only root can set '{option}' config for real devices")
    return [_HARDWARE, _mapping("usb", device)]


def _pci(option: str, text: str, _verb: str) -> list[Need]:
    device = split_pairs(PAIRS["hostpci"], text)
    if "host" in device:
        raise PveError(f"only root can set '{option}' config for non-mapped devices")
    wanted = [_mapping("pci", device), _HARDWARE]
    if "romfile" in device:
        raise bad_parameter(option, "only root@pam can set 'romfile' option")
    return wanted


def _directory(_option: str, text: str, _verb: str) -> list[Need]:
    directory = split_pairs(PAIRS["virtiofs"], text)["dirid"]
    return [Need(privileges=("VM.Config.Disk",)), Need(path=f"/mapping/dir/{directory}", privileges=("Mapping.Use",))]


def _mapping(kind: str, device: Mapping[str, str]) -> Need:
    if "mapping" not in device:
        raise PveError("either 'host' or 'mapping' must be set.")
    return Need(path=f"/mapping/{kind}/{device['mapping']}", privileges=("Mapping.Use",))


_DEVICES: Mapping[str, Callable[[str, str, str], list[Need]]] = {
    "serial": _serial,
    "usb": _usb,
    "hostpci": _pci,
    "virtiofs": _directory,
}
