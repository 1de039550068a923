"""Drift of many clusters: each checked on its own; findings are kept, reported and compared with the last ones."""

import json
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from infraflux.adapters.git_head import read_head
from infraflux.adapters.notify import post_text
from infraflux.adapters.releases import LedgerFile
from infraflux.adapters.secrets.bundle import Learn, ignore
from infraflux.config.load import Fleet, unknown_cluster
from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.errors import InfrafluxError, Permanent
from infraflux.core.files import write_private
from infraflux.core.locks import is_held
from infraflux.core.outcomes import Noop
from infraflux.core.paths import ProjectPaths
from infraflux.core.process import guard
from infraflux.drift.findings import ALL_LAYERS, ClusterDrift, DriftVerdict, Finding, Layer, decide_fix
from infraflux.drift.history import Look, last_of, look_of
from infraflux.drift.report import as_json, from_json, notification
from infraflux.operations.drift_check import look_at_drift
from infraflux.operations.machines_drift import Sweep

LOOKS_AT_ONCE = 4
"""A look may start Terraform; more at once only makes this machine wait for itself."""
Held = Callable[[str], str]
"""Who holds a cluster (`<env>/<name>`), or nothing."""


def choose(fleet: Fleet, targets: Sequence[str]) -> list[str]:
    """The clusters that `ENV` or `ENV/CLUSTER` mean, all where none is named. Permanent for an unknown one."""
    if not targets:
        return list(fleet.clusters)
    chosen: list[str] = []
    for target in targets:
        found = [key for key in fleet.clusters if target in (key, key.partition("/")[0])]
        if not found:
            raise unknown_cluster(target, [*fleet.environments, *fleet.clusters])
        chosen += found
    return list(dict.fromkeys(chosen))


def held_here(root: Path) -> Held:
    """Asks this machine's locks only."""
    locks = ProjectPaths(root).state / "locks"
    return lambda cluster: "a run on this machine holds it" if is_held(locks, cluster) else ""


def check_fleet(
    root: Path,
    targets: Sequence[str] = (),
    *,
    held: Held | None = None,
    layers: Collection[Layer] = ALL_LAYERS,
    now: datetime | None = None,
    learn: Learn = ignore,
    full: bool = False,
) -> list[ClusterDrift]:
    """Look at all of them side by side; one that cannot be looked at does not stop the others.

    `learn` hears of every secret that is opened for it. `full`: Terraform plans every stack, also those where nothing
    has changed since their last full plan.
    """
    fleet, commit, held = Fleet.load(root), evidence_commit(root), held or held_here(root)
    keys = choose(fleet, targets)
    sweep = Sweep(root=root, fleet=fleet, full=full, now=now)

    def one(key: str) -> ClusterDrift:
        return check_cluster(fleet.cluster(key), sweep=sweep, commit=commit, held=held, layers=layers, learn=learn)

    with guard(), ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        return list(pool.map(one, keys))


def evidence_commit(root: Path) -> str:
    """The commit a report is evidence for; empty from a working tree that no commit describes."""
    head = read_head(root)
    return "" if head.dirty else head.commit


def check_cluster(
    spec: ClusterSpec,
    *,
    sweep: Sweep,
    commit: str,
    held: Held,
    layers: Collection[Layer] = ALL_LAYERS,
    learn: Learn = ignore,
) -> ClusterDrift:
    """The report of one cluster; skipped with the reason while a run holds it or before it was ever deployed."""
    root, fleet, now = sweep.root, sweep.fleet, sweep.now
    blank = ClusterDrift(cluster=spec.key, at=now, commit=commit, simulated=spec.proxmox.on_loopback)
    try:
        if reason := held(spec.key) or _never_deployed(spec, sweep=sweep):
            return replace(blank, skipped=reason)
        report = look_at_drift(
            spec, root=root, fleet=fleet, commit=commit, now=now, layers=layers, learn=learn, sweep=sweep
        )
    except InfrafluxError as error:
        return replace(blank, unknown=(error.message,))
    except Exception as error:  # noqa: BLE001 - a defect at one cluster must not hide the state of the others
        return replace(blank, unknown=(f"internal: {type(error).__name__}",))
    if report.verdict is not DriftVerdict.CLEAN and (reason := held(spec.key)):
        # A run that began meanwhile was caught in the middle of its work.
        return replace(blank, skipped=f"{reason} since the look began")
    return report


