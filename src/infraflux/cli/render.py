"""`infraflux render`: what is computed for one cluster, as files to look at or to compare."""

from pathlib import Path
from typing import Annotated

import typer

from infraflux.cli.output import NoTalos, show_note
from infraflux.cli.project import console, project_root
from infraflux.config.load import examine
from infraflux.config.problems import ConfigProblems
from infraflux.core.output import Output
from infraflux.operations.machine_configs import check_examined
from infraflux.render import render_cluster


def render(
    cluster: Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Written below this directory.")],
    no_talos: NoTalos = False,
) -> None:
    """Write a cluster's Terraform variables and Talos patches; equal configuration gives equal bytes, no secrets."""
    root = project_root()
    examined = examine(root)
    spec = examined.cluster(cluster)
    asked = check_examined(examined, [cluster], root=root, wanted=not no_talos)
    if asked.note:
        show_note(asked.note, output=Output.TABLE)
    if asked.problems:
        raise ConfigProblems(asked.problems, cluster=cluster)
    files = render_cluster(spec, root)
    for name, content in files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(content)
        console().print(f"wrote {output / name}")
