"""Which release a cluster is verified to run: recorded when it was checked, revoked when that no longer holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from infraflux.adapters.argocd.facts import ROOT, Application
from infraflux.adapters.git_repo import GitRepo
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome
from infraflux.delivery.records import Approved, Ledger, Verified
from infraflux.delivery.release import Release
from infraflux.drift.findings import ClusterDrift, DriftClass, DriftVerdict
from infraflux.operations.platform import open_platform
from infraflux.operations.releases import RELEASED_CONTENT, DeliveryLedger, load_releases, running_here


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The release a cluster runs, or why it is none."""

    release: Release | None
    outcome: Outcome


Look = Literal["deploy", "drift check"]


def verify_release(
    spec: ClusterSpec,
    *,
    root: Path,
    commit: str,
    evidence: str,
    looked: Look = "deploy",
    tree: Path | None = None,
    now: datetime | None = None,
) -> Proof:
    """Record that the cluster, just seen healthy and synced, runs the release of its content, where there is one.

    What Argo CD synced is compared too: a commit that was not pushed has not reached the cluster. `commit` is empty for
    a working tree that no commit describes; `tree` has the files of that commit, the project itself where not given.
    """
    release = _release_of(spec, root=root, tree=tree or root, commit=commit)
    if isinstance(release, Noop):
        return Proof(release=None, outcome=release)
    ledger = DeliveryLedger(root)
    if ledger.read().runs(release.digest, spec.key):
        return Proof(release=release, outcome=Noop(f"{spec.key} is verified with {release.name}"))
    ledger.add(_record(release, spec.key, ok=True, evidence=evidence, looked=looked, now=now))
    return Proof(release=release, outcome=Done(f"{spec.key} verified with {release.name}"))


def _release_of(spec: ClusterSpec, *, root: Path, tree: Path, commit: str) -> Release | Noop:
    if not commit:
        return Noop("there is no commit, so no release")
    git = GitRepo(root)
    if tree == root and spec.release is None and (changed := git.changed(RELEASED_CONTENT)):
        return Noop(f"{changed[0]} differs from the commit, so no release is what runs")
    running = running_here(spec, root=root, tree=tree, commit=commit)
    release = next((one for one in load_releases(tree) if one.digest == running.digest), None)
    if release is None:
        return Noop("no release has what runs here; `infraflux release cut` makes one")
    return _synced(spec, release, root=root) or release


def _synced(spec: ClusterSpec, release: Release, *, root: Path) -> Noop | None:
    """Why Argo CD runs another platform tree than the release's; None where it runs that one."""
    revision = _root_revision(open_platform(spec, root=root).installer.argocd.read())
    try:
        tree = GitRepo(root).tree_id(revision, "platform")
    except Permanent:
        return Noop(f"Argo CD synced {revision[:12] or 'nothing'}, which this checkout does not have")
    if tree != release.trees["platform"]:
        return Noop(f"Argo CD synced {revision[:12]}, whose platform/ is not that of {release.name}: push the commit")
    return None


def _root_revision(applications: Sequence[Application]) -> str:
    return next((one.revision for one in applications if one.name == ROOT), "")


def revoke(cluster: str, *, root: Path, why: str, looked: Look = "deploy", now: datetime | None = None) -> Outcome:
    """Revoke the cluster's verification; what it was verified with before that remains a target of a rollback."""
    ledger = DeliveryLedger(root)
    standing = ledger.read().standing(cluster)
    if standing is None:
        return Noop(f"{cluster} is verified with no release")
    ledger.add(standing.model_copy(update={"at": _now(now), "ok": False, "evidence": why, "looked": looked}))
    return Done(f"{cluster} is no longer verified with {standing.release}: {why}")


def record_looks(root: Path, reports: Sequence[ClusterDrift]) -> list[str]:
    """A drift check is a re-verification: what it finds different revokes, a clean look after that restores.

    Harmless and expected differences revoke nothing; a look at some layers only, or an unfinished one, says nothing.
    """
    whole = [report for report in reports if report.whole]
    return [str(outcome) for report in whole if isinstance(outcome := _record_look(root, report), Done)]


def _record_look(root: Path, report: ClusterDrift) -> Outcome:
    why = f"drift check of {report.at:%Y-%m-%d %H:%M}"
    if breaks_verification(report):
        return revoke(report.cluster, root=root, why=why, looked="drift check", now=report.at)
    if not restores_verification(report, DeliveryLedger(root).read()):
        return Noop("the check changes nothing")
    try:
        spec = Fleet.load(root).cluster(report.cluster)
        proof = verify_release(spec, root=root, commit=report.commit, evidence=why, looked="drift check", now=report.at)
        return proof.outcome
    except InfrafluxError as error:
        return Noop(error.message)


def breaks_verification(report: ClusterDrift) -> bool:
    """Whether the cluster is not what was verified (pure)."""
    worse = (DriftClass.REPAIRABLE, DriftClass.DANGEROUS)
    return report.verdict is DriftVerdict.DRIFTED and any(
        one.counts and one.drift_class in worse for one in report.findings
    )


def restores_verification(report: ClusterDrift, ledger: Ledger) -> bool:
    """Whether a check revoked the verification last, and this one found nothing any more (pure)."""
    mine = [one for one in ledger.records if isinstance(one, Verified) and one.cluster == report.cluster]
    return report.verdict is DriftVerdict.CLEAN and bool(mine) and not mine[-1].ok and mine[-1].looked == "drift check"


def approval_for(cluster: str, *, root: Path, plan: str, shared: str | None, since: datetime) -> Approved | None:
    """The approval that a promotion was given for exactly this plan of a cluster."""
    return DeliveryLedger(root).read().approval_of(cluster, plan=plan, shared=shared, since=since)


def _record(release: Release, cluster: str, *, ok: bool, evidence: str, looked: Look, now: datetime | None) -> Verified:
    return Verified(
        digest=release.digest,
        release=release.name,
        cluster=cluster,
        at=_now(now),
        ok=ok,
        evidence=evidence,
        looked=looked,
    )


def _now(now: datetime | None) -> datetime:
    return now or datetime.now(UTC)
