"""One simulated Proxmox cluster, put together, and its API on the network."""

import asyncio
import ssl
from collections.abc import Mapping

from aiohttp import web

from infraflux_lab.events import EventLog
from infraflux_lab.proxmox import (
    api_access,
    api_agent,
    api_backups,
    api_cluster,
    api_guests,
    api_mapping,
    api_nodes,
    api_pools,
    api_power,
    api_roles,
    api_snapshots,
    api_storage,
)
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.engine import Engine
from infraflux_lab.proxmox.http import ApiServer, Routes
from infraflux_lab.proxmox.machines import machine_of
from infraflux_lab.proxmox.model import RUNNING
from infraflux_lab.state import LabError

SHUTDOWN_TIMEOUT_S = 1.0


def all_routes() -> Routes:
    """Every call that is known. The order decides between overlapping paths."""
    routes = Routes()
    modules = (
        api_access, api_roles, api_cluster, api_pools, api_mapping, api_nodes, api_storage, api_backups, api_guests,
        api_power, api_snapshots, api_agent,
    )  # fmt: skip
    for module in modules:
        routes.table += module.routes.table
    return routes


class Simulator(Engine):
    """An engine with its API."""

    def __init__(
        self, *, cluster: Cluster, secrets: Mapping[str, str], events: EventLog, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(cluster=cluster, secrets=secrets, events=events)
        self._tls = tls
        self.app = ApiServer(self, all_routes(), events).app
        self._runner = web.AppRunner(self.app, access_log=None)
        self._offline: set[str] = set()

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
