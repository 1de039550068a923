"""Where the API can run with some of etcd's members down: pure functions over lists of voters."""

from collections.abc import Collection, Sequence

from infraflux_lab.talos.store import Member


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
