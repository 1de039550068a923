"""Bring one cluster to what its configuration says, from nothing or from anything in between."""

from prefect import flow

from infraflux.config.models.hooks import HookStage
from tasks import delivery, machines, plans, platform, steps, talos
from tasks.engine.agreement import approve_plan, show_plan
from tasks.engine.context import run_name
from tasks.engine.results import announce_deployed
from tasks.engine.stages import recipe
from tasks.hooks import run_hooks

PLANNED = (
    "load",
    "preflight",
    "plan",
    "guard",
    "approve",
    *dict(steps.BEFORE_MACHINES),
    "apply",
    *dict(steps.AFTER_MACHINES),
    "verify",
    "sync",
    "record",
)


@flow(name="deploy", flow_run_name=run_name, persist_result=False)
def deploy(cluster: str, dry_run: bool = False, auto_approve: bool = False, reason: str = "") -> None:
    """Bring a cluster to what its configuration says. What is done already is only checked.

    Args:
        cluster: Which cluster of this environment.
        dry_run: Plan and show, change nothing.
        auto_approve: Do not ask where the environment's policy leaves it to you.
        reason: Why; kept with the run.
    """
    with recipe(cluster, planned=PLANNED) as run:
        run.open()
        with run.locked():
            if not dry_run:
                run_hooks(run, HookStage.BEFORE_PLAN)
            seen = run.look("preflight", machines.preflight)
            planned = run.look("plan", plans.plan_cluster, preflight=seen)
            show_plan(run, planned)
            run.look("guard", plans.guard_plan, planned=planned, dry_run=dry_run)
            if dry_run:
                return
            approve_plan(run, planned, auto_approve=auto_approve)
            run_hooks(run, HookStage.BEFORE_APPLY, planned)
            run.do_all(steps.BEFORE_MACHINES, planned=planned)
            run.do("apply", machines.apply_machines, planned=planned)
            run.do_all(steps.AFTER_MACHINES, planned=planned)
            run_hooks(run, HookStage.AFTER_APPLY, planned)
            with delivery.proving(run):
                run.look("verify", talos.wait_for_health, require_ready=True)
                run.look("sync", platform.wait_until_synced, planned=planned)
                run_hooks(run, HookStage.AFTER_VERIFY, planned)
            proof = run.look("record", delivery.record_verification)
        announce_deployed(run, planned, proof, reason=reason)
