"""Whether each node has a CNI: what a kubelet reads from /etc/cni/net.d, the lab reads from who would have written it.

A CNI is a pod that mounts that directory of the host; a node has one while such a pod is Ready there. kwok plays the
kubelet (`stages.yaml`): it makes the node Ready, or NotReady in the kubelet's own words, by an annotation.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from infraflux_lab.contracts import EventSink
from infraflux_lab.kubernetes.api import ApiClient, ApiError
from infraflux_lab.kubernetes.objects import CNI_ANNOTATION, node_path

Document = Mapping[str, Any]
CNI_DIRECTORY = "/etc/cni"
# Its status follows the readiness of its pods, of which there are many that do not matter here.
_DAEMON_SETS = "/apis/apps/v1/daemonsets"
_WATCH_S = 240.0
_RETRY_PAUSE_S = 1.0
# Several changes at once become one look.
_SETTLE_S = 0.1
# A pod that is replaced is away for less.
_GONE_S = 2.0


class CniWatch:
    """Marks the nodes of one cluster as long as it runs."""

    def __init__(self, api: ApiClient, events: EventSink, *, cluster: str) -> None:
        self._api, self._events, self._cluster = api, events, cluster
        self._dirty = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._lost_since_s: dict[str, float] = {}

    def start(self) -> None:
        """Begin to watch; returns at once."""
        for work in (self._watch(_DAEMON_SETS), self._watch("/api/v1/nodes"), self._keep()):
            self._tasks.append(asyncio.create_task(work, name=f"CNI of {self._cluster}"))

    async def stop(self) -> None:
        """Stop watching; what is marked stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _watch(self, path: str) -> None:
        while True:
            with contextlib.suppress(ApiError):
                async for _ in self._api.watch(path, timeout_s=_WATCH_S, metadata_only=True):
                    self._dirty.set()
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_SETTLE_S)
            self._dirty.clear()
            try:
                if await self._look():
                    # Nothing may change until the pod is counted as gone for good.
                    asyncio.get_running_loop().call_later(_GONE_S, self._dirty.set)
            except ApiError:
                self._dirty.set()
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _look(self) -> bool:
        """Mark what changed; True where a node may have lost its CNI and is to be looked at again."""
        nodes = await self._list("/api/v1/nodes")
        marked = {node["metadata"]["name"] for node in nodes if CNI_ANNOTATION in _annotations(node)}
        ready, present = nodes_with(pod for pod in await self._list("/api/v1/pods") if is_cni(pod))
        names = {node["metadata"]["name"] for node in nodes}
        for name in sorted((ready & names) - marked):
            await self._mark(name, present=True)
        now = asyncio.get_running_loop().time()
        self._lost_since_s = {name: self._lost_since_s.get(name, now) for name in marked - present}
        for name in sorted(name for name, since_s in self._lost_since_s.items() if now - since_s >= _GONE_S):
            await self._mark(name, present=False)
            del self._lost_since_s[name]
        return bool(self._lost_since_s)

    async def _mark(self, name: str, *, present: bool) -> None:
        patch = {"metadata": {"annotations": {CNI_ANNOTATION: "ready" if present else None}}}
        await self._api.merge(node_path(name), patch)
        kind = "cni-ready" if present else "cni-gone"
        self._events.emit("kubernetes", kind, cluster=self._cluster, node=name)

    async def _list(self, path: str) -> list[dict[str, Any]]:
        return list((await self._api.get(path) or {}).get("items") or ())


def is_cni(pod: Document) -> bool:
    """Whether it writes the host's CNI configuration."""
    volumes = pod["spec"].get("volumes") or ()
    paths = [str((volume.get("hostPath") or {}).get("path") or "") for volume in volumes]
    return any(path == CNI_DIRECTORY or path.startswith(f"{CNI_DIRECTORY}/") for path in paths)


def nodes_with(pods: Iterable[Document]) -> tuple[set[str], set[str]]:
    """Nodes where such a pod is Ready, and nodes where there is one."""
    ready, present = set(), set()
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if not node:
            continue
        present.add(node)
        conditions = (pod.get("status") or {}).get("conditions") or ()
        if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            ready.add(node)
    return ready, present


def _annotations(node: Document) -> Mapping[str, str]:
    return node["metadata"].get("annotations") or {}
