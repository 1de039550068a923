"""The one plan of a run: shown, and agreed to where somebody has to agree."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from infraflux.operations.delivery import approval_for
from tasks.engine.approval import approve
from tasks.engine.artifacts import marked
from tasks.engine.stages import Recipe
from tasks.engine.step import log_line


def bound(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What names exactly this plan to the later stages."""
    return {key: plan[key] for key in ("shared_run", "cluster_run", "digest")}


def plan_markdown(cluster: str, plan: Mapping[str, Any]) -> str:
    """The plan as an artifact (pure)."""
    return f"# {cluster}: {plan['summary']}\n\nPlan `{str(plan['digest'])[:12]}`\n\n{plan['markdown']}"


def show_plan(run: Recipe, plan: Mapping[str, Any]) -> None:
    """Publish the plan before anybody is asked about it."""
    text = plan_markdown(run.run.cluster, plan)
    run.report.publish("plan", markdown=text, description=str(plan["summary"]))


def approve_plan(run: Recipe, plan: Mapping[str, Any], facts: Mapping[str, Any], *, auto_approve: bool) -> None:
    """Go on, or suspend the run until somebody decided."""
    with run.report.stage("approve") as said:
        how = approved_before(run, plan, facts) or approve(
            cluster=run.run.cluster,
            plan=plan,
            markdown=marked(str(plan["markdown"]), run.report.simulated),
            required=bool(facts["approval_required"]),
            auto_approve=auto_approve,
            timeout_s=int(facts["approval_timeout_s"]),
        )
        said.append(str(how))
        log_line(str(how))


def approved_before(run: Recipe, plan: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """How a promotion was given the approval of exactly this plan a short while ago; empty where none was."""
    if "cluster_digest" not in plan:  # A destruction: that is no promotion's to approve.
        return ""
    given = approval_for(
        run.run.cluster,
        root=run.run.root,
        plan=str(plan["cluster_digest"]),
        # What the environment shares is done once the first of its clusters is deployed.
        shared=str(plan["shared_digest"]) if plan["shared_changes"] else None,
        since=datetime.now(UTC) - timedelta(seconds=int(facts["approval_timeout_s"])),
    )
    return f"approved by {given.by} for the promotion (run {given.run})" if given else ""
