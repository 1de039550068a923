"""Which APIs are in use that a newer Kubernetes does not have: each API server is asked, before the version goes up."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from infraflux.adapters.kubernetes.client import ClientTransport
from infraflux.adapters.kubernetes.facts import Manifest, RemovedApi, removed_apis
from infraflux.config.matrix import minor
from infraflux.core.errors import InfrafluxError
from infraflux.operations.opening import OpenCluster

TIMEOUT_S = 15.0
"""Metrics of a busy API server are some megabytes."""
API_PORT = 6443


def look_at_removed_apis(opened: OpenCluster, nodes: Mapping[str, Manifest]) -> dict[str, Any]:
    """That part of `PlatformSeen`. Empty where no node's Kubernetes is a minor behind: nothing can be removed then.

    Each API server counts what it was asked for since it started, so all of them are asked.
    """
    if not _behind(opened, nodes):
        return {}
    found: list[RemovedApi] = []
    unasked: list[str] = []
    for node in opened.spec.control_planes:
        if node.name not in nodes:
            continue
        try:
            found += removed_apis(_metrics(opened, str(node.address)))
        except InfrafluxError as error:
            unasked.append(f"{node.name}: {error.message}")
    return {"removed_apis": tuple(found), "unasked": tuple(unasked)}


def _behind(opened: OpenCluster, nodes: Mapping[str, Manifest]) -> bool:
    wanted = minor(opened.spec.versions.kubernetes)
    versions = (((one.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", "") for one in nodes.values())
    return any(minor(version) < wanted for version in versions if version)


def _metrics(opened: OpenCluster, address: str) -> str:
    kubeconfig = opened.talos.workspace.kubeconfig
    with closing(ClientTransport(kubeconfig, timeout_s=TIMEOUT_S, server=f"https://{address}:{API_PORT}")) as api:
        return api.text("/metrics")
