"""One action on one node or host, asked for by hand: planned, approved and locked like a deploy."""

from typing import Literal

from prefect import flow

from infraflux.operations.plan.by_hand import Asked, HandAction
from tasks import machines, plans, steps, talos
from tasks.engine.agreement import approve_plan, show_plan
from tasks.engine.context import run_name
from tasks.engine.stages import recipe
from tasks.engine.step import log_line

PLANNED = ("load", "plan", "guard", "approve", *dict(steps.BY_HAND), "verify")
Action = Literal["restart", "drain", "uncordon", "replace", "reset", "remove", "maintenance-start", "maintenance-end"]


@flow(name="operate", flow_run_name=run_name, persist_result=False)
def operate(
    cluster: str,
    *,
    action: Action = "restart",
    node: str = "",
    host: str = "",
    dry_run: bool = False,
    auto_approve: bool = False,
    reason: str = "",
) -> None:
    """Do one thing to one node, or to every node of a cluster on one host. Nothing else is changed, but for `replace`.

    Args:
        cluster: Which cluster of this environment.
        action: What to do. `replace` makes the machine anew, with whatever else a deploy would do.
        node: Name of the node, such as dev-1-worker-1; empty for maintenance.
        host: Name of the Proxmox host whose maintenance begins or ends.
        dry_run: Plan and show, change nothing.
        auto_approve: Do not ask where the environment's policy leaves it to you.
        reason: Why; kept with the run.
    """
    with recipe(cluster, planned=PLANNED) as run:
        run.open()
        log_line(f"{action} {node or host}: {reason or 'no reason given'}")
        with run.locked():
            asked = Asked(action=HandAction(action), node=node, host=host)
            planned = run.look("plan", plans.plan_by_hand, asked=asked)
            show_plan(run, planned)
            run.look("guard", plans.guard_plan, planned=planned, dry_run=dry_run)
            if dry_run:
                return
            approve_plan(run, planned, auto_approve=auto_approve)
            if planned.machines is None:
                run.do_all(steps.BY_HAND, planned=planned)
            else:
                run.do_all(steps.BEFORE_MACHINES, planned=planned)
                run.do("apply", machines.apply_machines, planned=planned)
                run.do_all(steps.AFTER_MACHINES, planned=planned)
            if asked.leaves_all_in_service:
                run.look("verify", talos.wait_for_health, require_ready=True)
