"""Lets what a configuration brings into a cluster be applied: at the bootstrap, and whenever it changed."""

import asyncio
from collections.abc import Callable

from infraflux_lab.talos.bootstrap_manifests import render_manifests
from infraflux_lab.talos.context import SOURCE, LabContext
from infraflux_lab.talos.machine_config import MachineConfig

# Between attempts while the API server cannot be asked.
_RETRY_PAUSE_S = 2.0


class ManifestKeeper:
    """One cluster's bootstrap manifests."""

    def __init__(self, context: LabContext, cluster_id: str, *, applied: Callable[[], None]) -> None:
        """`applied` is called each time that all of a configuration's manifests have been looked at."""
        self._context, self._cluster_id, self._tell = context, cluster_id, applied
        self._wanted: MachineConfig | None = None
        self._work: asyncio.Task[None] | None = None
        self.applied: tuple[str, ...] = ()
        """Names of the manifests that were applied last."""

    def want(self, config: MachineConfig | None) -> None:
        """The configuration whose manifests are to be there; None while there is no API server to ask."""
        if config is self._wanted:
            return
        self._wanted = config
        if config is not None and self._work is None:
            self._work = self._context.tasks.spawn(f"manifests {self._cluster_id}", self._apply())

    def forget(self) -> None:
        """The data is gone: a new cluster begins with nothing."""
        self.applied, self._wanted = (), None

    async def _apply(self) -> None:
        """As Talos' controller: tried again until the API server has been asked about every object."""
        try:
            while (config := self._wanted) is not None:
                if await self._apply_one(config) and config is self._wanted:
                    return
        finally:
            self._work = None

    async def _apply_one(self, config: MachineConfig) -> bool:
        manifests = render_manifests(config, self._context.fetch_manifest)
        objects = [document for documents in manifests.values() for document in documents]
        events = self._context.events
        try:
            refused = await self._context.kubernetes.apply_manifests(self._cluster_id, objects)
        except Exception as error:  # noqa: BLE001 - whatever the host raises passes: Talos tries again, too
            events.emit(SOURCE, "manifests-failed", cluster=self._cluster_id, error=str(error))
            await asyncio.sleep(_RETRY_PAUSE_S)
            return False
        for problem in refused:
            events.emit(SOURCE, "manifest-refused", cluster=self._cluster_id, error=problem)
        self.applied = tuple(manifests)
        self._tell()
        return True
