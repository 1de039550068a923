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
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.schema import (
    SYSTEM_DRIVES,
    family,
    is_drive,
    known,
    live,
    print_properties,
    typed_options,
)
from infraflux_lab.proxmox.storage import Storages

# Proxmox Server Solutions' own prefix; the real default of a cluster.
MAC_PREFIX = "BC:24:11"
HIDDEN = "**********"


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


def check_unlocked(guest: Guest, lock: str | None = None) -> None:
    """Refuse changes to a locked guest."""
    held = lock or guest.config.get("lock")
    if held:
        raise PveError(f"VM is locked ({held})")


def check_digest(guest: Guest, digest: str | None) -> None:
    """Refuse a change made for another version of the configuration."""
    if digest and digest != digest_of(guest.wanted):
        raise PveError("detected modified configuration - file changed by other user? Try again.")


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

    def revert(self, options: list[str]) -> None:
        """Drop pending changes."""
        for option in options:
            self._guest.pending.pop(option, None)

    def _set(self, option: str, value: Any) -> None:
        self._guest.pending.pop(option, None)
        if self._guest.status != RUNNING or live(option):
            self._guest.config[option] = value
        elif self._guest.config.get(option) != value:
            self._guest.pending[option] = value

    def _set_drive(self, option: str, request: DriveRequest) -> None:
        old = self._guest.wanted.get(option)
        text = self._allocator.realise(request)
        if old and volume_of(old) != volume_of(text):
            self._retire(old)
        self._set(option, text)

    def _remove(self, option: str) -> None:
        old = self._guest.wanted.get(option)
        if old is None:
            return
        if option.startswith("unused"):
            self._storages.delete(volume_of(old), self._guest.node)
            self._guest.config.pop(option, None)
            return
        if self._guest.status == RUNNING and not live(option):
            self._guest.pending[option] = None
            return
        self._guest.pending.pop(option, None)
        self._guest.config.pop(option, None)
        if is_drive(option) or option in SYSTEM_DRIVES:
            self._retire(old)

    def _retire(self, text: str) -> None:
        """A detached disk stays as `unusedN`; a cloud-init drive is deleted."""
        volid = volume_of(text)
        if ":" not in volid or self._storages.find(volid, self._guest.node) is None:
            return
        if "cloudinit" in volid:
            self._storages.delete(volid, self._guest.node)
        elif "media=cdrom" not in text:
            free = next(f"unused{index}" for index in range(256) if f"unused{index}" not in self._guest.config)
            self._guest.config[free] = volid


def _hashed(password: str) -> str:
    salt = secrets.token_hex(8)
    return f"$5${salt}${hashlib.sha256((salt + password).encode()).hexdigest()}"
