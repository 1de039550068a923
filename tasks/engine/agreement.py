"""The one plan of a run: shown, and agreed to where somebody has to agree."""

from datetime import UTC, datetime, timedelta

from infraflux.operations.delivery import approval_for
from infraflux.operations.destruction import Destruction
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan import report
from infraflux.operations.planning import Planned
from tasks.engine.approval import Question, approve
from tasks.engine.artifacts import with_notice
from tasks.engine.stages import Recipe
from tasks.engine.step import log_line


def question_of(planned: Planned | Destruction) -> Question:
    """What somebody may be asked about (pure)."""
    if isinstance(planned, Destruction):
        return Question(
            digest=planned.digest,
            summary=str(planned),
            changes=planned.changes,
            ends=planned.ends,
            disruption=planned.disruption,
            markdown=planned.markdown,
        )
    plan = planned.plan
    return Question(
        digest=plan.digest,
        summary=str(plan),
        changes=len(plan.actions),
        ends=plan.ends,
        disruption=plan.disruption,
        markdown=report.markdown(plan),
    )


def show_plan(run: Recipe, planned: Planned | Destruction) -> None:
    """Publish the plan before anybody is asked about it."""
    asked = question_of(planned)
    text = f"# {run.run.cluster}: {asked.summary}\n\nPlan `{asked.digest[:12]}`\n\n{asked.markdown}"
    run.report.publish("plan", markdown=text, description=asked.summary)


def approve_plan(run: Recipe, planned: Planned | Destruction, *, auto_approve: bool) -> None:
    """Go on, or suspend the run until somebody decided."""
    asked = question_of(planned)
    with run.report.stage("approve") as said:
        how = approved_before(run.opened, planned) or approve(
            cluster=run.run.cluster,
            question=asked.shown_as(with_notice(asked.markdown, run.report.simulation_notice)),
            rules=run.opened.spec.policy.approval,
            auto_approve=auto_approve,
        )
        said.append(str(how))
        log_line(str(how))


def approved_before(opened: OpenCluster, planned: Planned | Destruction) -> str:
    """How a promotion was given the approval of exactly this plan a short while ago; empty where none was."""
    if isinstance(planned, Destruction):  # that is no promotion's to approve
        return ""
    plan = planned.plan
    given = approval_for(
        opened.key,
        root=opened.root,
        plan=plan.own_digest,
        # What the environment shares is done once the first of its clusters is deployed.
        shared=None if plan.shared.empty else plan.shared_digest,
        since=datetime.now(UTC) - timedelta(seconds=opened.spec.policy.approval.timeout_s),
    )
    return f"approved by {given.by} for the promotion (run {given.run})" if given else ""
