"""Lists and documents as a table for people, or as JSON or YAML for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from infraflux.cli.project import console


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]


def emit(data: Any, *, output: Output, title: str = "") -> None:
    """Print a document, or a list of records with the same keys."""
    if output is Output.JSON:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif output is Output.YAML:
        writer = YAML()
        writer.default_flow_style = False
        writer.indent(mapping=2, sequence=4, offset=2)
        writer.dump(data, sys.stdout)
    else:
        console().print(_table(data, title))


def _table(records: Sequence[Mapping[str, Any]], title: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    for name in records[0] if records else ():
        table.add_column(str(name), overflow="fold")
    for record in records:
        table.add_row(*(Text(_cell(value)) for value in record.values()))
    return table


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
