"""The platform of one cluster as Prefect tasks: first installs, handoff, and the wait for Git's state."""

from infraflux.operations.handoff_secrets import sensitive_values
from infraflux.operations.platform import Platform, open_platform
from tasks.engine.masking import add_secrets
from tasks.engine.step import log_line, project_root, spec_of, step, told


def _open(cluster: str) -> Platform:
    return open_platform(spec_of(cluster), root=project_root(), log=log_line)


@step("install Cilium")
def install_cilium(*, cluster: str) -> dict[str, str] | str:
    """Before any node can be Ready, and long before Talos reboots one without a CNI; nothing once Argo CD owns it."""
    return told(_open(cluster).installer.install_cilium())


@step("install Argo CD")
def install_argocd(*, cluster: str) -> dict[str, str] | str:
    """Its secrets, every component's CRDs, then the chart; nothing once Argo CD owns itself."""
    platform = _open(cluster)
    return told(platform.installer.install_argocd(platform.secrets()))


@step("hand over to Git")
def hand_off(*, cluster: str) -> dict[str, str] | str:
    """Secrets by reference, fences, facts, the root Application; repeated, it only says that all is there."""
    platform = _open(cluster)
    secrets = platform.secrets()
    add_secrets(frozenset(sensitive_values(secrets)))
    outcomes = platform.installer.hand_off(secrets)
    return told({str(number): outcome for number, outcome in enumerate(outcomes, start=1)})


@step("wait for Git's state", retries=1)
def wait_until_synced(*, cluster: str) -> dict[str, str] | str:
    """Root, components and applications Synced and Healthy; the wait has its own deadline."""
    seen = _open(cluster).installer.wait_until_synced()
    return {f"{one.kind}/{one.name}": f"{one.sync}/{one.health}" for one in seen}
