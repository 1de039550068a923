"""`infraflux lab`: the local lab, up and down, its log, its faults."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from infraflux.core.errors import Permanent
from infraflux.core.output import Output, OutputOption, TakesJson, as_text
from infraflux_lab import control, lifecycle
from infraflux_lab.events import read_events
from infraflux_lab.faults import ACTIONS, KINDS, TALOS_KINDS
from infraflux_lab.state import DEFAULT_STATE_DIR, LabError, lab_paths

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(no_args_is_help=True, help="The local lab: simulated Proxmox and Talos, real Kubernetes.")
fault_app = typer.Typer(no_args_is_help=True, help="Inject faults and out-of-band changes.")
app.add_typer(fault_app, name="fault")

StateDir = Annotated[
    Path, typer.Option("--state-dir", envvar="INFRAFLUX_LAB_STATE_DIR", help="Where the lab keeps its state.")
]
Spec = Annotated[Path, typer.Option("--spec", help="The simulated hardware.")]
Net = Annotated[str | None, typer.Option("--net", help="Other first two octets for every address, such as 127.82.")]
Charts = Annotated[
    Path | None,
    typer.Option(
        "--charts",
        metavar="DIR",
        help="Chart archives (*.tgz) in place of the lab's stand-ins; remembered. `stand-ins`: back to the lab's own.",
    ),
]


class TalosKind(StrEnum):
    """What the lab's machines run."""

    SIMULATED = "simulated"
    REAL = "real"


Talos = Annotated[
    TalosKind | None,
    typer.Option("--talos", help="Simulated Talos API, or real nodes (Linux, root); remembered."),
]
DEFAULT_SPEC = Path("config/lab.yaml")


