"""Which options a guest has, their JSON types, and which privilege changes them.

Proxmox stores everything as text and answers numbers for integer and boolean options; clients rely on that.
"""

import re
from collections.abc import Mapping
from typing import Any

from infraflux_lab.proxmox.errors import bad_parameters


def words(text: str) -> frozenset[str]:
    """A set of names, written as a sentence."""
    return frozenset(text.split())


BOOLEANS = words(
    "acpi allow-ksm autostart ciupgrade freeze keephugepages kvm localtime numa onboot protection reboot tablet tdf "
    "template"
)
INTEGERS: Mapping[str, int] = {
    "balloon": 0, "cores": 1, "cpuunits": 1, "migrate_speed": 0, "shares": 0, "sockets": 1, "vcpus": 1,
}  # fmt: skip
"""Integer options with their smallest value."""
NUMBERS = frozenset({"cpulimit", "migrate_downtime"})
STRINGS = words(
    "affinity agent amd-sev arch args audio0 bios boot bootdisk cdrom cicustom cipassword citype ciuser cpu "
    "description efidisk0 hookscript hotplug hugepages intel-tdx ivshmem keyboard lock machine memory name nameserver "
    "ostype rng0 running-nets-host-mtu scsihw searchdomain smbios1 spice_enhancements sshkeys startdate startup tags "
    "tpmstate0 vga vmgenid vmstatestorage watchdog"
)
INDEXED: Mapping[str, int] = {
    "hostpci": 15, "ide": 3, "ipconfig": 31, "net": 31, "numa": 7, "parallel": 2, "sata": 5, "scsi": 30, "serial": 3,
    "unused": 255, "usb": 13, "virtio": 15, "virtiofs": 9,
}  # fmt: skip
"""Option families with their highest index."""
DRIVES = frozenset({"ide", "sata", "scsi", "virtio"})
SYSTEM_DRIVES = frozenset({"efidisk0", "tpmstate0"})

CLOUD_INIT = words("cicustom cipassword citype ciupgrade ciuser nameserver searchdomain sshkeys")
# Options that take effect on a running guest at once; all others wait as pending until the next start.
APPLIED_LIVE = words(
    "balloon cpulimit cpuunits description hookscript hotplug lock name onboot protection shares startup tags "
    "vmstatestorage"
)
HOTPLUGGED = frozenset({"net", "scsi", "sata", "virtio", "unused", "usb"})

PRIVILEGES: Mapping[str, frozenset[str]] = {
    "VM.Config.CPU": words("affinity arch cores cpu cpulimit cpuunits numa sockets vcpus"),
    "VM.Config.Memory": words("allow-ksm balloon hugepages keephugepages memory shares"),
    "VM.Config.HWType": words(
        "acpi audio0 bios hotplug kvm keyboard machine rng0 scsihw smbios1 spice_enhancements tablet vga vmgenid "
        "watchdog"
    ),
    "VM.Config.Cloudinit": CLOUD_INIT,
}
_FAMILY_PRIVILEGES: Mapping[str, str] = {
    "hostpci": "VM.Config.HWType", "ide": "VM.Config.Disk", "ipconfig": "VM.Config.Cloudinit",
    "net": "VM.Config.Network", "numa": "VM.Config.CPU", "sata": "VM.Config.Disk", "scsi": "VM.Config.Disk",
    "serial": "VM.Config.HWType", "unused": "VM.Config.Disk", "usb": "VM.Config.HWType",
    "virtio": "VM.Config.Disk", "virtiofs": "VM.Config.Options",
}  # fmt: skip

_INDEXED_NAME = re.compile(r"^([a-z]+)(\d+)$")
_DNS_NAME = re.compile(r"^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$")
_TAG = re.compile(r"^[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*$")
_TAG_SEPARATORS = re.compile(r"[,; ]+")


def family(name: str) -> str:
    """`scsi` of `scsi0`; the name itself where it has no index."""
    match = _INDEXED_NAME.match(name)
    if match and match[1] in INDEXED and int(match[2]) <= INDEXED[match[1]]:
        return match[1]
    return name


