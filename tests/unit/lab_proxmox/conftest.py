"""A simulated cluster in this process, called over HTTP without TLS."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError
from aiohttp.test_utils import TestClient, TestServer

from infraflux_lab.contracts import Machine
from infraflux_lab.events import EventLog
from infraflux_lab.faults import FaultBook, target_pattern
from infraflux_lab.latency import ProfileLatency
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.simulator import Simulator, settle
from infraflux_lab.spec import EnvironmentSpec
from infraflux_lab.state import Store

ADMIN, READER, SECRET = "t@pve!admin", "t@pve!reader", "s3cret"
ALL = [
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Pool.Allocate",
    "Pool.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.GuestAgent.Audit",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Snapshot",
]
SPEC = {
    "address": "127.0.0.1",
    "hosts": {
        "h1": {
            "cores": 8,
            "memory_mib": 16384,
            "pci": [
                {"id": "0000:00:00.0", "vendor": "8086", "device": "29c0", "device_class": "060000"},
                {"id": "0000:02:00.0", "vendor": "10de", "device": "2204", "name": "a graphics card"},
            ],
        },
        **{name: {"cores": 8, "memory_mib": 16384} for name in ("h2", "h3")},
    },
    "storages": [
        {"id": "local", "type": "dir", "content": ["iso", "import", "snippets", "backup"], "capacity_gib": 10},
        {"id": "files", "type": "dir", "content": ["images"], "capacity_gib": 10},
        {"id": "lvm", "type": "lvmthin", "content": ["images"], "capacity_gib": 100},
        {"id": "lvm2", "type": "lvmthin", "content": ["images"], "capacity_gib": 100},
    ],
    "tokens": [
        {"id": ADMIN, "privileges": {"/": ALL}},
        {
            "id": READER,
            "privileges": {"/": ["VM.Audit", "VM.Config.CDROM", "Sys.Audit"], "/pool/mine": ["VM.PowerMgmt"]},
        },
    ],
}


@dataclass
class Watcher:
    """Records what an observer is told."""

    seen: list[tuple[str, Machine]] = field(default_factory=list)

    async def powered_on(self, machine: Machine) -> None:
        self.seen.append(("on", machine))

    async def powered_off(self, machine: Machine) -> None:
        self.seen.append(("off", machine))

    async def deleted(self, machine: Machine) -> None:
        self.seen.append(("deleted", machine))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.seen]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a client gets."""

    status: int
    reason: str
    data: Any
    errors: Mapping[str, str]


