"""`infraflux deploy`, `destroy` and `approve`: the same deployments as in the UI, started and followed from here."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from infraflux.cli.service import Port, open_service
from infraflux.config.load import load_cluster
from infraflux.core.errors import Permanent
from infraflux.service.follow import View, follow
from infraflux.service.lifecycle import Service
from infraflux.service.paths import PRIVATE_DIR
from infraflux.service.trigger import answer, start_run

SERVER_START_S = 120
"""A first start makes an empty database; 15 to 22 s on two idle cores."""
DRAIN_S = 10
LOCAL_SETTINGS = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_HOME")

Cluster = Annotated[str, typer.Argument(help="The cluster, as ENV/NAME.", metavar="ENV/CLUSTER")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan and show, change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask where the environment's policy leaves it to you.")]
Local = Annotated[bool, typer.Option("--local", help="Run in this process, without a worker; the server logs it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the run.")]
NoFollow = Annotated[bool, typer.Option("--no-follow", help="Start it and return.")]


def deploy(
    cluster: Cluster,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    local: Local = False,
    reason: Reason = "",
    no_follow: NoFollow = False,
    port: Port = None,
) -> None:
    """Bring a cluster to what its configuration says."""
    parameters = {"dry_run": dry_run, "auto_approve": yes, "reason": reason}
    start("deploy", cluster, parameters, local=local, no_follow=no_follow, port=port)


def destroy(
    cluster: Cluster,
    *,
    confirm: Annotated[str, typer.Option("--confirm", help="ENV/CLUSTER once more, instead of being asked.")] = "",
    dry_run: DryRun = False,
    local: Local = False,
    reason: Reason = "",
    no_follow: NoFollow = False,
    port: Port = None,
) -> None:
    """Remove a cluster and everything of ours that belongs to it."""
    if not (confirm or dry_run):
        confirm = typer.prompt(f"Type {cluster} to destroy it", default="", show_default=False)
    parameters = {"dry_run": dry_run, "confirm": confirm, "reason": reason}
    start("destroy", cluster, parameters, local=local, no_follow=no_follow, port=port)


def approve(
    run: Annotated[str, typer.Argument(help="Id of the flow run that waits.")],
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead of approving.")] = False,
    comment: Annotated[str, typer.Option("--comment")] = "",
    port: Port = None,
) -> None:
    """Approve or reject the plan of a run that waits for it."""
    answer(open_service(port, None).api(), run, approve=not reject, approver=getpass.getuser(), comment=comment)
    typer.echo(f"run {run}: {'rejected' if reject else 'approved'}")


def start(
    flow: str, cluster: str, parameters: dict[str, Any], *, local: bool, no_follow: bool, port: int | None
) -> None:
    """Start `<flow>/<env>` for a cluster and follow it; exit 1 where it does not complete."""
    service = open_service(port, None)
    spec = load_cluster(service.paths.project, cluster)
    parameters = {"cluster": spec.name, **parameters}
    if local:
        run_here(service, flow, spec.environment, parameters)
        return
    api = service.api()
    run = start_run(
        api, f"{flow}/{spec.environment}", name=f"{flow}-{spec.environment}-{spec.name}", parameters=parameters
    )
    console = Console(highlight=False)
    console.print(f"{service.settings.url}/runs/flow-run/{run}", soft_wrap=True)
    if not no_follow:
        finish(follow_run(service, run, title=f"{flow} {cluster}", console=console))


def follow_run(service: Service, run: str, *, title: str, console: Console) -> View:
    """Follow; Ctrl-C ends the following, not the run."""
    hint = f"The run waits for a decision: in the UI, or `infraflux approve {run} [--reject]`."
    try:
        return follow(service.api(), run, title=title, console=console, on_pause=hint)
    except KeyboardInterrupt:
        console.print(f"{title} goes on: {service.settings.url}/runs/flow-run/{run}", soft_wrap=True)
        raise typer.Exit(130) from None


def finish(view: View) -> None:
    """Exit 1 with the run's own message where it did not complete."""
    if view.state_type != "COMPLETED":
        raise RunFailed(view)


class RunFailed(Permanent):
    """The run's own message, which says class and next step already."""

    def __init__(self, view: View) -> None:
        super().__init__(view.message.removeprefix("Flow run encountered an exception: "))
        self.state = view.state_name

    def __str__(self) -> str:
        return f"the run ended {self.state}: {self.message or 'no message'}"


def run_here(service: Service, flow: str, environment: str, parameters: dict[str, Any]) -> None:
    """The flow in this process; told to the service's server where it runs, else to one that lives as long as it."""
    os.chdir(service.paths.project)
    for key in LOCAL_SETTINGS:
        os.environ.pop(key, None)
    os.environ["INFRAFLUX_ENVIRONMENT"] = environment
    if service.status().healthy:
        os.environ.update({key: value for key, value in service.environment().items() if key in LOCAL_SETTINGS})
        _run_flow(flow, parameters)
        return
    home = service.paths.state / "local"
    home.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    os.environ.update(PREFECT_HOME=str(home), PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    with _own_server() as api_url:
        # Comes before the `.env` of a service that was stopped, which names its server.
        os.environ["PREFECT_API_URL"] = api_url
        _run_flow(flow, parameters)


@contextmanager
def _own_server() -> Iterator[str]:
    from prefect.events.worker import EventsWorker  # noqa: PLC0415 - imports Prefect, 2.5 s
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415 - and the server, 4 s

    server = SubprocessASGIServer()
    server.start(timeout=SERVER_START_S)
    try:
        yield server.api_url
    finally:
        # What is still under way would be sent to a server that is gone, again and again.
        for sender in (APILogWorker, EventsWorker):
            sender.drain_all(timeout=DRAIN_S)
        server.stop()


def _run_flow(flow: str, parameters: dict[str, Any]) -> None:
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - imports Prefect, 2.5 s

    from flows import deploy as deploy_module  # noqa: PLC0415
    from flows import destroy as destroy_module  # noqa: PLC0415
    from flows import operate as operate_module  # noqa: PLC0415

    refresh_global_settings_context()
    flows: dict[str, Any] = {
        "deploy": deploy_module.deploy,
        "destroy": destroy_module.destroy,
        "operate": operate_module.operate,
    }
    flows[flow](**parameters)
