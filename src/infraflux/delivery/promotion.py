"""May this release go to that environment now: gates in order, each with its reason; pure over recorded facts.

Five rules, as Kargo states them: only what was verified upstream moves on; one promotion per environment at a time;
a person's approval skips no verification; a rollback holds automatic promotion until it is released; who may promote
automatically is set with the environment, not by who starts the promotion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from infraflux.config.models.policy import Policy, PromotionMode
from infraflux.config.windows import is_inside, next_opening
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop
from infraflux.delivery.records import Hold, Ledger
from infraflux.delivery.release import Release, ReleaseChange, Reversible, diff


class GateState(StrEnum):
    PASS = "pass"  # noqa: S105 - not a password
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Gate:
    """One gate's verdict; `opens_at` where waiting ends by itself."""

    name: str
    state: GateState
    reason: str
    opens_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """Everything a verdict depends on."""

    release: Release
    current: Release | None
    """What the target pins now."""
    target: str
    upstream_clusters: tuple[str, ...]
    """Keys of all clusters of the environment the release comes from."""
    policy: Policy
    ledger: Ledger
    now: datetime
    automatic: bool
    """Started by an event rather than a person."""
    parity_problems: tuple[str, ...] = ()
    matrix_problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """All gates in order; the first that does not pass decides."""

    gates: tuple[Gate, ...]
    changes: tuple[ReleaseChange, ...] = field(default=())

    @property
    def blocking(self) -> Gate | None:
        return next((gate for gate in self.gates if gate.state is not GateState.PASS), None)

    @property
    def open(self) -> bool:
        return self.blocking is None


def judge(question: Question) -> Verdict | Noop:
    """The verdict on one promotion; Noop where the target pins this content already."""
    release, current = question.release, question.current
    if current is not None and current.digest == release.digest:
        return Noop(f"{question.target} pins {current.name}, which is the same content")
    changes = tuple(diff(current, release)) if current else ()
    gates = (
        _upstream_verified(question),
        _soaked(question),
        _not_frozen(question),
        _inside_window(question),
        _not_held(question),
        _mode(question),
        _no_problems("parity", question.parity_problems, "environments differ only where they may"),
        _no_problems("matrix", question.matrix_problems, "the versions are known to work together"),
        _reversibility(changes),
    )
    return Verdict(gates, changes)


def _upstream_verified(question: Question) -> Gate:
    source = question.policy.promotion.source
    if source is None:
        return Gate("upstream", GateState.PASS, f"{question.target} is the first environment of the chain")
    missing = [
        key for key in question.upstream_clusters if question.ledger.verified_at(question.release.digest, key) is None
    ]
    if not question.upstream_clusters:
        return Gate("upstream", GateState.REFUSE, f"{source} has no cluster that could have verified it")
    if missing:
        return Gate("upstream", GateState.REFUSE, f"{question.release.name} is not verified on {', '.join(missing)}")
    return Gate("upstream", GateState.PASS, f"verified on all {len(question.upstream_clusters)} cluster(s) of {source}")


def _soaked(question: Question) -> Gate:
    soak = timedelta(seconds=question.policy.promotion.soak_s)
    found = [question.ledger.verified_at(question.release.digest, key) for key in question.upstream_clusters]
    times = [one for one in found if one is not None]
    if not soak or question.policy.promotion.source is None:
        return Gate("soak", GateState.PASS, "no soak time is asked for")
    if not times:
        return Gate("soak", GateState.WAIT, "the soak time begins with the verification upstream")
    ends = max(times) + soak
    if question.now >= ends:
        return Gate(
            "soak", GateState.PASS, f"verified upstream for {whole(question.now - max(times))}, {soak} asked for"
        )
    return Gate("soak", GateState.WAIT, f"{whole(ends - question.now)} of {soak} are left", ends)


def whole(span: timedelta) -> timedelta:
    """Without the fraction of a second, which nobody reads."""
    return timedelta(seconds=int(span.total_seconds()))


