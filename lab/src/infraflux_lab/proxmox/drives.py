"""Drives of a guest: what a client asks for becomes a volume and the text Proxmox keeps in its configuration."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.errors import TaskFailed, bad_parameter
from infraflux_lab.proxmox.facts.check import option_rule, split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.model import Guest, Volume
from infraflux_lab.proxmox.schema import SYSTEM_DRIVES, is_volume_option, parse_properties, print_properties
from infraflux_lab.proxmox.storage import FORMATS, Storages
from infraflux_lab.spec import GIB

KIB, MIB = 1024, 1024**2
SYSTEM_DRIVE_BYTES = 4 * MIB
CLOUD_INIT_BYTES = 4 * MIB
_NEW_DISK = re.compile(r"^([A-Za-z][A-Za-z0-9._-]*):(\d+(?:\.\d+)?)$")
_SIZE = re.compile(r"^(\+?)(\d+(?:\.\d+)?)([KMGT]?)$")
_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": 1024 * GIB}


@dataclass(frozen=True, kw_only=True)
class DriveRequest:
    """A drive option as sent."""

    option: str
    file: str
    properties: dict[str, str]

    @property
    def source(self) -> str:
        """What to import; empty for a blank disk."""
        return self.properties.get("import-from", "")

    @property
    def storage(self) -> str | None:
        """Storage a new volume is to be made on; None for existing volumes and empty drives."""
        if self.file.endswith(":cloudinit") or _NEW_DISK.match(self.file):
            return self.file.partition(":")[0]
        return None


def parse_drive(option: str, text: str) -> DriveRequest:
    """Read a drive option that was checked."""
    rule = option_rule(option)
    assert rule
    properties = split_pairs(PAIRS[rule.kind.pairs], text)
    request = DriveRequest(option=option, file=properties["file"], properties=properties)
    complaint = _import_complaint(request)
    if complaint:
        raise bad_parameter(option, complaint)
    return request


def _import_complaint(request: DriveRequest) -> str | None:
    """PVE::API2::Qemu, `check_drive_param`."""
    if not request.source:
        return None
    if not _NEW_DISK.match(request.file) or float(request.file.partition(":")[2]) != 0:
        return "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
    wanted = {"efidisk0": ("efitype", "pre-enrolled-keys"), "tpmstate0": ("version",)}.get(request.option, ())
    missing = next((name for name in wanted if name not in request.properties), None)
    return f"need to specify '{missing}' when using 'import-from'" if missing else None


def format_size(size: int) -> str:
    """`20G`, `4M`, `528K`: the largest unit that divides it."""
    for unit in ("T", "G", "M", "K"):
        if size % _UNITS[unit] == 0 and size >= _UNITS[unit]:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def parse_size(text: str) -> tuple[bool, int]:
    """Whether it is relative (`+5G`), and bytes."""
    match = _SIZE.match(text)
    assert match
    return bool(match[1]), int(float(match[2]) * _UNITS[match[3]])


def volume_of(text: str) -> str:
    """Volume id in a stored drive option."""
    return parse_properties(text, default_key="file")["file"]


def volumes_of(guest: Guest, options: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Option and volume id of every drive of a guest that has a volume."""
    return [
        (option, volume_of(value))
        for option, value in guest.wanted.items()
        if is_volume_option(option) and (options is None or option in options) and ":" in volume_of(value)
    ]


class DriveAllocator:
    """Makes the volumes of one request; `undo` frees them where the request fails half way."""

    def __init__(self, cluster: Cluster, storages: Storages, *, vm_id: int, node: str) -> None:
        self._cluster, self._storages, self._vm_id, self._node = cluster, storages, vm_id, node
        self.made: list[Volume] = []

    def realise(self, request: DriveRequest) -> str:
        """Text for the configuration, after allocating or finding the volume."""
        properties = {
            key: value for key, value in request.properties.items() if key not in ("import-from", "format", "size")
        }
        if request.file in ("none", "cdrom"):
            return print_properties(properties, default_key="file")
        volume = self._volume(request)
        properties["file"] = volume.volid
        if volume.volid.partition(":")[2].startswith("iso/") or request.file.endswith(":cloudinit"):
            properties["media"] = "cdrom"
        properties["size"] = format_size(volume.virtual_size or volume.size)
        return print_properties(properties, default_key="file")

    def undo(self) -> None:
        """Free what was made."""
        for volume in self.made:
            self._cluster.remove_volume(volume)

    def _volume(self, request: DriveRequest) -> Volume:
        storage = request.storage
        if storage is None:
            return self._storages.get(request.file, self._node)
        name, image = None, None
        source = request.source
        if request.file.endswith(":cloudinit"):
            name, size = f"vm-{self._vm_id}-cloudinit", CLOUD_INIT_BYTES
        elif request.option in SYSTEM_DRIVES:
            size = SYSTEM_DRIVE_BYTES
        elif source:
            image, size = self._import_source(source)
        else:
            size = int(float(request.file.partition(":")[2]) * GIB)
        if size <= 0:
            raise TaskFailed(f"{request.option}: size of a new disk must be greater than zero")
        volume = self._storages.allocate(
            storage_id=storage,
            node=self._node,
            vm_id=self._vm_id,
            name=name,
            size=size,
            image=image,
            form=self._format(storage, request),
        )
        self.made.append(volume)
        return volume

    def _format(self, storage: str, request: DriveRequest) -> str | None:
        """The format asked for; an import falls back to what the storage can, a blank disk does not."""
        form = request.properties.get("format")
        if request.source and form not in FORMATS[self._cluster.storage(storage).type]:
            return None
        return form

    def _import_source(self, volid: str) -> tuple[str, int]:
        source = self._storages.find(volid, self._node)
        if source is None:
            raise TaskFailed(f"volume '{volid}' does not exist")
        # A disk made from a disk descends from that disk's image.
        return source.image or source.volid, source.virtual_size or source.size
