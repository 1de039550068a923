"""`infraflux cluster`: Talos and Kubernetes of one cluster, without the service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from infraflux.cli.cluster_new import new
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.config.load import load_cluster
from infraflux.core import process
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.credentials import ensure_kubeconfig, ensure_talosconfig, merge_kubeconfig
from infraflux.operations.execution import BOOTSTRAP, SECRETS
from infraflux.operations.health import wait_healthy
from infraflux.operations.opening import open_cluster
from infraflux.operations.planning import make_plan
from infraflux.operations.talos import open_talos

app = typer.Typer(no_args_is_help=True, help="Talos and Kubernetes of one cluster.")
app.command("new")(new)
Cluster = Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")]


def _open(key: str) -> TalosCluster:
    root = project_root()
    out = console()
    return open_talos(load_cluster(root, key), root=root, log=lambda line: out.print(f"  {line}", style="dim"))


@app.command()
def bootstrap(cluster: Cluster) -> None:
    """Configure the machines, bootstrap etcd once, join every node, write the credentials, wait for health."""
    out = console()
    opened = open_cluster(project_root(), cluster, log=lambda line: out.print(f"  {line}", style="dim"))
    with process.guard():
        planned = make_plan(opened)
    for one in (SECRETS, *BOOTSTRAP):
        found = one.run(opened, planned)
        for outcome in found.values() if isinstance(found, Mapping) else (found,):
            out.print(str(outcome))
    talos = opened.talos
    wait_healthy(talos, require_ready=False)
    out.print(f"[green]{cluster} is healthy[/green]: kubectl --kubeconfig {talos.workspace.kubeconfig} get nodes")
    print_simulation_notice(talos.spec.simulation_notice)


@app.command()
def health(
    cluster: Cluster,
    require_ready: Annotated[bool, typer.Option(help="Nodes must be Ready, which needs a CNI.")] = True,
) -> None:
    """Wait until etcd, the Talos services and the Kubernetes nodes are as they should be."""
    talos = _open(cluster)
    wait_healthy(talos, require_ready=require_ready)
    console().print(f"[green]{cluster} is healthy[/green]")
    print_simulation_notice(talos.spec.simulation_notice)


@app.command()
def kubeconfig(
    cluster: Cluster,
    merge: Annotated[
        bool, typer.Option("--merge", help="Also merge it into ~/.kube/config (a backup is kept).")
    ] = False,
) -> None:
    """Write the admin kubeconfig and print where it is."""
    talos = _open(cluster)
    outcome = ensure_kubeconfig(talos)
    if merge:
        console().print(str(merge_kubeconfig(talos.workspace.kubeconfig, Path.home() / ".kube" / "config")))
    console().print(str(outcome))
    console().print(str(talos.workspace.kubeconfig))


@app.command()
def talosconfig(cluster: Cluster) -> None:
    """Write the talosconfig and print where it is."""
    talos = _open(cluster)
    console().print(str(ensure_talosconfig(talos)))
    console().print(str(talos.workspace.talosconfig))
