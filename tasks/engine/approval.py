"""A person looks at the plan before it is applied.

The run is suspended: its process ends, lock and worker slot are free. After the decision the flow starts again from
the top and plans anew; it goes on only where that plan is, digest for digest, the one that was shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run

from infraflux.config.models.policy import Approval, Disruption
from infraflux.core.errors import ErrorClass, Permanent
from tasks.engine.events import ClusterEvent, emit
from tasks.engine.retry import retry

LABEL = "infraflux.plan-digest"
KEY = "plan"


class ApprovalForm(RunInput):
    """The form. An empty answer takes the defaults, so the default is to reject."""

    decision: Literal["approve", "reject"] = "reject"
    approver: str = ""
    """Self-declared: the server knows one shared user. A proxy that authenticates people is the only real gate."""
    comment: str = ""


@dataclass(frozen=True)
class Skip:
    """Nobody has to be asked."""

    reason: str


@dataclass(frozen=True)
class Ask:
    """A person decides."""

    reason: str


@dataclass(frozen=True)
class Refuse:
    """What was shown is not what would be done."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody is asked about, whatever made the plan."""

    digest: str
    """What an answer is bound to."""
    summary: str
    changes: int
    ends: int
    """How many things are gone afterwards."""
    disruption: Disruption
    markdown: str
    """The plan as a person reads it."""

    def shown_as(self, markdown: str) -> "Question":
        """The same question with another text."""
        return replace(self, markdown=markdown)


def decide(question: Question, *, rules: Approval, auto_approve: bool, asked: str) -> Skip | Ask | Refuse:
    """Whether somebody has to look (pure).

    `asked` is the digest shown earlier in this run, empty where nobody was asked yet. `auto_approve` spares the
    question about destruction in an environment that asks for no approval; a policy that does is never spared.
    """
    if asked and asked != question.digest:
        return Refuse(
            f"the plan changed since approval was asked for: it was {asked[:12]}, it is {question.digest[:12]}"
        )
    if asked:
        return Ask("asked already")
    if question.changes == 0:
        return Skip("the plan changes nothing")
    if reason := _asks(question, rules):
        return Ask(reason)
    if question.ends and not auto_approve:
        return Ask(f"the plan destroys or replaces {question.ends} object(s)")
    return Skip("auto-approved" if question.ends else "the environment's policy asks for no approval")


def _asks(question: Question, rules: Approval) -> str:
    """Why the environment's policy asks; empty where it does not."""
    if rules.required:
        return "the environment's policy asks for approval"
    if rules.from_disruption is None or question.disruption < rules.from_disruption:
        return ""
    threshold, worst = rules.from_disruption.words, question.disruption.words
    return f"the environment's policy asks from {threshold} on, and the worst of the plan is {worst}"


class Rejected(Permanent):
    """A person said no."""


@dataclass(frozen=True)
class Agreed:
    """How it was approved; `approver` is empty where nobody had to be asked."""

    how: str
    approver: str = ""

    def __str__(self) -> str:
        return self.how


SendEvent = Callable[[ClusterEvent, Mapping[str, str | int]], None]


def approve(
    *,
    cluster: str,
    question: Question,
    rules: Approval,
    auto_approve: bool,
    send_event: SendEvent | None = None,
) -> Agreed:
    """Ask where somebody has to be asked. Rejected where the answer is no, Permanent where the plan changed.

    `cluster` may be an environment. `send_event` gets the question and the answer; by default both become events of it.
    """
    decision = decide(question, rules=rules, auto_approve=auto_approve, asked=asked_digest())
    if isinstance(decision, Refuse):
        raise Permanent(
            decision.reason,
            cluster=cluster,
            stage="approve",
            error_class=ErrorClass.CONFLICT,
            next_step="start the run again and look at the new plan",
        )
    if isinstance(decision, Skip):
        return Agreed(f"no approval needed: {decision.reason}")
    send_event = send_event or (lambda event, facts: emit(event, cluster=cluster, facts=facts))
    return _ask(
        cluster=cluster, question=question, reason=decision.reason, timeout_s=rules.timeout_s, send_event=send_event
    )


def _ask(*, cluster: str, question: Question, reason: str, timeout_s: int, send_event: SendEvent) -> Agreed:
    digest, markdown = question.digest, question.markdown
    if deployment.get_id() is None:
        raise Permanent(
            f"{reason}, and a run without the service cannot wait for one",
            cluster=cluster,
            stage="approve",
            error_class=ErrorClass.USER,
            next_step="start the same command without --local",
        )
    facts = {"plan_digest": digest}
    if not asked_digest():
        _remember(digest)
        send_event(ClusterEvent.APPROVAL_REQUESTED, facts)
    description = f"## {cluster}: {reason}\n\nPlan `{digest[:12]}`\n\n{markdown}"
    answer = suspend_flow_run(
        wait_for_input=ApprovalForm.with_initial_data(description=description), timeout=timeout_s, key=KEY
    )
    said = {**facts, "approver": answer.approver, "comment": answer.comment}
    if answer.decision != "approve":
        send_event(ClusterEvent.APPROVAL_REJECTED, said)
        raise Rejected(
            f"rejected by {answer.approver or 'somebody'}: {answer.comment or 'no comment'}",
            cluster=cluster,
            stage="approve",
            next_step="nothing was changed",
        )
    send_event(ClusterEvent.APPROVAL_GRANTED, said)
    approver = answer.approver or "somebody"
    return Agreed(f"approved by {approver}", approver)


def asked_digest() -> str:
    """The digest this run showed before it was suspended."""

    def read() -> FlowRun:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(_run_id())

    return str((retry(read).labels or {}).get(LABEL, ""))


def _remember(digest: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(_run_id(), {LABEL: digest})


def _run_id() -> UUID:
    return UUID(str(flow_run.get_id()))
