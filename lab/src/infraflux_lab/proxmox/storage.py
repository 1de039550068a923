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
_FILE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")


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
        self, *, storage_id: str, node: str, vm_id: int, name: str | None, size: int, image: str | None = None
    ) -> Volume:
        """A new guest volume; `name` None takes the next free `vm-ID-disk-N`."""
        storage = self.check_content(storage_id, "images")
        volid = self._volid(storage, vm_id, name or self._free_name(storage_id, node, vm_id))
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

    def check_download(self, *, storage_id: str, node: str, content: str, filename: str) -> str:
        """Volume id of a download that may start; raises what the real call raises at once."""
        self.check_content(storage_id, content)
        if not _FILE_NAME.match(filename):
            raise bad_parameter("filename", "contains unsafe characters")
        if not filename.endswith(UPLOAD_EXTENSIONS[content]):
            raise bad_parameter("filename", "wrong file extension")
        volid = f"{storage_id}:{content}/{filename}"
        if self.find(volid, node):
            raise PveError(f"refusing to override existing file '{_path_of(volid)}'")
        return volid

    async def download(self, worker: Worker, *, volid: str, node: str, form: Mapping[str, str]) -> None:
        """Fetch a URL into a storage, verify its checksum, keep what it is."""
        worker.log(f"downloading {form['url']} to {_path_of(volid)}")
        await worker.begin("image-download")
        content, virtual_size = await _fetch(form["url"])
        algorithm, expected = form.get("checksum-algorithm"), form.get("checksum")
        if algorithm and expected:
            got = hashlib.new(algorithm, content).hexdigest()
            worker.log(f"calculating checksum...got '{got}'")
            if got != expected.lower():
                raise TaskFailed(f"checksum mismatch: got '{got}' != expect '{expected}'")
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
        worker.log(f"download of '{form['url']}' to '{_path_of(volid)}' finished")

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
        return next(name for name in names if self._volid(storage, vm_id, name) not in taken)

    @staticmethod
    def _volid(storage: StorageSpec, vm_id: int, name: str) -> str:
        if storage.file_based:
            return f"{storage.id}:{vm_id}/{name}.{'qcow2' if name.endswith('cloudinit') else 'raw'}"
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


async def _fetch(url: str) -> tuple[bytes, int]:
    try:
        async with _session() as session, session.get(url) as response:
            if response.status != 200:
                raise TaskFailed(f"download failed: HTTP {response.status} {response.reason}")
            content = await response.read()
            return content, int(response.headers.get(VIRTUAL_SIZE_HEADER, len(content)))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TaskFailed(f"download failed: {error}") from None


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DOWNLOAD_TIMEOUT_S), auto_decompress=False)


def _path_of(volid: str) -> str:
    folders = {"iso": "template/iso", "vztmpl": "template/cache", "import": "import", "snippets": "snippets"}
    folder, _, name = volid.partition(":")[2].partition("/")
    return f"/var/lib/vz/{folders.get(folder, folder)}/{name}"
