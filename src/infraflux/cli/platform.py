"""`infraflux platform`: from a bootstrapped cluster to one that Git owns, without the service."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from infraflux.adapters.argocd import Application
from infraflux.adapters.platform import MARKERS
from infraflux.assembly.platform import Platform, open_platform
from infraflux.cli.project import console, project_root, say_simulated
from infraflux.config.errors import Permanent
from infraflux.config.load import load_cluster

app = typer.Typer(no_args_is_help=True, help="Cilium, Argo CD and the handoff to Git.")
Cluster = Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")]


class Output(StrEnum):
    """How the status is printed."""

    TABLE = "table"
    JSON = "json"


def _open(key: str) -> Platform:
    root = project_root()
    out = console()
    return open_platform(load_cluster(root, key), root=root, log=lambda line: out.print(f"  {line}", style="dim"))


@app.command()
def install(
    cluster: Cluster,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until Git's state is the cluster's.")] = True,
) -> None:
    """Install Cilium and Argo CD, hand over to Git, wait until everything is Synced and Healthy."""
    platform = _open(cluster)
    installer, out = platform.installer, console()
    out.print(str(installer.install_cilium(dry_run=dry_run)))
    out.print(str(installer.install_argocd(dry_run=dry_run)))
    if dry_run:
        # Without Argo CD's CRDs the API server cannot judge the objects of the handoff.
        out.print(f"would apply {len(installer.bundle.manifests)} objects and the secrets of the handoff")
        return
    for outcome in installer.hand_off(platform.secrets()):
        out.print(str(outcome))
    if wait:
        _print(installer.wait_until_synced(), cluster)
        out.print(f"[green]{cluster} is handed over[/green]: from now on Git changes it")
        say_simulated(installer.spec.proxmox.simulated)


@app.command()
def status(
    cluster: Cluster,
    output: Annotated[Output, typer.Option("--output", "-o", help="Format.")] = Output.TABLE,
) -> None:
    """Who owns Cilium and Argo CD, and what every Application says. Exits 1 unless all are Synced and Healthy."""
    installer = _open(cluster).installer
    seen = installer.argocd.read()
    owners = {name: installer.owner(name) for name in MARKERS}
    if output is Output.JSON:
        console().print_json(data={"owners": owners, "applications": [{**vars(one), "done": one.done} for one in seen]})
    else:
        for name, owner in owners.items():
            console().print(f"{name} is written by {owner}")
        _print(seen, cluster)
        say_simulated(installer.spec.proxmox.simulated)
    left = [one.name for one in seen if not one.done]
    if left or not seen:
        raise Permanent(
            f"not as in Git: {', '.join(left)}" if seen else "Argo CD has no Applications here",
            cluster=cluster,
            stage="platform",
            next_step=f"infraflux platform install {cluster}",
        )


@app.command()
def release(
    cluster: Cluster,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let Argo CD go of everything without deleting any of it (the way out, and before taking a cluster apart)."""
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
