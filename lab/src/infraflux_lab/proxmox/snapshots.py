"""Snapshots of guests: what the configuration was, and which content the disks had."""

import time
from typing import Any

from infraflux_lab.proxmox.config import digest_of
from infraflux_lab.proxmox.drives import volumes_of
from infraflux_lab.proxmox.errors import PveError, TaskFailed
from infraflux_lab.proxmox.guests import Guests
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.tasks import Worker

CURRENT = "current"
# pvesm(1), table of storage types: a raw file in a directory has no snapshots.
WITH_SNAPSHOTS = frozenset({"lvmthin", "zfspool", "rbd"})


def snapshot_of(guest: Guest, name: str) -> dict[str, Any]:
    """One snapshot, or the error that it is not there."""
    if name not in guest.snapshots:
        raise PveError(f"snapshot '{name}' does not exist")
    return guest.snapshots[name]


def snapshot_config(guest: Guest, name: str) -> dict[str, Any]:
    """The configuration that a snapshot holds."""
    found = snapshot_of(guest, name)
    parent = {"parent": found["parent"]} if found["parent"] else {}
    return {**found["config"], **parent, "snaptime": found["time"], "digest": digest_of(guest.wanted)}


class Snapshots:
    """Snapshots of a cluster's guests."""

    def __init__(self, guests: Guests) -> None:
        self._guests, self._cluster, self._storages = guests, guests.cluster, guests.storages

    def available(self, guest: Guest) -> bool:
        """Whether every disk is on a storage that can."""
        return all(
            self._cluster.storage(volid.partition(":")[0]).type in WITH_SNAPSHOTS for _, volid in self._disks(guest)
        )

    def _disks(self, guest: Guest) -> list[tuple[str, str]]:
        return [
            (option, volid)
            for option, volid in volumes_of(guest)
            if "media=cdrom" not in str(guest.wanted[option]) and not option.startswith("unused")
        ]

    def list(self, guest: Guest) -> list[dict[str, Any]]:
        """All, and the present state that descends from one of them."""
        rows = [
            {
                "name": name,
                "description": found["description"],
                "snaptime": found["time"],
                "vmstate": found["vmstate"],
                **({"parent": found["parent"]} if found["parent"] else {}),
            }
            for name, found in guest.snapshots.items()
        ]
        here: dict[str, Any] = {
            "name": CURRENT,
            "description": "You are here!",
            "digest": digest_of(guest.wanted),
            "running": int(guest.status == RUNNING),
        }
        return [*rows, {**here, "parent": guest.parent} if guest.parent else here]

    def create(self, guest: Guest, *, name: str, description: str, vmstate: bool, user: str) -> str:
        """Take a snapshot in a task."""
        if name == CURRENT:
            raise PveError("unable to use snapshot name 'current' (reserved name)")
        if name in guest.snapshots:
            raise PveError(f"snapshot name '{name}' already used")
        if not self.available(guest):
            raise PveError("snapshot feature is not available")

        async def work(worker: Worker) -> None:
            await worker.begin("vm-snapshot")
            guest.snapshots[name] = {
                "description": description,
                "time": int(time.time()),
                "vmstate": int(vmstate and guest.status == RUNNING),
                "parent": guest.parent,
                "config": dict(guest.config),
                "volumes": {volid: self._content(guest, volid) for _, volid in self._disks(guest)},
            }
            guest.parent = name
            self._cluster.save_guest(guest)

        return self._guests.task(guest, "qmsnapshot", user, work)

    def _content(self, guest: Guest, volid: str) -> dict[str, Any]:
        volume = self._storages.get(volid, guest.node)
        return {"generation": volume.generation, "size": volume.size, "image": volume.image}

    def rollback(self, guest: Guest, *, name: str, start: bool, user: str) -> str:
        """Go back: a guest that runs is stopped, and started where the snapshot has its memory."""
        found = snapshot_of(guest, name)

        async def work(worker: Worker) -> None:
            await worker.begin("vm-rollback")
            await self._guests.power.power_off(guest)
            for volid, content in found["volumes"].items():
                self._restore(guest, volid, content)
            guest.config, guest.pending, guest.parent = dict(found["config"]), {}, name
            self._cluster.save_guest(guest)
            if start or found["vmstate"]:
                await self._guests.power.start_now(worker, guest)

        return self._guests.task(guest, "qmrollback", user, work)

    def _restore(self, guest: Guest, volid: str, content: dict[str, Any]) -> None:
        volume = self._storages.find(volid, guest.node)
        if volume is None:
            raise TaskFailed(f"volume '{volid}' does not exist")
        volume.generation, volume.image = content["generation"], content["image"]
        volume.size = volume.virtual_size = content["size"]
        self._cluster.save_volume(volume)

    def delete(self, guest: Guest, *, name: str, user: str) -> str:
        """Remove a snapshot in a task; its children descend from its parent then."""
        found = snapshot_of(guest, name)

        async def work(worker: Worker) -> None:
            await worker.begin("vm-snapshot")
            guest.snapshots.pop(name, None)
            for other in guest.snapshots.values():
                other["parent"] = found["parent"] if other["parent"] == name else other["parent"]
            guest.parent = found["parent"] if guest.parent == name else guest.parent
            self._cluster.save_guest(guest)

        return self._guests.task(guest, "qmdelsnapshot", user, work)
