"""The processes of one cluster on one address: started, waited for, stopped in the order that does not hang."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from infraflux_lab.contracts import EventSink
from infraflux_lab.kubernetes.api import ApiClient, eventually
from infraflux_lab.kubernetes.cni import CniWatch
from infraflux_lab.kubernetes.material import API_PORT, Layout, client_of, write_material, write_serving
from infraflux_lab.kubernetes.objects import SYSTEM_NAMESPACE, default_service_account
from infraflux_lab.kubernetes.process import SupervisedProcess
from infraflux_lab.kubernetes.programs import ProcessSpec, programs
from infraflux_lab.kubernetes.settings import ClusterSettings

# A cold start takes 2 to 4 s on two idle cores; a busy machine starting three clusters at once needs much more.
READY_DEADLINE_S = 90.0
_POLL_S = 0.05
# How long each program may take to stop by itself before it is killed. None of them has data.
_STOP_GRACE_S = {"kube-apiserver": 4.0}
_DEFAULT_GRACE_S = 2.0


class ControlPlaneError(RuntimeError):
    """The control plane did not become ready; carries the last lines of the log of what failed."""


class ControlPlane:
    """API server, controller manager, scheduler and kwok of one cluster, beside an etcd member that runs already."""

    def __init__(
        self,
        *,
        cluster: str,
        layout: Layout,
        settings: ClusterSettings,
        home: str,
        served: Iterable[str],
        binaries: Mapping[str, Path],
        events: EventSink,
        etcd_ready: Callable[[], Awaitable[bool]],
    ) -> None:
        """`home` is the address everything listens on, `served` those that lead to it. Nothing starts yet.

        `etcd_ready` says whether the home's etcd member answers and has a leader.
        """
        self._etcd_ready = etcd_ready
        self._served = frozenset(served)
        self.settings = settings
        self.home = home
        self.layout = layout
        self._cluster = cluster
        self._events = events
        made = programs(layout=layout, settings=settings, home=home, binaries=binaries)
        self.processes = {program.name: self._supervise(program) for program in made}
        self._api: ApiClient | None = None
        self._cni: CniWatch | None = None

    @property
    def api(self) -> ApiClient:
        """Client of the API server, as admin; only while started."""
        assert self._api is not None, "the control plane is not started"
        return self._api

    async def start(self) -> None:
        """Return when the API server is ready; ControlPlaneError if it does not get there, with everything stopped."""
        now = dt.datetime.now(dt.UTC)
        write_material(self.layout, self.settings, home=self.home, served=sorted(self._served), now=now)
        self._open_clients()
        try:
            await self.processes["kube-apiserver"].start()
            await self._until_ready()
            await eventually(self._ensure_first_objects, deadline_s=READY_DEADLINE_S)
        except BaseException:
            await self.stop()
            raise

    def serve(self, addresses: Iterable[str]) -> None:
        """Let the API server's certificate hold for `addresses` too; it re-reads the file within seconds."""
        wanted = self._served | frozenset(addresses)
        if wanted != self._served:
            self._served = wanted
            now = dt.datetime.now(dt.UTC)
            write_serving(self.layout, self.settings, home=self.home, served=sorted(wanted), now=now)

    async def start_controllers(self) -> None:
        """Start what works on the objects: controller manager, scheduler, kwok. They become ready by themselves."""
        for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
            await self.processes[name].start()
        self._cni = CniWatch(self.api, self._events, cluster=self._cluster)
        self._cni.start()

    async def stop(self) -> None:
        """Controllers, then the API server; etcd has to be there still.

        An API server whose etcd went first hangs for a minute and keeps its port.
        """
        if self._cni:
            await self._cni.stop()
            self._cni = None
        controllers = ("kwok", "kube-scheduler", "kube-controller-manager")
        await asyncio.gather(*(self._stop(name) for name in controllers))
        await self._close_clients()
        await self._stop("kube-apiserver")
        await self._until_port_free()

    def pids(self) -> dict[str, int]:
        """Process ids of what runs, by program."""
        return {name: process.pid for name, process in self.processes.items() if process.pid}

    def _supervise(self, program: ProcessSpec) -> SupervisedProcess:
        log = self.layout.logs / f"{program.name}.log"
        return SupervisedProcess(program, log=log, events=self._events, cluster=self._cluster)

    def _open_clients(self) -> None:
        self._api = ApiClient(server=f"https://{self.home}:{API_PORT}", context=client_of(self.layout))

    async def _close_clients(self) -> None:
        if self._api:
            await self._api.close()

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_DEADLINE_S):
                while not await self._etcd_ready():
                    await asyncio.sleep(_POLL_S)
                while not await self.api.ready():
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ControlPlaneError(self._why_not_ready()) from None

    def _why_not_ready(self) -> str:
        words = [f"the control plane on {self.home} was not ready after {READY_DEADLINE_S:.0f} s"]
        words.append(f"kube-apiserver: {self.processes['kube-apiserver'].tail() or 'wrote no log'}")
        return "\n".join(words)

    async def _ensure_first_objects(self) -> None:
        namespace = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}"
        # The controller manager makes it too, seconds later; control plane pods are refused until it is there.
        await self.api.create(f"{namespace}/serviceaccounts", default_service_account())

    async def _stop(self, name: str) -> None:
        await self.processes[name].stop(grace_s=_STOP_GRACE_S.get(name, _DEFAULT_GRACE_S))

    async def _until_port_free(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GRACE_S["kube-apiserver"]):
                while await _listens(self.home, API_PORT):
                    await asyncio.sleep(_POLL_S)


async def _listens(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True
