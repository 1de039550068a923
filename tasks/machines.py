"""Machines of one cluster as Prefect tasks: look, apply, destroy."""

from datetime import UTC, datetime

from infraflux.core import process
from infraflux.core.outcomes import Noop, Outcome
from infraflux.operations.destruction import Destruction
from infraflux.operations.machine_configs import require_valid
from infraflux.operations.machines import Preflight
from infraflux.operations.opening import OpenCluster
from infraflux.operations.planning import Planned, require_allowed
from tasks.engine.step import log_line, log_outcome, step


@step("run preflight checks")
def preflight(*, opened: OpenCluster) -> Preflight:
    """Everything that would go wrong, before anything is written; stops the run with all findings at once."""
    require_valid(opened.spec, root=opened.tree, tree=opened.fleet.trees[opened.spec.key], log=log_line)
    seen = opened.machines.preflight()
    for warning in seen.warnings:
        log_line(f"warning: {warning}")
    return seen


@step("apply machines")
def apply_machines(*, opened: OpenCluster, planned: Planned) -> Outcome:
    """Apply exactly the plan that was shown; the guard is asked once more."""
    if planned.machines is None:
        return log_outcome(Noop("the plan changes no machine"))
    with process.guard():
        require_allowed(opened, planned, today=datetime.now(UTC).date())
        outcome = opened.machines.apply(planned.machines, on_event=opened.machines.log_events(log_line))
    opened.forget_platform()
    return log_outcome(outcome)


@step("plan destruction")
def plan_destruction(*, opened: OpenCluster) -> Destruction:
    """What would end with the cluster, machines in no state included; `digest` binds an approval to it."""
    planned = opened.machines.plan_destruction()
    log_line(f"plan: {planned}")
    return planned


@step("destroy machines")
def destroy_machines(*, opened: OpenCluster) -> dict[str, Outcome]:
    """Remove every machine of the cluster, unrecorded ones too; what is gone already is passed over."""
    with process.guard():
        outcomes = opened.machines.destroy(on_event=opened.machines.log_events(log_line))
    return {str(number): log_outcome(outcome) for number, outcome in enumerate(outcomes, start=1)}
