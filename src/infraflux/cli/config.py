"""`infraflux config`: check, show, explain and compare the configuration. Reads files, asks talosctl."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from infraflux.cli.output import NoTalos, emit, show_note
from infraflux.cli.previous import previous_fleet, previous_versions
from infraflux.cli.project import console, project_root
from infraflux.config.checks.machines import counted
from infraflux.config.effective import Difference, Setting, differences, document_settings, select, settings
from infraflux.config.layers import Layers
from infraflux.config.load import Examined, Fleet, examine, unknown_cluster
from infraflux.config.parity import ALLOWED, compare, refused
from infraflux.config.problems import Path as ValuePath
from infraflux.config.problems import Problem
from infraflux.config.schema import KINDS, schema_files, schema_of
from infraflux.config.suggest import did_you_mean
from infraflux.config.tree import plain
from infraflux.config.upgrade import upgrade_problems
from infraflux.core.output import Output, OutputOption
from infraflux.operations.machine_configs import check_examined

app = typer.Typer(no_args_is_help=True, help="Check, show, explain and compare the configuration.")

Target = Annotated[str, typer.Argument(metavar="[ENV[/CLUSTER]]", help="Everything by default.")]
Cluster = Annotated[str, typer.Argument(metavar="ENV/CLUSTER", help="For example dev/dev-1.")]
Previous = Annotated[
    str, typer.Option(metavar="FILE|REV", help="What runs now: a spec from `config show -o json`, or a Git revision.")
]


@app.command()
def validate(
    target: Target = "", previous: Previous = "", no_talos: NoTalos = False, output: OutputOption = Output.TABLE
) -> None:
    """Check every file, every cluster, the fleet, and with talosctl every node's machine config; list all mistakes at
    once and exit with 1 where there are any."""
    root = project_root()
    examined = examine(root)
    chosen = examined.select(target) if target else examined.keys
    problems = _problems_of(examined, chosen, environment=target) if target else list(examined.problems)
    asked = check_examined(examined, chosen, root=root, wanted=not no_talos)
    if asked.note:
        show_note(asked.note, output=output)
    problems = sorted({*problems, *asked.problems})
    if previous:
        problems += _upgrade_problems(examined, chosen, previous, root)
    warnings = sorted({one for key in chosen for one in examined.warnings.get(key, ())})
    if output is not Output.TABLE:
        emit([*map(_record, problems), *(_record(one, warning=True) for one in warnings)], output=output)
    else:
        _print_warnings(warnings)
        _print_verdict(problems, chosen, examined)
    if problems:
        raise typer.Exit(1)


def _problems_of(examined: Examined, chosen: tuple[str, ...], *, environment: str) -> list[Problem]:
    alone = examined.by_environment.get(environment, ())
    return sorted({*alone, *(problem for key in chosen for problem in examined.by_cluster[key])})


def _upgrade_problems(examined: Examined, chosen: tuple[str, ...], previous: str, root: Path) -> list[Problem]:
    before = previous_versions(previous, root=root)
    found: list[Problem] = []
    for key in chosen:
        spec = examined.fleet.clusters.get(key)
        if spec is not None and key in before:
            found += upgrade_problems(spec.versions, examined.fleet.trees[key], previous=before[key])
    return sorted(set(found))


def _record(problem: Problem, *, warning: bool = False) -> dict[str, Any]:
    fields = {name: getattr(problem, name) for name in ("file", "line", "path", "wrong", "right")}
    return {**fields, "severity": "warning" if warning else "error"}


def _print_warnings(warnings: list[Problem]) -> None:
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in warnings:
        errors.print(Text(f"warning: {problem}", style="yellow"))


def _print_verdict(problems: list[Problem], chosen: tuple[str, ...], examined: Examined) -> None:
    if problems:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for problem in problems:
            errors.print(Text(str(problem)))
        errors.print(Text(counted(len(problems), "problem"), style="bold red"))
        return
    nodes = sum(len(examined.fleet.clusters[key].nodes) for key in chosen)
    size = f"{counted(len(chosen), 'cluster')}, {counted(nodes, 'node')}"
    console().print(f"[green]valid[/green]: {size}{': ' if chosen else ''}{', '.join(chosen)}")


@app.command()
def show(cluster: Cluster, output: OutputOption = Output.YAML) -> None:
    """Print a cluster's effective configuration: all of it as yaml or json, or a table with the place of each value."""
    fleet = Fleet.load(project_root())
    spec = fleet.cluster(cluster)
    if output is not Output.TABLE:
        emit(spec.model_dump(mode="json"), output=output)
        return
    rows = [_row(one) for one in settings(spec, fleet.trees[cluster]).values()]
    emit(rows, output=output, title=cluster)


