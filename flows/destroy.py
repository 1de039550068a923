"""Remove one cluster and everything of ours that belongs to it."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from tasks import talos
from tasks.configuration import check_destroy, load_configuration
from tasks.events import ClusterEvent, emit
from tasks.recipe import recipe
from tasks.run_context import run_name

PLANNED = ("load", "confirm", "reset nodes", "forget")


@flow(name="destroy", flow_run_name=run_name, persist_result=False)
def destroy(
    cluster: Annotated[
        str, Field(title="Cluster", description="Which cluster of this environment.", json_schema_extra={"position": 0})
    ],
    confirm: Annotated[
        str, Field(title="Confirm", description="Type <environment>/<cluster> once more, such as dev/dev-1.")
    ] = "",
    dry_run: Annotated[bool, Field(title="Dry run", description="Plan and show, change nothing.")] = False,
    reason: Annotated[str, Field(title="Reason", description="Why; kept with the run.")] = "",
) -> None:
    """Idempotent: what is gone already is passed over; machines of others are never touched."""
    with recipe(cluster, planned=PLANNED) as run:
        facts = run.look("load", load_configuration)
        run.look("confirm", check_destroy, confirm=confirm, dry_run=dry_run, allowed=facts["allow_destroy"])
        if dry_run:
            return
        with run.locked():
            run.do("reset nodes", talos.reset_nodes)
            run.do("forget", talos.forget_cluster)
        emit(ClusterEvent.DESTROYED, cluster=run.run.cluster, facts={"git_sha": facts["commit"], "reason": reason})
