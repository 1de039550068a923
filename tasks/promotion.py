"""Promotion and rollback as Prefect tasks: gates, approval, pin, deploys, records."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Scheduled

from infraflux.config.load import Fleet
from infraflux.config.models.policy import Disruption
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop
from infraflux.delivery.pipeline import Deploy, Merge, Pin, Refused, Wait
from infraflux.delivery.promotion import Rollback, hold_after_rollback
from infraflux.delivery.records import Approved, Promoted, PromotionState
from infraflux.delivery.release import Release, ReleaseChange
from infraflux.delivery.text import change_rows, describe, gate_rows, pipeline_markdown
from infraflux.operations.plan import report
from infraflux.operations.promotion import (
    PinWritten,
    Preview,
    Situation,
    look_at_promotion,
    look_at_rollback,
    plan_promotion,
    read_pipeline,
    write_pin,
)
from infraflux.operations.releases import DeliveryLedger
from tasks.configuration import learn_secrets
from tasks.engine.approval import Agreed, Question, Rejected, approve
from tasks.engine.children import require_completed, run_child
from tasks.engine.context import RunContext, running_for_environment
from tasks.engine.events import ClusterEvent, emit
from tasks.engine.locks import ClusterBusy, cluster_lock
from tasks.engine.masking import add_secrets, masked
from tasks.engine.step import log_line, project_root, step

TURN_RETRY_S = 120
"""A promotion that meets another one looks again after this time."""


def now() -> datetime:
    """The moment gates are judged by; tests put a clock of their own here."""
    return datetime.now(UTC)


@dataclass
class PromotionRun:
    """One run of a promotion or rollback."""

    run: RunContext
    busy: ClusterBusy | None = None
    """Why it is not this run's turn."""
    decided: bool = False
    """Whether this run ended a question that others may wait behind."""

    @property
    def environment(self) -> str:
        return self.run.environment

    def record(self, release: Release, state: PromotionState, detail: str = "", *, branch: str = "") -> None:
        """Say in the ledger where this promotion stands."""
        record = Promoted(
            digest=release.digest,
            release=release.name,
            environment=self.environment,
            state=state,
            at=now(),
            by=self.run.flow_run_id,
            detail=detail,
            branch=branch,
        )
        DeliveryLedger(self.run.root).add(record)

    def send_event(self, event: ClusterEvent, release: Release, **facts: str | int) -> None:
        """Send an event about the environment."""
        said = {"release": release.name, "release_digest": release.digest, **facts}
        emit(event, cluster=self.environment, facts=said)


@contextmanager
def promoting() -> Iterator[PromotionRun]:
    """Around the body of a flow: one promotion per environment at a time, others learn that it is not their turn.

    The turn is given back while the run is suspended; the question stays in the ledger and keeps others waiting.
    """
    with running_for_environment() as run:
        for spec in Fleet.load(run.root).of(run.environment):
            learn_secrets(spec, run.root)
        name = f"promotion/{run.environment}"
        lock = cluster_lock(
            name,
            directory=run.paths.state / "locks",
            flow_run_id=run.flow_run_id,
            flow_run_name=str(flow_run.get_name()),
        )
        with ExitStack() as turn:
            busy = None
            try:
                turn.enter_context(lock)
            except ClusterBusy as error:
                busy = error
            found = PromotionRun(run, busy=busy)
            try:
                yield found
            finally:
                turn.close()
                if found.decided:
                    _take_up_the_next(found)


@step("check promotion gates", retries=0)
def check_gates(*, environment: str, release: str, automatic: bool, run: str) -> Situation:
    """What is known, and the next step; a person's wish that is refused raises Permanent with the gate."""
    seen = look_at_promotion(project_root(), environment, release=release, automatic=automatic, run=run, now=now())
    for gate in seen.verdict.gates if seen.verdict else ():
        log_line(f"{gate.state}: {gate.name}: {gate.reason}")
    log_line(f"{environment}: {describe(seen.step)}")
    if isinstance(seen.step, Refused) and not automatic:
        raise Permanent(
            f"{seen.release.name if seen.release else 'the release'} may not go to {environment}: {seen.step.reason}",
            stage=f"gate {seen.step.gate}",
            error_class=ErrorClass.CONFLICT,
            next_step="infraflux promotion status shows every gate",
        )
    return seen


@step("plan rollback", retries=0)
def plan_rollback(*, environment: str) -> tuple[Situation, Rollback | Deploy]:
    """The release to go back to, or what an earlier run left to deploy; Permanent where a change cannot be undone."""
    seen, back = look_at_rollback(project_root(), environment)
    match back:
        case Rollback():
            log_line(f"{environment}: back to {back.to.name}, {len(back.changes)} change(s)")
        case Deploy():
            log_line(f"{environment}: pinned by an earlier run, to be deployed: {', '.join(back.clusters)}")
    return seen, back


