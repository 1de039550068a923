"""`infraflux promotion`: releases on their way through the environments."""

import getpass
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from infraflux.cli.output import emit
from infraflux.cli.project import console, project_root
from infraflux.config.load import Fleet
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.output import Output, OutputOption, TakesJson
from infraflux.delivery.promotion import GateState
from infraflux.delivery.records import Hold
from infraflux.delivery.text import MARKS, PipelineStage
from infraflux.operations.promotion import read_pipeline
from infraflux.operations.releases import DeliveryLedger, find_release

app = typer.Typer(no_args_is_help=True, help="Releases on their way through the environments.")
Environment = Annotated[str, typer.Argument(help="The environment that is promoted to.", metavar="ENV")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the run.")]
NoFollow = Annotated[bool, typer.Option("--no-follow", help="Start it and return.")]
Port = Annotated[int | None, typer.Option(envvar="INFRAFLUX_PORT", help="Port of the Prefect server.")]
STYLES = {GateState.PASS: "green", GateState.WAIT: "yellow", GateState.REFUSE: "red"}


@app.command(cls=TakesJson)
def status(output: OutputOption = Output.TABLE) -> None:
    """The release of every environment, what would come next, and which gate it is waiting for, until when."""
    stages = read_pipeline(project_root())
    if output is not Output.TABLE:
        emit([_plain(stage) for stage in stages], output=output)
        return
    table = Table("ENVIRONMENT", "PINS", "VERIFIED", "CANDIDATE", "NEXT", box=None)
    for one in stages:
        table.add_row(one.environment, one.pins or "-", one.verified_text, one.candidate or "-", one.next)
    console().print(table)
    for one in stages:
        _print_gates(one)


def _print_gates(stage: PipelineStage) -> None:
    if stage.gates:
        console().print(f"\n{stage.environment}, gates for {stage.candidate}:")
        for gate in stage.gates:
            console().print(f"  {MARKS[gate.state]} {gate.name}: {gate.reason}", style=STYLES[gate.state], markup=False)
    for text in (stage.last, stage.hold):
        if text:
            console().print(f"  {text}", markup=False)


def _plain(stage: PipelineStage) -> dict[str, Any]:
    fields = ("environment", "source", "pins", "verified", "candidate", "next", "hold", "last")
    return {name: getattr(stage, name) for name in fields} | {"gates": [asdict(gate) for gate in stage.gates]}


@app.command()
def start(
    environment: Environment,
    release: Annotated[str, typer.Option("--release", help="By default the newest that is verified upstream.")] = "",
    reason: Reason = "",
    no_follow: NoFollow = False,
    port: Port = None,
) -> None:
    """Promote by hand: passes holds and `mode: manual`, never a missing verification, a window or an approval."""
    if release:
        find_release(project_root(), release)
    _run("promote", environment, {"release": release, "reason": reason}, no_follow=no_follow, port=port)


@app.command()
def rollback(environment: Environment, reason: Reason = "", no_follow: NoFollow = False, port: Port = None) -> None:
    """Go back to the last release that was verified there, and hold automatic promotion."""
    _run("rollback", environment, {"reason": reason}, no_follow=no_follow, port=port)


@app.command()
def hold(environment: Environment, reason: Annotated[str, typer.Option("--reason", help="Why.")]) -> None:
    """Hold automatic promotion to an environment until it is released."""
    _require_known(environment)
    DeliveryLedger(project_root()).add(Hold(environment=environment, at=datetime.now(UTC), reason=_signed(reason)))
    typer.echo(f"automatic promotion to {environment} is held: {reason}")


@app.command("release-hold")
def release_hold(environment: Environment, reason: Reason = "") -> None:
    """Let automation promote to an environment again."""
    _require_known(environment)
    ledger = DeliveryLedger(project_root())
    held = ledger.read().hold_on(environment)
    if held is None:
        typer.echo(f"nothing to do: automatic promotion to {environment} is not held")
        return
    ledger.add(Hold(environment=environment, at=datetime.now(UTC), reason=_signed(reason or "released"), released=True))
    typer.echo(f"automatic promotion to {environment} goes on; it was held since {held.at:%Y-%m-%d}: {held.reason}")


def _signed(reason: str) -> str:
    return f"{reason} ({getpass.getuser()})"


def _require_known(environment: str) -> None:
    known = Fleet.load(project_root()).environments
    if environment not in known:
        raise Permanent(
            f"there is no environment {environment!r}; there are {', '.join(known)}",
            stage="promote",
            error_class=ErrorClass.USER,
            next_step="name one of them",
        )


def _run(flow: str, environment: str, parameters: dict[str, Any], *, no_follow: bool, port: int | None) -> None:
    _require_known(environment)
    from infraflux.cli.deploy import finish, follow_run  # noqa: PLC0415 - the service is needed only here
    from infraflux.cli.service import open_service  # noqa: PLC0415
    from infraflux.service.trigger import start_run  # noqa: PLC0415

    service = open_service(port, None)
    run = start_run(service.api(), f"{flow}/{environment}", name=f"{flow}-{environment}", parameters=parameters)
    console().print(f"{service.settings.url}/runs/flow-run/{run}")
    if not no_follow:
        view = follow_run(service, run, title=f"{flow} {environment}", console=console())
        finish(view)
        console().print(f"{view.state_name}: {view.message}", markup=False)
