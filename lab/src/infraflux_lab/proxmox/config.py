"""Changing a guest's configuration: typed options, generated defaults, pending changes."""

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from infraflux_lab.proxmox.drives import DriveAllocator, DriveRequest, parse_drive, volume_of
from infraflux_lab.proxmox.errors import PveError, bad_parameter, bad_parameters
from infraflux_lab.proxmox.facts.check import check_options, split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.hotplug import reaches_running
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.pending import HIDDEN, boot_order, is_cd, print_boot_order, retire
from infraflux_lab.proxmox.schema import (
    SYSTEM_DRIVES,
    family,
    is_drive,
    known,
    print_properties,
    typed_options,
)
from infraflux_lab.proxmox.storage import Storages

# Proxmox Server Solutions' own prefix; the real default of a cluster.
MAC_PREFIX = "BC:24:11"


def split_drives(form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, DriveRequest]]:
    """Typed options and drive requests of a form; 400 with everything wrong in it."""
    problems = check_options(form)
    if problems:
        raise bad_parameters(problems)
    if "cdrom" in form:
        # qm.conf(5): an alias for ide2.
        form = {("ide2" if name == "cdrom" else name): text for name, text in form.items()}
    requests = {
        option: parse_drive(option, text)
        for option, text in form.items()
        if is_drive(option) or option in SYSTEM_DRIVES
    }
    options = typed_options({option: text for option, text in form.items() if option not in requests})
    for option, value in options.items():
        if family(option) == "net" != option:
            options[option] = normal_net(value)
    if "cipassword" in options:
        # The hash is all that is ever kept, as on the real system.
        options["cipassword"] = _hashed(options["cipassword"])
    return options, requests


def normal_net(text: str) -> str:
    """`virtio=MAC,bridge=...`, with an address made where none was given."""
    properties = split_pairs(PAIRS["net"], text)
    model, mac = properties.pop("model"), properties.pop("macaddr", None) or random_mac()
    return ",".join(filter(None, [f"{model}={mac.upper()}", print_properties(properties, default_key="model")]))


def random_mac() -> str:
    """A fresh address."""
    return ":".join([MAC_PREFIX, *(f"{byte:02X}" for byte in secrets.token_bytes(3))])


def with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """Identity that Proxmox generates for a new guest."""
    return {"smbios1": f"uuid={uuid.uuid4()}", "vmgenid": str(uuid.uuid4()), "digest": None, **options}


def digest_of(config: Mapping[str, Any]) -> str:
    """SHA-1 over the configuration, by which clients detect a change by others."""
    return hashlib.sha1(json.dumps(config, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def shown(guest: Guest, *, current: bool) -> dict[str, Any]:
    """What GET config answers: pending changes applied, unless `current`."""
    config = dict(guest.config if current else guest.wanted)
    if "cipassword" in config:
        config["cipassword"] = HIDDEN
    return {**config, "digest": digest_of(guest.wanted)}


def check_unlocked(guest: Guest, lock: str | None = None) -> None:
    """Refuse changes to a locked guest."""
    held = lock or guest.config.get("lock")
    if held:
        raise PveError(f"VM is locked ({held})")


def check_digest(guest: Guest, digest: str | None) -> None:
    """Refuse a change made for another version of the configuration."""
    if digest and digest != digest_of(guest.wanted):
        raise PveError("checksum mismatch (file change by other user?)")


class ConfigEditor:
    """One PUT or POST config."""

    def __init__(self, guest: Guest, allocator: DriveAllocator, storages: Storages) -> None:
        self._guest, self._allocator, self._storages = guest, allocator, storages

    def apply(self, *, options: Mapping[str, Any], drives: Mapping[str, DriveRequest], delete: list[str]) -> None:
        """Make the changes: at once where the guest is off or the option is live, else pending."""
        for option in delete:
            if not known(option):
                raise bad_parameter("delete", f"unknown option '{option}'")
            self._remove(option)
        for option, request in drives.items():
            self._set_drive(option, request)
        for option, value in options.items():
            self._set(option, value)
        self._check_memory(options)
        self._check_boot(options)

    def _check_memory(self, options: Mapping[str, Any]) -> None:
        balloon, memory = self._guest.wanted.get("balloon", 0), int(self._guest.wanted.get("memory", 512))
        if {"memory", "balloon"} & set(options) and balloon > memory:
            raise PveError("balloon value too large (must be smaller than assigned memory)")

    def _check_boot(self, options: Mapping[str, Any]) -> None:
        missing = next((device for device in boot_order(options) if device not in self._guest.wanted), None)
        if missing:
            raise PveError(f"invalid bootorder: device '{missing}' does not exist'")

    def revert(self, options: list[str]) -> None:
        """Drop pending changes."""
        for option in options:
            self._guest.pending.pop(option, None)

    def _set(self, option: str, value: Any) -> None:
        self._guest.pending.pop(option, None)
        if self._guest.config.get(option) == value:
            return
        if self._at_once(option, value):
            self._guest.config[option] = value
        else:
            self._guest.pending[option] = value

    def _set_drive(self, option: str, request: DriveRequest) -> None:
        guest, text = self._guest, self._allocator.realise(request)
        waiting, old = guest.pending.get(option), guest.config.get(option)
        if waiting and volume_of(waiting) != volume_of(text):
            retire(guest, waiting, self._storages)
        if old and volume_of(old) != volume_of(text) and self._at_once(option, text):
            retire(guest, old, self._storages)
        self._set(option, text)
        order = boot_order(guest.wanted)
        if order and is_cd(text) and option not in order:
            self._set("boot", print_boot_order([*order, option]))

    def _at_once(self, option: str, value: Any) -> bool:
        return self._guest.status != RUNNING or reaches_running(self._guest.config, option, value)

    def _remove(self, option: str) -> None:
        guest = self._guest
        old = guest.wanted.get(option)
        if old is None:
            return
        order = boot_order(guest.wanted)
        if option in order:
            self._set("boot", print_boot_order([device for device in order if device != option]))
        if option.startswith("unused"):
            self._storages.delete(volume_of(old), guest.node)
            guest.config.pop(option, None)
        elif option in guest.config and not self._at_once(option, None):
            guest.pending[option] = None
        else:
            guest.pending.pop(option, None)
            guest.config.pop(option, None)
            if is_drive(option) or option in SYSTEM_DRIVES:
                retire(guest, old, self._storages)


def _hashed(password: str) -> str:
    salt = secrets.token_hex(8)
    return f"$5${salt}${hashlib.sha256((salt + password).encode()).hexdigest()}"
