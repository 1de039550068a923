"""Which labels and taints of a Node are to be written, and which go. Pure.

Talos writes `machine.nodeLabels` and `machine.nodeTaints` with the kubelet's credentials on workers, and the API server
refuses a kubelet most labels of kubernetes.io and every change of its taints
(https://docs.siderolabs.com/kubernetes-guides/advanced-guides/node-labels). A worker registers with its
taints; every later change is the cluster admin's. An annotation remembers what was written, so that what is no longer
declared goes, and what others wrote stays.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infraflux.adapters.kubernetes.facts import Manifest
from infraflux.config.models import Node
from infraflux.config.models.nodes import Taint
from infraflux.core.outcomes import Noop

ANNOTATION = "infraflux.io/owned"
FORMER_ANNOTATION = "infraflux.io/node-marks"
"""Read where the other is missing, and removed when that is written."""


@dataclass(frozen=True)
class LabelChange:
    """What is to be merged into a Node; `changes` are for people."""

    node: str
    body: Mapping[str, Any] = field(repr=False)
    changes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.node}: {', '.join(self.changes) or 'what it registered with is recorded as ours'}"


@dataclass(frozen=True)
class OwnedLabels:
    """What InfraFlux keeps on a Node: keys of labels, and `key:effect` of taints."""

    labels: frozenset[str] = frozenset()
    taints: frozenset[str] = frozenset()

    @property
    def note(self) -> str | None:
        """As the annotation has it; None for none at all."""
        known = {"labels": sorted(self.labels), "taints": sorted(self.taints)}
        return json.dumps(known) if any(known.values()) else None


def read_owned(live: Mapping[str, Any]) -> OwnedLabels:
    """What the annotation of a Node says (pure)."""
    try:
        seen = live["metadata"].get("annotations") or {}
        known = json.loads(seen.get(ANNOTATION, seen.get(FORMER_ANNOTATION, "{}")))
        return OwnedLabels(frozenset(known.get("labels", ())), frozenset(known.get("taints", ())))
    except (ValueError, AttributeError, TypeError):
        # Somebody wrote something else there; what is declared is put right all the same.
        return OwnedLabels()


def plan_labels(node: Node, live: Mapping[str, Any]) -> LabelChange | Noop:
    """What brings a Node to its declared labels and taints (pure). Those of others stay."""
    seen = live["metadata"].get("labels") or {}
    taints = list((live.get("spec") or {}).get("taints") or [])
    before = read_owned(live)
    after = OwnedLabels(frozenset(node.restricted_labels), frozenset(one.identity for one in node.taints))
    labels: dict[str, str | None] = {key: value for key, value in node.labels.items() if seen.get(key) != value}
    labels |= dict.fromkeys(key for key in before.labels if key not in node.labels and key in seen)
    wanted = _wanted_taints(node, taints, ours=before.taints)
    body: dict[str, Any] = {"metadata": {}}
    if labels:
        body["metadata"]["labels"] = labels
    if wanted != taints:
        body["spec"] = {"taints": wanted}
    if after != before:
        body["metadata"]["annotations"] = {ANNOTATION: after.note, FORMER_ANNOTATION: None}
    if body == {"metadata": {}}:
        return Noop(f"{node.name} has its labels and taints")
    # A taint list is replaced whole: another writer's change since the look must make this one fail.
    body["metadata"]["resourceVersion"] = live["metadata"].get("resourceVersion")
    return LabelChange(node=node.name, body=body, changes=_changes(labels, taints, wanted))


def _wanted_taints(node: Node, taints: list[Manifest], *, ours: frozenset[str]) -> list[Manifest]:
    declared = {one.identity: _taint_of(one) for one in node.taints}
    kept = [
        _declared_as(declared.pop(identity_of(one)), one) if identity_of(one) in declared else one
        for one in taints
        if identity_of(one) in declared or identity_of(one) not in ours
    ]
    return kept + list(declared.values())


def _declared_as(wanted: Manifest, seen: Manifest) -> Manifest:
    """A taint that is there already keeps what others noted in it, such as when it began."""
    return {key: value for key, value in seen.items() if key != "value"} | wanted


def _taint_of(taint: Taint) -> Manifest:
    """A declared taint as a Node has it."""
    return {"key": taint.key, "effect": str(taint.effect), **({"value": taint.value} if taint.value else {})}


def identity_of(taint: Mapping[str, Any]) -> str:
    """`Taint.identity` of a taint as a Node has it."""
    return f"{taint['key']}:{taint['effect']}"


def _changes(labels: Mapping[str, str | None], before: list[Manifest], after: list[Manifest]) -> tuple[str, ...]:
    """As `kubectl` writes labels and taints."""
    said = [
        f"label {key}={value}" if value else f"label {key}"
        for key, value in sorted(labels.items())
        if value is not None
    ]
    said += [f"label {key} removed" for key, value in sorted(labels.items()) if value is None]
    left = {identity_of(one) for one in after}
    said += [f"taint {identity_of(one)} removed" for one in before if identity_of(one) not in left]
    return (*said, *(f"taint {_as_kubectl(one)}" for one in after if one not in before))


def _as_kubectl(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"
