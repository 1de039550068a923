"""Read-only look at the real API server, as the health check needs it."""

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from infraflux_lab.talos.credentials import admin_certificate
from infraflux_lab.talos.errors import failed_precondition
from infraflux_lab.talos.machine_config import MachineConfig

_TIMEOUT_S = 10.0


class Unreachable(Exception):
    """The API server gave no answer; the message says which."""


@dataclass(frozen=True, kw_only=True)
class KubernetesNode:
    """What the checks read of a Node object."""

    name: str
    address: str
    ready: bool
    unschedulable: bool


class KubernetesView:
    """One HTTPS session with an administrator's certificate."""

    def __init__(self, config: MachineConfig, endpoint: str) -> None:
        self._endpoint = (endpoint or config.endpoint).rstrip("/")
        self._context = _client_context(config)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        # Talos reaches its own cluster directly, whatever proxy the lab's user has.
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._session.close()

    async def nodes(self) -> list[KubernetesNode]:
        return [_node(item) for item in await self._items("/api/v1/nodes")]

    async def ready_pods(self, component: str) -> int:
        """Ready control plane pods of one component."""
        items = await self._items(f"/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3D{component}")
        return sum(_condition(item, "Ready") for item in items)

    async def _items(self, path: str) -> list[dict[str, Any]]:
        try:
            async with self._session.get(f"{self._endpoint}{path}") as response:
                if response.status != 200:
                    raise Unreachable(f"{self._endpoint} answered {response.status}")
                found = await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{self._endpoint}: {error or type(error).__name__}") from None
        return list(found.get("items") or [])


def _client_context(config: MachineConfig) -> ssl.SSLContext:
    authority = config.kubernetes_authority
    if authority is None:
        raise failed_precondition("the machine configuration has no Kubernetes CA key")
    pair = admin_certificate(config)
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    with tempfile.TemporaryDirectory(prefix="infraflux-talos-") as directory:
        path = Path(directory) / "admin.pem"
        path.touch(mode=0o600)
        path.write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(path)
    return context


def _condition(item: dict[str, Any], kind: str) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(condition.get("type") == kind and condition.get("status") == "True" for condition in conditions)


def _node(item: dict[str, Any]) -> KubernetesNode:
    addresses = (item.get("status") or {}).get("addresses") or []
    internal = next((entry["address"] for entry in addresses if entry.get("type") == "InternalIP"), "")
    return KubernetesNode(
        name=item["metadata"]["name"],
        address=internal,
        ready=_condition(item, "Ready"),
        unschedulable=bool((item.get("spec") or {}).get("unschedulable")),
    )
