"""`infraflux cluster new`: the overlay of one more cluster, with free ids and addresses."""

from typing import Annotated

import typer

from infraflux.cli.project import console, project_root
from infraflux.cli.service import tell_running_service
from infraflux.config.scaffold import cluster_files, write_new


def new(
    cluster: Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-2.")],
    size: Annotated[str, typer.Option(help="A template; by default that of the environment's first cluster.")] = "",
    domain: Annotated[str, typer.Option(help="DNS name; by default like that of the first cluster.")] = "",
) -> None:
    """Write the overlay of a new cluster, with free ids and addresses; writes nothing unless the result is valid."""
    root = project_root()
    files = cluster_files(cluster, root=root, size=size or None, domain=domain or None)
    write_new(files, root=root)
    for file in files:
        console().print(f"wrote {file}")
    tell_running_service(console())
    console().print(f"next: read it, commit it, then infraflux render {cluster} -o /tmp/{cluster.replace('/', '-')}")
