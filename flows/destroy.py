"""Remove one cluster and everything of ours that belongs to it."""

from prefect import flow

from infraflux.config.models.hooks import HookStage
from tasks import machines, talos
from tasks.configuration import check_destroy
from tasks.engine.agreement import approve_plan, show_plan
from tasks.engine.context import run_name
from tasks.engine.results import announce_destroyed
from tasks.engine.stages import recipe
from tasks.hooks import run_hooks

PLANNED = ("load", "confirm", "plan", "approve", "reset nodes", "machines", "forget")


@flow(name="destroy", flow_run_name=run_name, persist_result=False)
def destroy(cluster: str, confirm: str = "", dry_run: bool = False, reason: str = "") -> None:
    """Remove a cluster and everything of ours that belongs to it. Machines of others are never touched.

    Typing the name is the consent; where the environment's policy requires approval, a second person reviews it too.

    Args:
        cluster: Which cluster of this environment.
        confirm: Type <environment>/<cluster> once more, such as dev/dev-1.
        dry_run: Check and show, change nothing.
        reason: Why; kept with the run.
    """
    with recipe(cluster, planned=PLANNED) as run:
        run.open()
        run.look("confirm", check_destroy, confirm=confirm, dry_run=dry_run)
        with run.locked():
            planned = run.look("plan", machines.plan_destruction)
            show_plan(run, planned)
            if dry_run:
                return
            approve_plan(run, planned, auto_approve=True)
            run_hooks(run, HookStage.BEFORE_DESTROY, planned)
            run.do("reset nodes", talos.reset_nodes)
            run.do("machines", machines.destroy_machines)
            run.do("forget", talos.forget_cluster)
            run_hooks(run, HookStage.AFTER_DESTROY, planned)
        announce_destroyed(run, planned, reason=reason)
