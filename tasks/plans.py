"""The one plan of a run as Prefect tasks: made, guarded."""

from datetime import UTC, datetime

from infraflux.core import process
from infraflux.operations import by_hand, planning
from infraflux.operations.machines import Preflight
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan import report
from infraflux.operations.plan.by_hand import Asked
from infraflux.operations.plan.windows import judge_windows, require_window
from infraflux.operations.planning import Planned
from tasks.engine.step import log_line, step


@step("plan cluster")
def plan_cluster(*, opened: OpenCluster, preflight: Preflight) -> Planned:
    """Everything the run will do, from machines to labels; its digest binds an approval to it."""
    with process.guard():
        planned = planning.make_plan(opened, preflight=preflight)
    for warning in planned.plan.warnings:
        log_line(f"warning: {warning}")
    for reason in planned.plan.unchanged:
        log_line(f"nothing to do: {reason}")
    for line in report.text(planned.plan):
        log_line(line)
    log_line(f"plan {planned.plan.digest[:12]}: {planned}")
    return planned


@step("plan by hand")
def plan_by_hand(*, opened: OpenCluster, asked: Asked) -> Planned:
    """What the action does, as a plan like any other."""
    with process.guard():
        planned = by_hand.make_hand_plan(opened, asked)
    for line in report.text(planned.plan):
        log_line(line)
    log_line(f"plan {planned.plan.digest[:12]}: {planned}")
    return planned


@step("check destruction guard", retries=0)
def guard_plan(*, opened: OpenCluster, planned: Planned, dry_run: bool = False) -> str:
    """Refuses a plan that destroys more than the policy allows by name, or that disturbs nodes outside its windows."""
    now, windows = datetime.now(UTC), opened.spec.policy.windows
    planning.require_allowed(opened, planned, today=now.date())
    if not dry_run:
        require_window(planned.plan.disruption, windows, now=now, cluster=opened.key)
    elif waits := judge_windows(planned.plan.disruption, windows, now=now):
        log_line(f"it would have to wait: {waits}")
    return "allowed by the policy"