def is_drive(name: str) -> bool:
    """Whether the option is a disk or CD drive (not EFI, TPM or unused)."""
    return name != family(name) and family(name) in DRIVES


def is_volume_option(name: str) -> bool:
    """Whether the option refers to a volume the guest owns."""
    return is_drive(name) or name in SYSTEM_DRIVES or name.startswith("unused")


def known(name: str) -> bool:
    """Whether a guest has such an option."""
    return name in BOOLEANS or name in INTEGERS or name in NUMBERS or name in STRINGS or name != family(name)


def privilege_for(name: str, text: str = "") -> str:
    """The privilege that allows to change the option."""
    if family(name) in DRIVES and "media=cdrom" in text:
        return "VM.Config.CDROM"
    if name in SYSTEM_DRIVES:
        return "VM.Config.Disk"
    for privilege, names in PRIVILEGES.items():
        if name in names:
            return privilege
    return _FAMILY_PRIVILEGES.get(family(name), "VM.Config.Options") if name != family(name) else "VM.Config.Options"


def live(name: str) -> bool:
    """Whether a change reaches a running guest without a restart."""
    return name in APPLIED_LIVE or (name != family(name) and family(name) in HOTPLUGGED)


def parse_options(form: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of a form; raises 400 with every wrong option at once."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, text in form.items():
        try:
            values[name] = parse_option(name, text)
        except ValueError as error:
            problems[name] = str(error)
    if problems:
        raise bad_parameters(problems)
    return values


def parse_option(name: str, text: str) -> Any:
    """Typed value of one option; ValueError holds Proxmox's text."""
    if not known(name):
        raise ValueError("property is not defined in schema and the schema does not allow additional properties")
    if name in BOOLEANS:
        return parse_boolean(text)
    if name in INTEGERS:
        return _integer(text, minimum=INTEGERS[name])
    if name in NUMBERS:
        return _number(text)
    if name == "tags":
        return normal_tags(text)
    if name == "memory":
        return str(_integer(text.removeprefix("current="), minimum=16))
    if name == "name" and not _DNS_NAME.match(text):
        raise ValueError("invalid format - value does not look like a valid DNS name\n")
    return text


def parse_boolean(text: str) -> int:
    """1 or 0 of the words Proxmox takes for a boolean."""
    lowered = text.lower()
    if lowered in ("1", "on", "yes", "true"):
        return 1
    if lowered in ("0", "off", "no", "false"):
        return 0
    raise ValueError(f"type check ('boolean') failed - got '{text}'")


def _integer(text: str, *, minimum: int) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError(f"type check ('integer') failed - got '{text}'")
    if int(text) < minimum:
        raise ValueError(f"value must have a minimum value of {minimum}")
    return int(text)


def _number(text: str) -> int | float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"type check ('number') failed - got '{text}'") from None
    return int(value) if value.is_integer() else value


def normal_tags(text: str) -> str:
    """Tags lower-cased, unique, sorted, as a cluster with default `tag-style` keeps them."""
    tags = [tag for tag in _TAG_SEPARATORS.split(text) if tag]
    for tag in tags:
        if not _TAG.match(tag):
            raise ValueError(f"invalid format - invalid characters in tag '{tag}'\n")
    return ";".join(sorted({tag.lower() for tag in tags}))


def parse_properties(text: str, *, default_key: str) -> dict[str, str]:
    """`a,b=c` as a dictionary; the part without a key is the default key's."""
    properties: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if separator:
            properties[key.strip()] = value
        else:
            properties[default_key] = part
    return properties


def print_properties(properties: Mapping[str, str], *, default_key: str) -> str:
    """The reverse: default key first without its name, the rest sorted."""
    head = [properties[default_key]] if default_key in properties else []
    return ",".join(head + [f"{key}={properties[key]}" for key in sorted(properties) if key != default_key])
