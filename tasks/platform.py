"""The platform of one cluster as Prefect tasks: the wait for Argo CD."""

from infraflux.operations.opening import OpenCluster
from infraflux.operations.planning import Planned
from tasks.engine.step import step


@step("wait for Argo CD sync", retries=1)
def wait_until_synced(*, opened: OpenCluster, planned: Planned) -> dict[str, str]:
    """Root, components and applications Synced and Healthy; the wait has its own deadline.

    A run that changed nothing asks again only what is not at its commit yet.
    """
    commit = opened.content_commit if planned.plan.empty else ""
    seen = opened.platform().installer.wait_until_synced(commit=commit)
    return {f"{one.kind}/{one.name}": f"{one.sync}/{one.health}" for one in seen}
