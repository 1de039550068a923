"""`infraflux secrets`: the encrypted Talos secrets bundle of a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from infraflux.adapters.talos.workspace import TalosWorkspace
from infraflux.cli.project import console, project_root
from infraflux.config.load import load_cluster
from infraflux.core.files import write_private
from infraflux.operations.talos import open_talos
from infraflux.operations.talos_secrets import ensure_secrets

app = typer.Typer(no_args_is_help=True, help="The encrypted Talos secrets bundle of a cluster.")
Cluster = Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")]


def _workspace(key: str) -> TalosWorkspace:
    root = project_root()
    return open_talos(load_cluster(root, key), root=root).workspace


@app.command()
def init(cluster: Cluster) -> None:
    """Create the bundle; an existing one is kept."""
    for outcome in ensure_secrets(_workspace(cluster)):
        console().print(str(outcome))


@app.command("show-recipients")
def show_recipients(cluster: Cluster) -> None:
    """Print who can open the bundle."""
    for recipient in _workspace(cluster).store.effective_recipients():
        console().print(recipient)


@app.command()
def rotate(cluster: Cluster) -> None:
    """Encrypt the bundle for the recipients of the configuration; the previous file is kept as a backup."""
    backup = _workspace(cluster).store.rotate()
    console().print(f"encrypted for the present recipients; the previous file is {backup}")


@app.command()
def export(
    cluster: Cluster,
    output: Annotated[Path, typer.Option("--output", "-o", help="New file (0600) for the plain bundle.")],
) -> None:
    """Write the decrypted bundle to a new private file, for `talosctl gen config --with-secrets` by hand."""
    write_private(output.resolve(), _workspace(cluster).bundle.text, exclusive=True)
    console().print(f"wrote {output}; it opens the cluster to anyone who reads it")