class Pve:
    """A cluster and its client."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runner = asyncio.Runner()
        self.watcher = Watcher()
        self.open()

    def open(self) -> None:
        self.events = EventLog(self.directory / "events.jsonl")
        self.faults = FaultBook(self.directory / "faults.json", self.events)
        self.store = Store(self.directory / "lab.sqlite3")
        cluster = Cluster(
            name="t",
            spec=EnvironmentSpec.model_validate(SPEC),
            store=self.store,
            events=self.events,
            faults=self.faults,
            latency=ProfileLatency(profile="zero", scale=1, overrides={}),
        )
        self.runner.run(self._open(cluster))

    async def _open(self, cluster: Cluster) -> None:
        secrets = {ADMIN: SECRET, READER: SECRET, "root@pam": "toor"}
        self.sim = Simulator(cluster=cluster, secrets=secrets, events=self.events, tls=None)
        self.sim.observe(self.watcher)
        self.client = TestClient(TestServer(self.sim.app))
        await self.client.start_server()

    def close(self) -> None:
        self.runner.run(self._close())
        self.store.close()
        self.events.close()

    async def _close(self) -> None:
        await self.client.close()
        await self.sim.stop()

    def reopen(self) -> None:
        """As after a kill: what is not in the files is gone."""
        self.close()
        self.open()

    def call(self, method: str, path: str, /, *, token: str = ADMIN, secret: str = SECRET, **form: object) -> Answer:
        """One request with a token."""
        return self.runner.run(self._call(method, path, f"{token}={secret}", form))

    async def _call(self, method: str, path: str, credential: str, form: Mapping[str, object]) -> Answer:
        fields = {name: str(value) for name, value in form.items()}
        headers = {"Authorization": f"PVEAPIToken={credential}"}
        where = {"params": fields} if method in ("GET", "DELETE") else {"data": fields}
        async with self.client.request(method, f"/api2/json{path}", headers=headers, **where) as response:
            body = await response.json()
            return Answer(
                status=response.status, reason=response.reason or "", data=body["data"], errors=body.get("errors", {})
            )

    def ok(self, method: str, path: str, /, **form: object) -> Any:
        """A request that must succeed; a task it starts must end well."""
        answer = self.call(method, path, **form)
        assert answer.status == 200, answer
        if isinstance(answer.data, str) and answer.data.startswith("UPID:"):
            assert self.end(answer.data) == "OK"
        return answer.data

    def end(self, upid: str) -> str:
        """Exit status of a task."""
        self.runner.run(settle(self.sim))
        self.runner.run(self._notified())
        return self.sim.cluster.tasks[upid].exit_status

    async def _notified(self) -> None:
        await asyncio.gather(*self.sim.notifier.pending())

    def lose(self, method: str, path: str, /, **form: object) -> None:
        """A request whose connection is reset."""
        with pytest.raises((ClientError, ConnectionError)):
            self.call(method, path, **form)

    def as_root(self, method: str, path: str, /, **form: object) -> Answer:
        """One request of root with a password."""
        return self.runner.run(self._as_root(method, path, form))

    async def _as_root(self, method: str, path: str, form: Mapping[str, object]) -> Answer:
        login = {"username": "root@pam", "password": "toor"}
        async with self.client.post("/api2/json/access/ticket", data=login) as response:
            ticket = (await response.json())["data"]
        headers = {
            "Cookie": f"PVEAuthCookie={ticket['ticket']}",
            "CSRFPreventionToken": ticket["CSRFPreventionToken"],
        }
        fields = {name: str(value) for name, value in form.items()}
        where = {"params": fields} if method in ("GET", "DELETE") else {"data": fields}
        async with self.client.request(method, f"/api2/json{path}", headers=headers, **where) as response:
            body = await response.json()
            return Answer(
                status=response.status, reason=response.reason or "", data=body["data"], errors=body.get("errors", {})
            )

    def config(self, vm_id: int = 100, node: str = "h1", **form: object) -> dict[str, Any]:
        found = self.ok("GET", f"/nodes/{node}/qemu/{vm_id}/config", **form)
        assert isinstance(found, dict)
        return found

    def guest(self, vm_id: int = 100, node: str = "h1", **options: object) -> None:
        self.ok("POST", f"/nodes/{node}/qemu", vmid=vm_id, **options)

    def power(self, verb: str, vm_id: int = 100, node: str = "h1") -> str:
        return str(self.ok("POST", f"/nodes/{node}/qemu/{vm_id}/status/{verb}"))

    def status(self, vm_id: int = 100, node: str = "h1") -> str:
        return str(self.ok("GET", f"/nodes/{node}/qemu/{vm_id}/status/current")["status"])

    def fault(self, kind: str, *, target: str = "*", times: int | None = 1, **params: str) -> None:
        self.faults.add(kind, target=target_pattern(environment="t", target=target), times=times, params=params)
        self.runner.run(self._hosts_changed())

    def clear(self) -> None:
        self.faults.clear()
        self.runner.run(self._hosts_changed())

    async def _hosts_changed(self) -> None:
        self.sim.hosts_changed()

    def volumes(self, storage: str = "lvm", node: str = "h1") -> list[str]:
        return [row["volid"] for row in self.ok("GET", f"/nodes/{node}/storage/{storage}/content")]


@pytest.fixture
def pve(tmp_path: Path) -> Iterator[Pve]:
    found = Pve(tmp_path)
    yield found
    found.close()
    found.runner.close()
