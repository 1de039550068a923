"""`infraflux host`: every node of ours on one Proxmox host leaves in order, and comes back."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from infraflux.cli.deploy import DryRun, Local, Reason, Yes, start
from infraflux.cli.project import console, project_root
from infraflux.cli.service import Port
from infraflux.config.load import Fleet
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.operations.plan.by_hand import HandAction

app = typer.Typer(no_args_is_help=True, help="Proxmox hosts.")


class Phase(StrEnum):
    START = "start"
    END = "end"


_ACTIONS = {Phase.START: HandAction.MAINTENANCE_START, Phase.END: HandAction.MAINTENANCE_END}


@app.callback()
def _hosts() -> None:
    """Proxmox hosts."""


@app.command()
def maintenance(
    host: Annotated[str, typer.Argument(help="The host, as ENV/HOST.", metavar="ENV/HOST")],
    phase: Annotated[Phase, typer.Argument(help="Empty the host, or bring its nodes back.")],
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    local: Local = False,
    reason: Reason = "",
    port: Port = None,
) -> None:
    """Drain and shut down every node on a host, workers first, etcd with its majority; or bring them back.

    One cluster after the other; the first that cannot stops the rest.
    """
    environment, _, name = host.partition("/")
    clusters = clusters_with(Fleet.load(project_root()), environment, name)
    parameters: dict[str, Any] = {
        "action": _ACTIONS[phase].value,
        "host": name,
        "dry_run": dry_run,
        "auto_approve": yes,
        "reason": reason,
    }
    for cluster in clusters:
        console().print(f"{cluster}:")
        start("operate", cluster, parameters, local=local, no_follow=False, port=port)


def clusters_with(fleet: Fleet, environment: str, host: str) -> list[str]:
    """Clusters of an environment that may have machines on a host. Permanent where no cluster of it knows the host."""
    found = [spec.key for spec in fleet.of(environment) if host in {one.name for one in spec.proxmox.hosts}]
    if not found:
        raise Permanent(
            f"no cluster of {environment!r} has machines on a host {host!r}",
            error_class=ErrorClass.USER,
            next_step="name it as in pve-1 of `proxmox.hosts`: ENV/HOST",
        )
    return found
