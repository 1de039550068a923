"""Life of guests: create, change, start, stop, move, delete."""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.config import (
    ConfigEditor,
    check_digest,
    check_unlocked,
    random_mac,
    with_defaults,
)
from infraflux_lab.proxmox.drives import DriveAllocator, DriveRequest, format_size, parse_size, volume_of, volumes_of
from infraflux_lab.proxmox.errors import PveError, TaskFailed, bad_parameter
from infraflux_lab.proxmox.facts.options import NET_MODELS
from infraflux_lab.proxmox.locks import GuestLocks
from infraflux_lab.proxmox.machines import Notifier, machine_of
from infraflux_lab.proxmox.model import RUNNING, Guest, Pool, Volume
from infraflux_lab.proxmox.pending import default_boot_order
from infraflux_lab.proxmox.power import Power, locked_task
from infraflux_lab.proxmox.schema import family, is_drive, parse_properties, print_properties
from infraflux_lab.proxmox.storage import Storages
from infraflux_lab.proxmox.tasks import Tasks, Worker

MIN_VM_ID, MAX_VM_ID = 100, 999_999_999


class Guests:
    """All guests of a cluster."""

    def __init__(self, cluster: Cluster, storages: Storages, tasks: Tasks, notifier: Notifier) -> None:
        self.cluster, self.storages, self.tasks, self.notifier = cluster, storages, tasks, notifier
        self.locks = GuestLocks()
        self.power = Power(cluster, storages, tasks, notifier, self.locks)

    def check_free(self, vm_id: int) -> None:
        """Refuse an id that is taken, on whichever host."""
        taken = self.cluster.guests.get(vm_id)
        if taken:
            raise PveError(f"VM {vm_id} already exists on node '{taken.node}'")

    def create(
        self, *, node: str, vm_id: int, options: dict[str, Any], drives: Mapping[str, DriveRequest], pool: str | None,
        start: bool, user: str,
    ) -> str:  # fmt: skip
        """Reserve the id at once, make disks and configuration in a task."""
        try:
            self.check_free(vm_id)
        except PveError as error:
            raise PveError(f"unable to create VM {vm_id} - {error}", status=error.status, errors=error.errors) from None
        guest = Guest(vm_id=vm_id, node=node, config={"lock": "create"})
        self.cluster.save_guest(guest)

        async def work(worker: Worker) -> None:
            await self._create(worker, guest, options=options, drives=drives, pool=pool)
            if start:
                await self.power.start_now(worker, guest)

        return self.task(guest, "qmcreate", user, work)

    async def _create(
        self, worker: Worker, guest: Guest, *, options: dict[str, Any], drives: Mapping[str, DriveRequest],
        pool: str | None,
    ) -> None:  # fmt: skip
        allocator = DriveAllocator(self.cluster, self.storages, vm_id=guest.vm_id, node=guest.node)
        try:
            await worker.begin("vm-create")
            config = with_defaults(options)
            for option, request in sorted(drives.items()):
                config[option] = allocator.realise(request)
                worker.log(f"{option}: successfully created disk '{config[option]}'")
        except (PveError, TaskFailed) as error:
            allocator.undo()
            self.cluster.remove_guest(guest)
            raise TaskFailed(f"unable to create VM {guest.vm_id} - {error}") from None
        with self.cluster.store.batch():
            guest.config = {key: value for key, value in config.items() if value is not None}
            guest.config.setdefault("boot", default_boot_order(guest.config))
            guest.config["meta"] = f"creation-qemu=10.1.2,ctime={int(time.time())}"
            self.cluster.save_guest(guest)
            if pool:
                self.add_to_pool(pool, guest.vm_id)

    def add_to_pool(self, pool_id: str, vm_id: int) -> None:
        """Make the guest a member of a pool."""
        pool = self.cluster.pools.get(pool_id) or Pool(id=pool_id)
        pool.guests = sorted({*pool.guests, vm_id})
        self.cluster.save_pool(pool)

    def change(
        self, guest: Guest, *, options: dict[str, Any], drives: Mapping[str, DriveRequest], delete: list[str],
        revert: list[str], digest: str | None,
    ) -> None:  # fmt: skip
        """Change the configuration; whoever calls holds the guest's lock."""
        check_digest(guest, digest)
        allocator = DriveAllocator(self.cluster, self.storages, vm_id=guest.vm_id, node=guest.node)
        draft = Guest.of(guest.body())
        editor = ConfigEditor(draft, allocator, self.storages)
        try:
            editor.revert(revert)
            editor.apply(options=options, drives=drives, delete=delete)
        except (PveError, TaskFailed) as error:
            allocator.undo()
            raise error if isinstance(error, PveError) else PveError(str(error)) from None
        guest.config, guest.pending = draft.config, draft.pending
        self.cluster.save_guest(guest)

    def delete(self, guest: Guest, *, user: str, purge: bool, unreferenced: bool) -> str:
        """Destroy the guest and its disks in a task."""
        check_unlocked(guest)
        if guest.config.get("protection"):
            raise PveError(f"can't remove VM {guest.vm_id} - protection mode enabled")
        if guest.status == RUNNING:
            raise PveError(f"VM {guest.vm_id} is running - destroy failed")
        sid = f"vm:{guest.vm_id}"
        if sid in self.cluster.ha_resources and not purge:
            raise PveError(f"unable to remove VM {guest.vm_id} - used in HA resources and purge parameter not set.")

        async def work(worker: Worker) -> None:
            await worker.begin("vm-delete")
            self.destroy_now(guest, purge=purge, unreferenced=unreferenced)
            await self.notifier.deleted(machine_of(self.cluster, guest))

        return self.task(guest, "qmdestroy", user, work)

    def destroy_now(self, guest: Guest, *, purge: bool, unreferenced: bool) -> None:
        """Remove a guest that is off, with its volumes."""
        owned = {volid for _, volid in volumes_of(guest)}
        with self.cluster.store.batch():
            for volume in [volume for volume in self.cluster.volumes.values() if volume.vm_id == guest.vm_id]:
                if volume.volid in owned or unreferenced:
                    self.cluster.remove_volume(volume)
            if purge:
                self.cluster.remove_ha_resource(f"vm:{guest.vm_id}")
            self.cluster.remove_guest(guest)

    def resize(self, guest: Guest, *, option: str, size: str, user: str) -> str:
        """Grow a disk in a task; same size is no change, smaller is refused."""
        text = guest.wanted.get(option)
        if text is None or not is_drive(option):
            raise PveError(f"disk '{option}' does not exist")
        relative, wanted = parse_size(size)
        volume = self.storages.get(volume_of(text), guest.node)
        target = volume.size + wanted if relative else wanted
        if target < volume.size:
            raise PveError("shrinking disks is not supported")

        async def work(worker: Worker) -> None:
            await worker.begin("disk-resize")
            self.storages.claim(volume.storage, guest.node, target - volume.size)
            volume.size = volume.virtual_size = target
            self.cluster.save_volume(volume)
            self._rewrite_drive(guest, option, volume)

        return self.task(guest, "resize", user, work)

    def _rewrite_drive(self, guest: Guest, option: str, volume: Volume) -> None:
        properties = parse_properties(guest.wanted[option], default_key="file")
        properties |= {"file": volume.volid, "size": format_size(volume.size)}
        home = guest.pending if option in guest.pending else guest.config
        home[option] = print_properties(properties, default_key="file")
        self.cluster.save_guest(guest)

    def move_disk(self, guest: Guest, *, option: str, storage: str, delete: bool, user: str) -> str:
        """Copy a disk to another storage and use the copy."""
        text = guest.wanted.get(option)
        if text is None:
            raise PveError(f"disk '{option}' does not exist")
        old = self.storages.get(volume_of(text), guest.node)
        if old.storage == storage:
            raise PveError("you can't move to the same storage with same format")

        async def work(worker: Worker) -> None:
            await worker.begin("disk-move")
            new = self.storages.allocate(
                storage_id=storage, node=guest.node, vm_id=guest.vm_id, name=None, size=old.size, image=old.image
            )
            new.generation = old.generation
            self.cluster.save_volume(new)
            self._rewrite_drive(guest, option, new)
            if delete:
                self.cluster.remove_volume(old)

        return self.task(guest, "qmmove", user, work)

    def migrate(self, guest: Guest, *, target: str, online: bool, local_disks: bool, user: str) -> str:
        """Move the guest to another host."""
        if target == guest.node:
            raise bad_parameter("target", "target is local node.")
        if target not in self.cluster.spec.hosts:
            raise bad_parameter("target", f"no such cluster node '{target}'")
        if guest.status == RUNNING and not online:
            raise PveError("can't migrate running VM without --online")
        local = [volid for _, volid in volumes_of(guest) if not self.cluster.storage(volid.partition(":")[0]).shared]
        if guest.status == RUNNING and local and not local_disks:
            raise PveError("can't migrate VM with local disks without with-local-disks option")

        async def work(worker: Worker) -> None:
            await worker.begin("vm-migrate")
            if self.cluster.offline(target):
                raise TaskFailed(f"target node '{target}' is not online")
            self.move_now(guest, target)

        return self.task(guest, "qmigrate", user, work)

    def move_now(self, guest: Guest, target: str) -> None:
        """The guest and its volumes are on another host from here on."""
        with self.cluster.store.batch():
            for _, volid in volumes_of(guest):
                volume = self.storages.find(volid, guest.node)
                if volume and volume.vm_id == guest.vm_id:
                    self.storages.relocate(volume, target)
            guest.node = target
            self.cluster.save_guest(guest)
        self.cluster.events.emit("proxmox", "moved", machine=f"{self.cluster.name}/{guest.vm_id}", host=target)

    def clone(self, source: Guest, *, vm_id: int, form: Mapping[str, str], user: str) -> str:
        """A copy with its own disks and identity, on the same or another host."""
        self.check_free(vm_id)
        clone = Guest(vm_id=vm_id, node=form.get("target", source.node), config={"lock": "clone"})
        self.cluster.save_guest(clone)

        async def work(worker: Worker) -> None:
            copies: list[Volume] = []
            try:
                await worker.begin("vm-clone")
                clone.config = self._copied_config(source, clone, form, copies)
            except (PveError, TaskFailed) as error:
                for volume in copies:
                    self.cluster.remove_volume(volume)
                self.cluster.remove_guest(clone)
                raise TaskFailed(f"clone failed: {error}") from None
            self.cluster.save_guest(clone)
            if form.get("pool"):
                self.add_to_pool(form["pool"], vm_id)

        # Several clones of one source run side by side: they share its lock.
        return self.tasks.start(node=source.node, kind="qmclone", subject=str(source.vm_id), user=user, work=work)

    def _copied_config(
        self, source: Guest, clone: Guest, form: Mapping[str, str], copies: list[Volume]
    ) -> dict[str, Any]:
        config = {key: value for key, value in source.wanted.items() if key not in ("template", "lock", "protection")}
        config |= {"name": form.get("name", f"Copy-of-VM-{source.name}"), "vmgenid": str(uuid.uuid4())}
        config["smbios1"] = f"uuid={uuid.uuid4()}"
        config |= self.with_new_addresses(config)
        for option, volid in volumes_of(source):
            old = self.storages.get(volid, source.node)
            if old.vm_id != source.vm_id:
                continue
            cloudinit = f"vm-{clone.vm_id}-cloudinit" if "cloudinit" in volid else None
            new = self.storages.allocate(
                storage_id=form.get("storage", old.storage), node=clone.node, vm_id=clone.vm_id, name=cloudinit,
                size=old.size, image=old.image,
            )  # fmt: skip
            copies.append(new)
            properties = parse_properties(config[option], default_key="file") | {"file": new.volid}
            config[option] = print_properties(properties, default_key="file")
        return config

    @staticmethod
    def with_new_addresses(config: Mapping[str, Any]) -> dict[str, str]:
        """Cards of a configuration, each with a fresh address."""
        cards = {}
        for option, value in config.items():
            if family(option) == "net" != option:
                model = next(name for name in NET_MODELS if value.startswith(f"{name}="))
                cards[option] = f"{model}={random_mac()}{value[value.find(',') :] if ',' in value else ''}"
        return cards

    def task(self, guest: Guest, kind: str, user: str, work: Callable[[Worker], Awaitable[None]]) -> str:
        """Start a task that has the guest to itself."""
        return locked_task(self.tasks, self.locks, guest, kind=kind, user=user, work=work)
