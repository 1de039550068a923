"""Which nodes get another Talos image, in which order, and when no control plane may go down. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infraflux.adapters.talos.facts import SystemImage
from infraflux.config.matrix import minor, step_problem
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop
from infraflux.drift.system_image import describe, runs


@dataclass(frozen=True)
class UpgradeNode:
    """One step: this node, from one image to another."""

    node: Node
    before: SystemImage
    after: SystemImage

    def __str__(self) -> str:
        return f"{self.node.name} {describe(self.before, self.after)}"


def plan_upgrade(
    spec: ClusterSpec, wanted: SystemImage, running: Mapping[str, SystemImage]
) -> list[UpgradeNode] | Noop:
    """The steps from what runs (image by node name) to what is wanted, in order (pure).

    Raises Permanent where a step would skip a minor version.
    """
    ordered = sorted(spec.nodes, key=lambda node: node.role is not Role.CONTROL_PLANE)
    behind = [node for node in ordered if node.name in running and not runs(running[node.name], wanted)]
    if not behind:
        return Noop(f"{len(running)} node(s) run {wanted}")
    for node in behind:
        _check_step(spec, running[node.name].version)
    return [UpgradeNode(node, running[node.name], wanted) for node in behind]


def _check_step(spec: ClusterSpec, before: str) -> None:
    wanted = spec.versions.talos
    problem = step_problem("Talos", before, wanted)
    old, new = minor(before), minor(wanted)
    if problem and new != (old[0], old[1] - 1):  # one minor back is the image that Talos keeps for a rollback
        raise Permanent(
            problem[0], cluster=spec.key, stage="upgrade", error_class=ErrorClass.CONFIG, next_step=problem[1]
        )


def etcd_problems(
    control_planes: Sequence[Node], members: Mapping[str, bool], healthy: Mapping[str, bool]
) -> list[str]:
    """Why no control plane may go down now (pure). `members`: learner by host name; `healthy`: etcd by node name."""
    problems = [f"{node.name} is no etcd member" for node in control_planes if node.name not in members]
    problems += [f"{name} is still a learner" for name, learner in members.items() if learner]
    problems += [f"etcd on {node.name} is not healthy" for node in control_planes if not healthy.get(node.name)]
    return problems
