"""Drift as Prefect tasks: look, publish, tell. Nothing here changes a cluster."""

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from infraflux.assembly.drift_fleet import check_fleet, keep, notify, read_looks
from infraflux.config.load import Fleet
from infraflux.drift.findings import ClusterDrift, Verdict
from infraflux.drift.history import sparkline
from infraflux.drift.report import cluster_markdown, fleet_rows, headline
from tasks.configuration import learn_secrets
from tasks.events import resource
from tasks.masking import add_secrets, masked
from tasks.reporting import artifact_key
from tasks.running import log_line, project_root, step

EVENTS = {
    Verdict.CLEAN: "infraflux.drift.clean",
    Verdict.DRIFTED: "infraflux.drift.detected",
    Verdict.UNKNOWN: "infraflux.drift.unknown",
}
"""A skipped look says nothing about the cluster, so it sends nothing."""


@step("look at every cluster", retries=0)
def look(*, target: str) -> list[ClusterDrift]:
    """All layers of the chosen clusters, side by side; a failing cluster is Unknown and stops no other."""
    root = project_root()
    for spec in Fleet.load(root).clusters.values():
        learn_secrets(spec, root)
    reports = check_fleet(root, [target] if target else [], learn=add_secrets)
    for report in reports:
        log_line(f"{report.cluster}: {headline(report)}")
        for unread in report.unknown:
            log_line(f"{report.cluster}: not read: {unread}")
    return reports


@step("publish the reports")
def publish(*, reports: Sequence[ClusterDrift]) -> None:
    """Keep them, write the artifacts `drift-<env>-<name>` and `drift-fleet`, send an event per cluster."""
    root = project_root()
    keep(root, reports)
    for report in reports:
        trend = sparkline(read_looks(root, report.cluster))
        text = f"{cluster_markdown(report)}\nLast looks, the newest last: `{trend}`\n"
        create_markdown_artifact(masked(text), key=artifact_key("drift", report.cluster), description=headline(report))
        _send(report)
    create_table_artifact(fleet_rows(reports), key="drift-fleet", description="Drift of every cluster")


def _send(report: ClusterDrift) -> None:
    if (name := EVENTS.get(report.verdict)) is None:
        return
    payload = {"schema": 1, "commit": report.commit, "findings": sum(one.counts for one in report.findings)}
    emit_event(name, resource=resource(report.cluster), payload=payload | {"flow_run_id": str(flow_run.get_id())})


@step("tell whom the policy names")
def tell(*, reports: Sequence[ClusterDrift]) -> None:
    """A message per channel of `policy.drift.notify_url`; what cannot be delivered is logged and fails nothing."""
    root = project_root()
    for failed in notify(root, Fleet.load(root), reports):
        log_line(f"not told: {failed}")


def final_state(reports: Sequence[ClusterDrift]) -> State[Any]:
    """The look worked, so the run is Completed; its name says what was seen. Unknown is never called clean (pure)."""
    verdicts = {report.verdict for report in reports}
    text = "; ".join(f"{report.cluster}: {headline(report)}" for report in reports)
    if Verdict.DRIFTED in verdicts:
        return Completed(name="DriftFound", message=text)
    return Completed(name="DriftUnknown", message=text) if Verdict.UNKNOWN in verdicts else Completed(message=text)
