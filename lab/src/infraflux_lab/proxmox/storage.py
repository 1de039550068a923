"""Storages with content and capacity. A volume counts with its full size: the worst case of a thin pool."""

import hashlib
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import aiohttp

from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.errors import PveError, TaskFailed, bad_parameter
from infraflux_lab.proxmox.images import disk_bytes
from infraflux_lab.proxmox.model import Volume
from infraflux_lab.proxmox.tasks import Worker
from infraflux_lab.spec import StorageSpec

UPLOAD_EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "iso": (".iso", ".img"),
    "vztmpl": (".tar.gz", ".tar.xz", ".tar.zst"),
    "import": (".ova", ".qcow2", ".raw", ".vmdk"),
}
# The stand-in image factory serves small files and says here how large the disk inside is.
VIRTUAL_SIZE_HEADER = "X-Lab-Virtual-Size"
DOWNLOAD_TIMEOUT_S = 60
DECOMPRESSORS = frozenset({"gz", "lzo", "zst", "bz2"})
# pvesm(1) and PVE::Storage: formats of a new disk, the first one where none is asked for.
FORMATS: Mapping[str, tuple[str, ...]] = {
    "dir": ("raw", "qcow2", "vmdk"),
    "nfs": ("raw", "qcow2", "vmdk"),
    "lvmthin": ("raw",),
    "zfspool": ("raw",),
    "rbd": ("raw",),
}
_SAFE_NAME = re.compile(r"[A-Za-z0-9+=_.\- ]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-]")


