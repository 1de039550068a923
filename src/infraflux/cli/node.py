"""`infraflux node`: what each node is, and one action on one of them, by the same deployment as in the UI."""

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from infraflux.cli.deploy import DryRun, Local, NoFollow, Reason, Yes, start
from infraflux.cli.output import emit
from infraflux.cli.project import console, print_simulation_notice, project_root
from infraflux.cli.service import Port
from infraflux.config.load import load_cluster
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.output import Output, OutputOption, TakesJson
from infraflux.operations.node_list import as_json, read_nodes_of
from infraflux.operations.plan.by_hand import HandAction

app = typer.Typer(no_args_is_help=True, help="Nodes of a cluster.")
Cluster = Annotated[str, typer.Argument(help="The cluster, as ENV/NAME.", metavar="ENV/CLUSTER")]
Node = Annotated[str, typer.Argument(help="The node, as ENV/CLUSTER/NODE.", metavar="ENV/CLUSTER/NODE")]


@app.command("list", cls=TakesJson)
def list_nodes(cluster: Cluster, output: OutputOption = Output.TABLE) -> None:
    """Show every declared node: its machine, Talos, Kubernetes, etcd, and what waits for its next start."""
    root = project_root()
    spec = load_cluster(root, cluster)
    rows = read_nodes_of(spec, root=root)
    if output is not Output.TABLE:
        emit(as_json(rows), output=output)
        return
    table = Table(box=None)
    for title in ("NODE", "ROLE", "HOST", "MACHINE", "TALOS", "KUBERNETES", "ETCD", "WAITS FOR A RESTART"):
        table.add_column(title, overflow="fold")
    for row in rows:
        cells = (row.node, row.role, row.host, row.machine, row.talos, row.kubernetes, row.etcd, ", ".join(row.waiting))
        table.add_row(*(Text(one) for one in cells), style="" if row.healthy else "yellow")
    console().print(table)
    print_simulation_notice(spec.simulation_notice)


def parts(target: str) -> tuple[str, str]:
    """`dev/dev-1/dev-1-worker-1` -> `dev/dev-1`, `dev-1-worker-1` (pure)."""
    cluster, _, node = target.rpartition("/")
    if cluster.count("/") != 1 or not node:
        raise Permanent(
            f"{target!r} is not ENV/CLUSTER/NODE",
            error_class=ErrorClass.USER,
            next_step="`infraflux node list` names them",
        )
    return cluster, node


def _command(action: HandAction, doc: str) -> None:
    def run(
        node: Node,
        *,
        dry_run: DryRun = False,
        yes: Yes = False,
        local: Local = False,
        reason: Reason = "",
        no_follow: NoFollow = False,
        port: Port = None,
    ) -> None:
        cluster, name = parts(node)
        parameters: dict[str, Any] = {
            "action": action.value,
            "node": name,
            "dry_run": dry_run,
            "auto_approve": yes,
            "reason": reason,
        }
        start("operate", cluster, parameters, local=local, no_follow=no_follow, port=port)

    run.__doc__ = doc
    app.command(action.value)(run)


_command(HandAction.RESTART, "Drain a node, shut its machine down, start it, and take it back.")
_command(HandAction.DRAIN, "Take a node out of service, until it is taken back by hand.")
_command(HandAction.UNCORDON, "Take a node back into service, whoever cordoned it.")
_command(HandAction.REPLACE, "Let a node leave and make its machine anew; a data disk is lost by named override only.")
_command(HandAction.RESET, "Let a node leave, wipe Talos on it, and let it join anew; machine and data disks stay.")
_command(HandAction.REMOVE, "Take a node that is declared no more out of etcd and Kubernetes.")
