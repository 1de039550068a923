"""What cannot change on a cluster that stands: found by the plan before anything is touched, all at once. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infraflux.adapters.talos.facts import NodeState
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.plan.actions import Action, ConfigureNode
from infraflux.operations.plan.kubernetes import image_version, images_of, step_problems
from infraflux.operations.plan.observed import Observed

_NEW_CLUSTER = "deploy a second cluster and move the workloads there"
_FIXED = (
    (
        "cluster.network.podSubnets",
        "nodes and pods keep the ranges they were given (kube-controller-manager refuses to change a Node's podCIDR)",
        _NEW_CLUSTER,
    ),
    (
        "cluster.network.serviceSubnets",
        "Services keep their addresses, the API server's own among them",
        _NEW_CLUSTER,
    ),
    ("cluster.network.dnsDomain", "running pods keep the search domain they started with", _NEW_CLUSTER),
    ("cluster.clusterName", "certificates and kubeconfigs carry the name", _NEW_CLUSTER),
    ("cluster.id", "the identity of a cluster is drawn once", "restore the secrets bundle it was made with"),
    (
        "machine.install.disk",
        "Talos stays on the disk it was installed on",
        "let nodes be made anew one by one: take each out of its pool, deploy, and put it back",
    ),
)
"""Field of the machine config, why it is fixed, and the real way. Talos 1.13 takes these without a word (its
`CanApplyImmediate` allows all of `cluster` and `machine.install`), and acts on none of them for what stands."""


@dataclass(frozen=True)
class Refusal:
    """One thing that cannot be had."""

    message: str
    way: str


def require_changeable(spec: ClusterSpec, planned: Iterable[Action], seen: Observed) -> None:
    """Raises Permanent with everything that a standing cluster cannot become, of what the plan would do to it."""
    found = [*_fixed_fields(planned), *_version_steps(spec, seen)]
    if not found:
        return
    raise Permanent(
        "this cannot change on a cluster that stands:\n" + "\n".join(f"  - {one.message}" for one in found),
        cluster=spec.key,
        stage="plan",
        error_class=ErrorClass.CONFIG,
        next_step="; or ".join(dict.fromkeys(one.way for one in found)),
    )


def _fixed_fields(planned: Iterable[Action]) -> Iterator[Refusal]:
    """One per field, however many nodes have it; a node that is made anew may have any value."""
    told: set[str] = set()
    for change in (field for one in planned if isinstance(one, ConfigureNode) for field in one.fields):
        path = change.path.removeprefix("v1alpha1.")
        for field, why, way in _FIXED:
            if path.startswith(field) and path not in told:
                told.add(path)
                yield Refusal(f"{path}: {change.before} → {change.after}: {why}", way)


def _version_steps(spec: ClusterSpec, seen: Observed) -> Iterator[Refusal]:
    """Against what runs, not against what was declared before: one minor at a time, and no way down."""
    nodes: Mapping[str, Any] = seen.platform.nodes if seen.platform else {}
    declared = {node.name for node in spec.nodes}
    kubelets = [
        ((live.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", "")
        for name, live in nodes.items()
        if name in declared
    ]
    configs = [one.config for name, one in seen.nodes.items() if name in declared and one.state is NodeState.RUNNING]
    images = [image for config in configs for image in images_of(config).values()]
    for message, way in step_problems(spec, [*kubelets, *map(image_version, images)]):
        yield Refusal(message, way)
