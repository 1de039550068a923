"""`infraflux tools`: install, list and find the pinned outside programs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from infraflux.adapters.tools.install import Installer, Report
from infraflux.adapters.tools.locate import Found, Source, this_machine
from infraflux.cli.output import emit
from infraflux.cli.tools_progress import BarListener, LineListener
from infraflux.core.output import Output, OutputOption

app = typer.Typer(no_args_is_help=True)


class GroupName(StrEnum):
    """What an installation is for."""

    UP = "up"
    REAL = "real"
    """Own hardware, without the lab."""
    TEST = "test"
    ALL = "all"
    TALOS_REAL = "talos-real"


@app.command()
def install(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Programs; see `tools list`.")] = None,
    group: Annotated[GroupName | None, typer.Option(help="All programs that this group needs. Default: up.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=2, help="Builds at a time (default: by memory).")] = None,
) -> None:
    """Take each program from PATH or the cache, else build it. After an interruption the same command continues."""
    installed = this_machine()
    chosen = group or (None if names else GroupName.UP)
    programs = installed.pins.select(names=names or (), group=chosen.value if chosen else None)
    console = Console(stderr=True)
    listener = BarListener(console) if console.is_terminal else LineListener(sys.stderr)
    try:
        with terminated_like_interrupted(), listener:
            report = Installer(installed=installed, listener=listener, jobs=jobs).install(programs)
    except KeyboardInterrupt:
        typer.echo("interrupted: what was compiled is kept, the same command goes on from there", err=True)
        raise
    summarize(report)
    if report.failed:
        raise next(iter(report.failed.values()))


def summarize(report: Report) -> None:
    """One closing line on stdout."""
    built = f"{len(report.built)} built in {report.wall_s:.0f} s, " if report.built else ""
    failed = f", {len(report.failed)} failed ({', '.join(report.failed)})" if report.failed else ""
    typer.echo(f"tools: {built}{len(report.taken)} there already{failed}")


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Within the block SIGTERM does what Ctrl-C does: the compilers are stopped, too."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


Row = dict[Literal["name", "version", "source", "path", "note"], str]


def row(name: str, found: Found) -> Row:
    """What `list` says of one program."""
    return {
        "name": name,
        "version": found.version,
        "source": found.source.value,
        "path": str(found.path or ""),
        "note": found.refused,
    }


@app.command("list")
def list_(
    output: OutputOption = Output.TABLE,
) -> None:
    """Show every pinned program: its version, and where it is."""
    installed = this_machine()
    rows = [row(name, installed.find(name)) for name in installed.pins.names]
    if output is not Output.TABLE:
        emit(rows, output=output)
    else:
        table = Table("name", "version", "from", box=None, pad_edge=False)
        table.add_column("path or reason", overflow="fold")
        for each in rows:
            style = "yellow" if each["source"] == Source.MISSING else None
            table.add_row(each["name"], each["version"], each["source"], each["path"] or each["note"], style=style)
        Console().print(table)


@app.command()
def path(name: Annotated[str, typer.Argument(help="A program; see `tools list`.")]) -> None:
    """Print where a program is, for scripts: `"$(infraflux tools path talosctl)" version`."""
    typer.echo(str(this_machine().locate(name)))
