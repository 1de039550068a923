"""Lists and documents as a table for people, or as JSON or YAML for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from infraflux.cli.project import console
from infraflux.core.output import Output, as_text

NoTalos = Annotated[bool, typer.Option("--no-talos", help="Do not ask talosctl about the machine configs.")]


def emit(data: Any, *, output: Output, title: str = "") -> None:
    """Print a document, or a list of records with the same keys."""
    if output is Output.TABLE:
        console().print(_table(data, title))
    else:
        typer.echo(as_text(data, output))


def show_note(text: str, *, output: Output) -> None:
    """A line about how the answer came about, beside it where a program reads the answer."""
    typer.echo(text, err=output is not Output.TABLE)


def _table(records: Sequence[Mapping[str, Any]], title: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    for name in records[0] if records else ():
        table.add_column(str(name), overflow="fold")
    for record in records:
        table.add_row(*(Text(_cell(value)) for value in record.values()))
    return table


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
