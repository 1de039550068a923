"""`infraflux proxmox`: what the Proxmox of an environment has to allow."""

from typing import Annotated

import typer

from infraflux.cli.project import project_root
from infraflux.config.load import Fleet
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.site_setup import commands_of_environment

app = typer.Typer(no_args_is_help=True, help="What the Proxmox of an environment has to allow.")


@app.callback()
def group() -> None:
    """Keeps `token` a command of its own."""


@app.command()
def token(
    environment: Annotated[str, typer.Argument(help="For example home.")],
    rights_only: Annotated[bool, typer.Option("--rights-only", help="User and token are there already.")] = False,
) -> None:
    """Print the commands that make this environment's API token with exactly the rights that it needs, for root."""
    root = project_root()
    specs = Fleet.load(root).of(environment)
    if not specs:
        raise Permanent(
            f"{environment} has no cluster, so nobody knows what its token has to do",
            error_class=ErrorClass.USER,
            next_step=f"infraflux cluster new {environment}/{environment}-1",
        )
    for line in commands_of_environment(specs, root=root, new=not rights_only):
        typer.echo(line)
