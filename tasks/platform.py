"""The platform of one cluster as Prefect tasks: the wait for Argo CD."""

from infraflux.operations.opening import OpenCluster
from tasks.engine.step import step


@step("wait for Argo CD sync", retries=1)
def wait_until_synced(*, opened: OpenCluster) -> dict[str, str]:
    """Root, components and applications Synced and Healthy; the wait has its own deadline."""
    seen = opened.platform().installer.wait_until_synced()
    return {f"{one.kind}/{one.name}": f"{one.sync}/{one.health}" for one in seen}
