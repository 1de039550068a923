"""What a destroy would take away, decided from what is there: shown before, and what an approval is bound to."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infraflux.adapters.proxmox.facts import Guest
from infraflux.config.models import ClusterSpec
from infraflux.config.models.hooks import Hook, HookStage
from infraflux.config.models.policy import Disruption
from infraflux.core.markdown import cell
from infraflux.operations.plan.hooks import fingerprint


@dataclass(frozen=True, kw_only=True)
class Destruction:
    """Everything that ends with a cluster."""

    cluster: str
    guests: tuple[Guest, ...]
    """Its machines, by VM id; also those that no state knows."""
    recorded: frozenset[int]
    """VM ids that the state knows."""
    vanished: tuple[str, ...] = ()
    """Names that the state knows and Proxmox does not: only forgotten."""
    shared: int = 0
    """Objects that the environment's clusters share, where this is the last of them."""
    hooks: tuple[Hook, ...] = ()
    """What the configuration wants run before and after it."""

    @property
    def empty(self) -> bool:
        return not (self.guests or self.vanished or self.shared)

    @property
    def digest(self) -> str:
        """Equal for the same machines, wherever they run and whatever they do."""
        parts = [f"{guest.vm_id} {guest.name}" for guest in self.guests]
        hooks = [fingerprint(hook) for hook in self.hooks]
        text = "\n".join([self.cluster, *parts, *self.vanished, str(self.shared), *hooks])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def ends(self) -> int:
        """How many things are gone afterwards."""
        return len(self.guests) + self.shared

    @property
    def changes(self) -> int:
        """How many things change, those that are only forgotten included."""
        return self.ends + len(self.vanished)

    @property
    def disruption(self) -> Disruption:
        """Disks go with their machines."""
        return Disruption.DATA_LOST if self.guests else Disruption.NONE

    @property
    def markdown(self) -> str:
        """The table for an approval."""
        return markdown(self)

    def __str__(self) -> str:
        if self.empty:
            return "nothing is left to destroy"
        unknown = sum(guest.vm_id not in self.recorded for guest in self.guests)
        parts = [_count(len(self.guests), "machine", "to destroy")]
        parts += [f"{unknown} of them in no state"] if unknown else []
        parts += [f"{len(self.vanished)} to forget"] if self.vanished else []
        parts += [_count(self.shared, "shared object", "to destroy")] if self.shared else []
        return ", ".join(parts)


def _count(number: int, thing: str, what: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'} {what}"


def plan_destruction(
    spec: ClusterSpec, *, guests: Iterable[Guest], known: Mapping[int, str], shared: int
) -> Destruction:
    """Ours is what carries the cluster's tag or what its state knows; nothing else (pure)."""
    guests = tuple(guests)
    ours = [guest for guest in guests if spec.ownership_tag in guest.tags or guest.vm_id in known]
    present = {guest.vm_id for guest in guests}
    return Destruction(
        cluster=spec.key,
        guests=tuple(sorted(ours, key=lambda guest: guest.vm_id)),
        recorded=frozenset(known),
        vanished=tuple(sorted(name for vm_id, name in known.items() if vm_id not in present)),
        shared=shared,
        hooks=(*spec.hooks_at(HookStage.BEFORE_DESTROY), *spec.hooks_at(HookStage.AFTER_DESTROY)),
    )


def markdown(destruction: Destruction) -> str:
    """The table for an approval (pure)."""
    if destruction.empty:
        return "Nothing is left to destroy."
    lines = ["| action | what | name | detail |", "|---|---|---|---|"]
    for guest in destruction.guests:
        known = "" if guest.vm_id in destruction.recorded else "; carries our tag, is in no state"
        state = "running" if guest.running else "off"
        lines.append(f"| destroy | machine | {guest.name} | VM {guest.vm_id} on {guest.host}, {state}{known} |")
    lines += [f"| forget | machine | {name} | in the state, gone from Proxmox |" for name in destruction.vanished]
    if destruction.shared:
        environment = destruction.cluster.partition("/")[0]
        lines.append(
            f"| destroy | shared | {environment} | {_count(destruction.shared, 'object', 'no other cluster needs')} |"
        )
    lines += [f"| run | hook | {hook.name} | {hook.stage}: {cell(hook.command)} |" for hook in destruction.hooks]
    return "\n".join([*lines, "", "Disks go with their machines. The Talos secrets bundle is kept."])
