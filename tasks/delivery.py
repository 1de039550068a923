"""What a deploy proves for releases, as Prefect tasks: recorded when it was seen, taken back when the look failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.runtime import flow_run

from infraflux.core.errors import InfrafluxError
from infraflux.operations.delivery import revoke, verify_release
from tasks.engine.stages import Recipe
from tasks.engine.step import log_line, project_root, spec_of, step


@step("record what was proved", retries=0)
def record_verification(*, cluster: str, commit: str) -> dict[str, Any]:
    """The cluster was just seen healthy and synced: which release is it; `release` is empty where it is none."""
    evidence = f"run {flow_run.get_id()}"
    proof = verify_release(spec_of(cluster), root=project_root(), commit=commit, evidence=evidence)
    log_line(str(proof.outcome))
    release = proof.release
    return {
        "summary": str(proof.outcome),
        "release": release.name if release else "",
        "release_digest": release.digest if release else "",
    }


@contextmanager
def proving(run: Recipe) -> Iterator[None]:
    """Around the stages that look: a cluster that fails them no longer stands verified."""
    try:
        yield
    except InfrafluxError:
        log_line(str(revoke(run.run.cluster, root=run.run.root, why=f"run {run.run.flow_run_id} failed to verify it")))
        raise
