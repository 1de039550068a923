"""The Proxmox part of the lab: one simulator per environment, and what guests may do to their machines."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from infraflux_lab.contracts import MachineObserver
from infraflux_lab.parts import LabContext, PartFacts
from infraflux_lab.pki import server_context
from infraflux_lab.proxmox import VERSION
from infraflux_lab.proxmox.access import ensure_secrets
from infraflux_lab.proxmox.actions import Actions
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.drives import volume_of
from infraflux_lab.proxmox.model import RUNNING, Guest
from infraflux_lab.proxmox.simulator import Simulator
from infraflux_lab.state import LabError, Store


class ProxmoxPart:
    """Implements `Part` and `PowerControl`."""

    def __init__(self, context: LabContext) -> None:
        self._context = context
        self._store = Store(context.paths.database)
        self.simulators = {name: self._simulator(name) for name in context.spec.environments}

    def _simulator(self, name: str) -> Simulator:
        context, spec = self._context, self._context.spec.environments[name]
        cluster = Cluster(
            name=name,
            spec=spec,
            store=self._store,
            events=context.events,
            faults=context.faults,
            latency=context.latency,
        )
        return Simulator(
            cluster=cluster,
            secrets=ensure_secrets(context.paths, name, spec),
            events=context.events,
            tls=server_context(context.authority, context.paths, name=f"pve-{name}", addresses=[str(spec.address)]),
        )

    async def start(self) -> None:
        """Listen on every environment's address."""
        for simulator in self.simulators.values():
            await simulator.start()

    async def stop(self) -> None:
        """Close all; machines stay as they are."""
        for simulator in self.simulators.values():
            await simulator.stop()
        self._store.close()

    def describe(self) -> Sequence[PartFacts]:
        """One line per environment."""
        return [
            PartFacts(
                name=f"Proxmox VE API ({name})",
                version=VERSION,
                kind="simulated",
                endpoint=simulator.cluster.spec.endpoint,
            )
            for name, simulator in self.simulators.items()
        ]

    def observe(self, observer: MachineObserver) -> None:
        """Tell this observer of all machines; call it before `start`."""
        for simulator in self.simulators.values():
            simulator.observe(observer)

    def faults_changed(self) -> None:
        """Faults were set or cleared."""
        for simulator in self.simulators.values():
            simulator.hosts_changed()

    async def act(self, action: str, *, environment: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        """Something done behind the clients' back; see `actions`."""
        if environment not in self.simulators:
            raise LabError(f"no environment {environment!r}; there are: {', '.join(self.simulators)}")
        return await Actions(self.simulators[environment]).run(action, params)

    async def guest_reboot(self, key: str) -> None:
        """The guest restarts; Proxmox shows it as running all the while."""
        simulator, guest = self._find(key)
        if guest.status == RUNNING:
            await simulator.guests.power.restart_inside(guest)

    async def guest_shutdown(self, key: str) -> None:
        """The guest powers off; HA starts it again where it wants it running."""
        simulator, guest = self._find(key)
        await simulator.guests.power.power_off(guest)
        resource = simulator.cluster.ha_resources.get(f"vm:{guest.vm_id}")
        if resource:
            simulator.ha.enforce(resource)

    async def guest_wipe_disk(self, key: str, interface: str) -> None:
        """The disk holds again what it was made with: a new generation."""
        simulator, guest = self._find(key)
        volume = simulator.storages.find(volume_of(guest.config[interface]), guest.node)
        if volume:
            volume.generation = uuid.uuid4().hex
            simulator.cluster.save_volume(volume)

    def _find(self, key: str) -> tuple[Simulator, Guest]:
        environment, _, number = key.partition("/")
        simulator = self.simulators[environment]
        return simulator, simulator.cluster.guest(int(number))
