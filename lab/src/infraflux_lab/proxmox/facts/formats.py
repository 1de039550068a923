"""Named text formats: which texts pass, and what Proxmox says of the others."""

import ipaddress
import re
from collections.abc import Callable

Check = Callable[[str], str | None]
"""The complaint about a text, or None."""

_CONFIG_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]+")
_LONG_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]")
_VOLUME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]:.+", re.DOTALL)
_DNS_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DNS = re.compile(rf"(?:{_DNS_PART}\.)*{_DNS_PART}")
_STARTUP_PART = re.compile(r"(?:order=)?\d+|up=\d+|down=\d+")
_REALM = r"[A-Za-z][A-Za-z0-9.\-_]+"
_HOTPLUG = frozenset({"network", "disk", "cpu", "memory", "usb", "cloudinit"})
SMALLEST_PREFIX = 8
PRIVILEGE_SETS = {
    "VM": "Allocate Audit Backup Clone Config.CDROM Config.CPU Config.Cloudinit Config.Disk Config.HWType "
    "Config.Memory Config.Network Config.Options Console GuestAgent.Audit GuestAgent.FileRead "
    "GuestAgent.FileSystemMgmt GuestAgent.FileWrite GuestAgent.Unrestricted Migrate PowerMgmt Replicate Snapshot "
    "Snapshot.Rollback",
    "Sys": "AccessNetwork Audit Console Incoming Modify PowerMgmt Syslog",
    "Datastore": "Allocate AllocateSpace AllocateTemplate Audit",
    "SDN": "Allocate Audit Use",
    "Pool": "Allocate Audit",
    "Mapping": "Audit Modify Use",
    "User": "Modify",
    "Group": "Allocate",
    "Realm": "Allocate AllocateUser",
    "Permissions": "Modify",
}
"""Proxmox VE 9.1, `pveum` chapter of the administration guide, table of privileges."""
PRIVILEGES = frozenset(f"{group}.{name}" for group, names in PRIVILEGE_SETS.items() for name in names.split())


def _matching(pattern: str, complaint: str, flags: int = 0) -> Check:
    compiled = re.compile(pattern, flags)
    return lambda text: None if compiled.fullmatch(text) else complaint.format(text)


def _storage(text: str) -> str | None:
    if len(text) < 2:
        return f"storage ID '{text}' cannot be shorter than 2 characters"
    return None if _LONG_ID.fullmatch(text) else f"storage ID '{text}' contains illegal characters"


def _volume(text: str) -> str | None:
    return None if _VOLUME.fullmatch(text) else f"unable to parse volume ID '{text}'"


def _volume_or_path(text: str) -> str | None:
    return None if text.startswith("/") else _volume(text)


def _drive_file(text: str) -> str | None:
    return None if text in ("none", "cdrom") else _volume_or_path(text)


