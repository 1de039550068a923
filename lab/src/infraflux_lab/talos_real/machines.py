"""What a machine does when it has power: boot real Talos, restart and end as the node itself wants."""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from infraflux.core.die_with_parent import die_with_parent
from infraflux_lab.contracts import EventSink, Machine, Nic, PowerControl
from infraflux_lab.state import LabError
from infraflux_lab.talos_real.boot import Ended
from infraflux_lab.talos_real.cgroups import Groups
from infraflux_lab.talos_real.layout import VOLUMES, Layout, MachineLayout
from infraflux_lab.talos_real.network import CARD, Networks, Segment, check_address, device_name
from infraflux_lab.talos_real.tree import make_directories

SOURCE = "talos-real"
CONSOLE_LIMIT_BYTES = 16 * 1024**2
# What machined says when it accepts a reset (Reset in its v1alpha1_server.go). In container mode it then only switches
# itself off; the wipe that is its purpose is done here.
RESET_ACCEPTED = b"reset request received"

NewGateway = Callable[[IPv4Interface], Coroutine[Any, Any, None]]
"""Told of each gateway address that a node network gets: the lab answers there for names and images."""
Boot = Callable[[Mapping[str, Any]], Coroutine[Any, Any, Ended]]
"""Runs one boot to its end."""


