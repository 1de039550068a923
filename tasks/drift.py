"""Drift as Prefect tasks: check, publish, notify. Nothing here changes a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from infraflux.config.load import Fleet
from infraflux.core.locks import one_at_a_time
from infraflux.core.outcomes import Outcome
from infraflux.core.paths import ProjectPaths
from infraflux.drift.findings import ClusterDrift, DriftVerdict
from infraflux.drift.history import trend_markdown
from infraflux.drift.report import cluster_markdown, fleet_rows, headline, simulation_notice
from infraflux.operations.delivery import record_looks
from infraflux.operations.drift_fleet import Held, check_fleet, fleet_reports, held_here, keep, notify, read_looks
from tasks.configuration import learn_secrets
from tasks.engine.artifacts import publish as publish_markdown
from tasks.engine.events import resource
from tasks.engine.locks import seen_holder
from tasks.engine.masking import add_secrets
from tasks.engine.step import log_line, project_root, step

EVENTS = {
    DriftVerdict.CLEAN: "infraflux.drift.clean",
    DriftVerdict.DRIFTED: "infraflux.drift.detected",
    DriftVerdict.UNKNOWN: "infraflux.drift.unknown",
}
"""A cluster that was passed over says nothing about itself, so it sends nothing."""
PASSED_OVER = "infraflux.drift.skipped"
"""A whole check that did not begin because the one before still runs."""


@contextmanager
def one_check_of(target: str) -> Iterator[str]:
    """Around a whole check; yields why there is nothing to do while an earlier check of the same clusters runs."""
    who = f"{flow_run.get_name()} (run {flow_run.get_id()}), since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    locks = ProjectPaths(project_root()).state / "locks"
    with one_at_a_time(locks, f"drift--{target or 'fleet'}", who=who) as busy:
        yield f"an earlier check of the same clusters still runs: {busy}" if busy else ""


@step("check drift", retries=0)
def check(*, target: str, full: bool = False) -> list[ClusterDrift]:
    """All layers of the chosen clusters, side by side; a failing cluster is Unknown and stops no other."""
    root = project_root()
    for spec in Fleet.load(root).clusters.values():
        learn_secrets(spec, root)
    with _anybody(root) as held:
        reports = check_fleet(root, [target] if target else [], held=held, learn=add_secrets, full=full)
    for report in reports:
        log_line(f"{report.cluster}: {headline(report)}")
        for line in report.evidence:
            log_line(f"{report.cluster}: {line}")
        for unread in report.unknown:
            log_line(f"{report.cluster}: not read: {unread}")
    return reports


@contextmanager
def _anybody(root: Path) -> Iterator[Held]:
    """Asks for runs on every machine of this Prefect server, then for those on this machine that it does not know."""
    here = held_here(root)
    with get_client(sync_client=True) as client:
        yield lambda cluster: seen_holder(client, cluster) or here(cluster)


@step("publish drift reports")
def publish(*, reports: Sequence[ClusterDrift]) -> None:
    """Keep them, write the artifacts `drift-<env>-<name>` and `drift-fleet`, send an event per cluster."""
    root = project_root()
    keep(root, reports)
    for line in record_looks(root, reports):
        log_line(line)
    for report in reports:
        text = cluster_markdown(report) + trend_markdown(read_looks(root, report.cluster))
        publish_markdown("drift", cluster=report.cluster, markdown=text, description=headline(report))
        _send(report)
    last = fleet_reports(root, Fleet.load(root), reports)
    said = ". ".join(filter(None, ("Drift of every cluster, as it was last looked at", simulation_notice(last))))
    create_table_artifact(fleet_rows(last), key="drift-fleet", description=said)


def _send(report: ClusterDrift) -> None:
    if (name := EVENTS.get(report.verdict)) is None:
        return
    payload = {
        "schema": 1,
        "commit": report.commit,
        "findings": sum(one.counts for one in report.findings),
        "unread": len(report.unknown),
        "summary": headline(report),
        "flow_run_id": str(flow_run.get_id()),
    }
    emit_event(name, resource=resource(report.cluster), payload=payload)


@step("notify")
def notify_channels(*, reports: Sequence[ClusterDrift]) -> None:
    """A message per channel of `policy.drift.notify_url`; what cannot be delivered is logged and fails nothing."""
    root = project_root()
    for failed in notify(root, Fleet.load(root), reports):
        log_line(f"not notified: {failed}")


def passed_over(target: str, reason: str) -> State[Any]:
    """The end of a check that did not begin: with an event, so that it can be counted, and a state that says why."""
    where = {"prefect.resource.id": f"infraflux.drift.{target.replace('/', '.') or 'fleet'}"}
    emit_event(PASSED_OVER, resource=where, payload={"schema": 1, "reason": reason})
    log_line(reason)
    return Completed(name="DriftSkipped", message=reason)


def final_state(reports: Sequence[ClusterDrift], repairs: Mapping[str, Outcome] | None = None) -> State[Any]:
    """The look worked, so the run is Completed; its name says what was seen. Unknown is never called clean (pure)."""
    verdicts = {report.verdict for report in reports}
    lines = [f"{report.cluster}: {headline(report)}" for report in reports]
    text = "; ".join([*lines, *(f"{cluster}: repair: {outcome}" for cluster, outcome in (repairs or {}).items())])
    if DriftVerdict.DRIFTED in verdicts:
        return Completed(name="DriftFound", message=text)
    return Completed(name="DriftUnknown", message=text) if DriftVerdict.UNKNOWN in verdicts else Completed(message=text)
