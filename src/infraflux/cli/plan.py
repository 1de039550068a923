"""`infraflux plan`: everything that a deploy would do, looked at from here; changes nothing and needs no service."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from infraflux.cli.output import emit
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.config.models.policy import Disruption
from infraflux.core import process
from infraflux.core.output import Output, OutputOption
from infraflux.operations.opening import open_project
from infraflux.operations.plan import report
from infraflux.operations.plan.actions import ClusterPlan, as_json
from infraflux.operations.planning import make_plan, require_allowed
from infraflux.operations.promotion import with_pin
from infraflux.operations.releases import find_release

_STYLES = {
    Disruption.NONE: "",
    Disruption.SERVICE_RESTART: "yellow",
    Disruption.NODE_RESTART: "bold yellow",
    Disruption.NODE_LEAVES: "bold red",
    Disruption.DATA_LOST: "bold red",
}


def plan(
    cluster: Annotated[str, typer.Argument(help="The cluster, as ENV/NAME.", metavar="ENV/CLUSTER")],
    release: Annotated[
        str, typer.Option("--release", help="As if the cluster's environment pinned this release.")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show everything that a deploy of a cluster would do, whom it disturbs, and why. Changes nothing.

    Exits 1 where the environment's policy forbids the plan.
    """
    root = project_root()
    instead = with_pin(root, cluster.partition("/")[0], find_release(root, release).name) if release else None
    opened = open_project(root, instead=instead).cluster(cluster)
    with process.guard():
        planned = make_plan(opened)
    if output is Output.TABLE:
        print_plan(planned.plan)
        print_simulation_notice(opened.spec.simulation_notice)
    else:
        emit(as_json(planned.plan), output=output)
    require_allowed(opened, planned, today=datetime.now(UTC).date())


def print_plan(found: ClusterPlan) -> None:
    """The plan as a table, disruption first."""
    out = console()
    out.print(Text(report.headline(found)))
    if found.actions:
        out.print(_table(found))
    for line in found.later:
        out.print(Text(f"later: {line}"))
    for one in found.from_git:
        out.print(Text(f"from Git, by Argo CD: {one.component}: {one.change}"))
    for warning in found.warnings:
        out.print(Text(f"warning: {warning}", style="yellow"))
    out.print(Text(f"plan {found.digest[:12]}: {found}", style="dim"))


def _table(found: ClusterPlan) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("DISRUPTION", "WHERE", "WHAT", "CHANGE", "WHY"):
        table.add_column(column, overflow="fold")
    group = ""
    for row in report.rows(found):
        what = row.kind if row.object == row.group else row.object
        change = "\n".join([row.change, *(f"  {line}" for line in row.details)])
        cells = ("" if row.group == group else row.group, what, change, row.why)
        table.add_row(Text(row.disruption.words, style=_STYLES[row.disruption]), *(Text(one) for one in cells))
        group = row.group
    return table
