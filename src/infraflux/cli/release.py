"""`infraflux release`: immutable bundles of what an environment runs."""

from typing import Annotated

import typer
from rich.table import Table

from infraflux.cli.output import emit
from infraflux.cli.project import console, project_root
from infraflux.config.environments import known_environments
from infraflux.core.output import Output, OutputOption, TakesJson
from infraflux.delivery.release import Reversible, diff, flatten
from infraflux.operations.releases import cut_release, find_release, load_releases, read_signature, sign_release

app = typer.Typer(no_args_is_help=True, help="Immutable bundles of what an environment runs.")


@app.command("cut")
def cut_command(
    environment: Annotated[
        str, typer.Option("--from", help="The environment whose versions it holds; by default the first of the chain.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="By default r1, r2, ...")] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit the release's file, and nothing else.")] = False,
    sign: Annotated[
        bool, typer.Option("--sign", help="Commit it, and set a signed tag release/<name> with your Git signing key.")
    ] = False,
) -> None:
    """Cut a release from the present commit; the same content is the same release."""
    root = project_root()
    source = environment or next((one.name for one in known_environments(root)), "")
    release, outcome = cut_release(root, environment=source, name=name, commit_it=commit or sign)
    console().print(str(outcome))
    if sign:
        console().print(str(sign_release(root, release)))


@app.command("list", cls=TakesJson)
def list_command(output: OutputOption = Output.TABLE) -> None:
    """All releases, oldest first."""
    releases = load_releases(project_root())
    if output is not Output.TABLE:
        emit([release.model_dump(mode="json") for release in releases], output=output)
        return
    table = Table("RELEASE", "CUT", "FROM", "COMMIT", "TALOS", "KUBERNETES", "DIGEST", box=None)
    for one in releases:
        versions = one.pins.versions
        when = f"{one.cut_at:%Y-%m-%d %H:%M}"
        table.add_row(
            one.name, when, one.cut_from, one.commit[:12], versions.talos, versions.kubernetes, one.digest[:19]
        )
    console().print(table)


@app.command(cls=TakesJson)
def show(name: str, output: OutputOption = Output.TABLE) -> None:
    """Everything that a release contains."""
    root = project_root()
    release = find_release(root, name)
    if output is not Output.TABLE:
        emit(release.model_dump(mode="json"), output=output)
        return
    console().print(f"signature: {read_signature(root, release)}")
    for path, value in flatten(release.model_dump(mode="json")).items():
        console().print(f"{path}: {value}")


@app.command("diff", cls=TakesJson)
def diff_command(before: str, after: str, output: OutputOption = Output.TABLE) -> None:
    """What differs between two releases, and whether it can be undone.

    What deploying one would do to a cluster: `infraflux plan ENV/CLUSTER --release NAME`.
    """
    root = project_root()
    changes = diff(find_release(root, before), find_release(root, after))
    if output is not Output.TABLE:
        fields = [{"path": c.path, "before": c.before, "after": c.after, "reversible": c.reversible} for c in changes]
        emit(fields, output=output)
        return
    table = Table("WHAT", before, after, "CAN BE UNDONE", box=None)
    for change in changes:
        style = "" if change.reversible is Reversible.YES else "red"
        table.add_row(change.path, change.before, change.after, f"{change.reversible}: {change.why}", style=style)
    console().print(table if changes else f"{before} and {after} have the same content")
