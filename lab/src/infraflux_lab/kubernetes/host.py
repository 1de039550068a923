"""All clusters of the lab: which are running, where their home is, and what leads to it."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from infraflux.core.files import make_private_dir, write_private
from infraflux_lab.contracts import EtcdError, EventSink, Latency, NodeFacts
from infraflux_lab.kubernetes.api import ApiError
from infraflux_lab.kubernetes.apply import apply_manifests
from infraflux_lab.kubernetes.control_plane import ControlPlane
from infraflux_lab.kubernetes.etcd_members import RealEtcd
from infraflux_lab.kubernetes.forward import Forward, Target
from infraflux_lab.kubernetes.material import API_PORT, Layout
from infraflux_lab.kubernetes.nodes import Nodes
from infraflux_lab.kubernetes.settings import ClusterSettings, read_settings
from infraflux_lab.kubernetes.versions import Part, describe_programs


@dataclass(frozen=True, kw_only=True)
class ClusterHandle:
    """How to reach a running cluster as admin."""

    cluster_id: str
    name: str
    home: str
    """Address everything listens on."""
    server: str
    kubeconfig: Path
    layout: Layout


class ClusterObserver(Protocol):
    """Told when a control plane came up or is about to go; whoever puts more real processes beside it listens."""

    async def cluster_up(self, cluster: ClusterHandle) -> None: ...
    async def cluster_down(self, cluster_id: str) -> None: ...


class _Cluster:
    """What is known of one cluster, running or not."""

    def __init__(self, layout: Layout, etcd: RealEtcd) -> None:
        self.layout, self.etcd = layout, etcd
        self.lock = asyncio.Lock()
        self.plane: ControlPlane | None = None
        self.up: dict[str, NodeFacts] = {}
        self.forwards: dict[str, Forward] = {}
        self.vip: Forward | None = None

    def home(self) -> Target | None:
        return (self.plane.home, API_PORT) if self.plane else None

    def control_planes(self) -> list[str]:
        return [node.address for node in self.up.values() if node.control_plane]


class KubernetesLab:
    """Implements `KubernetesHost`: see there for what each call promises."""

    def __init__(self, *, state_dir: Path, binaries: Mapping[str, Path], events: EventSink, latency: Latency) -> None:
        """`binaries` maps program names (`etcd`, `kube-apiserver`, ..., `etcdutl` for recovery) to files."""
        self._state_dir = state_dir
        self._binaries = binaries
        self._events = events
        self._latency = latency
        self._clusters: dict[str, _Cluster] = {}
        self._observers: list[ClusterObserver] = []
        self._parts: list[Part] = []
        self._labelling: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make the state directory and ask the programs for their versions."""
        make_private_dir(self._state_dir)
        self._parts = await describe_programs(self._binaries)

    async def close(self) -> None:
        """Stop every cluster and close every forward; data stays."""
        for task in tuple(self._labelling):
            task.cancel()
        await asyncio.gather(*(self.stop(cluster_id) for cluster_id in self._clusters))
        for cluster in self._clusters.values():
            await _close_forwards(cluster)
            await cluster.etcd.close()

    def etcd(self, cluster_id: str) -> RealEtcd:
        """See `KubernetesHost.etcd`."""
        return self._cluster(cluster_id).etcd

    def observe(self, observer: ClusterObserver) -> None:
        """Tell `observer` of clusters from now on."""
        self._observers.append(observer)

    def describe(self) -> list[Part]:
        """Each process with its version, real or simulated."""
        return list(self._parts)

    def clusters(self) -> list[ClusterHandle]:
        """The running clusters."""
        return [_handle(key, c.plane) for key, c in self._clusters.items() if c.plane]

    def pids(self, cluster_id: str) -> dict[str, int]:
        """Process ids by program, `etcd-<machine>` for each member, to measure them."""
        cluster = self._cluster(cluster_id)
        members = {f"etcd-{machine}": pid for machine, pid in cluster.etcd.pids().items()}
        return {**members, **(cluster.plane.pids() if cluster.plane else {})}

    async def start(self, cluster_id: str, config: Mapping[str, Any], node: NodeFacts, *, new: bool) -> None:
        """See `KubernetesHost.start`; SettingsError for a config that cannot carry a control plane."""
        settings = read_settings(config)
        cluster = self._cluster(cluster_id)
        async with cluster.lock:
            if new and self.has_data(cluster_id):
                raise FileExistsError(f"cluster {cluster_id} has data in etcd already")
            if cluster.plane and (cluster.plane.home, cluster.plane.settings) == (node.address, settings):
                return
            await self._stop(cluster_id, cluster)
            await (cluster.etcd.found if new else cluster.etcd.run)(config, node)
            try:
                await self._run(cluster_id, cluster, settings, node)
            except BaseException:
                if new:
                    # Nothing of value was written, and a second Bootstrap must not say "already exists".
                    await cluster.etcd.drop(node.machine_key)
                raise

    async def stop(self, cluster_id: str) -> None:
        """See `KubernetesHost.stop`."""
        cluster = self._cluster(cluster_id)
        async with cluster.lock:
            await self._stop(cluster_id, cluster)

    async def remove(self, cluster_id: str) -> None:
        """See `KubernetesHost.remove`."""
        cluster = self._cluster(cluster_id)
        async with cluster.lock:
            await self._stop(cluster_id, cluster)
            await _close_forwards(cluster)
            await cluster.etcd.close()
            await asyncio.to_thread(shutil.rmtree, cluster.layout.root, ignore_errors=True)
            del self._clusters[cluster_id]

    def running(self, cluster_id: str) -> bool:
        """Whether the control plane is started."""
        return self._cluster(cluster_id).plane is not None

    def has_data(self, cluster_id: str) -> bool:
        """Whether the cluster was bootstrapped."""
        return self._cluster(cluster_id).etcd.has_any_data()

    async def node_up(self, cluster_id: str, node: NodeFacts) -> None:
        """See `KubernetesHost.node_up`; a node that comes before its cluster is remembered and registered later."""
        cluster = self._cluster(cluster_id)
        async with cluster.lock:
            cluster.up[node.name] = node
            await self._lead_home(cluster)
            if cluster.plane:
                await self._latency.sleep("node-join")
                await self._nodes(cluster.plane).up(node)
                self._label_later(cluster, node)
                self._events.emit("kubernetes", "node-up", cluster=cluster.plane.settings.name, node=node.name)

    def _label_later(self, cluster: _Cluster, node: NodeFacts) -> None:
        """Talos writes labels and taints beside the kubelet, some time after it registered."""
        task = asyncio.create_task(self._label(cluster, node), name=f"labels of {node.name}")
        self._labelling.add(task)
        task.add_done_callback(self._labelling.discard)

    async def _label(self, cluster: _Cluster, node: NodeFacts) -> None:
        await self._latency.sleep("node-labels")
        plane = cluster.plane
        # A newer state of the node has a task of its own.
        if plane is None or cluster.up.get(node.name) != node:
            return
        try:
            await self._nodes(plane).label(node)
        except ApiError as error:
            self._events.emit("kubernetes", "node-labels-failed", node=node.name, error=str(error))

    def _nodes(self, plane: ControlPlane) -> Nodes:
        def refused(node: str, why: str) -> None:
            self._events.emit("kubernetes", "node-labels-refused", cluster=plane.settings.name, node=node, why=why)

        return Nodes(plane.api, plane.settings, refused=refused)

    async def node_down(self, cluster_id: str, node_name: str) -> None:
        """See `KubernetesHost.node_down`."""
        cluster = self._cluster(cluster_id)
        async with cluster.lock:
            cluster.up.pop(node_name, None)
            forward = cluster.forwards.pop(node_name, None)
            if forward:
                await forward.close()
            if cluster.plane:
                await self._nodes(cluster.plane).down(node_name)
                self._events.emit("kubernetes", "node-down", cluster=cluster.plane.settings.name, node=node_name)

    async def set_vip(self, cluster_id: str, vip: str) -> None:
        """See `KubernetesHost.set_vip`."""
        cluster = self._cluster(cluster_id)
        async with cluster.lock:
            if cluster.vip and cluster.vip.address != vip:
                await cluster.vip.close()
                cluster.vip = None
            if cluster.vip is None:
                cluster.vip = Forward(address=vip, port=API_PORT, target=cluster.home)
                await cluster.vip.open()

    async def apply_manifests(self, cluster_id: str, objects: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """See `KubernetesHost.apply_manifests`; ApiError while the API server does not answer."""
        plane = self._cluster(cluster_id).plane
        if plane is None:
            raise ApiError(0, "the control plane is not running")
        refused = await apply_manifests(plane.api, objects)
        self._events.emit("kubernetes", "manifests-applied", cluster=plane.settings.name, objects=len(objects))
        return [f"{one.name}: {one.why}" for one in refused]

    async def _run(self, cluster_id: str, cluster: _Cluster, settings: ClusterSettings, node: NodeFacts) -> None:
        forward = cluster.forwards.pop(node.name, None)
        if forward:
            await forward.close()
        plane = ControlPlane(
            cluster=settings.name,
            layout=cluster.layout,
            settings=settings,
            home=node.address,
            served=cluster.control_planes(),
            binaries=self._binaries,
            events=self._events,
            etcd_ready=lambda: cluster.etcd.ready(node.machine_key),
        )
        make_private_dir(cluster.layout.root)
        write_private(
            cluster.layout.root / "cluster.json", json.dumps({"cluster_id": cluster_id, "name": settings.name})
        )
        await plane.start()
        with contextlib.suppress(EtcdError):
            await cluster.etcd.announce(node)
        cluster.plane = plane
        nodes = self._nodes(plane)
        await nodes.forget_kubelets(except_for=set(cluster.up))
        await plane.start_controllers()
        for known in cluster.up.values():
            await nodes.up(known)
            self._label_later(cluster, known)
        await self._lead_home(cluster)
        self._events.emit("kubernetes", "cluster-up", cluster=settings.name, home=node.address)
        for observer in self._observers:
            await observer.cluster_up(_handle(cluster_id, plane))

    async def _stop(self, cluster_id: str, cluster: _Cluster) -> None:
        if cluster.plane is None:
            return
        plane, cluster.plane = cluster.plane, None
        for observer in self._observers:
            await observer.cluster_down(cluster_id)
        await plane.stop()
        self._events.emit("kubernetes", "cluster-down", cluster=plane.settings.name, home=plane.home)

    async def _lead_home(self, cluster: _Cluster) -> None:
        """Every control plane that is up, but for the home itself, answers on :6443 by leading to the home."""
        home = cluster.plane.home if cluster.plane else None
        if cluster.plane:
            cluster.plane.serve(cluster.control_planes())
        for node in cluster.up.values():
            if node.control_plane and node.address != home and node.name not in cluster.forwards:
                forward = Forward(address=node.address, port=API_PORT, target=cluster.home)
                await forward.open()
                cluster.forwards[node.name] = forward

    def _cluster(self, cluster_id: str) -> _Cluster:
        if cluster_id not in self._clusters:
            # A cluster id is URL-safe base64; quoting keeps the padding out of shells and cannot collide.
            layout = Layout(root=self._state_dir / quote(cluster_id, safe=""))
            etcd = RealEtcd(layout.members, logs=layout.logs, binaries=self._binaries, events=self._events)
            self._clusters[cluster_id] = _Cluster(layout, etcd)
        return self._clusters[cluster_id]


def _handle(cluster_id: str, plane: ControlPlane) -> ClusterHandle:
    return ClusterHandle(
        cluster_id=cluster_id,
        name=plane.settings.name,
        home=plane.home,
        server=f"https://{plane.home}:{API_PORT}",
        kubeconfig=plane.layout.kubeconfig("admin"),
        layout=plane.layout,
    )


async def _close_forwards(cluster: _Cluster) -> None:
    for forward in (*cluster.forwards.values(), *([cluster.vip] if cluster.vip else [])):
        await forward.close()
    cluster.forwards.clear()
    cluster.vip = None
