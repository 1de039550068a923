"""Backups of guests with vzdump, and guests made of them again."""

import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from infraflux_lab.proxmox.drives import format_size, volumes_of
from infraflux_lab.proxmox.errors import PveError, TaskFailed
from infraflux_lab.proxmox.guests import Guests
from infraflux_lab.proxmox.model import RUNNING, Guest, Volume
from infraflux_lab.proxmox.schema import parse_properties, print_properties
from infraflux_lab.proxmox.tasks import Worker

SUFFIXES = {"0": "vma", "1": "vma.lzo", "lzo": "vma.lzo", "gzip": "vma.gz", "zstd": "vma.zst"}
LOCK = "backup"
_KEEP = re.compile(r"keep-last=(\d+)")
# What a backup does not hold of a guest: how it happens to be right now.
_PASSING = frozenset({"lock", "parent", "digest"})


class Backups:
    """Backups of a cluster's guests."""

    def __init__(self, guests: Guests) -> None:
        self._guests, self._cluster, self._storages = guests, guests.cluster, guests.storages

    def start(self, *, node: str, chosen: list[Guest], storage_id: str, form: dict[str, str], user: str) -> str:
        """One task that backs up guests of a host, one after the other."""
        self._storages.check_content(storage_id, "backup")

        async def work(worker: Worker) -> None:
            failed = [guest.vm_id for guest in chosen if not await self._one(worker, guest, storage_id, form)]
            if failed:
                raise TaskFailed("job errors")

        subject = str(chosen[0].vm_id) if len(chosen) == 1 else ""
        return self._guests.tasks.start(node=node, kind="vzdump", subject=subject, user=user, work=work)

    async def _one(self, worker: Worker, guest: Guest, storage_id: str, form: dict[str, str]) -> bool:
        worker.log(f"INFO: Starting Backup of VM {guest.vm_id} (qemu)")
        try:
            await self._back_up(worker, guest, storage_id, form)
        except (TaskFailed, PveError) as error:
            worker.log(f"ERROR: Backup of VM {guest.vm_id} failed - {error}")
            return False
        worker.log(f"INFO: Finished Backup of VM {guest.vm_id}")
        return True

    async def _back_up(self, worker: Worker, guest: Guest, storage_id: str, form: dict[str, str]) -> None:
        if guest.config.get("lock"):
            raise PveError(f"VM is locked ({guest.config['lock']})")
        running = guest.status == RUNNING
        guest.config["lock"] = LOCK
        self._cluster.save_guest(guest)
        try:
            if running and form.get("mode") == "stop":
                await self._guests.power.power_off(guest)
            await worker.begin("vm-backup")
            volume = self._volume(guest, storage_id, form)
            self._storages.claim(storage_id, guest.node, volume.size)
            self._cluster.save_volume(volume)
            self._prune(worker, guest, storage_id, form)
        finally:
            guest.config.pop("lock", None)
            self._cluster.save_guest(guest)
        if running and guest.status != RUNNING:
            await self._guests.power.start_now(worker, guest)

    def _volume(self, guest: Guest, storage_id: str, form: dict[str, str]) -> Volume:
        stamp = datetime.now(UTC).strftime("%Y_%m_%d-%H_%M_%S")
        name = f"vzdump-qemu-{guest.vm_id}-{stamp}.{SUFFIXES[form.get('compress', '0')]}"
        disks: dict[str, dict[str, Any]] = {
            option: {"volume": volid, "size": volume.size, "image": volume.image}
            for option, volid in volumes_of(guest)
            if (volume := self._storages.find(volid, guest.node)) and volume.vm_id == guest.vm_id
        }
        config = {key: value for key, value in guest.config.items() if key not in _PASSING}
        notes = (
            form.get("notes-template", "").replace("{{guestname}}", guest.name).replace("{{vmid}}", str(guest.vm_id))
        )
        return Volume(
            volid=f"{storage_id}:backup/{name}",
            node=self._storages.place(self._cluster.storage(storage_id), guest.node),
            content="backup",
            format=SUFFIXES[form.get("compress", "0")],
            # Thin disks compress well; a tenth is what the lab takes them for.
            size=max(1, sum(int(disk["size"]) for disk in disks.values()) // 10),
            vm_id=guest.vm_id,
            created_at=int(time.time()),
            notes=notes.replace("{{vmid}}", str(guest.vm_id)),
            protected=int(form.get("protected", "0")),
            guest={"config": config, "disks": disks},
        )

    def _prune(self, worker: Worker, guest: Guest, storage_id: str, form: dict[str, str]) -> None:
        keep = _KEEP.search(form.get("prune-backups", ""))
        if keep is None:
            return
        mine = [
            volume
            for volume in self._storages.volumes(storage_id, guest.node)
            if volume.content == "backup" and volume.vm_id == guest.vm_id and not volume.protected
        ]
        newest_first = sorted(mine, key=lambda volume: volume.volid, reverse=True)
        for volume in newest_first[int(keep[1]) :]:
            worker.log(f"INFO: removing backup '{volume.volid}'")
            self._cluster.remove_volume(volume)

    def restore(
        self, *, node: str, vm_id: int, archive: str, storage_id: str | None, force: bool, unique: bool,
        options: dict[str, Any], start: bool, pool: str | None, user: str,
    ) -> str:  # fmt: skip
        """Make a guest of a backup; one that is there must be off, and is replaced with `force`."""
        found = self._storages.get(archive, node)
        if found.content != "backup":
            raise PveError(f"unable to restore VM {vm_id} - '{archive}' is no backup archive")
        old = self._cluster.guests.get(vm_id)
        if old and not force:
            raise PveError(f"unable to restore VM {vm_id} - VM {vm_id} already exists on node '{old.node}'")
        if old and old.status == RUNNING:
            raise PveError(f"unable to restore VM {vm_id} - unable to restore vm {vm_id} - vm is running")
        guest = old or Guest(vm_id=vm_id, node=node, config={"lock": "create"})
        self._cluster.save_guest(guest)

        async def work(worker: Worker) -> None:
            await worker.begin("vm-restore")
            guest.config, guest.pending = {**self._restored(guest, found, storage_id, unique=unique), **options}, {}
            self._cluster.save_guest(guest)
            if pool:
                self._guests.add_to_pool(pool, vm_id)
            if start:
                await self._guests.power.start_now(worker, guest)

        return self._guests.task(guest, "qmrestore", user, work)

    def _restored(self, guest: Guest, archive: Volume, storage_id: str | None, *, unique: bool) -> dict[str, Any]:
        config = dict(archive.guest["config"])
        for _, volid in volumes_of(guest):
            volume = self._storages.find(volid, guest.node)
            if volume and volume.vm_id == guest.vm_id:
                self._cluster.remove_volume(volume)
        for option, disk in archive.guest["disks"].items():
            name = f"vm-{guest.vm_id}-cloudinit" if "cloudinit" in disk["volume"] else None
            volume = self._storages.allocate(
                storage_id=storage_id or disk["volume"].partition(":")[0],
                node=guest.node,
                vm_id=guest.vm_id,
                name=name,
                size=disk["size"],
                image=disk["image"],
            )
            properties = parse_properties(config[option], default_key="file")
            properties |= {"file": volume.volid, "size": format_size(volume.size)}
            config[option] = print_properties(properties, default_key="file")
        if unique:
            config |= {"smbios1": f"uuid={uuid.uuid4()}", "vmgenid": str(uuid.uuid4())}
            config |= self._guests.with_new_addresses(config)
        return config

    def missing(self) -> list[Guest]:
        """Guests that no backup holds."""
        held = {volume.vm_id for volume in self._cluster.volumes.values() if volume.content == "backup"}
        return [guest for guest in self._cluster.guests.values() if guest.vm_id not in held]
