"""Which changes reach a running guest at once, and which wait for its next start.

From `vmconfig_hotplug_pending` and what it calls in PVE::QemuServer of Proxmox VE 9.1; qm.conf(5), option `hotplug`.
"""

import re
from collections.abc import Mapping
from typing import Any

from infraflux_lab.proxmox.facts.check import split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.rights import CLOUD_INIT
from infraflux_lab.proxmox.schema import SYSTEM_DRIVES, family, is_drive, words

DEFAULT_FEATURES = frozenset({"network", "disk", "usb"})
ALWAYS = CLOUD_INIT | words(
    "cpulimit cpuunits description hookscript lock migrate_downtime migrate_speed name onboot protection shares "
    "startup tags vmstatestorage"
)
# What a virtual drive is made with; bandwidth limits, `backup` and `replicate` are not among it.
_FIXED_IN_A_DRIVE = ("aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro")
_FIXED_IN_A_CARD = ("model", "macaddr", "queues", "mtu")
# Operating systems whose guests see USB devices come and go (PVE::QemuServer, `is_usb_hotplug_supported`).
_USB_SYSTEMS = frozenset({"l26", "win8", "win10", "win11"})


def features(config: Mapping[str, Any]) -> frozenset[str]:
    """What may be plugged into this guest while it runs."""
    text = str(config.get("hotplug", "1"))
    if text == "0":
        return frozenset()
    return DEFAULT_FEATURES if text == "1" else frozenset(re.split(r"[,; ]+", text))


def reaches_running(config: Mapping[str, Any], option: str, new: Any) -> bool:
    """Whether setting an option (None deletes it) takes effect at once on a guest that runs with this configuration."""
    kind = family(option)
    if option in ALWAYS or kind == "ipconfig" != option or kind == "unused" != option:
        return True
    if is_drive(option) or option in SYSTEM_DRIVES:
        return _drive(config, option, new)
    if kind == "net" != option:
        return _card(config, option, new)
    if kind == "usb" != option:
        return "usb" in features(config) and config.get("ostype") in _USB_SYSTEMS
    return _plain(config, option, new)


def _plain(config: Mapping[str, Any], option: str, new: Any) -> bool:
    old, plugs = config.get(option), features(config)
    if option == "hotplug":
        return not re.search("memory|cpu", f"{old or ''} {new or ''}")
    if option == "balloon":
        # The balloon device itself comes and goes at a start only.
        return bool(1 if old is None else old) == bool(1 if new is None else new)
    if option == "agent":
        return old is not None and new is not None and _agent_without_trim(old) == _agent_without_trim(new)
    return {"tablet": "usb", "vcpus": "cpu", "memory": "memory"}.get(option) in plugs


def _agent_without_trim(text: Any) -> dict[str, str]:
    return {key: value for key, value in split_pairs(PAIRS["agent"], str(text)).items() if key != "fstrim_cloned_disks"}


def _card(config: Mapping[str, Any], option: str, new: Any) -> bool:
    if "network" in features(config):
        return True
    if new is None or option not in config:
        return False
    old, wanted = split_pairs(PAIRS["net"], str(config[option])), split_pairs(PAIRS["net"], str(new))
    return all(old.get(key) == wanted.get(key) for key in _FIXED_IN_A_CARD) and bool(old.get("bridge")) == bool(
        wanted.get("bridge")
    )


def _drive(config: Mapping[str, Any], option: str, new: Any) -> bool:
    if option in SYSTEM_DRIVES:
        return False
    pluggable = "disk" in features(config) and family(option) in ("scsi", "virtio")
    if new is None or option not in config:
        return pluggable
    old, wanted = (split_pairs(PAIRS[family(option)], str(text)) for text in (config[option], new))
    if old.get("media") == "cdrom":
        return True
    if old["file"] != wanted["file"]:
        return pluggable
    return all(old.get(key) == wanted.get(key) for key in _FIXED_IN_A_DRIVE)
