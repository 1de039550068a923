"""A machine's hardware as Linux inside it names it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infraflux_lab.contracts import Disk
from infraflux_lab.talos.node import Node


@dataclass(frozen=True, kw_only=True)
class BlockDevice:
    """One disk under its device name."""

    id: str
    size_bytes: int
    model: str
    serial: str
    transport: str
    subsystem: str
    bus_path: str
    rotational: bool
    system: bool

    @property
    def path(self) -> str:
        return f"/dev/{self.id}"


@dataclass(frozen=True, kw_only=True)
class Link:
    """One network card under its interface name."""

    name: str
    index: int
    mac: str
    address: str | None
    prefix_length: int


def disks(node: Node) -> Sequence[BlockDevice]:
    """Disks in the order the guest finds them: SCSI, SATA and IDE share `sd`, virtio is `vd`."""
    return list(_disks(node))


def _disks(node: Node) -> Iterator[BlockDevice]:
    letters = {"sd": 0, "vd": 0}
    for disk in sorted(node.machine.disks, key=_order):
        prefix = "vd" if disk.interface.startswith("virtio") else "sd"
        letter = chr(ord("a") + letters[prefix])
        letters[prefix] += 1
        yield _block_device(disk, f"{prefix}{letter}", system=disk is node.system_disk)


def _order(disk: Disk) -> tuple[str, int]:
    name = disk.interface.rstrip("0123456789")
    return ("0" if name == "scsi" else name, int(disk.interface[len(name) :] or 0))


def _block_device(disk: Disk, device: str, *, system: bool) -> BlockDevice:
    virtio = device.startswith("vd")
    number = disk.interface.lstrip("abcdefghijklmnopqrstuvwxyz") or "0"
    return BlockDevice(
        id=device,
        size_bytes=disk.size_bytes,
        model="" if virtio else "QEMU HARDDISK",
        serial=f"drive-{disk.interface}",
        transport="virtio",
        subsystem="/sys/class/block",
        bus_path=f"/pci0000:00/0000:00:05.0/virtio2/host0/target0:0:{number}/0:0:{number}:0/",
        # virtio-blk always says so, QEMU's SCSI and SATA disks unless their rotation rate is 1, which is `ssd=1`.
        rotational=virtio or not disk.ssd,
        system=system,
    )


def links(node: Node) -> Sequence[Link]:
    """Network cards by the kernel's own names: images of platform nocloud boot with `net.ifnames=0`."""
    return [
        Link(
            name=f"eth{at}",
            index=2 + at,
            mac=mac.lower(),
            address=nic.address,
            prefix_length=nic.prefix_length,
        )
        for at, (nic, mac) in enumerate(zip(node.machine.nics, node.reported_macs, strict=True))
    ]


def pretty_size(size: int) -> str:
    """`21 GB`, as Talos prints sizes of disks (powers of ten, at most two digits)."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 10 and unit != "B" else f"{value:.0f} {unit}"