def _not_frozen(question: Question) -> Gate:
    if question.policy.promotion.freeze:
        return Gate("freeze", GateState.WAIT, f"policy.promotion.freeze is on for {question.target}")
    return Gate("freeze", GateState.PASS, "not frozen")


def _inside_window(question: Question) -> Gate:
    windows = question.policy.promotion.windows
    if not windows:
        return Gate("window", GateState.PASS, "no window is asked for")
    inside = next((window for window in windows if is_inside(window, question.now)), None)
    if inside is not None:
        return Gate("window", GateState.PASS, f"inside {inside.name}")
    opens = next_opening(windows, question.now)
    when = f"the next one opens at {opens:%Y-%m-%d %H:%M %Z}" if opens else "none opens within two weeks"
    return Gate("window", GateState.WAIT, f"outside every window; {when}", opens)


def _not_held(question: Question) -> Gate:
    hold = question.ledger.hold_on(question.target)
    if hold is None or not question.automatic:
        return Gate(
            "hold", GateState.PASS, "no hold" if hold is None else "a person started it; the hold is for events"
        )
    reason = f"held since {hold.at:%Y-%m-%d %H:%M} ({hold.reason}); release it with `infraflux promotion release-hold`"
    return Gate("hold", GateState.WAIT, reason)


def _mode(question: Question) -> Gate:
    mode = question.policy.promotion.mode
    if question.automatic and mode is PromotionMode.MANUAL:
        return Gate("mode", GateState.WAIT, f"{question.target} is promoted by hand")
    return Gate("mode", GateState.PASS, f"{question.target} takes {mode} promotion")


def _no_problems(name: str, problems: Sequence[str], fine: str) -> Gate:
    return Gate(name, GateState.REFUSE, "; ".join(problems)) if problems else Gate(name, GateState.PASS, fine)


def _reversibility(changes: Sequence[ReleaseChange]) -> Gate:
    """Never blocks: it tells the approver the truth."""
    final = [change for change in changes if change.reversible is Reversible.NO]
    if final:
        text = "; ".join(f"{one.path} {one.before} -> {one.after}: {one.why}" for one in final)
        return Gate("reversibility", GateState.PASS, f"no way back for {text}")
    return Gate("reversibility", GateState.PASS, f"each of {len(changes)} change(s) can be undone")


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """Go back to this release and hold automatic promotion."""

    current: Release
    to: Release
    changes: tuple[ReleaseChange, ...]


def decide_rollback(
    *, target: str, clusters: Sequence[str], current: Release, releases: Sequence[Release], ledger: Ledger
) -> Rollback:
    """The newest release that every cluster of the target verified before the current one.

    Permanent where there is none, or where a change cannot be undone, with the reason of each.
    """
    verified = [
        release
        for release in releases
        if release.digest != current.digest and all(ledger.was_verified(release.digest, key) for key in clusters)
    ]
    if not verified:
        raise _refused(target, "no other release was ever verified there", "promote a release that fixes it")
    to = max(verified, key=lambda release: release.cut_at)
    changes = diff(current, to)
    final = [change for change in diff(to, current) if change.reversible is Reversible.NO]
    if final:
        text = "; ".join(f"{one.path} {one.before} -> {one.after}: {one.why}" for one in final)
        raise _refused(target, f"{current.name} cannot be undone: {text}", "promote a release that fixes it forward")
    return Rollback(current=current, to=to, changes=tuple(changes))


def hold_after_rollback(target: str, *, at: datetime, from_release: str, reason: str = "") -> Hold:
    """The hold that a rollback leaves, so that automation does not undo a deliberate choice."""
    return Hold(
        environment=target, at=at, reason=f"rolled back from {from_release}" + (f": {reason}" if reason else "")
    )


def _refused(target: str, why: str, next_step: str) -> Permanent:
    return Permanent(
        f"{target} cannot be rolled back: {why}", stage="rollback", error_class=ErrorClass.CONFLICT, next_step=next_step
    )
