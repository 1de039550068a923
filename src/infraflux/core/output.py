"""`-o table|json|yaml`: one option of every command that lists something, the lab's included."""

import json
from enum import StrEnum
from io import StringIO
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML
from typer.core import TyperCommand


class Output(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]


class TakesJson(TyperCommand):
    """A command whose `OutputOption` is also reached by `--json`, its name before; the help does not show it."""

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)
        params: list[Any] = list(self.params)
        for one in params:
            if isinstance(one.default, Output):
                parser.add_option(one, ["--json"], dest=one.name, action="store_const", const=Output.JSON.value)
        return parser


def as_text(data: Any, output: Output) -> str:
    """The document as JSON, or as YAML; what neither of them knows (a time, a path) as its text."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    if output is not Output.YAML:
        return text
    writer, stream = YAML(), StringIO()
    writer.default_flow_style = False
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(json.loads(text), stream)
    return stream.getvalue().rstrip("\n")
