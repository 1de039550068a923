"""`infraflux env`: environments of this repository."""

from ipaddress import IPv4Network
from typing import Annotated

import typer

from infraflux.adapters.git_repo import remote_url
from infraflux.cli.output import emit
from infraflux.cli.project import console, project_root
from infraflux.cli.service import tell_running_service
from infraflux.config.load import Fleet
from infraflux.config.scaffold import UNDECIDED_GIT, NewEnvironment, environment_files, write_new
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.output import Output, OutputOption

app = typer.Typer(no_args_is_help=True, help="Environments of this repository.")


@app.command("list")
def list_environments(output: OutputOption = Output.TABLE) -> None:
    """List the environments with their Proxmox endpoint and clusters."""
    fleet = Fleet.load(project_root())
    rows = []
    for name in fleet.environments:
        clusters = fleet.of(name)
        endpoint = clusters[0].proxmox.endpoint if clusters else ""
        rows.append({"environment": name, "endpoint": endpoint, "clusters": ", ".join(one.name for one in clusters)})
    emit(rows, output=output)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="For example qa.")],
    *,
    endpoint: Annotated[str, typer.Option(help="The Proxmox API, https://pve.example.org:8006.")],
    node_cidr: Annotated[str, typer.Option(help="The network of the nodes, 10.0.4.0/24.")],
    host: Annotated[list[str], typer.Option(help="A Proxmox node; repeat the option for each.")],
    source: Annotated[str, typer.Option("--from", help="The environment that releases are promoted from.")] = "",
    git: Annotated[str, typer.Option(help="Where the cluster reads this repository; by default its origin.")] = "",
) -> None:
    """Write a new environment: one file. Everything else follows from it and from the shared layers."""
    root = project_root()
    try:
        cidr = IPv4Network(node_cidr)
    except ValueError as error:
        raise Permanent(f"--node-cidr: {error}", error_class=ErrorClass.USER) from None
    wanted = NewEnvironment(
        name=name,
        endpoint=endpoint,
        node_cidr=cidr,
        hosts=tuple(host),
        source=source or None,
        platform_url=git or remote_url(root) or UNDECIDED_GIT,
    )
    files = environment_files(wanted, root=root)
    write_new(files, root=root)
    out = console()
    for file in files:
        out.print(f"wrote {file}")
    tell_running_service(out)
    out.print(f"next: infraflux cluster new {name}/{name}-1")
