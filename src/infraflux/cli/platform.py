"""`infraflux platform`: from a bootstrapped cluster to one that Git owns, without the service."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from infraflux.adapters.argocd.facts import Application
from infraflux.adapters.charts import Renderer, read_archives
from infraflux.adapters.tools.locate import locate
from infraflux.cli import lab_package
from infraflux.cli.output import emit
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.config.checks.machines import counted
from infraflux.config.load import Fleet, load_cluster
from infraflux.core.errors import Permanent
from infraflux.core.output import Output, OutputOption
from infraflux.operations.chart_check import ChartCheck, cases
from infraflux.operations.installer import MARKERS
from infraflux.operations.platform import Platform, computed_values, open_platform

app = typer.Typer(no_args_is_help=True, help="Cilium, Argo CD and the handoff to Git.")
Cluster = Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")]


def _open(key: str) -> Platform:
    root = project_root()
    out = console()
    return open_platform(load_cluster(root, key), root=root, log=lambda line: out.print(f"  {line}", style="dim"))


@app.command()
def install(
    cluster: Cluster,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the cluster is in sync with Git.")] = True,
) -> None:
    """Install Cilium and Argo CD, hand over to Git, wait until everything is Synced and Healthy."""
    platform = _open(cluster)
    installer, out = platform.installer, console()
    out.print(str(installer.install_cilium(dry_run=dry_run)))
    out.print(str(installer.install_argocd(() if dry_run else platform.secrets(), dry_run=dry_run)))
    if dry_run:
        # Without Argo CD's CRDs the API server cannot judge the objects of the handoff.
        out.print(f"would apply {len(installer.bundle.manifests)} objects and the secrets of the handoff")
        return
    for outcome in installer.hand_off(platform.secrets()):
        out.print(str(outcome))
    if wait:
        _print(installer.wait_until_synced(), cluster)
        out.print(f"[green]{cluster} is handed over[/green]: from now on Git changes it")
        print_simulation_notice(installer.spec.simulation_notice)


@app.command()
def status(
    cluster: Cluster,
    output: OutputOption = Output.TABLE,
) -> None:
    """Who owns Cilium and Argo CD, and what every Application says. Exits 1 unless all are Synced and Healthy."""
    installer = _open(cluster).installer
    seen = installer.argocd.read()
    owners = {name: installer.owner(name) for name in MARKERS}
    if output is not Output.TABLE:
        emit({"owners": owners, "applications": [{**vars(one), "done": one.done} for one in seen]}, output=output)
    else:
        for name, owner in owners.items():
            console().print(f"{name} is written by {owner}")
        _print(seen, cluster)
        print_simulation_notice(installer.spec.simulation_notice)
    left = [one.name for one in seen if not one.done]
    if left or not seen:
        raise Permanent(
            f"not as in Git: {', '.join(left)}" if seen else "Argo CD has no Applications here",
            cluster=cluster,
            stage="platform",
            next_step=f"infraflux platform install {cluster}",
        )


@app.command()
def validate(
    charts: Annotated[
        Path | None, typer.Option("--charts", metavar="DIR", help="Chart archives; the lab's stand-ins without it.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Render every component and overlay, and what each cluster adds to them, against chart archives.

    Names archives that are missing, values a chart's schema refuses and keys a chart never reads; exits 1 then. Neither
    cluster nor network is touched.
    """
    root = project_root()
    with TemporaryDirectory(prefix="infraflux-charts-") as scratch:
        archives = read_archives(charts or lab_package.load("write_standin_charts")(Path(scratch)))
        specs = list(Fleet.load(root).clusters.values())
        check = ChartCheck(
            tree=root / "platform",
            archives=archives,
            renderer=Renderer(helm=locate("helm"), kubernetes=specs[0].versions.kubernetes if specs else ""),
            kustomize=locate("kustomize"),
        )
        computed = {spec.key: computed_values(spec, root=root) for spec in specs}
        todo = cases(check.tree, specs, computed=computed)
        problems = check.examine(todo)
    if output is not Output.TABLE:
        emit([vars(one) for one in problems], output=output)
    else:
        for problem in problems:
            console().print(Text(str(problem)))
        what = f"the archives in {charts}" if charts else "the lab's stand-ins (simulated charts; real ones: --charts)"
        console().print(Text(f"{len(todo)} sets of values against {what}: {counted(len(problems), 'problem')}"))
    if problems:
        raise typer.Exit(1)


@app.command()
def release(
    cluster: Cluster,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Detach Argo CD from everything without deleting any of it, to leave GitOps or before removing a cluster."""
    if not yes:
        typer.confirm(
            f"Take every Application of {cluster} away? What runs keeps running, but follows Git no more", abort=True
        )
    installer = _open(cluster).installer
    for name in installer.argocd.release(clock=installer.clock):
        console().print(f"released {name}")


def _print(applications: list[Application], cluster: str) -> None:
    table = Table(title=f"Applications of {cluster}", title_justify="left")
    for column in ("kind", "name", "sync", "health", "says"):
        table.add_column(column)
    for one in applications:
        table.add_row(one.kind, one.name, one.sync, one.health, one.message)
    console().print(table)