def _never_deployed(spec: ClusterSpec, *, sweep: Sweep) -> str:
    """A reason where neither this machine nor Proxmox knows of the cluster; raises where Proxmox cannot be asked."""
    paths = ProjectPaths(sweep.root)
    known = (paths.kubeconfig(spec.environment, spec.name), paths.talosconfig(spec.environment, spec.name))
    if any(path.exists() for path in known):
        return ""
    if any(spec.ownership_tag in guest.tags for guest in sweep.snapshot(spec).guests()):
        return ""
    return "it was never deployed: no machine carries its tag"


def keep(root: Path, reports: Sequence[ClusterDrift]) -> None:
    """Write each report as the cluster's last one, and its numbers to the history.

    A skipped look replaces no report; one at some layers only is kept nowhere: it says nothing of the cluster.
    """
    whole = [report for report in reports if report.whole]
    for report in whole:
        if report.verdict is not DriftVerdict.SKIPPED:
            environment, _, name = report.cluster.partition("/")
            text = json.dumps(as_json(report), indent=2) + "\n"
            write_private(ProjectPaths(root).last_drift(environment, name), text)
    _history(root).append(*(look_of(report).model_dump_json() for report in whole))


def _history(root: Path) -> LedgerFile:
    return LedgerFile(ProjectPaths(root).state / "delivery" / "drift-history.jsonl")


def read_looks(root: Path, cluster: str) -> list[Look]:
    """The newest looks at one cluster, oldest first."""
    return last_of((Look.model_validate_json(line) for line in _history(root).lines()), cluster)


def last_report(root: Path, spec: ClusterSpec) -> ClusterDrift:
    """The newest report that was kept; Permanent where there is none."""
    path = ProjectPaths(root).last_drift(spec.environment, spec.name)
    try:
        return from_json(json.loads(path.read_text()))
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)
    raise Permanent(
        f"{spec.key} has not been checked yet", stage="drift", next_step=f"run `infraflux drift check {spec.key}`"
    )


def fleet_reports(root: Path, fleet: Fleet, fresh: Sequence[ClusterDrift]) -> list[ClusterDrift]:
    """A report per cluster of the fleet: the fresh one, else the one that was kept; none where nobody ever looked."""
    by_cluster = {report.cluster: report for report in fresh}
    for key in fleet.clusters:
        if key not in by_cluster:
            with suppress(Permanent):
                by_cluster[key] = last_report(root, fleet.cluster(key))
    return [by_cluster[key] for key in fleet.clusters if key in by_cluster]


def fix_of(
    root: Path, spec: ClusterSpec, report: ClusterDrift, *, now: datetime | None = None
) -> tuple[Finding, ...] | Noop:
    """What a deploy may repair by the environment's policy, or why nothing."""
    now = now or datetime.now(UTC)
    return decide_fix(report, policy=spec.policy.drift.fix, commit=evidence_commit(root), now=now)


def notify(root: Path, fleet: Fleet, reports: Sequence[ClusterDrift]) -> list[str]:
    """Notify the channel of each environment about its clusters; returns what could not be delivered."""
    by_reference: dict[str, list[ClusterDrift]] = {}
    for report in reports:
        if reference := fleet.cluster(report.cluster).policy.drift.notify_url:
            by_reference.setdefault(reference, []).append(report)
    failed = []
    for reference, mine in by_reference.items():
        if text := notification(mine):
            try:
                url = reference if "://" in reference else resolve(reference, root=root).reveal()
                post_text(url, text)
            except InfrafluxError as error:
                failed.append(error.message)
    return failed
