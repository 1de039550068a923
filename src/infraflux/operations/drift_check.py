"""One look at one cluster over all layers. Reads only; a layer that cannot be read is said, never passed over."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, Ref
from infraflux.adapters.secrets.bundle import Learn, ignore
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError
from infraflux.drift.findings import ALL_LAYERS, ClusterDrift, Finding, Layer, Owner, apply_ignores
from infraflux.drift.gitops import OwnObject, find_gitops_drift, find_own_object_drift, find_silent_controllers
from infraflux.drift.kubernetes import find_manifest_drift, find_node_drift
from infraflux.drift.talos import find_talos_drift
from infraflux.operations.bootstrap_manifests import look_at_manifests
from infraflux.operations.handoff_secrets import sensitive_values
from infraflux.operations.health import read_nodes
from infraflux.operations.machines_drift import Sweep, look_at_machines
from infraflux.operations.platform import open_platform
from infraflux.operations.talos import open_talos
from infraflux.operations.talos_facts import read_facts


@dataclass
class _Look:
    """Collects what the layers find; a layer's error becomes a line of what is unknown."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    def at(self, layer: Layer, read: Callable[[], Iterator[Finding] | list[Finding]]) -> None:
        try:
            for finding in read():
                self.findings.append(finding)
        except InfrafluxError as error:
            self.unknown.append(f"{layer}: {error.message}")
        except Exception as error:  # noqa: BLE001 - a defect in one layer must not hide what the others show
            self.unknown.append(f"{layer}: internal: {type(error).__name__}")


def look_at_drift(
    spec: ClusterSpec,
    *,
    root: Path,
    fleet: Fleet,
    commit: str,
    now: datetime | None = None,
    layers: Collection[Layer] = ALL_LAYERS,
    learn: Learn = ignore,
    sweep: Sweep | None = None,
) -> ClusterDrift:
    """The report of one cluster; ignore rules of its policy are applied. `sweep`: what looks at several share."""
    now = now or datetime.now(UTC)
    shared = sweep or Sweep(root=root, fleet=fleet, now=now)
    look = _Look()
    reads: dict[Layer, Callable[[], Iterator[Finding] | list[Finding]]] = {
        Layer.MACHINES: lambda: _machines(spec, sweep=shared, evidence=look.evidence),
        Layer.TALOS: lambda: _talos(spec, root=root, now=now, unknown=look.unknown, learn=learn),
        Layer.KUBERNETES: lambda: _kubernetes(spec, root=root, unknown=look.unknown, learn=learn),
        Layer.GITOPS: lambda: _gitops(spec, root=root, unknown=look.unknown, learn=learn),
    }
    chosen = tuple(layer for layer in reads if layer in layers)
    for layer in chosen:
        look.at(layer, reads[layer])
    ignored = apply_ignores(look.findings, spec.policy.drift.ignore, today=now.date())
    return ClusterDrift(
        cluster=spec.key,
        at=now,
        commit=commit,
        findings=ignored.findings,
        unknown=tuple(look.unknown),
        evidence=tuple(look.evidence),
        simulated=spec.proxmox.on_loopback,
        layers=chosen,
    )


def _machines(spec: ClusterSpec, *, sweep: Sweep, evidence: list[str]) -> list[Finding]:
    look = look_at_machines(spec, sweep=sweep)
    evidence += look.evidence
    return list(look.findings)


def _talos(spec: ClusterSpec, *, root: Path, now: datetime, unknown: list[str], learn: Learn) -> list[Finding]:
    findings, unread = find_talos_drift(spec, read_facts(open_talos(spec, root=root, learn=learn)), now=now)
    unknown += [f"talos: {line}" for line in unread]
    return findings


def _kubernetes(spec: ClusterSpec, *, root: Path, unknown: list[str], learn: Learn) -> Iterator[Finding]:
    talos = open_talos(spec, root=root, learn=learn)
    yield from find_node_drift(spec, read_nodes(talos.workspace.kubeconfig))
    with closing(Kubernetes.from_kubeconfig(talos.workspace.kubeconfig, cluster=spec.key)) as kubernetes:
        seen = look_at_manifests(talos, kubernetes)
    yield from find_manifest_drift(seen.get("manifests", ()))
    if why := seen.get("manifests_unknown"):
        unknown.append(f"kubernetes: what Talos brings with it: {why}")


def _gitops(spec: ClusterSpec, *, root: Path, unknown: list[str], learn: Learn) -> Iterator[Finding]:
    platform = open_platform(spec, root=root)
    try:
        argocd, kubernetes = platform.installer.argocd, platform.kubernetes
        silent, unread = find_silent_controllers(argocd.silent())
        unknown += [f"gitops: {line}" for line in unread]
        yield from silent
        yield from find_gitops_drift(argocd.read())
        yield from _own_objects(platform.installer.bundle.manifests, kubernetes=kubernetes, owner=Owner.TERRAFORM)
        # Last: a reference that this machine cannot resolve leaves the rest looked at.
        secrets = platform.secrets(create=False)
        learn(frozenset(sensitive_values(secrets)))
        yield from _own_objects(secrets, kubernetes=kubernetes, owner=Owner.INFRAFLUX)
    finally:
        platform.kubernetes.close()


def _own_objects(manifests: Sequence[Manifest], *, kubernetes: Kubernetes, owner: Owner) -> Iterator[Finding]:
    refs = [(Ref.of(manifest), manifest) for manifest in manifests]
    objects = (OwnObject(str(ref), wanted, kubernetes.read(ref), owner=owner) for ref, wanted in refs)
    yield from find_own_object_drift(objects)
