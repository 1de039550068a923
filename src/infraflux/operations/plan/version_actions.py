"""Version steps as actions of a plan. Pure."""

from collections.abc import Iterator, Sequence

from infraflux.adapters.kubernetes.facts import RemovedApi
from infraflux.config.matrix import minor
from infraflux.config.models.policy import Disruption
from infraflux.operations.plan import actions
from infraflux.operations.plan.actions import Action, Field
from infraflux.operations.plan.kubernetes import ImageChange, KubernetesSteps
from infraflux.operations.plan.observed import PlatformSeen

BEHIND = "it runs another version than is declared"


def kubernetes_actions(steps: KubernetesSteps, apis: Sequence[RemovedApi] = ()) -> Iterator[Action]:
    """All control planes first, then each kubelet. `apis`: in use, and gone with the new version."""
    if steps.planes:
        yield actions.UpgradeKubernetes(
            object="control plane",
            change=f"Kubernetes {steps.lowest} → {steps.wanted}: images pulled, API servers, then controllers and"
            " schedulers, then the bootstrap manifests",
            why=BEHIND,
            disruption=Disruption.SERVICE_RESTART,
            reversible=_reversible(steps.lowest, steps.wanted),
            fields=tuple(
                Field(path=f"{node} {path}", before=change.before, after=change.after)
                for node, found in steps.planes.items()
                for path, change in found.items()
            )
            + tuple(
                Field(path=f"API {one.resource}", before="in use", after=f"gone in {one.removed_in}") for one in apis
            ),
        )
    for node, change in steps.kubelets.items():
        yield _kubelet(node, change)


def _kubelet(node: str, change: ImageChange) -> Action:
    before, after = change.versions
    return actions.UpgradeKubelet(
        object=node,
        node=node,
        change=f"kubelet {before} → {after}, drained meanwhile",
        why=BEHIND,
        disruption=Disruption.NODE_RESTART,
        reversible=_reversible(before, after),
        fields=(Field(path="v1alpha1.machine.kubelet.image", before=change.before, after=change.after),),
    )


def _reversible(before: str, after: str) -> bool:
    """Patches go both ways, minors go up only."""
    return minor(before) == minor(after)


def going_apis(seen: PlatformSeen | None, version: str) -> list[RemovedApi]:
    """What of the APIs in use this version does not have any more, once each."""
    found = seen.removed_apis if seen else ()
    return sorted({one for one in found if minor(one.removed_in) <= minor(version)})


def api_warnings(seen: PlatformSeen | None, version: str) -> Iterator[str]:
    """What to say of them before anybody agrees to the step."""
    for one in going_apis(seen, version):
        yield (
            f"{one.resource} is in use and gone in Kubernetes {one.removed_in}: whoever asks for it (the API server's"
            " audit log says who) has to move to another version first"
        )
    for line in seen.unasked if seen else ():
        yield f"whether APIs are in use that Kubernetes {version} removes is not known: {line}"


def snapshot_actions(steps: Sequence[Action]) -> Iterator[Action]:
    """Before a version of the control plane changes."""
    planes = [one for one in steps if isinstance(one, actions.UpgradeKubernetes)]
    if planes or any(isinstance(one, actions.UpgradeTalos) and one.control_plane for one in steps):
        yield actions.SnapshotEtcd(
            object="etcd",
            change="a snapshot, kept beside the cluster's credentials",
            why="versions of the control plane change",
        )