@app.command()
def explain(
    path: Annotated[str, typer.Argument(metavar="PATH", help="For example node_pools.worker.memory_mib.")],
    cluster: Annotated[str, typer.Option("--cluster", "-c", help="One cluster; all of them by default.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Print a value, the file and line that set it, and every layer it overrode; a section explains all below it."""
    fleet = Fleet.load(project_root())
    if cluster:
        fleet.cluster(cluster)
    records = [
        {"cluster": key, **_explained(one)}
        for key in ([cluster] if cluster else fleet.clusters)
        for one in select(settings(fleet.clusters[key], fleet.trees[key]), path)
    ]
    if output is not Output.TABLE:
        emit(records, output=output)
        return
    out = console()
    for record in records:
        out.print(Text(f"{record['cluster']}: {record['path']} = {record['value']!r}"))
        out.print(Text(f"  set by {record['set_by']}", style="green"))
        for older in record["overrode"]:
            out.print(Text(f"  over   {older['at']}: {older['value']!r}", style="dim"))


def _explained(one: Setting) -> dict[str, Any]:
    overrode = [{"at": at, "value": value} for at, value in one.overrode]
    return {"path": one.path, "value": one.value, "set_by": one.set_by, "overrode": overrode}


def _row(one: Setting) -> dict[str, Any]:
    return {"path": one.path, "value": one.value, "set by": one.set_by}


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="ENV[/CLUSTER]", help="A cluster, or a whole environment.")],
    right: Annotated[str, typer.Argument(metavar="[ENV[/CLUSTER]]", help="The other one.")] = "",
    previous: Annotated[str, typer.Option(metavar="REV", help="Compare with this Git revision instead.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Print where two clusters, two environments, or a cluster now and at a Git revision differ."""
    root = project_root()
    fleet = Fleet.load(root)
    if previous:
        one, other, names = _side(previous_fleet(previous, root=root), left), _side(fleet, left), (previous, "now")
    elif right:
        one, other, names = _side(fleet, left), _side(fleet, right), (left, right)
    else:
        raise typer.BadParameter("name a second cluster or environment, or give --previous")
    found = differences(one, other)
    if output is Output.TABLE and not found:
        console().print("no difference")
        return
    if output is not Output.TABLE:
        emit([_compared(difference, names) for difference in found], output=output)
        return
    _print_differences(found, names)


def _side(fleet: Fleet, target: str) -> dict[ValuePath, Setting]:
    if "/" in target:
        return settings(fleet.cluster(target), fleet.trees.get(target) or fleet.trees[target])
    if target not in fleet.environments:
        raise unknown_cluster(target, [*fleet.environments, *fleet.clusters])
    tree = Layers(fleet.root).environment_tree(target)
    return document_settings(plain(tree), tree) if tree is not None else {}


def _print_differences(found: list[Difference], names: tuple[str, str]) -> None:
    out, width = console(), max(map(len, names))
    for difference in found:
        out.print(Text(difference.path, style="bold"))
        for name, setting in zip(names, (difference.left, difference.right), strict=True):
            shown = f"{setting.value!r}  ({setting.set_by})" if setting else "not there"
            out.print(Text(f"  {name:{width}}  {shown}"))


def _compared(difference: Difference, names: tuple[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = {"path": difference.path}
    for name, setting in zip(names, (difference.left, difference.right), strict=True):
        record[name] = setting.value if setting else None
        record[f"{name} set by"] = setting.set_by if setting else "not there"
    return record


@app.command()
def parity(output: OutputOption = Output.TABLE) -> None:
    """List what differs between the environments by kind; exit with 1 where a difference is of no allowed kind."""
    fleet = Fleet.load(project_root())
    found = compare(fleet)
    rows = [
        {
            "kind": one.kind or "NOT ALLOWED",
            "path": one.difference.path,
            "clusters": f"{one.left} / {one.right}",
            "left": one.difference.left.value if one.difference.left else None,
            "right": one.difference.right.value if one.difference.right else None,
        }
        for one in found
    ]
    emit(sorted(rows, key=lambda row: [*ALLOWED, "NOT ALLOWED"].index(str(row["kind"]))), output=output)
    problems = refused(found)
    for problem in problems:
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(str(problem)))
    if problems:
        raise typer.Exit(1)


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help=f"One of {', '.join(KINDS)}.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write all of them to config/schema/.")] = False,
) -> None:
    """Print the JSON Schema of a kind of file, or write all of them where the editors look."""
    if write:
        root = project_root()
        for name, text in schema_files().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
            console().print(f"wrote {name}")
        return
    if kind not in KINDS:
        raise typer.BadParameter(did_you_mean(kind, KINDS), param_hint="KIND")
    emit(schema_of(kind), output=Output.JSON)
