"""Bring one cluster to what its configuration says, from nothing or from anything in between."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from tasks import talos
from tasks.configuration import load_configuration
from tasks.events import ClusterEvent, emit
from tasks.recipe import recipe
from tasks.run_context import run_name

BEFORE = (("Talos secrets", talos.ensure_secrets),)
AFTER_APPLY = (
    ("first control plane", talos.configure_first_control_plane),
    ("etcd", talos.bootstrap_etcd),
    ("kubeconfig", talos.write_kubeconfig),
    ("join nodes", talos.join_nodes),
)
PLANNED = ("load", *(name for name, _ in (*BEFORE, *AFTER_APPLY)), "verify")


@flow(name="deploy", flow_run_name=run_name, persist_result=False)
def deploy(
    cluster: Annotated[
        str, Field(title="Cluster", description="Which cluster of this environment.", json_schema_extra={"position": 0})
    ],
    dry_run: Annotated[bool, Field(title="Dry run", description="Plan and show, change nothing.")] = False,
    auto_approve: Annotated[  # noqa: ARG001 - read by the approval stage
        bool, Field(title="Auto-approve", description="Do not ask where the environment's policy leaves it to you.")
    ] = False,
    reason: Annotated[str, Field(title="Reason", description="Why; kept with the run.")] = "",
) -> None:
    """Idempotent: what is done already is only looked at, so the same run again continues or changes nothing."""
    with recipe(cluster, planned=PLANNED) as run:
        facts = run.look("load", load_configuration)
        if dry_run:
            return
        with run.locked():
            run.do_all(BEFORE)
            run.do_all(AFTER_APPLY)
            run.do("verify", talos.wait_for_health, require_ready=True)
        emit(ClusterEvent.DEPLOYED, cluster=run.run.cluster, facts={"git_sha": facts["commit"], "reason": reason})
