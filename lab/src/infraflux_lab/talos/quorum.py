"""What etcd allows with some of its members down: pure functions over member lists."""

from collections.abc import Collection, Sequence
from enum import StrEnum

from infraflux_lab.talos.store import Member


class Refusal(StrEnum):
    """Why etcd does not remove a member, in its words: https://github.com/etcd-io/etcd/blob/v3.6.0/api/v3rpc/rpctypes/error.go"""

    NO_LEADER = "etcdserver: no leader"
    """`Unavailable` there: it may pass."""
    NOT_ENOUGH_STARTED = "etcdserver: re-configuration failed due to not enough started members"
    """`FailedPrecondition` there."""


def majority(size: int) -> int:
    """Votes a cluster of this size needs."""
    return size // 2 + 1


def has_quorum(members: Sequence[Member], alive: Collection[str]) -> bool:
    """Whether the members on living machines can still decide."""
    living = sum(member.machine in alive for member in members)
    return bool(members) and living >= majority(len(members))


def choose_home(members: Sequence[Member], alive: Collection[str], current: str | None) -> str | None:
    """Machine that runs the real control plane: the one it runs on while that lives, else the first living member.

    None without quorum.
    """
    if not has_quorum(members, alive):
        return None
    living = [member.machine for member in members if member.machine in alive]
    return current if current in living else living[0]


def removal_refused(members: Sequence[Member], alive: Collection[str], member_id: int) -> Refusal | None:
    """etcd's reason not to remove a member, or None if it may go.

    etcd's strict reconfiguration check: those left that are started must be a majority of those left; a member that
    is down may always be removed while the cluster has quorum; the last one never leaves.
    """
    if not has_quorum(members, alive):
        return Refusal.NO_LEADER
    left = [member for member in members if member.id != member_id]
    if not left:
        return Refusal.NOT_ENOUGH_STARTED
    started = sum(member.machine in alive for member in left)
    return None if started >= majority(len(left)) else Refusal.NOT_ENOUGH_STARTED
