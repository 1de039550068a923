"""What a deploy verifies for releases, as Prefect tasks: recorded when seen, revoked when the check fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.runtime import flow_run

from infraflux.core.errors import InfrafluxError
from infraflux.operations.delivery import Proof, revoke, verify_release
from infraflux.operations.opening import OpenCluster
from tasks.engine.stages import Recipe
from tasks.engine.step import log_line, step


@step("record verification", retries=0)
def record_verification(*, opened: OpenCluster) -> Proof:
    """The cluster was just seen healthy and synced: which release is it; none where it is no release's content."""
    proof = verify_release(
        opened.spec,
        root=opened.root,
        tree=opened.tree,
        commit=opened.content_commit,
        evidence=f"run {flow_run.get_id()}",
    )
    log_line(str(proof.outcome))
    return proof


@contextmanager
def proving(run: Recipe) -> Iterator[None]:
    """Around the stages that look: a cluster that fails them is no longer verified."""
    try:
        yield
    except InfrafluxError:
        log_line(str(revoke(run.run.cluster, root=run.run.root, why=f"run {run.run.flow_run_id} failed to verify it")))
        raise
