"""Nodes as the lab keeps them in a running cluster: registered, up, down."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes.api import ApiClient, ApiError, eventually
from infraflux_lab.kubernetes.objects import (
    has_kubelet,
    kubelet_label,
    mirrored,
    node_object,
    node_path,
    node_status,
    not_ready_conditions,
    pod_not_ready,
    pod_path,
    same_mirror,
    static_pods,
    talos_labels,
)
from infraflux_lab.kubernetes.settings import ClusterSettings

# Right after the start the API server may still refuse (no service account, RBAC not yet written).
_DEADLINE_S = 30.0
# How the NodeRestriction plugin puts it, for labels and for taints.
_RESTRICTED = "is not allowed to modify"


class Nodes:
    """The Node objects and control plane pods of one cluster."""

    def __init__(
        self, api: ApiClient, settings: ClusterSettings, *, refused: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        """`settings` say whether control planes take workloads and which images they run.

        `refused` hears of a node whose labels or taints the API server did not take, and why.
        """
        self._api = api
        self._settings = settings
        self._refused = refused

    async def up(self, node: NodeFacts) -> None:
        """Register the node, or bring it up to date; from then on kwok keeps it Ready."""
        await eventually(lambda: self._register(node), deadline_s=_DEADLINE_S)
        if node.control_plane:
            for pod in static_pods(node, self._settings):
                await eventually(lambda pod=pod: self._place(pod, node), deadline_s=_DEADLINE_S)  # type: ignore[misc]

    async def down(self, name: str) -> None:
        """The kubelet's last words: not Ready. The Node stays."""
        if await self._api.get(node_path(name)) is None:
            return
        await self._api.merge(node_path(name), kubelet_label(present=False))
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self._api.strategic_merge(f"{node_path(name)}/status", not_ready_conditions(now))
        listing = await self._api.get(f"/api/v1/pods?fieldSelector=spec.nodeName={name}") or {}
        for pod in listing.get("items", ()):
            metadata = pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
            await self._end_pod(path, now)

    async def label(self, node: NodeFacts) -> None:
        """Labels and taints of the machine config, written as Talos does: on a worker with the kubelet's own rights."""
        await eventually(lambda: self._label(node_path(node.name), node), deadline_s=_DEADLINE_S)

    async def _label(self, path: str, node: NodeFacts) -> None:
        live = await self._api.get(path)
        if live is None:
            return
        patch = talos_labels(node, live, schedulable_control_planes=self._settings.schedulable_control_planes)
        try:
            await self._api.merge(path, patch, as_node="" if node.control_plane else node.name)
        except ApiError as error:
            # Anything else passes, such as roles that are not written yet.
            if _RESTRICTED not in str(error):
                raise
            # Talos tries again for ever; here it is said once.
            self._refused(node.name, str(error))

    async def _end_pod(self, path: str, now: str) -> None:
        try:
            await self._api.strategic_merge(path, pod_not_ready(now))
        except ApiError as error:
            # Deleted since it was listed.
            if error.status != 404:
                raise

    async def forget_kubelets(self, *, except_for: set[str]) -> None:
        """After a restart nobody plays a kubelet but for the machines that are known to be on."""
        listing = await self._api.get("/api/v1/nodes") or {}
        for item in listing.get("items", ()):
            name = item["metadata"]["name"]
            if has_kubelet(item) and name not in except_for:
                await self.down(name)

    async def _register(self, node: NodeFacts) -> None:
        path = node_path(node.name)
        # Another machine under an old name takes the Node over, as a kubelet does; what it runs begins anew.
        wanted = node_object(node, schedulable_control_planes=self._settings.schedulable_control_planes)
        if not await self._api.create(path.rpartition("/")[0], wanted):
            # A kubelet that comes back refreshes the labels that are its own, and leaves its taints alone.
            await self._api.merge(path, {"metadata": {"labels": wanted["metadata"]["labels"]}})
        await self._api.merge(f"{path}/status", node_status(node))
        # Last, because kwok reads the address once, when it takes a node over.
        await self._api.merge(path, kubelet_label(present=True))

    async def _place(self, pod: dict[str, Any], node: NodeFacts) -> None:
        owner = await self._api.get(node_path(node.name))
        if owner is None:
            return
        mirror = mirrored(pod, node_name=node.name, node_uid=owner["metadata"]["uid"])
        path = pod_path(mirror["metadata"]["name"])
        existing = await self._api.get(path)
        if existing and not same_mirror(existing, mirror):
            await self._api.delete(path)
            existing = None
        # With the kubelet's own rights: the API server takes such pods from nobody else.
        created = await self._api.create(path.rpartition("/")[0], mirror, as_node=node.name)
        if not created and existing is None:
            raise ApiError(409, f"{path} is still on its way out")
