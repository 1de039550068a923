"""Kubernetes objects as facts: what names one, and what a Node says of itself. No client, no call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FIELD_MANAGER = "infraflux"


Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ref:
    """Names one object: `Ref(api_version="apps/v1", kind="Deployment", namespace="argocd", name="argocd-server")`."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Ref":
        meta = manifest["metadata"]
        return cls(
            api_version=manifest["apiVersion"],
            kind=manifest["kind"],
            name=meta["name"],
            namespace=meta.get("namespace"),
        )

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


@dataclass(frozen=True)
class KubernetesNode:
    """A Node object as far as health needs it."""

    name: str
    ready: bool
    addresses: tuple[str, ...]
    kubelet_version: str
    cordoned: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Mapping[str, str] = field(default_factory=dict)
    """`key:effect` -> value."""
    owned_taints: frozenset[str] = frozenset()
    """Those of them that InfraFlux keeps."""
