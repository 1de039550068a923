"""Promotions of the project at hand: what was seen, as the pure decisions want it; the pin looked at before it is
written, and written through Git."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.secrets.bundle import Learn, ignore
from infraflux.config.environments import promotion_order
from infraflux.config.load import Fleet, examine
from infraflux.config.models.policy import PinWriting, Policy
from infraflux.config.parity import compare, refused, sources_of
from infraflux.config.problems import Problem
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop
from infraflux.delivery.pipeline import Deploy, Pin, Step, choose_release, next_step
from infraflux.delivery.promotion import Question, Rollback, Verdict, decide_rollback, judge
from infraflux.delivery.records import Ledger, Promoted
from infraflux.delivery.release import Release
from infraflux.delivery.text import PipelineStage
from infraflux.operations.opening import Log, open_project, silent
from infraflux.operations.planning import Planned, make_plan, require_allowed
from infraflux.operations.releases import DeliveryLedger, find_release, load_releases

ENVIRONMENTS = Path("config/environments")
_PIN = re.compile(r"^release:.*$", re.MULTILINE)
_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One environment and the release that is asked about."""

    environment: str
    policy: Policy
    clusters: tuple[str, ...]
    """Keys of the environment's own clusters."""
    current: Release | None
    ledger: Ledger
    question: Question | None
    """None where there is nothing to ask about."""
    step: Step

    @property
    def release(self) -> Release | None:
        return self.question.release if self.question else None

    @property
    def verdict(self) -> Verdict | None:
        """All gates, also where one of them is closed."""
        if isinstance(self.step, Pin):
            return self.step.verdict
        found = judge(self.question) if self.question else None
        return found if isinstance(found, Verdict) else None


def look_at_promotion(
    root: Path,
    environment: str,
    *,
    release: str = "",
    automatic: bool = False,
    run: str = "",
    now: datetime | None = None,
) -> Situation:
    """Everything that is known about promoting to an environment, and the next step of it.

    `release` empty: the newest that is verified upstream. Raises Permanent for an unknown environment or release.
    """
    fleet = Fleet.load(root)
    specs = fleet.of(environment)
    if not specs:
        raise Permanent(
            f"{environment!r} has no cluster; there are {', '.join(fleet.environments)}",
            stage="promote",
            next_step="name an environment that has clusters",
        )
    policy, ledger = specs[0].policy, DeliveryLedger(root).read()
    releases = load_releases(root)
    current = find_release(root, specs[0].release) if specs[0].release else None
    upstream = tuple(spec.key for spec in fleet.of(policy.promotion.source or ""))
    keys = tuple(spec.key for spec in specs)
    chosen = (
        find_release(root, release)
        if release
        else _choose(
            environment, keys, current=current, releases=releases, upstream=upstream, ledger=ledger, automatic=automatic
        )
    )
    base = Situation(
        environment=environment,
        policy=policy,
        clusters=keys,
        current=current,
        ledger=ledger,
        question=None,
        step=chosen if isinstance(chosen, Noop) else Noop(""),
    )
    if isinstance(chosen, Noop):
        return base
    return _with_question(base, chosen, upstream=upstream, automatic=automatic, run=run, now=now, root=root)


def _choose(
    environment: str,
    clusters: Sequence[str],
    *,
    current: Release | None,
    releases: Sequence[Release],
    upstream: Sequence[str],
    ledger: Ledger,
    automatic: bool,
) -> Release | Noop:
    """What is pinned and not deployed comes first, but automation does not stay with one that failed."""
    newer = choose_release(releases, current=current, upstream_clusters=upstream, ledger=ledger)
    if current is None or all(ledger.runs(current.digest, key) for key in clusters):
        return newer
    last = ledger.last_promotion(environment, current.digest)
    failed = last is not None and last.state == "failed"
    return newer if automatic and failed and isinstance(newer, Release) else current


def _with_question(
    base: Situation,
    release: Release,
    *,
    upstream: tuple[str, ...],
    automatic: bool,
    run: str,
    now: datetime | None,
    root: Path,
) -> Situation:
    pinned = base.current is not None and base.current.digest == release.digest
    found = examine(root) if pinned else examine(root, instead=with_pin(root, base.environment, release.name))
    question = Question(
        release=release,
        current=base.current,
        target=base.environment,
        upstream_clusters=upstream,
        policy=base.policy,
        ledger=base.ledger,
        now=now or datetime.now(UTC),
        automatic=automatic,
        parity_problems=_shown(refused(compare(found.fleet))),
        matrix_problems=_shown(found.problems),
    )
    step = next_step(question, target_clusters=base.clusters, run=run)
    return replace(base, question=question, step=step)


def _shown(problems: Sequence[Problem]) -> tuple[str, ...]:
    more = [f"and {len(problems) - _SHOWN_PROBLEMS} more"] if len(problems) > _SHOWN_PROBLEMS else []
    return (*(str(one) for one in problems[:_SHOWN_PROBLEMS]), *more)


# The pin


def pinned_text(text: str, release: str, *, file: str) -> str:
    """An environment's file that names this release, every other character as it was (pure).

    Raises Permanent where the file is not written so that a line can be added to it.
    """
    line = f"release: {release}"
    new = _PIN.sub(line, text, count=1) if _PIN.search(text) else f"{text.rstrip()}\n{line}\n"
    try:
        found = YAML(typ="safe", pure=True).load(new)
    except YAMLError:
        found = None
    if not isinstance(found, dict) or found.get("release") != release:
        raise Permanent(
            f"{file} cannot be given a `release:` line",
            stage="promote",
            error_class=ErrorClass.CONFIG,
            next_step=f"write `release: {release}` into it by hand and commit it",
        )
    return new


