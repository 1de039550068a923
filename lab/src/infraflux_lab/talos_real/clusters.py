"""The Kubernetes clusters that real nodes make, found as a hypervisor can: by what control planes keep on their disks.

Beside each stands what the lab does in place of pods that cannot run here: Argo CD's programs, and Cilium's agent,
whose CNI configuration makes nodes Ready.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.core.files import write_whole
from infraflux_lab.contracts import EventSink, Machine
from infraflux_lab.kubernetes import ClusterHandle, ClusterObserver
from infraflux_lab.kubernetes.api import ApiClient, ApiError
from infraflux_lab.kubernetes.material import API_PORT, Layout, client_of, write_admin
from infraflux_lab.kubernetes.settings import ClusterSettings, SettingsError, read_settings
from infraflux_lab.talos_real.layout import Layout as NodesLayout
from infraflux_lab.talos_real.tree import CNI_NAME, cni_conflist

CONFIG = "config.yaml"
"""Where Talos keeps its machine config in STATE: constants.ConfigFilename of its machinery."""
CILIUM = "/apis/apps/v1/namespaces/kube-system/daemonsets/cilium"
_LOOK_EVERY_S = 2.0
_HOMES = IPv4Address("127.64.0.0")
_HOMES_COUNT = 2**22 - 2


@dataclass(frozen=True, kw_only=True)
class Member:
    """A node with power that belongs to a cluster."""

    machine: Machine
    address: str
    cluster_id: str
    settings: ClusterSettings | None
    """Of a control plane, which holds the cluster's keys; None for a worker."""


@dataclass(frozen=True, kw_only=True)
class _Up:
    """A cluster that somebody stands beside."""

    address: str
    """Of the control plane that is asked."""
    api: ApiClient


class Clusters:
    """Looks for clusters again and again, and tells the observer of each that answers."""

    def __init__(
        self, *, layout: NodesLayout, running: Callable[[], Sequence[Machine]], observer: ClusterObserver,
        events: EventSink,
    ) -> None:  # fmt: skip
        """Nothing is looked at yet; `running`: the machines that have power now."""
        self._layout, self._running = layout, running
        self._observer, self._events = observer, events
        self._up: dict[str, _Up] = {}
        self._read: dict[Path, tuple[float, Member | None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._task = asyncio.create_task(self._keep(), name="clusters of real nodes")

    async def stop(self) -> None:
        """Look no more, and say that every cluster is about to go."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for cluster_id in list(self._up):
            await self._leave(cluster_id)

    async def _keep(self) -> None:
        while True:
            try:
                await self._look()
            except (OSError, ApiError) as error:
                self._events.emit("talos-real", "look-failed", error=str(error))
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self) -> None:
        members = self._members()
        for cluster_id in {*self._up, *(one.cluster_id for one in members)}:
            mine = [one for one in members if one.cluster_id == cluster_id]
            planes = {one.address: one.settings for one in mine if one.settings is not None}
            up = self._up.get(cluster_id)
            if up and up.address not in planes:
                await self._leave(cluster_id)
                up = None
            if up is None:
                up = await self._join(cluster_id, planes)
            if up:
                await self._play_cilium(up, mine)

    def _members(self) -> list[Member]:
        found = (self._member(machine) for machine in self._running())
        return [one for one in found if one is not None]

    def _member(self, machine: Machine) -> Member | None:
        """Which cluster a machine belongs to; its config is read again only when it changed."""
        path = self._layout.machine(machine).volume("/system/state") / CONFIG
        try:
            changed = path.stat().st_mtime
        except OSError:
            return None
        known = self._read.get(path)
        if known is None or known[0] != changed:
            known = self._read[path] = (changed, read_member(machine, path))
        return known[1]

    async def _join(self, cluster_id: str, planes: Mapping[str, ClusterSettings]) -> _Up | None:
        """Stand beside the first control plane whose API server answers."""
        layout = Layout(root=self._layout.home / "clusters" / quote(cluster_id, safe=""))
        for address, settings in planes.items():
            write_admin(layout, settings, home=address, now=dt.datetime.now(dt.UTC))
            api = _client(layout, address)
            if not await api.ready():
                await api.close()
                continue
            up = self._up[cluster_id] = _Up(address=address, api=api)
            handle = ClusterHandle(
                cluster_id=cluster_id,
                name=settings.name,
                home=loopback_home(cluster_id),
                server=f"https://{address}:{API_PORT}",
                kubeconfig=layout.kubeconfig("admin"),
                layout=layout,
            )
            self._events.emit("talos-real", "cluster-up", cluster=settings.name, address=address)
            await self._observer.cluster_up(handle)
            return up
        return None

    async def _leave(self, cluster_id: str) -> None:
        up = self._up.pop(cluster_id)
        await up.api.close()
        await self._observer.cluster_down(cluster_id)

    async def _play_cilium(self, up: _Up, members: Sequence[Member]) -> None:
        """The agent writes its CNI configuration onto every node it runs on; it stays when the agent goes."""
        waiting = [path for one in members if not (path := self._cni(one.machine)).exists()]
        if not waiting or await up.api.get(CILIUM) is None:
            return
        for path in waiting:
            path.parent.mkdir(exist_ok=True, mode=0o755)
            write_whole(path, cni_conflist(), mode=0o644)
            self._events.emit("talos-real", "standin", path=CNI_NAME, simulated=True)

    def _cni(self, machine: Machine) -> Path:
        return self._layout.machine(machine).volume("/etc/cni") / "net.d" / CNI_NAME


def read_member(machine: Machine, path: Path) -> Member | None:
    """What the machine config at `path` says of the node's cluster; None for what is none (yet)."""
    try:
        documents = list(YAML(typ="safe").load_all(path.read_text()))
    except (OSError, YAMLError):
        return None  # being written; the next look reads it
    config: dict[str, Any] = next((one for one in documents if one and "kind" not in one), {})
    cluster_id = str((config.get("cluster") or {}).get("id") or "")
    if not cluster_id or machine.address is None:
        return None
    settings = None
    if (config.get("machine") or {}).get("type") == "controlplane":
        try:
            settings = read_settings(config)
        except SettingsError:
            return None
    return Member(machine=machine, address=machine.address, cluster_id=cluster_id, settings=settings)


def loopback_home(cluster_id: str) -> str:
    """A loopback address of a cluster's own, for the programs that stand beside it (pure)."""
    digest = int.from_bytes(hashlib.sha256(cluster_id.encode()).digest()[:8])
    return str(_HOMES + 1 + digest % _HOMES_COUNT)


def _client(layout: Layout, address: str) -> ApiClient:
    return ApiClient(server=f"https://{address}:{API_PORT}", context=client_of(layout))
