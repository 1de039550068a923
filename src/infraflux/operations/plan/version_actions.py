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


def kubernetes_actions(steps: KubernetesSteps, seen: PlatformSeen | None) -> Iterator[Action]:
    """All control planes first, then each kubelet; with APIs in use that go, and manifests that come."""
    apis = going_apis(seen, steps.wanted)
    if steps.planes:
        yield actions.UpgradeKubernetes(
            object="control plane",
            change=f"Kubernetes {steps.lowest} → {steps.wanted}: images pulled, API servers, then controllers and"
            " schedulers, then the bootstrap manifests",
            why=BEHIND,
            disruption=Disruption.SERVICE_RESTART,
            reversible=_reversible(steps.lowest, steps.wanted),
            fields=(*_image_fields(steps), *_api_fields(apis), *manifest_fields(seen)),
        )
    for node, change in steps.kubelets.items():
        yield _kubelet(node, change)


def _image_fields(steps: KubernetesSteps) -> Iterator[Field]:
    for node, found in steps.planes.items():
        for path, change in found.items():
            yield Field(path=f"{node} {path}", before=change.before, after=change.after)


def _api_fields(apis: Sequence[RemovedApi]) -> Iterator[Field]:
    for one in apis:
        yield Field(path=f"API {one.resource}", before="in use", after=f"gone in {one.removed_in}")


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


_BRING_OTHERS = tuple(
    f"v1alpha1.cluster.{one}" for one in ("extraManifests", "inlineManifests", "coreDNS", "proxy", "network.cni")
)
"""Fields that Talos makes its manifests from; images of proxy and CoreDNS among them."""


def manifest_actions(seen: PlatformSeen | None, planned: Sequence[Action]) -> Iterator[Action]:
    """Bootstrap manifests brought forward, where they differ or another Talos or config may bring others.

    Not where Kubernetes goes up: that step brings them forward as well.
    """
    if seen is None or any(isinstance(one, actions.UpgradeKubernetes) for one in planned):
        return
    if seen.manifests:
        count = len({one.object for one in seen.manifests})
        what, why = f"{count} object(s) of Talos brought forward", "Talos has others than the cluster"
    elif any(_brings_others(one) for one in planned):
        what, why = "compared again, and brought forward", "another Talos or configuration may bring others"
    else:
        return
    yield actions.SyncManifests(object="bootstrap manifests", change=what, why=why, fields=manifest_fields(seen))


def manifest_fields(seen: PlatformSeen | None) -> tuple[Field, ...]:
    """What differs, object by object."""
    found = seen.manifests if seen else ()
    return tuple(Field(path=f"{one.object} {one.field}".strip(), before=one.before, after=one.after) for one in found)


def _brings_others(action: Action) -> bool:
    if isinstance(action, actions.UpgradeTalos):
        return action.control_plane and action.other_version
    fields = action.fields if isinstance(action, actions.ConfigureNode) else ()
    return any(field.path.startswith(_BRING_OTHERS) for field in fields)


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