async def run_boot(spec: Mapping[str, Any]) -> Ended:
    """One boot as a process of its own; cancelled, it and with it the node are killed."""
    process = await asyncio.create_subprocess_exec(
        *die_with_parent([sys.executable, "-m", "infraflux_lab.talos_real.boot"]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(spec).encode())
        process.stdin.write_eof()
        return Ended(await process.wait())
    except ValueError:
        return Ended.KILLED
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Machines:
    """All machines with power; implements `MachineObserver`."""

    def __init__(
        self, *, layout: Layout, groups: Groups, networks: Networks, power: PowerControl, events: EventSink,
        new_gateway: NewGateway, boot: Boot = run_boot,
    ) -> None:  # fmt: skip
        """`boot` is replaced by a fake in tests."""
        self.failed: dict[str, str] = {}
        """Why a machine does not boot, by its name."""
        self._run_boot = boot
        self._layout, self._groups, self._networks = layout, groups, networks
        self._power, self._events, self._new_gateway = power, events, new_gateway
        self._running: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, Machine] = {}
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> Sequence[Machine]:
        """Machines with power, by key."""
        return [self._known[key] for key in sorted(self._running)]

    async def powered_on(self, machine: Machine) -> None:
        """Boot; returns once the node's first process is about to start."""
        await self._end(machine)
        self._known[machine.key] = machine
        self._running[machine.key] = asyncio.create_task(self._keep(machine), name=f"node {machine.key}")

    async def powered_off(self, machine: Machine) -> None:
        """Pull the plug."""
        await self._end(machine)

    async def deleted(self, machine: Machine) -> None:
        """The machine and its disks are gone."""
        await self._end(machine)
        self._known.pop(machine.key, None)
        await asyncio.to_thread(shutil.rmtree, self._layout.machine(machine).home, ignore_errors=True)

    async def stop(self) -> None:
        """End every node; what is on their disks stays."""
        await asyncio.gather(*(self._end(machine) for machine in self.running))
        for call in tuple(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _end(self, machine: Machine) -> None:
        task = self._running.pop(machine.key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._emit("powered-off", machine)

    async def _keep(self, machine: Machine) -> None:
        """Boot, and boot again after each reboot, until the node switches itself off."""
        self.failed.pop(machine.name, None)
        try:
            ended = await self._boot(machine)
            while ended is Ended.REBOOT:
                self._emit("rebooted", machine)
                ended = await self._boot(machine)
        except (LabError, OSError) as error:
            ended = Ended.FAILED
            self.failed[machine.name] = str(error)
        self._emit("ended", machine, how=ended.name, error=self.failed.get(machine.name, ""))
        if ended is Ended.FAILED:
            # It stays on with nothing running in it, as a machine without anything to boot does.
            self.failed.setdefault(machine.name, f"see {self._layout.machine(machine).console}")
            return
        # From a task of its own: the hypervisor then takes our power, which ends this task.
        call = asyncio.create_task(self._power.guest_shutdown(machine.key))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _boot(self, machine: Machine) -> Ended:
        paths = self._layout.machine(machine)
        await asyncio.to_thread(prepare, machine, paths, root=self._layout.root)
        nics = [await self._card(machine, number, nic) for number, nic in enumerate(machine.nics)]
        # The name's server is on the gateway, as that of a cloud-init drive without one would be.
        write_files(machine, paths, resolver=next((nic["gateway"] for nic in nics if nic["gateway"]), None))
        groups = await asyncio.to_thread(
            self._groups.make, paths.name, cores=machine.cores, memory_mib=machine.memory_mib
        )
        spec = specification(machine, paths, self._layout.root, nics=nics, groups=groups)
        spec["hierarchies"] = [one.options for one in self._groups.found if one.options]
        said = paths.console.stat().st_size if paths.console.exists() else 0
        try:
            self._emit("booting", machine, console=spec["console"])
            ended = await self._run_boot(spec)
            if ended is Ended.POWER_OFF and RESET_ACCEPTED in paths.console.read_bytes()[said:]:
                self._emit("wiped", machine)
                await asyncio.to_thread(paths.wipe)
            return ended
        finally:
            await asyncio.to_thread(self._groups.remove, paths.name)

    async def _card(self, machine: Machine, number: int, nic: Nic) -> dict[str, Any]:
        address = check_address(nic, machine=machine.name)
        gateway = IPv4Interface(f"{nic.gateway}/{nic.prefix_length}") if nic.gateway else None
        segment = Segment.of(machine, nic)
        bridge, new = await self._networks.plug(segment, gateway)
        if gateway is not None and new:
            await self._new_gateway(gateway)
        return {
            "name": f"eth{number}",
            "host": device_name(CARD, lab=self._layout.lab, what=f"{machine.key}/{number}"),
            "bridge": bridge,
            "mac": nic.mac.lower(),
            "address": str(address) if address else None,
            "gateway": nic.gateway,
        }

    def _emit(self, kind: str, machine: Machine, **fields: Any) -> None:
        self._events.emit(SOURCE, kind, machine=machine.key, name=machine.name, **fields)


def prepare(machine: Machine, paths: MachineLayout, *, root: Path) -> None:
    """The node's disk: new volumes where the system disk is a new one."""
    generation = next((disk.generation for disk in machine.disks if disk.image), "")
    paths.home.mkdir(parents=True, exist_ok=True, mode=0o755)
    # The node's programs look up from their volumes; the lab's own directory above stays private.
    paths.home.chmod(0o755)
    if not paths.generation.exists() or paths.generation.read_text() != generation:
        paths.wipe()
        paths.generation.write_text(generation)
    for path in VOLUMES:
        _fill(paths.volume(path), root / path.lstrip("/"))
    paths.target.mkdir(exist_ok=True)
    if paths.console.exists() and paths.console.stat().st_size > CONSOLE_LIMIT_BYTES:
        paths.console.replace(paths.console.with_suffix(".1.log"))


def _fill(volume: Path, image: Path) -> None:
    """A volume begins as what the image has at its place."""
    if volume.exists():
        return
    draft = volume.with_name(f".{volume.name}")
    shutil.rmtree(draft, ignore_errors=True)
    make_directories(volume.parents[1], f"{volume.parent.name}/{draft.name}")
    if image.is_dir():
        shutil.copytree(image, draft, symlinks=True, dirs_exist_ok=True)
    draft.replace(volume)


def write_files(machine: Machine, paths: MachineLayout, *, resolver: str | None) -> None:
    """What a container runtime binds over three files of the image."""
    hosts = f"127.0.0.1 localhost\n{machine.address or '127.0.1.1'} {machine.name}\n"
    texts = {"/etc/hostname": f"{machine.name}\n", "/etc/hosts": hosts}
    texts["/etc/resolv.conf"] = f"nameserver {resolver}\n" if resolver else ""
    (paths.home / "files").mkdir(exist_ok=True, mode=0o755)
    for path, text in texts.items():
        paths.file(path).write_text(text)
        paths.file(path).chmod(0o644)


def specification(
    machine: Machine, paths: MachineLayout, root: Path, *, nics: Sequence[Mapping[str, Any]], groups: Sequence[str]
) -> dict[str, Any]:
    """What `boot` needs to know."""
    return {
        "root": str(root),
        "target": str(paths.target),
        "hostname": machine.name,
        "console": str(paths.console),
        # No configuration comes this way: a node without one waits in maintenance mode, as from a nocloud image.
        "environment": {"PLATFORM": "container", "TALOSSKU": f"{machine.cores}CPU-{machine.memory_mib}RAM"},
        "volumes": {path: str(paths.volume(path)) for path in VOLUMES},
        "files": {path: str(paths.file(path)) for path in ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")},
        "nics": list(nics),
        "cgroups": list(groups),
    }