def lab_errors_shown(command: Callable[P, R]) -> Callable[P, R]:
    """Errors of the lab as errors of the product: the lab itself knows nothing of what uses it."""

    @wraps(command)
    def shown(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            raise Permanent(str(error), stage="lab") from None

    return shown


FindProgram = Callable[[str], Path | None]


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


_find_program: list[FindProgram] = [_on_path]


def use_programs(find: FindProgram) -> None:
    """From now on programs are looked for by `find`; on PATH without it."""
    _find_program[:] = [find]


def installed_programs() -> dict[str, Path]:
    """The real programs of the lab that are on this machine; `lab status` shows the others as missing."""
    found = {name: _find_program[0](name) for name in lifecycle.PROGRAMS}
    return {name: path for name, path in found.items() if path}


@app.command()
@lab_errors_shown
def up(  # noqa: PLR0917 - typer passes them by name
    state_dir: StateDir = DEFAULT_STATE_DIR,
    spec: Spec = DEFAULT_SPEC,
    net: Net = None,
    latency: Annotated[str | None, typer.Option("--latency", help="zero or real.")] = None,
    scale: Annotated[float | None, typer.Option("--scale", min=0, help="Factor on every simulated duration.")] = None,
    charts: Charts = None,
    talos: Talos = None,
) -> None:
    """Start the lab in the background; returns when everything listens. If it runs already, says so."""
    wanted = {"profile": latency, "scale": scale}
    started, status = lifecycle.up(
        spec_path=spec,
        state_dir=state_dir,
        net=net,
        latency={key: value for key, value in wanted.items() if value is not None} or None,
        programs=installed_programs(),
        charts=charts,
        talos=talos.value if talos else None,
    )
    if started:
        typer.echo(f"lab is up after {status['listening_after_s']:.1f} s (process {status['process']})")
    else:
        typer.echo(f"lab runs already (process {status['process']})")
    if status["charts"]:
        _say_charts(status)


def _say_charts(status: Mapping[str, Any]) -> None:
    """Which charts are the user's and which are stand-ins still."""
    charts = [part for part in status["parts"] if part["name"].startswith("chart ")]
    for kind, words in (("real", f"from {status['charts']}"), ("simulated", "stand-ins of the lab")):
        named = [f"{part['name'].removeprefix('chart ')} {part['version']}" for part in charts if part["kind"] == kind]
        typer.echo(f"charts {words}: {', '.join(named) or 'none'}")
    typer.echo(f"compare them with this project's values: infraflux platform validate --charts {status['charts']}")


@app.command()
@lab_errors_shown
def run(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    spec: Spec = DEFAULT_SPEC,
    net: Net = None,
) -> None:
    """Run the lab in the foreground, for a supervisor."""
    paths = lab_paths(state_dir).create()
    lifecycle.remember(paths, lifecycle.merged_settings(paths, net=net, programs=installed_programs()))
    # Only the daemon needs the servers; every other command starts faster without them.
    from infraflux_lab.daemon import run_daemon  # noqa: PLC0415

    run_daemon(spec_path=spec, state_dir=state_dir)


@app.command()
@lab_errors_shown
def down(state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Stop the lab; its machines come back with the next `up`."""
    typer.echo("lab is down" if lifecycle.down(state_dir) else "lab was not running")


@app.command()
@lab_errors_shown
def reset(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the lab and forget all of it: machines, certificates, credentials."""
    if not yes:
        typer.confirm(f"Remove every lab machine and {lab_paths(state_dir).root}?", abort=True)
    typer.echo("lab is removed" if lifecycle.reset(state_dir) else "there was no lab")


@app.command(cls=TakesJson)
@lab_errors_shown
def status(state_dir: StateDir = DEFAULT_STATE_DIR, output: OutputOption = Output.TABLE) -> None:
    """Show each part, real or simulated, with its version. Exit code 1 if the lab is down."""
    found = lifecycle.status(state_dir)
    if output is not Output.TABLE:
        typer.echo(as_text(found or {"parts": []}, output))
    elif found:
        _print_status(found)
    else:
        typer.echo("lab is down; start it with `infraflux lab up`")
    if not found:
        raise typer.Exit(1)


def _print_status(found: Mapping[str, Any]) -> None:
    columns = ("name", "version", "kind", "endpoint")
    _print_table(("PART", "VERSION", "KIND", "ENDPOINT"), [[part[name] for name in columns] for part in found["parts"]])
    for part in found["parts"]:
        if part["note"]:
            typer.echo(f"{part['name']}: {part['note']}")
    latency = found["latency"]
    typer.echo(
        f"process {found['process']}, up {found['uptime_s']:.0f} s, {found['memory_mib']} MiB; latency "
        f"{latency['profile']} x {latency['scale']}; faults set: {found['faults']}; state in {found['state_dir']}"
    )


@app.command()
@lab_errors_shown
def events(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind, such as request or task-ended.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many, counted from the newest.")] = 50,
) -> None:
    """The lab's log as JSON lines, oldest first."""
    found = list(read_events(lab_paths(state_dir).events, **({"kind": kind} if kind else {})))
    for event in found[-last:]:
        typer.echo(json.dumps(event))


@app.command(cls=TakesJson)
@lab_errors_shown
def requests(
    state_dir: StateDir = DEFAULT_STATE_DIR,
    clear: Annotated[bool, typer.Option("--reset", help="Start counting from zero afterwards.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """API requests by endpoint since the lab started or the last --reset."""
    rows = _call(state_dir, "requests")
    if output is not Output.TABLE:
        typer.echo(as_text(rows, output))
    else:
        columns = ("environment", "method", "route", "mutating", "count")
        _print_table([name.upper() for name in columns], [[str(row[name]) for name in columns] for row in rows])
    if clear:
        _call(state_dir, "requests-reset")


@fault_app.command("add")
@lab_errors_shown
def fault_add(  # noqa: PLR0917 - typer passes them by name
    kind: Annotated[str, typer.Argument(help="See `infraflux lab fault kinds`.")],
    environment: Annotated[str | None, typer.Option("--env", help="Environment; all of them by default.")] = None,
    target: Annotated[
        str, typer.Option("--target", help="VM id, host, storage, task type or 'METHOD /path'; * and ? allowed.")
    ] = "*",
    times: Annotated[int | None, typer.Option("--times", min=0, help="How often it strikes; 0: until cleared.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value")] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Set a fault."""
    kinds = {**KINDS, **TALOS_KINDS}
    if kind not in kinds:
        near = get_close_matches(kind, kinds, n=1)
        hint = f"did you mean {near[0]}?" if near else "see `infraflux lab fault kinds`"
        raise LabError(f"no fault {kind!r}; {hint}")
    fault = _call(
        state_dir,
        "fault-add",
        kind=kind,
        environment=environment,
        target=target,
        times=times,
        params=_pairs(param or []),
    )
    typer.echo(f"fault {fault['id']}: {fault['kind']} on {fault['target']}, {_times(fault)}")


@fault_app.command("list", cls=TakesJson)
@lab_errors_shown
def fault_list(state_dir: StateDir = DEFAULT_STATE_DIR, output: OutputOption = Output.TABLE) -> None:
    """List the faults that are set, and how often each has struck."""
    faults = _call(state_dir, "fault-list")
    if output is not Output.TABLE:
        typer.echo(as_text(faults, output))
        return
    rows = [
        [
            str(fault["id"]),
            fault["kind"],
            fault["target"],
            _times(fault),
            str(fault["hits"]),
            json.dumps(fault["params"]),
        ]
        for fault in faults
    ]
    _print_table(("ID", "KIND", "TARGET", "TIMES", "HITS", "PARAMETERS"), rows)


@fault_app.command("clear")
@lab_errors_shown
def fault_clear(
    number: Annotated[int | None, typer.Argument(help="Id of one fault; all of them by default.")] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Clear one fault or all."""
    typer.echo(f"cleared: {len(_call(state_dir, 'fault-clear', id=number))}")


@fault_app.command("kinds")
def fault_kinds() -> None:
    """List the kinds of faults and actions."""
    _print_table(("FAULT", "WHAT IT DOES"), [[kind, text] for kind, text in {**KINDS, **TALOS_KINDS}.items()])
    _print_table(("ACTION", "WHAT IT DOES"), [[name, text] for name, text in ACTIONS.items()])


@fault_app.command("act")
@lab_errors_shown
def fault_act(
    action: Annotated[str, typer.Argument(help="See `infraflux lab fault kinds`.")],
    environment: Annotated[str, typer.Option("--env", help="Environment.")],
    params: Annotated[list[str] | None, typer.Argument(help="name=value")] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Change something behind the clients' back.

    `edit-vm --env dev vm=10011 cores=8` edits a VM; `edit-config --env dev machine=NAME machine.install.disk=/dev/vda`
    a machine's Talos configuration.
    """
    pairs = _pairs(params or [])
    if action == "edit-config":
        machine = pairs.pop("machine", "") or pairs.pop("vm", "")
        if not machine:
            raise LabError("say which: machine=NAME or vm=ID, then dotted paths such as machine.install.disk=/dev/vda")
        key = f"{environment}/{machine}" if machine.isdigit() else machine
        result = _call(state_dir, "edit-config", machine=key, patch=_nested(pairs))
    else:
        result = _call(state_dir, "act", action=action, environment=environment, params=pairs)
    typer.echo(json.dumps(result))


def _call(state_dir: Path, op: str, **fields: Any) -> Any:
    return control.call(lab_paths(state_dir).socket, op, **fields)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise LabError(f"not name=value: {', '.join(wrong)}")
    return dict(text.split("=", 1) for text in texts)


def _nested(pairs: Mapping[str, str]) -> dict[str, Any]:
    """`{"machine.sysctls.a": "b"}` as nested mappings; an empty value deletes the key."""
    patch: dict[str, Any] = {}
    for path, value in pairs.items():
        *parents, leaf = path.split(".")
        home = patch
        for name in parents:
            home = home.setdefault(name, {})
        home[leaf] = value or None
    return patch


def _times(fault: Mapping[str, Any]) -> str:
    return "until cleared" if fault["times"] is None else f"{fault['times']} times"


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold", no_wrap=name != head[-1], min_width=len(name))
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)
