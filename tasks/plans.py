"""The one plan of a run: shown, and agreed to where somebody has to agree."""

from collections.abc import Mapping
from typing import Any

from tasks.approval import approve
from tasks.recipe import Recipe
from tasks.reporting import marked
from tasks.running import log_line


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
        how = approve(
            cluster=run.run.cluster,
            plan=plan,
            markdown=marked(str(plan["markdown"]), run.report.simulated),
            required=bool(facts["approval_required"]),
            auto_approve=auto_approve,
            timeout_s=int(facts["approval_timeout_s"]),
        )
        said.append(how)
        log_line(how)
