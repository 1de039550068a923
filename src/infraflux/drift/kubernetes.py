"""The Kubernetes and GitOps layers: nodes and versions, Applications, and our own objects changed by others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infraflux.adapters.argocd import Application
from infraflux.adapters.talos.health import KubernetesNode
from infraflux.config.models import ClusterSpec
from infraflux.drift.findings import DriftClass, Finding, Layer, Owner

MASK = "***"


@dataclass(frozen=True)
class OwnObject:
    """An object InfraFlux applied at the handoff: as wanted, and as it is; `live` is None where it is gone."""

    name: str
    wanted: Mapping[str, Any]
    live: Mapping[str, Any] | None


def find_node_drift(spec: ClusterSpec, nodes: Iterable[KubernetesNode]) -> Iterator[Finding]:
    """Node objects against the declared nodes."""
    by_name = {node.name: node for node in nodes}
    for node in spec.nodes:
        seen = by_name.pop(node.name, None)
        if seen is None:
            yield _node(
                node.name, "registration", wanted="registered", seen="absent", drift_class=DriftClass.REPAIRABLE
            )
            continue
        if not seen.ready:
            yield _node(node.name, "Ready", wanted="True", seen="False", drift_class=DriftClass.DANGEROUS)
        if seen.kubelet_version != spec.versions.kubernetes:
            yield _node(
                node.name,
                "kubelet version",
                wanted=spec.versions.kubernetes,
                seen=seen.kubelet_version,
                drift_class=DriftClass.DANGEROUS,
            )
        if str(node.address) not in seen.addresses:
            shown = ", ".join(seen.addresses) or "none"
            yield _node(node.name, "address", wanted=str(node.address), seen=shown, drift_class=DriftClass.DANGEROUS)
    for name in sorted(by_name):
        yield _node(name, "registration", wanted="absent", seen="registered", drift_class=DriftClass.DANGEROUS)


def _node(name: str, field: str, *, wanted: str, seen: str, drift_class: DriftClass) -> Finding:
    return Finding(
        layer=Layer.KUBERNETES,
        object=f"Node {name}",
        field=field,
        wanted=wanted,
        seen=seen,
        drift_class=drift_class,
        owner=Owner.TALOSCTL,
    )


def find_gitops_drift(applications: Sequence[Application]) -> Iterator[Finding]:
    """Applications that are not Synced and Healthy. Argo CD is the one that puts them right, or cannot."""
    for one in applications:
        if one.sync != "Synced":
            # Argo CD heals what it may; what stays OutOfSync needs its owner in Git.
            yield _application(one, "sync", "Synced", f"{one.sync} {one.message}".strip(), DriftClass.REPAIRABLE)
        if one.health not in ("Healthy", "Progressing"):
            yield _application(one, "health", "Healthy", f"{one.health} {one.message}".strip(), DriftClass.DANGEROUS)


def _application(one: Application, field: str, wanted: str, seen: str, drift_class: DriftClass) -> Finding:
    return Finding(
        layer=Layer.GITOPS,
        object=f"{one.kind} {one.name}",
        field=field,
        wanted=wanted,
        seen=seen,
        drift_class=drift_class,
        owner=Owner.ARGOCD,
    )


def find_own_object_drift(objects: Iterable[OwnObject]) -> Iterator[Finding]:
    """Fields that InfraFlux applied and somebody else has changed since; Secrets' values are masked."""
    for one in objects:
        if one.live is None:
            yield _own(one.name, "existence", "exists", "absent")
            continue
        secret = one.wanted.get("kind") == "Secret"
        for path, wanted, seen in differences(one.wanted, one.live):
            hidden = secret and path.startswith(("data", "stringData"))
            yield _own(one.name, path, MASK if hidden else str(wanted), MASK if hidden else str(seen))


def _own(name: str, field: str, wanted: str, seen: str) -> Finding:
    return Finding(
        layer=Layer.GITOPS,
        object=name,
        field=field,
        wanted=wanted,
        seen=seen,
        drift_class=DriftClass.REPAIRABLE,
        owner=Owner.TERRAFORM,
        note="applied by InfraFlux at the handoff, changed by another manager",
    )


def differences(wanted: Any, live: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Leaves of `wanted` that `live` has otherwise; what only `live` has is another manager's business."""
    if isinstance(wanted, Mapping):
        source = live if isinstance(live, Mapping) else {}
        for key, value in wanted.items():
            # The API server turns stringData into data and does not give it back.
            if path == "" and key in ("stringData", "apiVersion", "kind"):
                continue
            yield from differences(value, source.get(key), f"{path}.{key}".strip("."))
    elif wanted not in (live, None, [], ""):
        yield path, wanted, "absent" if live is None else live
