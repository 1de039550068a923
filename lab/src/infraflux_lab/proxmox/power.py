"""Power of guests: start, stop, shutdown, reboot, reset, suspend, resume."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.errors import PveError, TaskFailed
from infraflux_lab.proxmox.facts.check import split_pairs
from infraflux_lab.proxmox.facts.options import PAIRS
from infraflux_lab.proxmox.locks import GuestLocks
from infraflux_lab.proxmox.machines import Notifier, machine_of
from infraflux_lab.proxmox.model import RUNNING, STOPPED, Guest
from infraflux_lab.proxmox.pending import apply_pending, seed_of
from infraflux_lab.proxmox.schema import family, parse_properties
from infraflux_lab.proxmox.storage import Storages
from infraflux_lab.proxmox.tasks import Tasks, Worker

# Memory that a host keeps for itself.
HOST_RESERVE_MIB = 1024
# PVE::QemuServer::_do_vm_stop.
SHUTDOWN_TIMEOUT_S = 60
SUSPENDED = "suspended"


class Power:
    """The power button of every guest of a cluster."""

    def __init__(
        self, cluster: Cluster, storages: Storages, tasks: Tasks, notifier: Notifier, locks: GuestLocks
    ) -> None:
        self._cluster, self._storages, self._tasks = cluster, storages, tasks
        self._notifier, self._locks = notifier, locks

    def start(self, guest: Guest, *, user: str, kind: str = "qmstart") -> str:
        """Power on in a task."""

        async def work(worker: Worker) -> None:
            await self.start_now(worker, guest)

        return self._task(guest, kind, user, work)

    async def start_now(self, worker: Worker, guest: Guest) -> None:
        """Power on inside a task, with everything that waited for it."""
        if guest.status == RUNNING:
            raise TaskFailed(f"VM {guest.vm_id} already running")
        await worker.begin("vm-start")
        if guest.config.get("lock") == SUSPENDED:
            guest.config.pop("lock")
        apply_pending(guest, self._storages)
        self._cluster.save_guest(guest)
        self._check_startable(guest)
        guest.status, guest.started_at, guest.seed = RUNNING, time.time(), seed_of(guest.config)
        self._cluster.save_guest(guest)
        self._notifier.powered_on(machine_of(self._cluster, guest))

    def _check_startable(self, guest: Guest) -> None:
        if guest.template:
            raise TaskFailed("you can't start a vm if it's a template")
        host = self._cluster.spec.hosts[guest.node]
        if guest.cpus > host.cores:
            raise TaskFailed(f"MAX {host.cores} vcpus allowed per VM on this node")
        free = host.memory_mib - HOST_RESERVE_MIB - self._cluster.memory_used_mib(guest.node)
        if guest.memory_mib > free:
            raise TaskFailed("kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory")
        for option, value in guest.config.items():
            if family(option) == "net" != option:
                bridge = parse_properties(value, default_key="model").get("bridge")
                if bridge and bridge not in self._cluster.spec.bridges:
                    raise TaskFailed(f"bridge '{bridge}' does not exist")
            if family(option) == "hostpci" != option:
                self._check_device(guest, str(value))

    def _check_device(self, guest: Guest, text: str) -> None:
        mapping = split_pairs(PAIRS["hostpci"], text).get("mapping")
        if mapping is None:
            return
        found = self._cluster.pci_mappings.get(mapping)
        entries = [split_pairs(PAIRS["pci-map"], entry) for entry in found.map] if found else []
        if not any(entry["node"] == guest.node for entry in entries):
            raise TaskFailed(f"PCI device mapping not found for '{mapping}'")

    def stop(self, guest: Guest, *, user: str, kind: str = "qmstop", phase: str = "vm-stop") -> str:
        """Power off in a task; a guest that is off already is no error."""

        async def work(worker: Worker) -> None:
            await worker.begin(phase)
            await self.power_off(guest)

        return self._task(guest, kind, user, work)

    def shutdown(
        self, guest: Guest, *, user: str, kind: str = "qmshutdown", timeout_s: int | None = None, force: bool = False
    ) -> str:
        """Ask the guest to power off; after the timeout it is stopped (`force`) or runs on."""

        async def work(worker: Worker) -> None:
            await worker.begin("vm-shutdown")
            await self._shut_down(worker, guest, timeout_s=timeout_s, force=force)

        return self._task(guest, kind, user, work)

    async def _shut_down(self, worker: Worker, guest: Guest, *, timeout_s: int | None, force: bool) -> None:
        name = f"{self._cluster.name}/{guest.vm_id}"
        if guest.status == RUNNING and self._cluster.faults.take("ignores-shutdown", name) is not None:
            await self._wait_in_vain(guest, self._patience_s(guest, timeout_s))
            if guest.status == RUNNING and not force:
                raise TaskFailed("VM quit/powerdown failed - got timeout")
            worker.log("VM still running - terminating now with SIGTERM")
        await self.power_off(guest)

    @staticmethod
    def _patience_s(guest: Guest, timeout_s: int | None) -> int:
        down = parse_properties(str(guest.config.get("startup", "")), default_key="order").get("down", "")
        return timeout_s if timeout_s is not None else int(down or SHUTDOWN_TIMEOUT_S)

    @staticmethod
    async def _wait_in_vain(guest: Guest, seconds: float) -> None:
        """The guest may still go off by itself."""
        deadline = time.monotonic() + seconds
        while guest.status == RUNNING and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.1))

    async def power_off(self, guest: Guest) -> None:
        """The machine is off from here on; returns when the inside has noticed."""
        if guest.status != RUNNING:
            return
        guest.status, guest.started_at, guest.paused = STOPPED, 0.0, False
        # The inside is told of the hardware that it had, and of what waits only when it starts.
        machine = machine_of(self._cluster, guest)
        guest.seed = {}
        apply_pending(guest, self._storages)
        self._cluster.save_guest(guest)
        await self._notifier.powered_off(machine)

    def reboot(self, guest: Guest, *, user: str, timeout_s: int | None = None) -> str:
        """Shut down and start again, which applies pending changes; a guest that does not obey runs on."""

        async def work(worker: Worker) -> None:
            if guest.status != RUNNING:
                return
            await worker.begin("vm-shutdown")
            await self._shut_down(worker, guest, timeout_s=timeout_s, force=False)
            await self.start_now(worker, guest)

        return self._task(guest, "qmreboot", user, work)

    def reset(self, guest: Guest, *, user: str) -> str:
        """Pull reset: the same process, nothing pending is applied."""

        async def work(_worker: Worker) -> None:
            await self.restart_inside(guest)

        return self._task(guest, "qmreset", user, work)

    async def restart_inside(self, guest: Guest) -> None:
        """The guest restarts while the virtual machine runs on."""
        machine = machine_of(self._cluster, guest)
        await self._notifier.powered_off(machine)
        self._notifier.powered_on(machine)

    def suspend(self, guest: Guest, *, user: str, to_disk: bool) -> str:
        """Pause the guest, or put its state on disk and switch it off.

        The lab cannot hold what runs inside: a paused guest is called paused and goes on.
        """

        async def work(_worker: Worker) -> None:
            if to_disk:
                await self.power_off(guest)
                guest.config["lock"] = SUSPENDED
            else:
                guest.paused = True
            self._cluster.save_guest(guest)

        return self._task(guest, "qmsuspend" if to_disk else "qmpause", user, work)

    def resume(self, guest: Guest, *, user: str) -> str:
        """The reverse of both."""

        async def work(worker: Worker) -> None:
            guest.paused = False
            if guest.config.get("lock") == SUSPENDED:
                await self.start_now(worker, guest)
            self._cluster.save_guest(guest)

        return self._task(guest, "qmresume", user, work)

    def overrule_shutdowns(self, guest: Guest) -> None:
        """End shutdowns that wait for a guest which does not obey (`overrule-shutdown`)."""
        for task in list(self._cluster.tasks.values()):
            if task.running and task.kind == "qmshutdown" and task.subject == str(guest.vm_id):
                with suppress(PveError):
                    self._tasks.interrupt(task.upid)

    def _task(self, guest: Guest, kind: str, user: str, work: Callable[[Worker], Awaitable[None]]) -> str:
        return locked_task(self._tasks, self._locks, guest, kind=kind, user=user, work=work)


def locked_task(
    tasks: Tasks, locks: GuestLocks, guest: Guest, *, kind: str, user: str, work: Callable[[Worker], Awaitable[None]]
) -> str:
    """Start a task that has the guest to itself."""

    async def alone(worker: Worker) -> None:
        async with locks.hold(guest.vm_id):
            await work(worker)

    return tasks.start(node=guest.node, kind=kind, subject=str(guest.vm_id), user=user, work=alone)
