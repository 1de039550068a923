"""The destruction guard: what a plan may not do unless Git says so by name. One pure function over a plan summary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from infraflux.adapters.terraform.plan import Change, PlanSummary
from infraflux.config.models.policy import DestructionGuard, GuardOverride
from infraflux.core.errors import ErrorClass, Permanent

STAGE = "guard"


class DestructionRefused(Permanent):
    """The plan destroys more than the policy allows."""

    default_class = ErrorClass.USER


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One thing that the plan may not do, and the override that would allow it."""

    target: str
    """What an override has to name; empty where no single name helps."""
    message: str


def judge_plan(
    plan: PlanSummary, *, policy: DestructionGuard, today: date, named: frozenset[str] = frozenset()
) -> tuple[Refusal, ...]:
    """Everything the guard refuses, all at once; empty where the plan may be applied.

    `named`: machines that somebody asked for by name. They may end; a data disk is lost by its own override only.
    """
    allowed = {override.target for override in policy.overrides if _in_force(override, today)}
    expired = {override.target: override.expires for override in policy.overrides if not _in_force(override, today)}
    refusals = [
        refusal
        for change in plan.changes
        if change.is_machine
        for refusal in _of_one_machine(change)
        if refusal.target not in allowed | named and change.node not in allowed
    ]
    refusals += _of_the_whole(plan, policy=policy, allowed=allowed | named)
    return tuple(_with_expiry(refusal, expired) for refusal in refusals)


def require_allowed(
    plan: PlanSummary, *, policy: DestructionGuard, today: date, cluster: str, named: frozenset[str] = frozenset()
) -> None:
    """Raises DestructionRefused with every refusal; returns where there is none."""
    refusals = judge_plan(plan, policy=policy, today=today, named=named)
    if refusals:
        targets = sorted({refusal.target for refusal in refusals if refusal.target})
        change = (
            f"a policy.destruction_guard.overrides entry for {', '.join(targets)}" if targets else "a smaller change"
        )
        raise DestructionRefused(
            "the plan is refused:\n" + "\n".join(f"  - {refusal.message}" for refusal in refusals),
            cluster=cluster,
            stage=STAGE,
            next_step=f"commit {change}, or change the configuration",
        )


def _of_one_machine(change: Change) -> Iterator[Refusal]:
    if change.ends_machine and change.control_plane:
        yield Refusal(
            target=change.node, message=f"{change.node}: control plane would be {_done(change)}{_because(change)}"
        )
    for disk in change.lost_disks:
        target = f"{change.node}/{disk.name}"
        yield Refusal(target=target, message=f"{target}: data disk would be lost, {disk.why}{_because(change)}")


def _of_the_whole(plan: PlanSummary, *, policy: DestructionGuard, allowed: set[str]) -> Sequence[Refusal]:
    ended = sorted(change.node for change in plan.changes if change.ends_machine and change.node not in allowed)
    if len(ended) * 100 <= policy.max_destroyed_percent * plan.machines_before:
        return ()
    return (
        Refusal(
            target=ended[0] if len(ended) == 1 else "",
            message=(
                f"{len(ended)} of {plan.machines_before} machines would be destroyed or replaced"
                f" ({', '.join(ended)}), {policy.max_destroyed_percent} % are allowed in one plan"
            ),
        ),
    )


def _done(change: Change) -> str:
    return "replaced" if change.action == "replace" else "destroyed"


def _because(change: Change) -> str:
    return f" (forced by {', '.join(change.forced_by)})" if change.forced_by else ""


def _in_force(override: GuardOverride, today: date) -> bool:
    return today < override.expires


def _with_expiry(refusal: Refusal, expired: dict[str, date]) -> Refusal:
    if refusal.target not in expired:
        return refusal
    return Refusal(
        target=refusal.target, message=f"{refusal.message}; its override expired on {expired[refusal.target]}"
    )
