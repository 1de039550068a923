"""`infraflux status`: the fleet at a glance."""

from typing import Annotated

import typer
from rich.table import Table

from infraflux.cli.output import emit
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.config.load import examine
from infraflux.config.models.proxmox import SIMULATED
from infraflux.core.output import Output, OutputOption
from infraflux.operations.status import as_json, read_status


def status(
    target: Annotated[str | None, typer.Argument(metavar="[ENV[/CLUSTER]]", help="Everything if left out.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show machines, Talos, Kubernetes, etcd, drift and age of every cluster, and what does not answer."""
    root = project_root()
    found = examine(root)
    keys = found.select(target) if target else found.keys
    rows = read_status([found.fleet.cluster(key) for key in keys], root=root)
    if output is not Output.TABLE:
        emit(as_json(rows), output=output)
        return
    table = Table(box=None)
    for title in ("CLUSTER", "MACHINES", "TALOS", "KUBERNETES", "ETCD", "DRIFT", "AGE"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        cells = (row.cluster, row.machines, row.talos, row.kubernetes, row.etcd, row.drift, row.age)
        table.add_row(*cells, style="" if row.healthy else "yellow")
    console().print(table)
    if any(row.simulated for row in rows):
        print_simulation_notice(SIMULATED)
