"""What a file is by its first bytes: enough to fail where qemu-img would."""

import struct
from pathlib import PurePosixPath

from infraflux_lab.proxmox.errors import TaskFailed
from infraflux_lab.proxmox.tasks import Worker

QCOW2_MAGIC = b"QFI\xfb"
VMDK_MAGIC = b"KDMV"
SECTOR_BYTES = 512
HEADER_BYTES = 72


def qcow2_header(virtual_bytes: int) -> bytes:
    """The head of a qcow2 image, version 3, of this size (QEMU, docs/interop/qcow2.rst)."""
    fields = struct.pack(">4sIQIIQ", QCOW2_MAGIC, 3, 0, 0, 16, virtual_bytes)
    return fields.ljust(HEADER_BYTES, b"\0")


def disk_bytes(worker: Worker, *, path: str, content: bytes, announced: int | None = None) -> int:
    """Size of the disk in an image; TaskFailed where the file is none of its kind.

    `announced` is what a stand-in for a real image says of itself.
    """
    kind = PurePosixPath(path).suffix
    if kind == ".qcow2" and not content.startswith(QCOW2_MAGIC):
        raise _unreadable(worker, path, "Image is not in qcow2 format")
    if kind == ".vmdk" and not content.startswith((VMDK_MAGIC, b"# Disk DescriptorFile")):
        raise _unreadable(worker, path, "invalid VMDK image descriptor")
    if announced is not None:
        return announced
    if kind == ".qcow2" and len(content) >= HEADER_BYTES:
        return int(struct.unpack(">Q", content[24:32])[0])
    if kind == ".vmdk" and content.startswith(VMDK_MAGIC):
        return int(struct.unpack("<Q", content[12:20])[0]) * SECTOR_BYTES
    return len(content)


def _unreadable(worker: Worker, path: str, text: str) -> TaskFailed:
    worker.log(f"qemu-img: Could not open '{path}': {text}")
    return TaskFailed("failed to query file information with qemu-img")