def with_pin(root: Path, environment: str, release: str) -> dict[Path, str]:
    """The environment's file as it would be with the pin, for whoever reads the configuration."""
    file = ENVIRONMENTS / f"{environment}.yaml"
    return {file: pinned_text((root / file).read_text(), release, file=str(file))}


@dataclass(frozen=True, kw_only=True)
class PinWritten:
    """Where the pin is; `branch` waits to be merged, empty where the present branch has it."""

    commit: str
    branch: str = ""


def write_pin(root: Path, situation: Situation, release: Release, *, reason: str) -> PinWritten:
    """Write the pin as one commit: on the present branch, or on one for review, as the environment's policy says.

    With a remote the commit is pushed before the checkout moves, so a refused push leaves nothing behind. Raises
    Permanent where the environment's file has changes that no commit holds, or where Git refuses.
    """
    git, name = GitRepo(root), f"{ENVIRONMENTS}/{situation.environment}.yaml"
    if changed := git.changed([name]):
        raise Permanent(
            f"{changed[0]} has changes that are not committed",
            stage="promote",
            error_class=ErrorClass.CONFLICT,
            next_step="commit or drop them, then start the promotion again",
        )
    text = pinned_text(git.read("HEAD", name), release.name, file=name)
    commit = git.commit_files({name: text}, message=_message(situation, release, reason=reason))
    rules = situation.policy.promotion
    if rules.write is PinWriting.BRANCH:
        branch = f"promote/{situation.environment}-{release.name}"
        git.set_branch(branch, commit)
        if rules.remote:
            git.push(rules.remote, commit, branch)
        return PinWritten(commit=commit, branch=branch)
    if rules.remote:
        git.push(rules.remote, commit, git.branch())
    git.advance(commit)
    return PinWritten(commit=commit)


def _message(situation: Situation, release: Release, *, reason: str) -> str:
    before = situation.current.name if situation.current else "the checkout's versions"
    lines = [f"Pin {situation.environment} to {release.name}", "", f"Before: {before}. {release.digest}"]
    return "\n".join([*lines, reason] if reason else lines)


# Plans


class Preview:
    """What the pin would do to one cluster. No dataclass, as `Planned`."""

    def __init__(self, *, cluster: str, planned: Planned) -> None:
        self.cluster = cluster
        self.planned = planned


def plan_promotion(
    root: Path, environment: str, release: str, *, today: datetime, log: Log = silent, learn: Learn = ignore
) -> list[Preview]:
    """Plan every cluster of the environment as if the pin were written. Raises what the guard refuses."""
    project = open_project(root, instead=with_pin(root, environment, release), log=log, learn=learn)
    found = []
    for spec in project.fleet.of(environment):
        opened = project.cluster(spec.key)
        planned = make_plan(opened)
        require_allowed(opened, planned, today=today.date())
        found.append(Preview(cluster=spec.key, planned=planned))
    return found


# Back


def look_at_rollback(root: Path, environment: str) -> tuple[Situation, Rollback | Deploy]:
    """The way back of an environment; Deploy where an earlier run pinned it and came no further.

    Raises Permanent where there is no way back, with the reason.
    """
    situation = look_at_promotion(root, environment)
    if situation.current is None:
        raise Permanent(
            f"{environment} pins no release, so there is none to go back from",
            stage="rollback",
            next_step="promote a release first; an environment that pins none follows the checkout",
        )
    if left := unfinished_rollback(situation.ledger, situation.current, environment, situation.clusters):
        return situation, Deploy(situation.current, left)
    rollback = decide_rollback(
        target=environment,
        clusters=situation.clusters,
        current=situation.current,
        releases=[one for one in load_releases(root) if one.cut_at < situation.current.cut_at],
        ledger=situation.ledger,
    )
    return situation, rollback


def unfinished_rollback(ledger: Ledger, current: Release, environment: str, clusters: Sequence[str]) -> tuple[str, ...]:
    """The clusters that a rollback has pinned and not reached yet (pure)."""
    last = ledger.last_promotion(environment, current.digest)
    hold = ledger.hold_on(environment)
    if hold is None or last is None or last.state not in ("pinned", "failed") or last.at < hold.at:
        return ()
    return tuple(key for key in clusters if not ledger.runs(current.digest, key))


# The pipeline


def read_pipeline(root: Path, *, now: datetime | None = None) -> list[PipelineStage]:
    """Every environment that has clusters, in the order of promotion."""
    fleet = Fleet.load(root)
    return [_stage(root, one, now=now) for one in promotion_order(sources_of(fleet)) if fleet.of(one)]


def _stage(root: Path, environment: str, *, now: datetime | None) -> PipelineStage:
    found = look_at_promotion(root, environment, now=now, automatic=True)
    source, verdict = found.policy.promotion.source, found.verdict
    follows = Noop("follows the checkout; `infraflux release cut` makes a release of it")
    standing = {key: found.ledger.standing(key) for key in found.clusters}
    hold, last = found.ledger.hold_on(environment), found.ledger.last_promotion(environment)
    return PipelineStage(
        environment=environment,
        source=source,
        pins=found.current.name if found.current else "",
        verified={key: one.release if one else "" for key, one in standing.items()},
        candidate=found.release.name if found.release and source else "",
        step=found.step if source else follows,
        gates=verdict.gates if verdict and source else (),
        hold=f"automatic promotion is held since {hold.at:%Y-%m-%d %H:%M}: {hold.reason}" if hold else "",
        last=_told(last) if last else "",
    )


def _told(last: Promoted) -> str:
    more = last.branch or last.detail
    return f"last: {last.release} {last.state} {last.at:%Y-%m-%d %H:%M}" + (f" ({more})" if more else "")
