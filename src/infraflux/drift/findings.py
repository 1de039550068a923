"""The words of a drift report: findings, their class, the verdict on a cluster."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

from infraflux.config.models.policy import DriftFix, DriftIgnore
from infraflux.core.outcomes import Noop

EVIDENCE_LASTS = timedelta(hours=24)
"""A repair acts on what was seen; what was seen longer ago may be different by now."""


class Layer(StrEnum):
    MACHINES = "machines"
    """Proxmox and Terraform."""
    TALOS = "talos"
    KUBERNETES = "kubernetes"
    GITOPS = "gitops"
    """Argo CD and what it owns."""


ALL_LAYERS = tuple(Layer)


class DriftClass(StrEnum):
    """What a difference means for the cluster, from the least to the most."""

    EXPECTED = "expected"
    """The platform did it by design, such as HA moving a machine."""
    HARMLESS = "harmless"
    """Nothing depends on it; putting it right disturbs nothing."""
    REPAIRABLE = "repairable"
    """A normal deploy puts it right without ending a machine."""
    DANGEROUS = "dangerous"
    """Putting it right, or leaving it, can cost a machine, quorum or data: a person decides."""


class Owner(StrEnum):
    """Who writes the object, and so where it is corrected."""

    TERRAFORM = "terraform"
    TALOSCTL = "talosctl"
    INFRAFLUX = "infraflux"
    """A deploy writes it through the Kubernetes API."""
    ARGOCD = "argocd"
    NOBODY = "nobody"


class DriftVerdict(StrEnum):
    CLEAN = "clean"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"
    """Something could not be read: never taken for clean."""
    SKIPPED = "skipped"
    """A deploy holds the cluster: what is half built is no drift."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference."""

    layer: Layer
    object: str
    field: str
    wanted: str
    seen: str
    drift_class: DriftClass
    owner: Owner
    ignored_by: str = ""
    """Name of the ignore rule in force; expired rules do not count."""
    note: str = ""

    @property
    def counts(self) -> bool:
        """Whether it makes the cluster drifted."""
        return not self.ignored_by and self.drift_class is not DriftClass.EXPECTED


@dataclass(frozen=True, kw_only=True)
class ClusterDrift:
    """The report of one cluster."""

    cluster: str
    at: datetime
    commit: str = ""
    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    """What could not be read, with the reason."""
    evidence: tuple[str, ...] = ()
    """What the answer rests on, where that is not the same every time."""
    skipped: str = ""
    """Why nothing was looked at; empty where it was."""
    simulated: bool = False
    """The endpoints are the lab's."""
    layers: tuple[Layer, ...] = ALL_LAYERS
    """What was looked at; the verdict speaks of nothing else."""

    @property
    def whole(self) -> bool:
        """Whether every layer was looked at."""
        return set(self.layers) == set(Layer)

    @property
    def verdict(self) -> DriftVerdict:
        """Unknown wins over drifted: an incomplete check proves neither."""
        if self.skipped:
            return DriftVerdict.SKIPPED
        if self.unknown:
            return DriftVerdict.UNKNOWN
        return DriftVerdict.DRIFTED if any(finding.counts for finding in self.findings) else DriftVerdict.CLEAN

    def count(self, drift_class: DriftClass) -> int:
        return sum(one.drift_class is drift_class and not one.ignored_by for one in self.findings)


@dataclass(frozen=True)
class Ignored:
    """Findings after the ignore rules, and the rules that no longer hold."""

    findings: tuple[Finding, ...]
    expired: tuple[str, ...] = field(default=())


def apply_ignores(findings: Iterable[Finding], rules: Sequence[DriftIgnore], *, today: date) -> Ignored:
    """Mark what a rule in force covers. An expired rule covers nothing, and the finding says so."""
    marked = tuple(_marked(finding, rules, today) for finding in findings)
    return Ignored(marked, tuple(rule.name for rule in rules if rule.expires <= today))


def _marked(finding: Finding, rules: Sequence[DriftIgnore], today: date) -> Finding:
    matching = [rule for rule in rules if _covers(rule, finding)]
    in_force = next((rule for rule in matching if rule.expires > today), None)
    if in_force is not None:
        note = f"ignored until {in_force.expires} by {in_force.owner}: {in_force.reason}"
        return replace(finding, ignored_by=in_force.name, note=note)
    if matching:
        return replace(finding, note=f"the ignore rule {matching[0].name} expired on {matching[0].expires}")
    return finding


def _covers(rule: DriftIgnore, finding: Finding) -> bool:
    return (
        rule.layer in ("*", finding.layer)
        and fnmatchcase(finding.object, rule.object)
        and fnmatchcase(finding.field, rule.field)
    )


_FIXABLE = {
    DriftFix.NONE: frozenset[DriftClass](),
    DriftFix.HARMLESS: frozenset({DriftClass.HARMLESS}),
    DriftFix.REPAIRABLE: frozenset({DriftClass.HARMLESS, DriftClass.REPAIRABLE}),
}


def decide_fix(report: ClusterDrift, *, policy: DriftFix, commit: str, now: datetime) -> tuple[Finding, ...] | Noop:
    """The findings that may be repaired now, or why none may (pure).

    Evidence must be of the same commit and fresh: what differs from yesterday's wish may be today's.
    """
    if refused := _no_evidence(report, commit=commit, now=now):
        return Noop(refused)
    counting = [finding for finding in report.findings if finding.counts]
    if not counting:
        return Noop(f"{report.cluster} has no drift")
    dangerous = [finding for finding in counting if finding.drift_class is DriftClass.DANGEROUS]
    if dangerous:
        return Noop(f"{dangerous[0].object} {dangerous[0].field} is dangerous: deploy by hand, with the plan in view")
    allowed = tuple(finding for finding in counting if finding.drift_class in _FIXABLE[policy])
    if len(allowed) < len(counting):
        left = len(counting) - len(allowed)
        return Noop(f"policy.drift.fix is {policy}, which does not cover {left} of the findings")
    return allowed


def _no_evidence(report: ClusterDrift, *, commit: str, now: datetime) -> str:
    """Why nothing may be done on the word of this report; empty where it is good."""
    if report.verdict in (DriftVerdict.UNKNOWN, DriftVerdict.SKIPPED) or not report.whole:
        verdict = report.verdict if report.whole else f"looked at in {', '.join(report.layers)} only"
        return f"{report.cluster} is {verdict}: nothing is put right on half a look"
    if not commit or report.commit != commit:
        return f"the report is of commit {report.commit[:12] or 'none'}, the configuration of {commit[:12] or 'none'}"
    if now - report.at > EVIDENCE_LASTS:
        return f"the report is of {report.at:%Y-%m-%d %H:%M}: look again first"
    return ""