@step("plan promotion", retries=0)
def plan(*, environment: str, release: str) -> list[Preview]:
    """What the pin would do to the machines of every cluster; nothing is written yet."""
    found = plan_promotion(project_root(), environment, release, today=now(), log=log_line, learn=add_secrets)
    for one in found:
        log_line(f"{one.cluster}: {one.planned}")
    return found


def question_of(release: Release, previews: Sequence[Preview], *, markdown: str) -> Question:
    """What an approval is bound to: the content and every plan (pure)."""
    plans = [one.planned.plan for one in previews]
    digests = "".join(plan.digest for plan in plans)
    return Question(
        digest=hashlib.sha256(f"{release.digest}{digests}".encode()).hexdigest(),
        summary=release.name,
        # A release that changes nothing of a cluster today still changes what it follows.
        changes=max(1, sum(len(plan.actions) for plan in plans)),
        ends=sum(plan.ends for plan in plans),
        disruption=max((plan.disruption for plan in plans), default=Disruption.NONE),
        markdown=markdown,
    )


def approval_markdown(
    release: Release, seen: Situation, previews: Sequence[Preview], changes: Sequence[ReleaseChange]
) -> str:
    """What an approver reads: the difference, the way back, the gates, the plans (pure)."""
    before = seen.current.name if seen.current else "the checkout"
    lines = [f"**{before} → {release.name}** (`{release.digest[:19]}`)", "", *change_rows(changes)]
    if seen.verdict:
        lines += ["", "### Gates", "", *gate_rows(seen.verdict.gates)]
    for one in previews:
        lines += ["", f"### {one.cluster}: {one.planned}", "", report.markdown(one.planned.plan)]
    return "\n".join(lines)


def agree(
    run: PromotionRun, seen: Situation, release: Release, *, changes: Sequence[ReleaseChange], reason: str
) -> Agreed:
    """Plan with the pin, show it, and ask where the environment's policy says so; the answer is kept.

    Raises Rejected, or Permanent where the plan is another one than was shown.
    """
    run.send_event(ClusterEvent.PROMOTION_REQUESTED, release, reason=reason)
    previews = plan(environment=run.environment, release=release.name)
    markdown = masked(approval_markdown(release, seen, previews, changes))
    create_markdown_artifact(markdown, key=f"promotion-{run.environment}", description=f"{release.name}: {reason}")

    def send_event(event: ClusterEvent, facts: Mapping[str, str | int]) -> None:
        if event is ClusterEvent.APPROVAL_REQUESTED:
            run.record(release, "asked")
        run.send_event(event, release, **facts)

    rules = seen.policy.approval
    try:
        agreed = approve(
            cluster=run.environment,
            question=question_of(release, previews, markdown=markdown),
            rules=rules,
            auto_approve=False,
            send_event=send_event,
        )
    except Rejected as error:
        run.decided = True
        run.record(release, "rejected", str(error.message))
        run.send_event(ClusterEvent.PROMOTION_REJECTED, release, why=error.message)
        raise
    log_line(str(agreed))
    _keep_approval(run, previews, agreed)
    return agreed


def _keep_approval(run: PromotionRun, previews: Sequence[Preview], agreed: Agreed) -> None:
    """So that the deploys of exactly these plans need not ask again."""
    if not agreed.approver:
        return
    DeliveryLedger(run.run.root).add(
        *(
            Approved(
                cluster=one.cluster,
                plan=one.planned.plan.own_digest,
                shared=one.planned.plan.shared_digest,
                by=agreed.approver,
                at=now(),
                run=run.run.flow_run_id,
            )
            for one in previews
        )
    )


@step("pin release", retries=0)
def _write(*, situation: Situation, release: Release, reason: str) -> PinWritten:
    written = write_pin(project_root(), situation, release, reason=reason)
    where = f"branch {written.branch}" if written.branch else "the present branch"
    log_line(f"{situation.environment} pins {release.name}: commit {written.commit[:12]} on {where}")
    return written


def pin(run: PromotionRun, seen: Situation, release: Release, *, reason: str) -> Deploy | Merge:
    """Write the pin through Git; says what is left to do."""
    written = _write(situation=seen, release=release, reason=reason)
    run.record(release, "pinned", branch=written.branch)
    run.send_event(ClusterEvent.PROMOTION_PINNED, release, commit=written.commit, branch=written.branch)
    return Merge(release, written.branch) if written.branch else Deploy(release, seen.clusters)