def is_ip(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ip_of(version: int) -> Check:
    def check(text: str) -> str | None:
        if is_ip(text) and ipaddress.ip_address(text).version == version:
            return None
        return f"value does not look like a valid IPv{version} address"

    return check


def _address(text: str) -> str | None:
    return None if is_ip(text) or _DNS.fullmatch(text) else f"value does not look like a valid address: {text}"


def _is_network(text: str, version: int) -> bool:
    address, slash, prefix = text.partition("/")
    if not (slash and prefix.isdigit() and is_ip(address)):
        return False
    parsed = ipaddress.ip_address(address)
    return parsed.version == version and SMALLEST_PREFIX <= int(prefix) <= parsed.max_prefixlen


def _cidr(text: str) -> str | None:
    if _is_network(text, 4) or _is_network(text, 6):
        return None
    return "value does not look like a valid CIDR network"


def _ipv4_config(text: str) -> str | None:
    if text in ("dhcp", "manual") or _is_network(text, 4):
        return None
    return "value does not look like a valid ipv4 network configuration"


def _ipv6_config(text: str) -> str | None:
    if text in ("auto", "dhcp", "manual") or _is_network(text, 6):
        return None
    return "value does not look like a valid ipv6 network configuration"


def _startup(text: str) -> str | None:
    parts = [part for part in text.split(",") if part.strip()]
    return None if parts and all(map(_STARTUP_PART.fullmatch, parts)) else "unable to parse startup options"


def _hotplug(text: str) -> str | None:
    names = [] if text in ("0", "1") else re.split(r"[,; ]+", text)
    wrong = next((name for name in names if name not in _HOTPLUG), None)
    return None if wrong is None else f"invalid hotplug feature '{wrong}'"


def _cpu_set(text: str) -> str | None:
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            return f"could not parse cpuset '{text}'"
    return None


FORMATS: dict[str, Check] = {
    "address": _address,
    "backup-list": _matching(
        r"(?:keep-(?:all|last|hourly|daily|weekly|monthly|yearly)=\d+,?)+", "unable to parse prune-backups option"
    ),
    "boot-device": _matching(
        r"(?:ide[0-3]|sata[0-5]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|net(?:[12]?\d|3[01])|usb(?:\d|1[0-3])"
        r"|hostpci(?:\d|1[0-5]))",
        "invalid boot device '{}'",
    ),
    "bridge": _matching(r"[-_.\w]+", "invalid bridge ID '{}'", re.ASCII),
    "cidr": _cidr,
    "config-id": lambda text: None if _CONFIG_ID.fullmatch(text) else f"invalid configuration ID '{text}'",
    "content": _matching(r"images|rootdir|vztmpl|iso|backup|snippets|import|none", "invalid content type '{}'"),
    "cpu-set": _cpu_set,
    "dns-name": lambda text: None if _DNS.fullmatch(text) else "value does not look like a valid DNS name",
    "drive-file": _drive_file,
    "email": _matching(
        r"|[\w+.~-]+@[\w.-]+\.[a-zA-Z]+|[\w+.~-]+@[\w.-]+", "value does not look like a valid email address"
    ),
    "group": _matching(r"[A-Za-z0-9.\-_]+", "group name '{}' contains invalid characters"),
    "ha-node": _matching(rf"{_DNS_PART}(?::\d+)?", "value does not look like a valid node name"),
    "hotplug": _hotplug,
    "ipv4": _ip_of(4),
    "ipv4-config": _ipv4_config,
    "ipv6": _ip_of(6),
    "ipv6-config": _ipv6_config,
    "mac": _matching(
        r"[a-f0-9][02468ace](?::[a-f0-9]{2}){5}", "value does not look like a valid unicast MAC address", re.IGNORECASE
    ),
    "node": _matching(_DNS_PART, "value does not look like a valid node name"),
    "phys-bits": lambda text: (
        None
        if text == "host" or (text.isdigit() and 8 <= int(text) <= 64)
        else "value must be an integer between 8 and 64 or 'host'"
    ),
    "pool": _matching(r"[A-Za-z0-9.\-_]+(?:/[A-Za-z0-9.\-_]+){0,2}", "pool name '{}' contains invalid characters"),
    "privilege": lambda text: None if text in PRIVILEGES else f"invalid privilege '{text}'",
    "realm": _matching(_REALM, "value does not look like a valid realm"),
    "resource-id": _matching(r"(?:vm|ct):[1-9]\d{2,8}", "value does not look like a valid HA resource ID"),
    "resource-or-vm-id": _matching(r"(?:(?:vm|ct):)?[1-9]\d{2,8}", "value does not look like a valid HA resource ID"),
    "role": _matching(r"[A-Za-z0-9.\-_]+", "role name '{}' contains invalid characters"),
    "size": _matching(r"\d+(?:\.\d+)?[KMGT]?", "value does not look like a valid disk size: {}"),
    "startup": _startup,
    "storage": _storage,
    "storage-pair": _matching(
        r"[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9](?::[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9])?|1",
        "storage ID '{}' contains illegal characters",
    ),
    "tag": _matching(r"[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*", "invalid characters in tag '{}'"),
    "task-status": _matching(r"ok|error|warning|unknown", "invalid status '{}'"),
    "text": lambda _text: None,
    "token": _matching(rf"[^\s:/]+@{_REALM}!{_REALM}", "value '{}' does not look like a valid token ID"),
    "token-name": _matching(_REALM, "value does not match the regex pattern"),
    "urlencoded": _matching(r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {}"),
    "user": _matching(rf"[^\s:/]+@{_REALM}", "value '{}' does not look like a valid user name"),
    "vm": _matching(r"[1-9]\d{2,8}", "value does not look like a valid VM ID"),
    "volume": _volume,
    "volume-or-path": _volume_or_path,
}
