"""`infraflux render`: what is computed for one cluster, as files to look at or to compare."""

from pathlib import Path
from typing import Annotated

import typer

from infraflux.cli.project import console, project_root
from infraflux.config.load import load_cluster
from infraflux.render import render_cluster


def render(
    cluster: Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Written below this directory.")],
) -> None:
    """Write a cluster's Terraform variables and Talos patches; equal configuration gives equal bytes, no secrets."""
    root = project_root()
    files = render_cluster(load_cluster(root, cluster), root)
    for name, content in files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(content)
        console().print(f"wrote {output / name}")
