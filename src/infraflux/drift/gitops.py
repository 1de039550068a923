"""The GitOps layer: what Argo CD says, whether it says anything at all, and our own objects changed by others."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infraflux.adapters.argocd.facts import Application
from infraflux.adapters.kubernetes.facts import FIELD_MANAGER, Ref
from infraflux.drift.findings import DriftClass, Finding, Layer, Owner

MASK = "***"
LONGEST_SHOWN = 120
FENCES = ("AppProject", "Application")
"""Kinds whose `spec` is ours alone: a field that somebody adds widens what it fences."""
OUR_KEYS = "infraflux.io/"
"""Labels and annotations with this steer Argo CD: one that somebody adds is read like one of ours."""
Path = tuple[str, ...]


@dataclass(frozen=True)
class OwnObject:
    """An object InfraFlux applied at the handoff: as wanted, and as it is; `live` is None where it is gone."""

    name: str
    wanted: Mapping[str, Any]
    live: Mapping[str, Any] | None
    owner: Owner = Owner.TERRAFORM
    """Where it comes from: what Terraform computed, or a reference that a deploy resolves."""


def find_gitops_drift(applications: Sequence[Application]) -> Iterator[Finding]:
    """Applications that are not Synced and Healthy. Argo CD repairs them, or cannot."""
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


def find_silent_controllers(silent: Iterable[Ref]) -> tuple[list[Finding], list[str]]:
    """Argo CD's controllers that do not run, and what can therefore not be known."""
    findings = [
        Finding(
            layer=Layer.GITOPS,
            object=str(ref),
            field="ready replicas",
            wanted="1 or more",
            seen="0",
            drift_class=DriftClass.DANGEROUS,
            owner=Owner.ARGOCD,
            note="Argo CD cannot heal itself without it",
        )
        for ref in silent
    ]
    unknown = [f"{one.object} does not run: what Applications say is of before" for one in findings]
    return findings, unknown


def find_own_object_drift(objects: Iterable[OwnObject]) -> Iterator[Finding]:
    """Fields that InfraFlux applied and somebody else has changed, and fields that widen them; Secrets are masked."""
    for one in objects:
        if one.live is None:
            yield _own(one, (), wanted="exists", seen="absent")
            continue
        for path, wanted, seen in differences(one.wanted, one.live):
            yield _own(one, path, wanted=wanted, seen="absent" if seen is None else seen)
        for path, seen in additions(one.wanted, one.live):
            yield _own(one, path, wanted="absent", seen=seen, added=True)


def _own(one: OwnObject, path: Path, *, wanted: Any, seen: Any, added: bool = False) -> Finding:
    hidden = one.wanted.get("kind") == "Secret" and path[:1] in (("data",), ("stringData",))
    who = changed_by(one.live or {}, path) or "somebody"
    note = (
        f"{who} added it; a deploy takes away only what it set itself, so remove it by hand"
        if added
        else f"applied by InfraFlux at the handoff, changed by {who}"
    )
    return Finding(
        layer=Layer.GITOPS,
        object=one.name,
        field=".".join(path) or "existence",
        wanted=MASK if hidden else shown(wanted),
        seen=MASK if hidden else shown(seen),
        drift_class=DriftClass.DANGEROUS if added else DriftClass.REPAIRABLE,
        owner=one.owner,
        note=note,
    )


def shown(value: Any) -> str:
    """A value in a table cell; of a longer one the beginning and a digest that tells it from others."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[: LONGEST_SHOWN - 30]}... sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def differences(wanted: Any, live: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Leaves of `wanted` that `live` has otherwise (None: not at all); lists are compared whole."""
    if isinstance(wanted, Mapping):
        source = live if isinstance(live, Mapping) else {}
        for key, value in wanted.items():
            # The API server turns stringData into data and does not give it back.
            if not path and key in ("stringData", "apiVersion", "kind"):
                continue
            yield from differences(value, source.get(key), (*path, key))
    elif wanted not in (live, None, [], "") or (wanted == [] and live):
        yield path, wanted, live


def additions(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """What only `live` has and what still counts: it widens a project's limits, or is read as one of our facts."""
    if wanted.get("kind") in FENCES:
        yield from _only_in(live.get("spec") or {}, wanted.get("spec") or {}, ("spec",))
    for name in ("labels", "annotations"):
        ours = wanted.get("metadata", {}).get(name) or {}
        for key, value in sorted((live.get("metadata", {}).get(name) or {}).items()):
            if OUR_KEYS in key and key not in ours:
                yield ("metadata", name, key), value


def _only_in(live: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in sorted(live.items()):
        if isinstance(value, Mapping) and isinstance(wanted.get(key), Mapping):
            yield from _only_in(value, wanted[key], (*path, key))
        elif key not in wanted and value not in (None, [], {}, "", False):
            yield (*path, key), value


def changed_by(live: Mapping[str, Any], path: Path) -> str:
    """Who wrote a field last, besides us: its manager as the API server keeps it; empty where nobody owns it."""
    entries = live.get("metadata", {}).get("managedFields") or []
    owners = [
        (str(one.get("time", "")), str(one.get("manager", "")))
        for one in entries
        if one.get("manager") != FIELD_MANAGER and _owns(one.get("fieldsV1") or {}, path)
    ]
    return max(owners)[1] if owners else ""


def _owns(fields: Mapping[str, Any], path: Path) -> bool:
    for name in path:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return bool(path)
