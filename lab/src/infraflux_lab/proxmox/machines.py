"""The guest seen from inside: what the Talos emulator is told of a machine, in order, one call at a time."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from infraflux_lab.contracts import Disk, EventSink, Machine, MachineObserver, Nic
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.drives import volume_of
from infraflux_lab.proxmox.facts.options import NET_MODELS
from infraflux_lab.proxmox.model import Guest
from infraflux_lab.proxmox.schema import family, is_drive, parse_properties

_UUID = re.compile(r"uuid=([0-9a-fA-F-]{36})")
# An observer that hangs must not hang the API for ever; stopping a control plane takes its time.
OBSERVER_PATIENCE_S = 120.0


def machine_of(cluster: Cluster, guest: Guest) -> Machine:
    """The machine as its hardware shows itself."""
    match = _UUID.search(str(guest.config.get("smbios1", "")))
    return Machine(
        environment=cluster.name,
        vm_id=guest.vm_id,
        name=str(guest.config.get("name", f"VM{guest.vm_id}")),
        uuid=match[1].lower() if match else "",
        host=guest.node,
        cores=guest.cpus,
        memory_mib=guest.memory_mib,
        disks=_disks(cluster, guest),
        nics=nics_of(guest),
    )


def _disks(cluster: Cluster, guest: Guest) -> tuple[Disk, ...]:
    disks = []
    for option, text in sorted(guest.config.items()):
        if not is_drive(option) or "media=cdrom" in str(text):
            continue
        volid = volume_of(text)
        volume = cluster.volumes.get(f"{guest.node}/{volid}") or cluster.volumes.get(f"/{volid}")
        if volume:
            disks.append(
                Disk(
                    interface=option,
                    size_bytes=volume.size,
                    volume=volid,
                    image=volume.image,
                    ssd=parse_properties(text, default_key="file").get("ssd") == "1",
                    generation=volume.generation,
                )
            )
    return tuple(disks)


def nics_of(guest: Guest) -> tuple[Nic, ...]:
    """Network cards with what the cloud-init drive says of them."""
    nets = sorted((option for option in guest.config if family(option) == "net" != option), key=_index)
    return tuple(_nic(guest, option) for option in nets)


def _nic(guest: Guest, option: str) -> Nic:
    net = parse_properties(guest.config[option], default_key="model")
    # The guest reads the drive, which is older than the options where those changed since its start.
    said = guest.seed or guest.config
    address = parse_properties(str(said.get(f"ipconfig{_index(option)}", "")), default_key="ip")
    ip, _, prefix = address.get("ip", "").partition("/")
    return Nic(
        mac=next((net[model] for model in NET_MODELS if model in net), ""),
        bridge=net.get("bridge", ""),
        vlan=int(net["tag"]) if "tag" in net else None,
        address=ip if ip and ip != "dhcp" else None,
        prefix_length=int(prefix) if prefix else 24,
        gateway=address.get("gw"),
    )


def _index(option: str) -> int:
    return int(option.removeprefix("net"))


class Notifier:
    """Calls the observer; calls about one machine never overlap and never change order."""

    def __init__(self, events: EventSink) -> None:
        self.observer: MachineObserver | None = None
        self._events = events
        self._last: dict[str, asyncio.Task[None]] = {}

    def powered_on(self, machine: Machine) -> "asyncio.Task[None]":
        """The machine starts."""
        return self._tell("powered-on", machine, self.observer.powered_on if self.observer else None)

    def powered_off(self, machine: Machine) -> "asyncio.Task[None]":
        """The machine is off."""
        return self._tell("powered-off", machine, self.observer.powered_off if self.observer else None)

    def deleted(self, machine: Machine) -> "asyncio.Task[None]":
        """The machine and its disks are gone."""
        return self._tell("deleted", machine, self.observer.deleted if self.observer else None)

    def pending(self) -> "list[asyncio.Task[None]]":
        """Calls that have not returned."""
        return [task for task in self._last.values() if not task.done()]

    def _tell(
        self, kind: str, machine: Machine, call: Callable[[Machine], Awaitable[None]] | None
    ) -> "asyncio.Task[None]":
        self._events.emit("proxmox", kind, machine=machine.key, name=machine.name, host=machine.host)
        task = asyncio.create_task(self._after(self._last.get(machine.key), machine, call))
        self._last[machine.key] = task
        return task

    async def _after(
        self,
        before: "asyncio.Task[None] | None",
        machine: Machine,
        call: Callable[[Machine], Awaitable[None]] | None,
    ) -> None:
        if before and not before.done():
            await asyncio.wait([before])
        if call is None:
            return
        try:
            await asyncio.wait_for(call(machine), OBSERVER_PATIENCE_S)
        except Exception as error:  # noqa: BLE001 - another part's mistake is logged, the hypervisor goes on
            self._events.emit("proxmox", "observer-failed", machine=machine.key, error=repr(error))
