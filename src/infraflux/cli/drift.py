"""`infraflux drift`: what is not as declared, over all layers; looked at without changing anything."""

from typing import Annotated

import typer
from rich.table import Table

from infraflux.cli.output import emit
from infraflux.cli.plan import print_plan
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.config.load import Fleet
from infraflux.core import process
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Noop
from infraflux.core.output import Output, OutputOption, TakesJson
from infraflux.drift.findings import ALL_LAYERS, ClusterDrift, DriftVerdict, Layer
from infraflux.drift.history import looks_markdown, sparkline
from infraflux.drift.report import as_json as to_json
from infraflux.drift.report import cluster_markdown, fleet_rows, headline, simulation_notice
from infraflux.operations.delivery import record_looks
from infraflux.operations.drift_fleet import check_fleet, choose, fix_of, keep, last_report, read_looks
from infraflux.operations.opening import open_project
from infraflux.operations.planning import make_plan

app = typer.Typer(no_args_is_help=True, help="What differs from Git, over all layers.")
Targets = Annotated[list[str] | None, typer.Argument(help="ENV or ENV/CLUSTER; all by default.")]
Layers = Annotated[
    list[Layer] | None,
    typer.Option("--layer", help="Check this layer only; can be repeated. The result is printed and not kept."),
]

DRIFTED, UNKNOWN = 3, 4
"""Exit codes of `check`: 1 and 2 are mistakes of the caller."""


@app.command(cls=TakesJson)
def check(
    targets: Targets = None,
    output: OutputOption = Output.TABLE,
    layer: Layers = None,
    full: Annotated[bool, typer.Option("--full", help="Let Terraform plan every stack, changed or not.")] = False,
) -> None:
    """Check now; changes nothing. Exits 0 if clean, 3 if drifted, 4 if something could not be read."""
    root = project_root()
    reports = check_fleet(root, targets or [], layers=layer or ALL_LAYERS, full=full)
    keep(root, reports)
    record_looks(root, reports)
    _print(reports, output=output)
    verdicts = {report.verdict for report in reports}
    if verdicts & {DriftVerdict.UNKNOWN, DriftVerdict.DRIFTED}:
        raise typer.Exit(UNKNOWN if DriftVerdict.UNKNOWN in verdicts else DRIFTED)


@app.command(cls=TakesJson)
def show(targets: Targets = None, output: OutputOption = Output.TABLE) -> None:
    """The last report of each cluster, as it was kept."""
    root = project_root()
    fleet = Fleet.load(root)
    reports = []
    for key in choose(fleet, targets or []):
        try:
            reports.append(last_report(root, fleet.cluster(key)))
        except Permanent:
            if targets:
                raise
    _print(reports, output=output, trend=bool(targets))


@app.command()
def fix(
    cluster: Annotated[str, typer.Argument(help="The cluster, as ENV/NAME.", metavar="ENV/CLUSTER")],
    local: Annotated[bool, typer.Option("--local", help="Run in this process; the server still logs it.")] = False,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="Start it and return.")] = False,
    port: Annotated[int | None, typer.Option(envvar="INFRAFLUX_PORT")] = None,
) -> None:
    """Repair what the last report found, by a normal deploy, where the environment's policy allows it."""
    root = project_root()
    spec = Fleet.load(root).cluster(cluster)
    allowed = fix_of(root, spec, last_report(root, spec))
    if isinstance(allowed, Noop):
        raise Permanent(
            allowed.reason,
            cluster=cluster,
            stage="drift",
            error_class=ErrorClass.CONFLICT,
            next_step="see Repair in docs/drift.md",
        )
    from infraflux.cli.deploy import start  # noqa: PLC0415 - the service is needed only here

    for finding in allowed:
        console().print(f"{finding.object} {finding.field}: {finding.seen} -> {finding.wanted}")
    with process.guard():
        print_plan(make_plan(open_project(root).cluster(cluster)).plan)
    parameters = {"reason": f"drift fix: {len(allowed)} finding(s)"}
    start("deploy", cluster, parameters, local=local, no_follow=no_follow, port=port)


def _print(reports: list[ClusterDrift], *, output: Output, trend: bool = False) -> None:
    if output is not Output.TABLE:
        emit([to_json(report) for report in reports], output=output)
        return
    table = Table("CLUSTER", "VERDICT", "TREND", "SUMMARY", box=None)
    looks = {report.cluster: read_looks(project_root(), report.cluster) for report in reports}
    for report, row in zip(reports, fleet_rows(reports), strict=True):
        table.add_row(report.cluster, str(row["verdict"]), sparkline(looks[report.cluster]), headline(report))
    console().print(table)
    print_simulation_notice(simulation_notice(reports))
    for report in reports:
        if report.findings or report.unknown:
            typer.echo("\n" + cluster_markdown(report))
        if trend:
            typer.echo(looks_markdown(looks[report.cluster]))
