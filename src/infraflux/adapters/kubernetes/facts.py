"""Kubernetes objects as facts: what names one, and what a Node says of itself. No client, no call."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FIELD_MANAGER = "infraflux"
OUT_OF_SERVICE = "infraflux.io/out-of-service"
"""Annotation of a Node that InfraFlux cordoned: why. One without it was cordoned by somebody else, and stays so."""
ROLLING = "rollout"
"""Until the step that took it out of service takes it back; one that a killed run left so is taken back by the next."""
BY_HAND = "by-hand"
"""Until somebody takes it back by hand."""
MAINTENANCE = "maintenance"
"""Until the maintenance of its host ends; its machine is off."""


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
    out_of_service: str = ""
    """Why InfraFlux cordoned it; empty where it did not."""
    boot_id: str = ""
    """Of the kernel that its kubelet last reported from."""
    cores: int = 0
    memory_mib: int = 0
    """What its kubelet counted when it started: the machine's memory less what the kernel keeps."""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Mapping[str, str] = field(default_factory=dict)
    """`key:effect` -> value."""
    owned_taints: frozenset[str] = frozenset()
    """Those of them that InfraFlux keeps."""
    waits_for_cni: bool = False
    """NotReady only because no CNI is installed yet, as its kubelet says."""


@dataclass(frozen=True, kw_only=True)
class ManifestChange:
    """One field of an object that Talos brings with it, or the whole object where `field` is empty."""

    object: str
    field: str
    before: str
    after: str


@dataclass(frozen=True, order=True)
class RemovedApi:
    """An API that somebody has asked for since its server started, and the minor that does not have it any more."""

    resource: str
    """`flowschemas.v1beta3.flowcontrol.apiserver.k8s.io`, as kubectl takes it."""
    removed_in: str
    """`1.32`."""


_DEPRECATED = re.compile(r"^apiserver_requested_deprecated_apis\{([^}]*)\} [1-9]", re.MULTILINE)
"""https://kubernetes.io/docs/reference/using-api/deprecation-policy/#rest-resources-aka-api-objects (metrics): a gauge
per group, version and resource, with the label `removed_release` where one is known."""
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def removed_apis(metrics: str) -> Iterator[RemovedApi]:
    """The APIs in use that some release removes, in what an API server says at `/metrics` (pure)."""
    for found in _DEPRECATED.finditer(metrics):
        labels = dict(_LABEL.findall(found[1]))
        if labels.get("removed_release"):
            parts = (labels.get(name, "") for name in ("resource", "version", "group"))
            yield RemovedApi(resource=".".join(filter(None, parts)), removed_in=labels["removed_release"])
