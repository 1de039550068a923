"""The Talos layer: live machine configs, versions, extensions, etcd, certificates."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from infraflux.adapters.talos.facts import NodeFacts, NodeState, SystemImage, TalosFacts
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.drift.findings import DriftClass, Finding, Layer, Owner
from infraflux.drift.system_image import extension_changes, runs, wanted_image

# Fields whose change takes effect with a reboot or moves the node: on a control plane a person decides.
_DISRUPTIVE = (
    "machine.install",
    "machine.network",
    "machine.type",
    "machine.ca",
    "cluster.ca",
    "cluster.etcd",
    "cluster.id",
)


def find_talos_drift(spec: ClusterSpec, facts: TalosFacts, *, now: datetime) -> tuple[list[Finding], list[str]]:
    """Findings, and what could not be read."""
    findings: list[Finding] = []
    unknown: list[str] = []
    for node in spec.nodes:
        seen = facts.nodes[node.name]
        if seen.state is NodeState.MAINTENANCE:
            findings.append(_lost_configuration(node))
        elif seen.state is not NodeState.RUNNING:
            unknown.append(f"{node.name}: {seen.unknown or seen.state}")
        else:
            findings += _node_findings(spec, node, seen)
            if seen.image is None:
                unknown.append(f"{node.name}: its extensions could not be read")
    findings += _etcd_findings(spec, facts)
    findings += _certificate_findings(spec, facts, now=now)
    return findings, unknown


KUBERNETES_IMAGES = frozenset(
    (
        "machine.kubelet.image",
        *(f"cluster.{part}.image" for part in ("apiServer", "controllerManager", "scheduler", "proxy")),
    )
)
"""The fields that hold a Kubernetes version."""
KUBERNETES = (
    "a deploy plans `upgrade Kubernetes` for it: control planes first, then one kubelet after the other, drained"
)
UPGRADE = "a deploy plans `upgrade Talos` for it: node by node, control planes first, etcd whole around each"


def _finding(name: str, field: str, wanted: str, seen: str, drift_class: DriftClass, *, note: str = "") -> Finding:
    return Finding(
        layer=Layer.TALOS,
        object=name,
        field=field,
        wanted=wanted,
        seen=seen,
        drift_class=drift_class,
        owner=Owner.TALOSCTL,
        note=note,
    )


def _lost_configuration(node: Node) -> Finding:
    drift_class = DriftClass.DANGEROUS if node.role is Role.CONTROL_PLANE else DriftClass.REPAIRABLE
    return _finding(node.name, "state", "running", "maintenance, it has no configuration", drift_class)


def _node_findings(spec: ClusterSpec, node: Node, seen: NodeFacts) -> Iterator[Finding]:
    if seen.image is not None:
        yield from _image_findings(spec, node, seen.image)
    for change in seen.config_changes:
        if change.path.removeprefix("v1alpha1.") in KUBERNETES_IMAGES:
            # Another version, in its own order: pushed as a field it would reach kubelets before API servers.
            note, drift_class = KUBERNETES, DriftClass.DANGEROUS
        else:
            note, drift_class = "", _config_class(node, change.path)
        yield _finding(node.name, change.path, change.wanted, change.seen, drift_class, note=note)


def _image_findings(spec: ClusterSpec, node: Node, seen: SystemImage) -> Iterator[Finding]:
    """An upgrade reboots the node; nothing but the upgrade's own order keeps quorum meanwhile."""
    wanted, drift_class = wanted_image(spec), DriftClass.DANGEROUS
    if seen.version != wanted.version:
        yield _finding(node.name, "version", wanted.version, seen.version, drift_class, note=UPGRADE)
    if runs(replace(seen, version=wanted.version), wanted):
        return
    if extension_changes(seen, wanted):
        left, right = (", ".join(one.extensions or ()) or "none" for one in (wanted, seen))
        yield _finding(node.name, "extensions", left, right, drift_class, note=UPGRADE)
    else:
        yield _finding(node.name, "schematic", wanted.schematic, seen.schematic or "none", drift_class, note=UPGRADE)


def _config_class(node: Node, path: str) -> DriftClass:
    inner = path.removeprefix("v1alpha1.")
    if node.role is Role.CONTROL_PLANE and inner.startswith(_DISRUPTIVE):
        return DriftClass.DANGEROUS
    return DriftClass.REPAIRABLE


def _etcd_findings(spec: ClusterSpec, facts: TalosFacts) -> Iterator[Finding]:
    if facts.etcd is None:
        asked = [node.name for node in spec.control_planes if facts.nodes[node.name].state is NodeState.RUNNING]
        if asked:
            yield _finding("etcd", "members", "listed", f"{', '.join(asked)} list none", DriftClass.DANGEROUS)
        return
    wanted, listed = {node.name for node in spec.control_planes}, {one.hostname for one in facts.etcd.members}
    for name in sorted(wanted - listed):
        yield _finding("etcd", f"member {name}", "member", "absent", DriftClass.DANGEROUS)
    for name in sorted(listed - wanted):
        yield _finding("etcd", f"member {name}", "absent", "member", DriftClass.DANGEROUS)


def _certificate_findings(spec: ClusterSpec, facts: TalosFacts, *, now: datetime) -> Iterator[Finding]:
    least = spec.policy.drift.certificate_min_days
    for name, ends in sorted(facts.certificates.items()):
        days = (ends - now).days
        if days < least:
            # A client's certificate is cut anew by the next deploy; an authority's is a rotation.
            drift_class = DriftClass.DANGEROUS if name.endswith("authority") else DriftClass.REPAIRABLE
            yield _finding(name, "certificate", f"{least} days or more left", f"{days} days left", drift_class)
