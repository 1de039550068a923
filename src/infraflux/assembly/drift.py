"""One look at one cluster over all layers. Reads only; a layer that cannot be read is said, never passed over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infraflux.adapters.kubernetes import Ref
from infraflux.adapters.secrets import Learn, ignore
from infraflux.adapters.talos.facts import read_facts
from infraflux.adapters.talos.health import read_nodes
from infraflux.assembly.machines import open_machines
from infraflux.assembly.platform import open_platform
from infraflux.assembly.talos import open_talos
from infraflux.config.errors import InfrafluxError
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.drift.findings import ClusterDrift, Finding, apply_ignores
from infraflux.drift.kubernetes import OwnObject, find_gitops_drift, find_node_drift, find_own_object_drift
from infraflux.drift.machines import find_machine_drift
from infraflux.drift.talos import find_talos_drift


@dataclass
class _Look:
    """Collects what the layers find; a layer's error becomes a line of what is unknown."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def at(self, layer: str, read: Callable[[], Iterator[Finding] | list[Finding]]) -> None:
        try:
            self.findings += list(read())
        except InfrafluxError as error:
            self.unknown.append(f"{layer}: {error.message}")


def look_at_drift(
    spec: ClusterSpec, *, root: Path, fleet: Fleet, commit: str, now: datetime | None = None, learn: Learn = ignore
) -> ClusterDrift:
    """The report of one cluster; ignore rules of its policy are applied."""
    now = now or datetime.now(UTC)
    look = _Look()
    look.at("machines", lambda: _machines(spec, root=root, fleet=fleet))
    look.at("talos", lambda: _talos(spec, root=root, now=now, unknown=look.unknown, learn=learn))
    look.at("kubernetes", lambda: find_node_drift(spec, read_nodes(_kubeconfig(spec, root))))
    look.at("gitops", lambda: _gitops(spec, root=root))
    ignored = apply_ignores(look.findings, spec.policy.drift.ignore, today=now.date())
    return ClusterDrift(
        cluster=spec.key,
        at=now,
        commit=commit,
        findings=ignored.findings,
        unknown=tuple(look.unknown),
        simulated=spec.proxmox.on_loopback,
    )


def _machines(spec: ClusterSpec, *, root: Path, fleet: Fleet) -> list[Finding]:
    machines = open_machines(spec, root=root, fleet=fleet)
    seen = machines.look()
    plan = machines.plan(preflight=seen)
    summaries = (plan.shared.summary, plan.cluster.summary)
    return find_machine_drift(spec, plans=summaries, guests=seen.observed.guests, orphans=seen.orphans)


def _talos(spec: ClusterSpec, *, root: Path, now: datetime, unknown: list[str], learn: Learn) -> list[Finding]:
    findings, unread = find_talos_drift(spec, read_facts(open_talos(spec, root=root, learn=learn)), now=now)
    unknown += [f"talos: {line}" for line in unread]
    return findings


def _kubeconfig(spec: ClusterSpec, root: Path) -> Path:
    return open_talos(spec, root=root).workspace.kubeconfig


def _gitops(spec: ClusterSpec, *, root: Path) -> Iterator[Finding]:
    installer = open_platform(spec, root=root).installer
    yield from find_gitops_drift(installer.argocd.read())
    objects = []
    for manifest in installer.bundle.manifests:
        ref = Ref.of(manifest)
        objects.append(OwnObject(str(ref), manifest, installer.kubernetes.read(ref)))
    yield from find_own_object_drift(objects)
