"""Which release goes to an environment next, and what the next step on its way is; pure over recorded facts.

The steps of one promotion: gates open -> (asked ->) pinned -> deployed. Each is recorded when it is done, so a run that
was killed, a doubled event and a second run all come to the same next step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from infraflux.core.outcomes import Noop
from infraflux.delivery.promotion import Gate, GateState, Question, Verdict, judge
from infraflux.delivery.records import Ledger, Promoted
from infraflux.delivery.release import Release


def choose_release(
    releases: Sequence[Release], *, current: Release | None, upstream_clusters: Sequence[str], ledger: Ledger
) -> Release | Noop:
    """The newest release that all upstream clusters are verified with; the newest of all where none is.

    Noop where nothing is newer than what the environment pins.
    """
    newer = [one for one in releases if current is None or one.cut_at > current.cut_at]
    if not newer:
        return Noop("no release was cut yet" if current is None else f"nothing is newer than {current.name}")
    ready = [
        one
        for one in newer
        if upstream_clusters and all(ledger.was_verified(one.digest, key) for key in upstream_clusters)
    ]
    return max(ready or newer, key=lambda one: one.cut_at)


@dataclass(frozen=True)
class Wait:
    """Not now; `opens_at` where waiting ends by itself."""

    gate: str
    reason: str
    opens_at: datetime | None = None


@dataclass(frozen=True)
class Refused:
    """Not at all, until somebody changes something."""

    gate: str
    reason: str


@dataclass(frozen=True)
class Pin:
    """Ask where somebody has to be asked, then write the pin."""

    release: Release
    verdict: Verdict


@dataclass(frozen=True)
class Deploy:
    """It is pinned and not everywhere deployed yet."""

    release: Release
    clusters: tuple[str, ...]


@dataclass(frozen=True)
class Merge:
    """The pin is on a branch for review; once it is merged, the next run deploys it."""

    release: Release
    branch: str


Step = Noop | Wait | Refused | Pin | Deploy


def next_step(question: Question, *, target_clusters: Sequence[str], run: str = "") -> Step:
    """What the promotion of this release needs now. `run` is the asking flow run: its own question does not stop it."""
    ledger, release = question.ledger, question.release
    last = ledger.last_promotion(question.target, release.digest)
    if question.current is not None and question.current.digest == release.digest:
        return _after_the_pin(question, last, target_clusters)
    if stopped := _stopped(question, last, run=run):
        return stopped
    if busy := _other_promotion(question, run=run):
        return busy
    verdict = judge(question)
    if isinstance(verdict, Noop):
        return verdict
    blocking = verdict.blocking
    return Pin(release, verdict) if blocking is None else _closed(blocking)


def _closed(gate: Gate) -> Wait | Refused:
    if gate.state is GateState.WAIT:
        return Wait(gate.name, gate.reason, gate.opens_at)
    return Refused(gate.name, gate.reason)


def _after_the_pin(question: Question, last: Promoted | None, target_clusters: Sequence[str]) -> Step:
    release, ledger = question.release, question.ledger
    left = tuple(key for key in target_clusters if not ledger.runs(release.digest, key))
    if not left:
        return Noop(f"{question.target} pins {release.name}, and every cluster of it is verified with it")
    if question.automatic and last is not None and last.state == "failed":
        return Refused("deploy", f"{release.name} failed in {question.target}: {last.detail}; a person starts it again")
    return Deploy(release, left)


def _stopped(question: Question, last: Promoted | None, *, run: str) -> Step | None:
    """What an earlier run of the same promotion left; a person may start anew after a decision or a failure."""
    if last is None:
        return None
    if last.state == "pinned" and last.branch:
        return Wait("merge", f"branch {last.branch} pins {question.release.name} and waits to be merged")
    if not question.automatic or last.by == run:
        return None
    if last.state == "rejected":
        return Noop(f"{question.release.name} was rejected for {question.target}: {last.detail}")
    if last.state == "rolled-back":
        return Noop(f"{question.target} was rolled back from {question.release.name}")
    return None


def _other_promotion(question: Question, *, run: str) -> Wait | None:
    """One promotion per environment at a time: a question that is still open keeps the next one waiting."""
    last = question.ledger.last_promotion(question.target)
    if last is None or last.state != "asked" or last.by == run:
        return None
    until = last.at + timedelta(seconds=question.policy.approval.timeout_s)
    if question.now >= until:
        return None
    return Wait("queue", f"{last.release} waits for a decision on {question.target} (run {last.by})", until)