class Storages:
    """Volumes of all hosts of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def place(self, storage: StorageSpec, node: str) -> str:
        """Where a volume is kept: the host, or nowhere in particular."""
        return "" if storage.shared else node

    def volumes(self, storage_id: str, node: str) -> list[Volume]:
        """Volumes of a storage as one host sees it."""
        place = self.place(self._cluster.storage(storage_id), node)
        return [
            volume for volume in self._cluster.volumes.values() if volume.storage == storage_id and volume.node == place
        ]

    def find(self, volid: str, node: str) -> Volume | None:
        """A volume that the host can reach."""
        storage = self._cluster.storage(volid.partition(":")[0])
        return self._cluster.volumes.get(f"{self.place(storage, node)}/{volid}")

    def get(self, volid: str, node: str) -> Volume:
        """Like `find`, or the error that names the volume."""
        found = self.find(volid, node)
        if found is None:
            raise PveError(f"volume '{volid}' does not exist")
        return found

    def used(self, storage_id: str, node: str) -> int:
        """Bytes taken; everything while the storage is meant to be full."""
        storage = self._cluster.storage(storage_id)
        if self._full(storage_id, node):
            return storage.capacity_bytes
        return sum(volume.size for volume in self.volumes(storage_id, node))

    def available(self, storage_id: str, node: str) -> int:
        """Bytes left."""
        return max(0, self._cluster.storage(storage_id).capacity_bytes - self.used(storage_id, node))

    def status(self, storage_id: str, node: str) -> dict[str, Any]:
        """What `nodes/N/storage` shows of a storage."""
        storage = self._cluster.storage(storage_id)
        used = self.used(storage_id, node)
        return {
            "storage": storage.id,
            "type": storage.type,
            "content": ",".join(sorted(storage.content)),
            "active": 1,
            "enabled": 1,
            "shared": int(storage.shared),
            "total": storage.capacity_bytes,
            "used": used,
            "avail": storage.capacity_bytes - used,
            "used_fraction": used / storage.capacity_bytes,
        }

    def check_content(self, storage_id: str, content: str) -> StorageSpec:
        """The storage, if it holds such content."""
        storage = self._cluster.storage(storage_id)
        if content not in storage.content:
            raise PveError(f"storage '{storage_id}' does not support content-type '{content}'")
        return storage

    def claim(self, storage_id: str, node: str, size: int) -> None:
        """Fail like the storage's own tool where `size` bytes do not fit."""
        storage = self._cluster.storage(storage_id)
        taken = self._cluster.faults.take_any("storage-full", *self._names(storage_id, node)) is not None
        if not taken and size <= self.available(storage_id, node):
            return
        if storage.file_based:
            raise TaskFailed("No space left on device")
        raise TaskFailed(
            f"lvcreate '{storage_id}' error:   Cannot create new thin volume, free space in thin pool "
            f"pve/data reached threshold."
        )

    def allocate(
        self, *, storage_id: str, node: str, vm_id: int, name: str | None, size: int, image: str | None = None,
        form: str | None = None,
    ) -> Volume:  # fmt: skip
        """A new guest volume; `name` None takes the next free `vm-ID-disk-N`."""
        storage = self.check_content(storage_id, "images")
        if form and form not in FORMATS[storage.type]:
            raise TaskFailed(f"unsupported format '{form}' for storage type {storage.type}")
        volid = self._volid(storage, vm_id, name or self._free_name(storage_id, node, vm_id), form)
        if self.find(volid, node):
            lv = volid.rpartition("/")[2].partition(":")[2] or volid
            raise TaskFailed(
                f'lvcreate \'pve/{lv}\' error:   Logical Volume "{lv}" already exists in volume group "pve"'
            )
        self.claim(storage_id, node, size)
        volume = Volume(
            volid=volid,
            node=self.place(storage, node),
            content="images",
            format="raw" if not storage.file_based else volid.rpartition(".")[2],
            size=size,
            virtual_size=size,
            vm_id=vm_id,
            image=image,
            generation=uuid.uuid4().hex,
            created_at=int(time.time()),
        )
        self._cluster.save_volume(volume)
        return volume

    def relocate(self, volume: Volume, node: str) -> None:
        """Move a guest's volume to another host."""
        if volume.node in ("", node):
            return
        self._cluster.remove_volume(volume)
        volume.node = node
        self._cluster.save_volume(volume)

    def delete(self, volid: str, node: str) -> None:
        """Remove a volume; Proxmox is content where a file is gone already only with force, so are we."""
        self._cluster.remove_volume(self.get(volid, node))

    def check_upload(self, *, storage_id: str, content: str, filename: str, refusal: str) -> str:
        """Volume id of a file that may come; raises what the real calls raise at once."""
        storage = self._cluster.storage(storage_id)
        if not storage.file_based:
            raise PveError(
                f"can't upload to storage type '{storage.type}'{', not a file based storage!' if refusal else ''}"
            )
        if content not in storage.content:
            raise PveError(
                f"storage '{storage_id}' is not configured for content-type '{content}'"
                if refusal
                else f"storage '{storage_id}' does not support '{content}' content"
            )
        if content == "import" and not _SAFE_NAME.fullmatch(filename):
            raise bad_parameter("filename", "invalid filename or wrong extension")
        if not filename.endswith(UPLOAD_EXTENSIONS[content]):
            wrong = "invalid filename or wrong extension" if content == "import" else "wrong file extension"
            raise bad_parameter("filename", wrong)
        return f"{storage_id}:{content}/{_UNSAFE.sub('_', filename)}"

    async def download(self, worker: Worker, *, volid: str, node: str, form: Mapping[str, str]) -> None:
        """Fetch a URL into a storage, verify its checksum, keep what it is."""
        compression = form.get("compression")
        if compression and form["content"] != "iso":
            raise TaskFailed(f"decompression not supported for {form['content']}")
        if compression and compression not in DECOMPRESSORS:
            raise TaskFailed("no decompression method found")
        existing = self.find(volid, node)
        if existing and _is_the_file(existing, form):
            worker.log("calculating checksum of existing file...OK, got correct file already, no need to download")
            return
        worker.log(f"downloading {form['url']} to {path_of(volid)}")
        await worker.begin("image-download")
        content, announced = await _fetch(form["url"])
        self.keep_file(worker, volid=volid, node=node, form=form, content=content, announced=announced)
        worker.log(f"download of '{form['url']}' to '{path_of(volid)}' finished")

    def keep_file(
        self, worker: Worker, *, volid: str, node: str, form: Mapping[str, str], content: bytes,
        announced: int | None = None,
    ) -> None:  # fmt: skip
        """A file that came in: verified, measured, on its storage from here on."""
        algorithm, expected = form.get("checksum-algorithm"), form.get("checksum")
        if algorithm and expected:
            got = hashlib.new(algorithm, content).hexdigest()
            worker.log(f"calculating checksum...got '{got}'")
            if got != expected.lower():
                raise TaskFailed(f"checksum mismatch: got '{got}' != expect '{expected}'")
        virtual_size = disk_bytes(worker, path=path_of(volid), content=content, announced=announced)
        storage_id = volid.partition(":")[0]
        self.claim(storage_id, node, len(content))
        self._cluster.save_volume(
            Volume(
                volid=volid,
                node=self.place(self._cluster.storage(storage_id), node),
                content=volid.partition(":")[2].partition("/")[0],
                format=volid.rpartition(".")[2],
                size=len(content),
                virtual_size=virtual_size,
                generation=uuid.uuid4().hex,
                created_at=int(time.time()),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )

    def _full(self, storage_id: str, node: str) -> bool:
        return any(
            self._cluster.faults.active("storage-full", name) is not None for name in self._names(storage_id, node)
        )

    def _names(self, storage_id: str, node: str) -> tuple[str, str]:
        return f"{self._cluster.name}/{storage_id}", f"{self._cluster.name}/{node}:{storage_id}"

    def _free_name(self, storage_id: str, node: str, vm_id: int) -> str:
        taken = {volume.volid for volume in self.volumes(storage_id, node)}
        storage = self._cluster.storage(storage_id)
        names = (f"vm-{vm_id}-disk-{index}" for index in range(1000))
        stems = {volid.rpartition(".")[0] if storage.file_based else volid for volid in taken}
        return next(name for name in names if self._stem(storage, vm_id, name) not in stems)

    def _stem(self, storage: StorageSpec, vm_id: int, name: str) -> str:
        volid = self._volid(storage, vm_id, name, None)
        return volid.rpartition(".")[0] if storage.file_based else volid

    @staticmethod
    def _volid(storage: StorageSpec, vm_id: int, name: str, form: str | None) -> str:
        if storage.file_based:
            suffix = "qcow2" if name.endswith("cloudinit") else form or FORMATS[storage.type][0]
            return f"{storage.id}:{vm_id}/{name}.{suffix}"
        return f"{storage.id}:{name}"


async def url_metadata(url: str) -> dict[str, Any]:
    """File name, type and size of what a URL serves."""
    async with _session() as session, session.head(url, allow_redirects=True) as response:
        if response.status != 200:
            raise PveError(f"invalid server response: '{response.status} {response.reason}'")
        metadata: dict[str, Any] = {"filename": response.url.name, "mimetype": response.content_type}
        if response.content_length is not None:
            metadata["size"] = response.content_length
        return metadata


async def _fetch(url: str) -> tuple[bytes, int | None]:
    try:
        async with _session() as session, session.get(url) as response:
            if response.status != 200:
                raise TaskFailed(f"download failed: HTTP {response.status} {response.reason}")
            content = await response.read()
            announced = response.headers.get(VIRTUAL_SIZE_HEADER)
            return content, int(announced) if announced else None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TaskFailed(f"download failed: {error}") from None


def _is_the_file(existing: Volume, form: Mapping[str, str]) -> bool:
    """Whether what is there is what is asked for; TaskFailed where that is not known (only SHA-256 is kept)."""
    if form.get("checksum-algorithm") != "sha256":
        raise TaskFailed(f"refusing to override existing file '{path_of(existing.volid)}'")
    if existing.sha256 != form["checksum"].lower():
        raise TaskFailed(f"checksum mismatch: got '{existing.sha256}' != expect '{form['checksum']}', aborting")
    return True


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DOWNLOAD_TIMEOUT_S), auto_decompress=False)


def path_of(volid: str) -> str:
    """Where a file lies on its host."""
    folders = {"iso": "template/iso", "vztmpl": "template/cache", "import": "import", "snippets": "snippets"}
    folder, _, name = volid.partition(":")[2].partition("/")
    return f"/var/lib/vz/{folders.get(folder, folder)}/{name}"
