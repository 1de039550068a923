"""One simulated Proxmox cluster, put together, and its API on the network."""

import asyncio
import ssl
import time
from collections.abc import Mapping

from aiohttp import web

from infraflux_lab.contracts import MachineObserver
from infraflux_lab.events import EventLog
from infraflux_lab.proxmox import VERSION, api_cluster, api_guests, api_nodes
from infraflux_lab.proxmox.access import Access
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.guests import Guests
from infraflux_lab.proxmox.ha import HighAvailability
from infraflux_lab.proxmox.http import ApiServer, Routes
from infraflux_lab.proxmox.machines import Notifier, machine_of
from infraflux_lab.proxmox.model import RUNNING
from infraflux_lab.proxmox.storage import Storages
from infraflux_lab.proxmox.tasks import Tasks
from infraflux_lab.state import LabError

SHUTDOWN_TIMEOUT_S = 1.0


def all_routes() -> Routes:
    """Every call that is known. The order decides between overlapping paths."""
    routes = Routes()
    for module in (api_cluster, api_nodes, api_guests):
        routes.table += module.routes.table
    return routes


class Simulator:
    """A cluster with its API."""

    version = VERSION

    def __init__(
        self, *, cluster: Cluster, secrets: Mapping[str, str], events: EventLog, tls: ssl.SSLContext | None
    ) -> None:
        self.cluster = cluster
        self.storages = Storages(cluster)
        self.tasks = Tasks(cluster)
        self.notifier = Notifier(events)
        self.guests = Guests(cluster, self.storages, self.tasks, self.notifier)
        self.ha = HighAvailability(self.guests)
        self.access = Access(cluster, secrets)
        self._tls = tls
        self.app = ApiServer(self, all_routes(), events).app
        self._runner = web.AppRunner(self.app, access_log=None)
        self._started_at = time.time()
        self._offline: set[str] = set()

    @property
    def entry_host(self) -> str:
        """The host that calls itself local."""
        return next(iter(self.cluster.spec.hosts))

    @property
    def uptime_s(self) -> int:
        return int(time.time() - self._started_at) + 1

    @property
    def now_s(self) -> int:
        return int(time.time())

    def observe(self, observer: MachineObserver) -> None:
        """Tell this observer of machines from now on."""
        self.notifier.observer = observer

    async def start(self) -> None:
        """Listen; then tell the observer of all machines that run (they ran on while the lab was away)."""
        await self._runner.setup()
        site = web.TCPSite(
            self._runner,
            str(self.cluster.spec.address),
            self.cluster.spec.port,
            ssl_context=self._tls,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        try:
            await site.start()
        except OSError as error:
            raise LabError(f"{self.cluster.spec.endpoint}: {error.strerror or error}") from None
        self._offline = self._offline_hosts()
        for guest in self.cluster.guests.values():
            if guest.status == RUNNING:
                self.notifier.powered_on(machine_of(self.cluster, guest))

    async def stop(self) -> None:
        """Close the API and cut off tasks; machines stay as they are."""
        await self._runner.cleanup()
        await self.ha.stop()
        await self.tasks.stop()

    def hosts_changed(self) -> None:
        """Faults were set or cleared: hosts may have gone or come back."""
        offline = self._offline_hosts()
        lost, back = offline - self._offline, self._offline - offline
        self._offline = offline
        for node in lost:
            self.ha.host_lost(node)
        for node in back:
            self.ha.host_back(node)

    def _offline_hosts(self) -> set[str]:
        return {node for node in self.cluster.spec.hosts if self.cluster.offline(node)}


async def settle(simulator: Simulator) -> None:
    """Wait until no task runs; for tests and out-of-band actions."""
    while any(task.running for task in simulator.cluster.tasks.values()):
        await asyncio.sleep(0.01)
