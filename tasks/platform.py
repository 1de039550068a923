"""The platform of one cluster as Prefect tasks: first installs, handoff, and the wait for Argo CD."""

from collections.abc import Mapping

from infraflux.core.outcomes import Outcome
from infraflux.operations import execution
from infraflux.operations.opening import OpenCluster
from infraflux.operations.planning import Planned
from tasks.engine.step import log_outcome, log_outcomes, step


@step("install Cilium")
def install_cilium(*, opened: OpenCluster, planned: Planned) -> Outcome:
    """Before any node can be Ready, and long before Talos reboots one without a CNI; nothing once Argo CD owns it."""
    return log_outcome(execution.install_cilium(opened, planned))


@step("install Argo CD")
def install_argocd(*, opened: OpenCluster, planned: Planned) -> Outcome:
    """Its secrets, every component's CRDs, then the chart; nothing once Argo CD owns itself."""
    return log_outcome(execution.install_argocd(opened, planned))


@step("hand over to Git")
def hand_off(*, opened: OpenCluster, planned: Planned) -> Mapping[str, Outcome]:
    """Secrets by reference, fences, facts, the root Application; repeated, it only says that all is there."""
    return log_outcomes(execution.hand_off(opened, planned))


@step("wait for Argo CD sync", retries=1)
def wait_until_synced(*, opened: OpenCluster) -> dict[str, str]:
    """Root, components and applications Synced and Healthy; the wait has its own deadline."""
    seen = opened.platform().installer.wait_until_synced()
    return {f"{one.kind}/{one.name}": f"{one.sync}/{one.health}" for one in seen}
