"""`infraflux machines`: the virtual machines of one cluster, without the service."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from infraflux.adapters.terraform.plan import Action
from infraflux.cli.machines_progress import MachinesProgress
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.config.load import Fleet
from infraflux.core import process
from infraflux.core.errors import Permanent
from infraflux.operations import plan_report
from infraflux.operations.machines import Machines, MachinesPlan, open_machines

app = typer.Typer(no_args_is_help=True, help="The virtual machines of one cluster.")
Cluster = Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")]
_STYLE = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "bold red",
    Action.DESTROY: "bold red",
    Action.ADOPT: "cyan",
    Action.FORGET: "cyan",
}


def _open(key: str) -> Machines:
    root = project_root()
    fleet = Fleet.load(root)
    return open_machines(fleet.cluster(key), root=root, fleet=fleet)


@app.command()
def plan(cluster: Cluster) -> None:
    """Read Proxmox and the state, and show what an apply would do. Changes nothing."""
    machines = _open(cluster)
    planned = _planned(machines)
    print_simulation_notice(machines.spec.simulation_notice)
    _guarded(machines, planned)


@app.command()
def apply(
    cluster: Cluster,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, whatever the plan contains.")] = False,
) -> None:
    """Bring the machines to what the configuration says. Asks before machines end or where the policy wants it."""
    machines, out = _open(cluster), console()
    planned = _planned(machines)
    print_simulation_notice(machines.spec.simulation_notice)
    _guarded(machines, planned)
    if planned.empty:
        return
    ends = plan_report.facts(planned)["destroys"]
    if (ends or machines.spec.policy.approval.required) and not yes:
        _ask(f"Apply this plan to {cluster}?")
    with process.guard(), MachinesProgress(out) as progress:
        outcome = machines.apply(planned, on_event=progress)
    out.print(f"[green]{outcome}[/green]")


@app.command()
def destroy(
    cluster: Cluster,
    confirm: Annotated[str, typer.Option(help="The cluster's name once more, ENV/CLUSTER.")] = "",
) -> None:
    """Remove every machine of the cluster with its disks, including those that no state knows."""
    machines, out = _open(cluster), console()
    if confirm != cluster:
        raise Permanent(
            f"destroying {cluster} removes its machines and their disks",
            cluster=cluster,
            stage="machines",
            next_step=f"infraflux machines destroy {cluster} --confirm {cluster}",
        )
    with process.guard(), MachinesProgress(out) as progress:
        outcomes = machines.destroy(on_event=progress)
    for outcome in outcomes:
        out.print(str(outcome))


@app.command()
def orphans(
    cluster: Cluster,
    remove: Annotated[str, typer.Option(help="Name of one orphan to remove with its disks.")] = "",
) -> None:
    """List machines that carry the cluster's tag and no state knows, and the reverse."""
    machines, out = _open(cluster), console()
    found = machines.orphans()
    left = {guest.name: guest for guest in (*found.adoptable, *found.being_made, *found.stray)}
    if remove:
        if remove not in left:
            raise Permanent(f"{remove} is no orphan; there are: {', '.join(left) or 'none'}", cluster=cluster)
        out.print(str(machines.remove(left[remove])))
        return
    for guest in found.adoptable:
        out.print(f"{guest.name}  VM {guest.vm_id} on {guest.host}: the next apply adopts it")
    for guest in (*found.being_made, *found.unnamed):
        out.print(f"{guest.name}  VM {guest.vm_id} on {guest.host}: Proxmox still works on it ({guest.lock})")
    for guest in found.stray:
        out.print(f"{guest.name}  VM {guest.vm_id} on {guest.host}: not declared; `--remove {guest.name}` removes it")
    for name in found.vanished:
        out.print(f"{name}  known to the state, gone from Proxmox: the next apply creates it again")
    if not found:
        out.print(f"{cluster} has no orphans")


@app.command()
def state(
    cluster: Cluster,
    restore: Annotated[bool, typer.Option("--restore", help="Replace it with the newest intact backup.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Accept that the state is lost: machines are adopted by the next apply.")
    ] = False,
) -> None:
    """Show what Terraform knows of the cluster; repair a state that is lost or damaged."""
    own, out = _open(cluster).own, console()
    if restore:
        out.print(f"restored serial {own.restore().serial}")
        return
    if forget:
        own.forget_state()
        out.print(f"the state of {cluster} is forgotten; `infraflux machines plan {cluster}` shows what is adopted")
        return
    own.require_sound_state()
    head = own.state()
    if head is None:
        out.print(f"{cluster} has no state yet")
        return
    out.print(f"serial {head.serial}, lineage {head.lineage}, {len(own.archive.backups())} backups")
    for machine in head.machines:
        out.print(f"{machine.name}  VM {machine.vm_id} on {machine.host}")


def _planned(machines: Machines) -> MachinesPlan:
    out = console()
    with process.guard(), out.status(f"planning {machines.spec.key}"):
        planned = machines.plan()
    if planned.empty:
        out.print(f"{machines.spec.key}: no changes")
    else:
        out.print(_table(planned))
        out.print(f"{planned}  [dim](plan {planned.digest[:12]})[/dim]")
    for warning in planned.warnings:
        out.print(f"[yellow]warning:[/yellow] {warning}")
    return planned


def _guarded(machines: Machines, planned: MachinesPlan) -> None:
    machines.guard(planned, today=datetime.now(UTC).date())


def _table(planned: MachinesPlan) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("action", "what", "name", "detail"):
        table.add_column(column, overflow="fold")
    for row in plan_report.rows(planned):
        table.add_row(f"[{_STYLE[row.action]}]{row.action}[/]", row.what, row.name, row.detail)
    return table


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise Permanent(
            "this plan needs a confirmation, and there is no terminal to ask at",
            next_step="look at the plan, add --yes",
        )
    typer.confirm(question, abort=True)