def deploy(run: PromotionRun, left: Deploy, *, reason: str) -> None:
    """Deploy the clusters, one after the other; Permanent with the first that fails."""
    release = left.release
    text = f"promotion of {release.name}" + (f": {reason}" if reason else "")
    for key in left.clusters:
        name = key.partition("/")[2]
        ended = run_child(
            f"deploy/{run.environment}",
            name=f"deploy-{run.environment}-{name}",
            parameters={"cluster": name, "reason": text},
            tag=f"promotion-{run.environment}-{release.digest[-12:]}-{name}",
        )
        require_completed(ended, what=f"deploy of {key}", fail=lambda why: _failed(run, release, why))


def _failed(run: PromotionRun, release: Release, why: str) -> None:
    run.record(release, "failed", why)
    run.send_event(ClusterEvent.PROMOTION_FAILED, release, why=why)


def finish(run: PromotionRun, release: Release) -> State[Any]:
    """Done only where every cluster of the environment is verified with the release."""
    seen = look_at_promotion(run.run.root, run.environment, release=release.name)
    left = [key for key in seen.clusters if not seen.ledger.runs(release.digest, key)]
    if left:
        why = f"deployed, and not verified with {release.name}: {', '.join(left)}"
        _failed(run, release, why)
        raise Permanent(why, stage="verify", next_step="the deploy's log says why, at its stage `record`")
    run.decided = True
    run.record(release, "deployed")
    run.send_event(ClusterEvent.PROMOTION_COMPLETED, release)
    show_pipeline()
    return Completed(message=f"{run.environment} runs {release.name}, verified on {len(seen.clusters)} cluster(s)")


def hold(run: PromotionRun, current: Release, *, reason: str) -> None:
    """So that no automation undoes a rollback; before the pin is written, so that it holds whatever happens next."""
    DeliveryLedger(run.run.root).add(
        hold_after_rollback(run.environment, at=now(), from_release=current.name, reason=reason)
    )
    run.record(current, "rolled-back", reason)
    log_line(f"automatic promotion to {run.environment} is held: `infraflux promotion release-hold {run.environment}`")


def settle(run: PromotionRun, seen: Situation) -> State[Any]:
    """The end of a run that has nothing to do now; one that only waits for a time is started again then."""
    show_pipeline()
    text = describe(seen.step)
    match seen.step:
        case Noop():
            return Completed(name="NothingToPromote", message=text)
        case Wait(opens_at=opens_at):
            release = seen.release.name if seen.release else ""
            again = look_again(run, release, at=opens_at) if opens_at else ""
            return Completed(name="Waiting", message=f"{text}{again}")
        case _:
            return Completed(name="NotReady", message=text)


def wait_for_turn(run: PromotionRun) -> State[Any]:
    """Another promotion works on the environment: look again later."""
    again = look_again(
        run, str(flow_run.get_parameters().get("release") or ""), at=now() + timedelta(seconds=TURN_RETRY_S)
    )
    return Completed(name="Waiting", message=f"{run.busy.message if run.busy else 'busy'}{again}")


def await_merge(run: PromotionRun, left: Merge) -> State[Any]:
    """The pin is on a branch for review."""
    show_pipeline()
    text = f"branch {left.branch} pins {run.environment} to {left.release.name}; once merged, the next run deploys it"
    return Completed(name="AwaitingMerge", message=text)


def _take_up_the_next(run: PromotionRun) -> None:
    """A release that had to wait for this one gets its run now: its event is long gone, the hourly look far away."""
    if flow_run.get_flow_name() != "promote":  # after a rollback, automation is held
        return
    seen = look_at_promotion(run.run.root, run.environment, automatic=True, now=now())
    match seen.step:
        case Pin(release):
            log_line(f"{release.name} was waiting{look_again(run, release.name, at=now(), automatic=True)}")


def look_again(run: PromotionRun, release: str, *, at: datetime, **changed: Any) -> str:
    """Schedule this deployment for that moment, once however many runs ask for it; what to add to the message."""
    here = deployment.get_id()
    if not here:
        return ""
    parameters = {**flow_run.get_parameters(), **changed, "release": release}
    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(
            UUID(str(here)),
            name=f"{flow_run.get_flow_name()}-{run.environment}",
            parameters=parameters,
            state=Scheduled(scheduled_time=at),
            idempotency_key=f"{run.environment}-{release}-{at:%Y%m%dT%H%M}",
        )
    return f"; looked at again at {at:%Y-%m-%d %H:%M %Z}"


def show_pipeline() -> None:
    """The pipeline as an artifact with a stable key."""
    text = pipeline_markdown(read_pipeline(project_root(), now=now()))
    create_markdown_artifact(masked(text), key="promotion-pipeline", description="Releases and environments")
