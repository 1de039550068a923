"""What to do with a node or an etcd that was seen so; pure functions, no call to anything."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from infraflux.adapters.talos.documents import FieldChange, diff_configs
from infraflux.adapters.talos.facts import BootstrapMarker, EtcdSeen, NodeSeen, NodeState
from infraflux.config.models import Node
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop


@dataclass(frozen=True)
class PushConfig:
    """Give a machine in maintenance mode its first configuration."""

    node: str


@dataclass(frozen=True)
class UpdateConfig:
    """Bring a running node's configuration to what is wanted; the changes are masked."""

    node: str
    changes: tuple[FieldChange, ...] = field(default=())

    def __str__(self) -> str:
        return "; ".join(str(change) for change in self.changes)


@dataclass(frozen=True)
class Wait:
    """Look again later; says what was last seen."""

    node: str
    last_seen: str


@dataclass(frozen=True, kw_only=True)
class PlannedConfig:
    """What a plan allows to be done to the config of one node."""

    first: bool = False
    """It may be given its first one."""
    fields: frozenset[tuple[str, str]] = frozenset()
    """Path and wanted value of every field that may change, masked as they were shown."""
    kubernetes: str = ""
    """The Kubernetes version of a first config, where it is not the wanted one."""


class WorldMoved(Permanent):
    """Something would be done that the plan does not hold: the world is not as it was when the plan was made."""

    default_class = ErrorClass.CONFLICT


def moved(message: str, *, cluster: str, stage: str) -> WorldMoved:
    """The error of an executor that would have to do more than was planned."""
    return WorldMoved(
        message, cluster=cluster, stage=stage, next_step="start the run again: it observes again and shows a new plan"
    )


def require_planned(
    decision: PushConfig | UpdateConfig, planned: PlannedConfig | None, *, pushed: bool, cluster: str
) -> None:
    """Raises WorldMoved where a node needs what its plan does not hold (pure). Less than planned is done already.

    `pushed`: this very run gave the node its first config a moment ago.
    """
    where = {"cluster": cluster, "stage": "machine-config"}
    if isinstance(decision, PushConfig):
        if planned is None or not planned.first:
            raise moved(f"{decision.node} has no machine config any more, which the plan does not hold", **where)
        return
    if pushed:
        return
    allowed = planned.fields if planned else frozenset()
    if more := [one.path for one in decision.changes if (one.path, one.wanted) not in allowed]:
        raise moved(
            f"the machine config of {decision.node} differs in more than was planned: {', '.join(more)}", **where
        )


@dataclass(frozen=True)
class Bootstrap:
    """Start the cluster's one etcd on this node."""

    node: str


def check_identity(node: Node, seen: NodeSeen, *, cluster: str) -> None:
    """Permanent where the machine that answers at the node's address is not the VM that was made for it."""
    if seen.uuid and seen.uuid != node.uuid:
        wanted, answered = f"UUID {node.uuid}", f"UUID {seen.uuid}"
    elif seen.macs and node.mac not in seen.macs:
        wanted, answered = f"MAC {node.mac}", f"MAC {', '.join(seen.macs)}"
    else:
        return
    raise Permanent(
        f"{node.address} should be {node.name} ({wanted}), but a machine with {answered} answers there",
        cluster=cluster,
        stage="identity",
        error_class=ErrorClass.CONFLICT,
        next_step="find which machine has this address, give one of the two another, and run again; nothing was pushed",
    )


def decide_config(
    node: Node, seen: NodeSeen, *, wanted: str, cluster: str, hidden: Collection[str] = ()
) -> PushConfig | UpdateConfig | Wait | Noop:
    """What the node's configuration needs. Raises Permanent for the wrong machine or a locked one."""
    if seen.state is NodeState.SILENT:
        return Wait(node.name, seen.detail or "nothing answers")
    if seen.state is NodeState.LOCKED:
        raise Permanent(
            f"{node.name} ({node.address}) runs with a configuration that this cluster's secrets did not make",
            cluster=cluster,
            stage="machine-config",
            error_class=ErrorClass.CONFLICT,
            next_step="restore the secrets bundle it was made with, or reset the machine if it is to be set up again",
        )
    check_identity(node, seen, cluster=cluster)
    if seen.state is NodeState.MAINTENANCE:
        return PushConfig(node.name)
    changes = tuple(diff_configs(wanted, seen.config, hidden=hidden))
    return UpdateConfig(node.name, changes) if changes else Noop(f"{node.name} has the wanted machine config")


def decide_bootstrap(
    control_planes: Sequence[Node],
    seen: Mapping[str, NodeSeen],
    etcd: EtcdSeen | None,
    *,
    marker: BootstrapMarker | None,
    cluster: str,
) -> Bootstrap | Noop:
    """Whether etcd has to be bootstrapped, and where: once in a cluster's life.

    `etcd` is the first member list that any control plane gave, so the caller has asked all of them. An earlier
    attempt whose answer was lost (`marker`, not confirmed) is repeated on the same node only.
    """
    if etcd is not None:
        names = ", ".join(sorted(member.hostname for member in etcd.members))
        return Noop(f"etcd runs already, {etcd.asked} lists {names}")
    if marker is not None and marker.confirmed:
        raise _refuse(
            f"etcd was bootstrapped on {marker.node} earlier, and no control plane lists its members now",
            "bring the control planes back, or recover etcd from a snapshot (docs/operations.md);"
            " a second bootstrap would start an empty cluster",
            cluster=cluster,
        )
    target = marker.node if marker else control_planes[0].name
    if target not in {node.name for node in control_planes}:
        raise _refuse(
            f"etcd may have been bootstrapped on {target}, which is no control plane of the cluster any more",
            "bring that node back or recover etcd from a snapshot",
            cluster=cluster,
        )
    if seen[target].state is not NodeState.RUNNING:
        raise _refuse(
            f"{target} is {seen[target].state}; etcd is bootstrapped on a running control plane only",
            "bring the node up and run again",
            cluster=cluster,
        )
    return Bootstrap(target)


def _refuse(message: str, next_step: str, *, cluster: str) -> Permanent:
    return Permanent(message, cluster=cluster, stage="bootstrap", error_class=ErrorClass.CONFLICT, next_step=next_step)


def quorum(members: int) -> int:
    """How many etcd members must be alive."""
    return members // 2 + 1
