"""Argo CD's processes of one cluster, as many as have a workload there; with a cache of their own."""

import asyncio
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infraflux_lab.contracts import EventSink
from infraflux_lab.gitops.argocd import EXTRAS, REDIS_PORT, WORKLOADS, ArgoFacts, ArgoSite, prepare, program
from infraflux_lab.gitops.plugins import Plugin, mount, plugin_program
from infraflux_lab.kubernetes.process import SupervisedProcess
from infraflux_lab.kubernetes.programs import ProcessSpec

if TYPE_CHECKING:
    from fakeredis import TcpFakeServer

_STOP_GRACE_S = 3.0


class ArgoProcesses:
    """Converges on the workloads it is told of: each gets its process, what has none any more is stopped."""

    def __init__(self, *, site: ArgoSite, logs: Path, events: EventSink, cluster: str) -> None:
        """Nothing runs yet."""
        self._site, self._logs = site, logs
        self._events, self._cluster = events, cluster
        self._running: dict[str, SupervisedProcess] = {}
        self._cache: TcpFakeServer | None = None

    @property
    def running(self) -> dict[str, int]:
        """Process ids by program."""
        return {name: process.pid for name, process in self._running.items() if process.pid}

    async def converge(
        self,
        workloads: Mapping[tuple[str, str], Mapping[str, str]],
        *,
        parameters: Mapping[str, str],
        settings: Mapping[str, str],
        plugins: Sequence[Plugin] = (),
    ) -> bool:
        """Run exactly the programs of these workloads; one whose settings changed is restarted, as its pod would be.

        Each workload comes with the variables of its container; `plugins` are the repo server's. Says whether anything
        was started.
        """
        wanted = {
            WORKLOADS[workload]: program(
                WORKLOADS[workload],
                self._site,
                ArgoFacts(parameters=parameters, settings=settings, variables=variables),
            )
            for workload, variables in workloads.items()
            if workload in WORKLOADS
        }
        if wanted and self._site.missing:
            # The install looks fine and nothing ever syncs: this line says why.
            self._say_missing(self._site.missing)
            wanted = {}
        if wanted and self._cache is None:
            await asyncio.to_thread(prepare, self._site)
            self._cache = _start_cache(self._site.home)
        wanted |= await self._plugins(plugins if wanted else ())
        names = sorted({*wanted, *self._running})
        started = [await self._converge_one(name, wanted.get(name)) for name in names]
        if not wanted:
            await self._stop_cache()
        return any(started)

    async def stop(self) -> None:
        """Stop everything."""
        await asyncio.gather(*(process.stop(grace_s=_STOP_GRACE_S) for process in self._running.values()))
        self._running.clear()
        await self._stop_cache()
        for directory in (self._site.sockets, self._site.plugins):
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _plugins(self, plugins: Sequence[Plugin]) -> dict[str, ProcessSpec]:
        """With their files in place; none where what they call is not there."""
        lacking = [name for name in EXTRAS if name not in self._site.binaries]
        if plugins and lacking:
            # What they would open reaches the API server as it is in Git.
            self._say_missing(lacking)
            plugins = ()
        await asyncio.to_thread(mount, plugins, self._site)
        programs = [plugin_program(plugin, self._site) for plugin in plugins]
        return {made.name: made for made in programs}

    def _say_missing(self, programs: Sequence[str]) -> None:
        self._events.emit("gitops", "argocd-missing", cluster=self._cluster, programs=list(programs))

    async def _converge_one(self, name: str, made: ProcessSpec | None) -> bool:
        present = self._running.get(name)
        if present and present.program == made:
            return False
        if present:
            await present.stop(grace_s=_STOP_GRACE_S)
            del self._running[name]
            self._events.emit("gitops", "argocd-stopped", cluster=self._cluster, program=name)
        if made:
            log = self._logs / f"{name}.log"
            process = SupervisedProcess(made, log=log, events=self._events, cluster=self._cluster)
            await process.start()
            self._running[name] = process
        return made is not None

    async def _stop_cache(self) -> None:
        cache, self._cache = self._cache, None
        if cache:
            await asyncio.to_thread(cache.shutdown)
            cache.server_close()


def _start_cache(home: str) -> "TcpFakeServer":
    """A Redis in this process: Argo CD loses nothing with it, it only compares anew."""
    # A quarter of the lab's start would be this import; most labs start without an Argo CD.
    from fakeredis import TcpFakeServer  # noqa: PLC0415

    cache = TcpFakeServer((home, REDIS_PORT), server_type="redis")
    cache.daemon_threads = True
    threading.Thread(target=cache.serve_forever, name=f"cache {home}", daemon=True).start()
    return cache
