"""Things done behind the clients' back: what an operator, a colleague or HA does on a real cluster."""

import uuid
from collections.abc import Mapping
from typing import Any

from infraflux_lab.faults import ACTIONS
from infraflux_lab.proxmox.config import split_drives
from infraflux_lab.proxmox.drives import DriveAllocator
from infraflux_lab.proxmox.errors import PveError, TaskFailed
from infraflux_lab.proxmox.machines import machine_of
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.simulator import Simulator, settle
from infraflux_lab.state import LabError


class Actions:
    """Actions on one cluster; none of them passes the API, so no request is counted."""

    def __init__(self, simulator: Simulator) -> None:
        self._sim, self._cluster = simulator, simulator.cluster

    async def run(self, action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        """Do one action and tell what came of it."""
        steps = {
            "edit-vm": self._edit,
            "ha-move": self._move,
            "create-vm": self._create,
            "delete-vm": self._delete,
            "start-vm": self._start,
            "stop-vm": self._stop,
            "unlock-vm": self._unlock,
            "delete-volume": self._delete_volume,
        }
        if action not in steps:
            raise LabError(f"no action {action!r}; there are: {', '.join(ACTIONS)}")
        try:
            result = await steps[action](dict(params))
        except (PveError, TaskFailed) as error:
            detail = getattr(error, "errors", None)
            raise LabError(f"{action}: {error}{f' {dict(detail)}' if detail else ''}") from None
        self._cluster.events.emit(
            "actions", action, environment=self._cluster.name, **{k: v for k, v in params.items() if k != "cipassword"}
        )
        return result

    def _guest(self, params: dict[str, str]) -> Guest:
        number = params.pop("vm", "")
        if not number.isdigit():
            raise LabError("say which: vm=ID")
        return self._cluster.guest(int(number))

    async def _edit(self, params: dict[str, str]) -> Mapping[str, Any]:
        guest = self._guest(params)
        delete = [name for name in params.pop("delete", "").split(",") if name]
        options, drives = split_drives(params)
        self._sim.guests.change(guest, options=options, drives=drives, delete=delete, revert=[], digest=None)
        return {"vm": guest.vm_id, "pending": sorted(guest.pending)}

    async def _move(self, params: dict[str, str]) -> Mapping[str, Any]:
        guest = self._guest(params)
        target = params.get("host") or self._sim.ha.choose_host(guest)
        if target is None or target not in self._cluster.spec.hosts:
            raise LabError(f"ha-move: no host {target or 'fits'}")
        self._sim.guests.move_now(guest, target)
        return {"vm": guest.vm_id, "host": target}

    async def _create(self, params: dict[str, str]) -> Mapping[str, Any]:
        number = params.pop("vm", "")
        vm_id = int(number) if number else max([9000, *self._cluster.guests]) + 1
        node = params.pop("host", self._sim.entry_host)
        if node not in self._cluster.spec.hosts:
            raise LabError(f"create-vm: no host {node}")
        self._sim.guests.check_free(vm_id)
        options, drives = split_drives({"name": f"foreign-{vm_id}", "memory": "1024", **params})
        allocator = DriveAllocator(self._cluster, self._sim.storages, vm_id=vm_id, node=node)
        config = {**options, **{option: allocator.realise(request) for option, request in drives.items()}}
        config.setdefault("smbios1", f"uuid={uuid.uuid4()}")
        self._cluster.save_guest(Guest(vm_id=vm_id, node=node, config=config))
        return {"vm": vm_id, "host": node}

    async def _delete(self, params: dict[str, str]) -> Mapping[str, Any]:
        guest = self._guest(params)
        await self._sim.guests.power.power_off(guest)
        machine = machine_of(self._cluster, guest)
        self._sim.guests.destroy_now(guest, purge=True, unreferenced=True)
        await self._sim.notifier.deleted(machine)
        return {"vm": guest.vm_id}

    async def _start(self, params: dict[str, str]) -> Mapping[str, Any]:
        guest = self._guest(params)
        if guest.status != RUNNING:
            self._sim.guests.power.start(guest, user="root@pam")
            await settle(self._sim)
        return {"vm": guest.vm_id, "status": guest.status}

    async def _stop(self, params: dict[str, str]) -> Mapping[str, Any]:
        guest = self._guest(params)
        await self._sim.guests.power.power_off(guest)
        return {"vm": guest.vm_id, "status": guest.status}

    async def _unlock(self, params: dict[str, str]) -> Mapping[str, Any]:
        guest = self._guest(params)
        guest.config.pop("lock", None)
        self._cluster.save_guest(guest)
        return {"vm": guest.vm_id}

    async def _delete_volume(self, params: dict[str, str]) -> Mapping[str, Any]:
        host, volid = params.get("host", self._sim.entry_host), params.get("volume", "")
        self._sim.storages.delete(volid, host)
        return {"volume": volid, "host": host}
