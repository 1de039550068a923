"""Machines of one cluster as Prefect tasks: look, plan, guard, apply, destroy."""

from datetime import UTC, datetime
from typing import Any

from infraflux.adapters.terraform.events import Event, EventKind
from infraflux.config.load import Fleet
from infraflux.core import process
from infraflux.operations import destruction, plan_report
from infraflux.operations.machines import Machines, open_machines
from tasks.engine.step import log_line, project_root, step, told


def _open(cluster: str) -> Machines:
    root = project_root()
    fleet = Fleet.load(root)
    return open_machines(fleet.cluster(cluster), root=root, fleet=fleet)


def _log_event(event: Event) -> None:
    if event.kind in (EventKind.STARTED, EventKind.COMPLETED, EventKind.ERRORED):
        log_line(event.message)


@step("preflight")
def preflight(*, cluster: str) -> dict[str, Any]:
    """Everything that would go wrong, before anything is written; stops the run with all findings at once."""
    seen = _open(cluster).preflight()
    for warning in seen.warnings:
        log_line(f"warning: {warning}")
    hosts = sum(host.online for host in seen.observed.hosts.values())
    return {"summary": f"{hosts} hosts online, {len(seen.warnings)} warnings", "warnings": len(seen.warnings)}


@step("plan machines")
def plan_machines(*, cluster: str) -> dict[str, Any]:
    """One plan over the shared stack and the cluster's, saved; `digest` binds an approval to it."""
    with process.guard():
        plan = _open(cluster).plan()
    for warning in plan.warnings:
        log_line(f"warning: {warning}")
    log_line(f"plan: {plan}")
    return {**plan_report.facts(plan), "markdown": plan_report.markdown(plan)}


@step("guard plan", retries=0)
def guard_plan(*, cluster: str, shared_run: str, cluster_run: str, digest: str) -> dict[str, Any]:
    """Refuses a plan that destroys more than the policy allows by name."""
    machines = _open(cluster)
    plan = machines.reopen(shared_run=shared_run, cluster_run=cluster_run, digest=digest)
    machines.guard(plan, today=datetime.now(UTC).date())
    return {"summary": "allowed by the policy"}


@step("apply machines")
def apply_machines(*, cluster: str, shared_run: str, cluster_run: str, digest: str) -> dict[str, Any]:
    """Apply exactly the plan of this digest; the guard is asked once more."""
    machines = _open(cluster)
    with process.guard():
        plan = machines.reopen(shared_run=shared_run, cluster_run=cluster_run, digest=digest)
        machines.guard(plan, today=datetime.now(UTC).date())
        outcome = machines.apply(plan, on_event=_log_event)
    return {"summary": told(outcome)}


@step("plan destruction")
def plan_destruction(*, cluster: str) -> dict[str, Any]:
    """What would end with the cluster, machines in no state included; `digest` binds an approval to it."""
    planned = _open(cluster).plan_destruction()
    log_line(f"plan: {planned}")
    return destruction.facts(planned)


@step("destroy machines")
def destroy_machines(*, cluster: str) -> dict[str, Any]:
    """Remove every machine of the cluster, unrecorded ones too; what is gone already is passed over."""
    with process.guard():
        outcomes = _open(cluster).destroy(on_event=_log_event)
    return {"summary": "; ".join(str(told(outcome)) for outcome in outcomes)}
