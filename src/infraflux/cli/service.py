"""`infraflux service`: the background service."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infraflux.core.errors import Permanent
from infraflux.core.paths import find_root
from infraflux.service.environment import client_environment
from infraflux.service.lifecycle import Service, Status
from infraflux.service.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The Prefect server and worker in the background.")

Port = Annotated[
    int | None, typer.Option(envvar="INFRAFLUX_PORT", help="Port of the Prefect server, instead of the file's.")
]
Database = Annotated[
    str | None, typer.Option(envvar="INFRAFLUX_DATABASE", help="sqlite, env:NAME or file:PATH, instead of the file's.")
]

RENAMED = {"engine": "forkserver", "watch": "watchdog"}
"""Former names of programs; they are deprecated and still taken."""


def project_root() -> Path:
    """The project around the current directory; Permanent outside of one."""
    try:
        return find_root(Path.cwd())
    except FileNotFoundError as error:
        raise Permanent(str(error), next_step="run the command inside the project directory") from None


def open_service(port: int | None, database: str | None) -> Service:
    """The service of this project with the settings of this machine."""
    project = project_root()
    return Service(project, load_settings(project, port=port, database=database))


def configure(service: Service, console: Console) -> None:
    """Make the running service what the files say, with the environments there are."""
    from infraflux.config.environments import known_environments  # noqa: PLC0415 - imports every model

    for outcome in service.configure(environments=known_environments(service.paths.project)):
        console.print(str(outcome))


def tell_running_service(console: Console) -> None:
    """Let the service know of changed files, where it runs; one that does not learns when it starts."""
    service = open_service(None, None)
    if service.status().healthy:
        configure(service, console)


@app.command()
def up(port: Port = None, database: Database = None) -> None:
    """Start the service and configure it as the files say; quick and without effect if it runs already."""
    console = Console(highlight=False)
    service = open_service(port, database)
    console.print(str(service.start()))
    with console.status("waiting for the Prefect server"):
        service.wait()
    configure(service, console)
    show(console, service.status())


@app.command()
def down(port: Port = None) -> None:
    """Stop the service; runs in progress are stopped cleanly first."""
    Console(highlight=False).print(str(open_service(port, None).stop()))


@app.command()
def status(port: Port = None, database: Database = None) -> None:
    """Print the state of each program; exit 3 if the service does not run."""
    found = open_service(port, database).status()
    show(Console(highlight=False), found)
    if not found.healthy:
        raise typer.Exit(3)  # 3: not running, as LSB init scripts say it


@app.command()
def logs(
    program: Annotated[str, typer.Argument(help="server, forkserver, worker, watchdog or supervisord.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 50,
) -> None:
    """Print the last log lines of one program, or of all."""
    program = RENAMED.get(program, program)
    directory = open_service(None, None).paths.logs
    files = sorted(directory.glob(f"{program or '*'}.log"))
    if not files:
        known = ", ".join(sorted(path.stem for path in directory.glob("*.log"))) or "none yet"
        raise Permanent(f"no log of {program or 'anything'}", stage="service", next_step=f"logs: {known}")
    argv = ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, files)]
    # In our place, not below us: a signal that ends this command ends it as well.
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted


@app.command()
def env(port: Port = None) -> None:
    """Print `export` lines for a shell whose Prefect clients are to reach this service; they contain its password."""
    service = open_service(port, None)
    for key, value in client_environment(service.settings, service.credentials()).items():
        typer.echo(f"export {key}={shlex.quote(value)}")


def show(console: Console, found: Status) -> None:
    """The state as a table, and where things are."""
    table = Table("program", "state", "pid", "up", "memory")
    for one in found.programs:
        table.add_row(one.name, one.state, str(one.pid or "-"), f"{one.uptime_s} s", f"{one.rss_mib} MiB")
    if found.programs:
        console.print(table)
    console.print(f"server       {found.url} ({'answers' if found.healthy else 'does not answer'})")
    console.print(f"credentials  {found.credentials}", soft_wrap=True)
    console.print(f"logs         {found.logs}", soft_wrap=True)
    console.print(f"database     {found.database}")
