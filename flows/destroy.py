"""Remove one cluster and everything of ours that belongs to it."""

from prefect import flow

from tasks import machines, talos
from tasks.configuration import check_destroy
from tasks.recipe import recipe
from tasks.results import announce_destroyed
from tasks.run_context import run_name

PLANNED = ("load", "confirm", "reset nodes", "machines", "forget")


@flow(name="destroy", flow_run_name=run_name, persist_result=False)
def destroy(cluster: str, confirm: str = "", dry_run: bool = False, reason: str = "") -> None:
    """Remove a cluster and everything of ours that belongs to it. Machines of others are never touched.

    Args:
        cluster: Which cluster of this environment.
        confirm: Type <environment>/<cluster> once more, such as dev/dev-1.
        dry_run: Check and show, change nothing.
        reason: Why; kept with the run.
    """
    with recipe(cluster, planned=PLANNED) as run:
        facts = run.load()
        run.look("confirm", check_destroy, confirm=confirm, dry_run=dry_run, allowed=facts["allow_destroy"])
        if dry_run:
            return
        with run.locked():
            run.do("reset nodes", talos.reset_nodes)
            run.do("machines", machines.destroy_machines)
            run.do("forget", talos.forget_cluster)
        announce_destroyed(run, facts, reason=reason)
