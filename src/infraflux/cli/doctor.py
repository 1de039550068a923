"""`infraflux doctor`: what this machine has, what is missing and what to do, one line each."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.text import Text

from infraflux.adapters.tools.locate import InstalledPrograms, Source, this_machine
from infraflux.adapters.tools.pins import Program
from infraflux.adapters.tools.places import Places
from infraflux.adapters.tools.probe import output_of
from infraflux.adapters.tools.toolchain import find_go, requirements
from infraflux.cli.diagnosis import SIGNS, Diagnosis, State
from infraflux.cli.output import emit
from infraflux.cli.project import project_root
from infraflux.config.environments import known_environments
from infraflux.core.die_with_parent import LAUNCHER, find_launcher
from infraflux.core.output import Output, OutputOption
from infraflux.core.paths import find_root

GIB = 1024**3
# Measured: Go 0.4, modules 5.1, compiled packages 6.7, programs 0.9 GiB after building everything.
COLD_BUILD_DISK_GIB = 14
RUN_DISK_GIB = 2
# One lab cluster of three control planes, Prefect and one build beside each other.
MEMORY_GIB = 4
MIN_GIT = (2, 30)
# The shipped environments live on loopback addresses; Linux has all of 127/8, macOS only 127.0.0.1.
LOOPBACK_EXAMPLE = "127.77.1.2"


def python() -> Diagnosis:
    """The Python that runs this; older ones cannot start it at all."""
    return Diagnosis(subject="python", state=State.OK, detail=f"{platform.python_version()}, {sys.executable}")


def git(output: str | None) -> Diagnosis:
    """Git, by what `git --version` printed."""
    found = re.search(r"(\d+)\.(\d+)(?:\.\d+)?", output or "")
    if found is None:
        return Diagnosis(subject="git", state=State.MISSING, detail="not on PATH", next_step="install git")
    if (int(found[1]), int(found[2])) < MIN_GIT:
        wanted = ".".join(map(str, MIN_GIT))
        return Diagnosis(
            subject="git", state=State.MISSING, detail=f"{found[0]} is too old", next_step=f"install git >= {wanted}"
        )
    return Diagnosis(subject="git", state=State.OK, detail=found[0])


def launcher() -> Diagnosis:
    """What every outside program is started with."""
    found = find_launcher()
    if found is None:
        return Diagnosis(subject=LAUNCHER, state=State.MISSING, detail="not on PATH", next_step="install util-linux")
    return Diagnosis(subject=LAUNCHER, state=State.OK, detail=found)


def go(installed: InstalledPrograms, *, to_build: int) -> Diagnosis:
    """The Go toolchain; only of interest while something is to be built."""
    found = find_go(pins=installed.pins, places=installed.places)
    if found is not None:
        return Diagnosis(subject="go", state=State.OK, detail=f"{found.version}, {found.path}")
    detail = f"none >= {installed.pins.go.minimum}"
    if not to_build:
        return Diagnosis(subject="go", state=State.OK, detail=f"{detail}; nothing is to be built")
    version = requirements(installed.pins)[1]
    return Diagnosis(
        subject="go", state=State.NOTE, detail=detail, next_step=f"nothing: Go {version} is fetched from PyPI"
    )


def disk(path: Path, *, to_build: int) -> Diagnosis:
    """Free space where the cache is."""
    there = next(each for each in (path, *path.parents) if each.exists())
    free_gib = shutil.disk_usage(there).free / GIB
    wanted_gib = COLD_BUILD_DISK_GIB if to_build else RUN_DISK_GIB
    detail = f"{free_gib:.0f} GiB free at {there}, {wanted_gib} wanted"
    if free_gib >= wanted_gib:
        return Diagnosis(subject="disk", state=State.OK, detail=detail)
    return Diagnosis(subject="disk", state=State.NOTE, detail=detail, next_step="free some, or move XDG_CACHE_HOME")


def machine(*, memory_bytes: int, cores: int) -> Diagnosis:
    """Memory and cores."""
    detail = f"{memory_bytes / GIB:.0f} GiB memory, {cores} cores"
    # What firmware keeps for itself makes "4 GiB" a little less.
    if memory_bytes >= 0.9 * MEMORY_GIB * GIB:
        return Diagnosis(subject="machine", state=State.OK, detail=detail)
    return Diagnosis(
        subject="machine", state=State.NOTE, detail=f"{detail}, {MEMORY_GIB} GiB wanted", next_step="expect swapping"
    )


def loopback(address: str = LOOPBACK_EXAMPLE) -> Diagnosis:
    """Whether the addresses of the shipped environments can be bound."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return Diagnosis(
                subject="loopback",
                state=State.NOTE,
                detail=f"{address} cannot be bound: {error.strerror}",
                next_step="run the lab on Linux, or add the addresses in config/environments to the loopback interface",
            )
    return Diagnosis(subject="loopback", state=State.OK, detail=f"{address} can be bound")


def program(pinned: Program, *, installed: InstalledPrograms) -> Diagnosis:
    """One outside program."""
    found = installed.find(pinned.name)
    if found.source is not Source.MISSING:
        other = f" ({found.refused})" if found.refused else ""
        return Diagnosis(subject=pinned.name, state=State.OK, detail=f"{found.version}, {found.path}{other}")
    why = f" ({found.refused})" if found.refused else ""
    return Diagnosis(
        subject=pinned.name,
        state=State.MISSING,
        detail=f"{found.version} is not there{why}",
        next_step=f"infraflux tools install {pinned.name}",
    )


def examine(installed: InstalledPrograms, *, lab: bool) -> list[Diagnosis]:
    """Everything, in the order to read; without the lab only what own hardware needs."""
    programs = [program(each, installed=installed) for each in installed.pins.select(group="up" if lab else "real")]
    to_build = sum(each.state is State.MISSING for each in programs)
    places: Places = installed.places
    return [
        python(),
        git(output_of(["git", "--version"], environ=places.environ)),
        launcher(),
        machine(memory_bytes=psutil.virtual_memory().total, cores=os.cpu_count() or 1),
        disk(places.cache, to_build=to_build),
        *([loopback()] if lab else []),
        go(installed, to_build=to_build),
        *programs,
    ]


def _has_lab() -> bool:
    """Whether an environment of this project is the lab's; a machine without a project is looked at for it too."""
    try:
        return any(one.simulated for one in known_environments(find_root(Path.cwd())))
    except FileNotFoundError:
        return True


def lines(findings: Iterable[Diagnosis]) -> list[Text]:
    """One line per finding, the next step behind an arrow."""
    findings = list(findings)
    width = max(len(each.subject) for each in findings)
    shown = []
    for each in findings:
        sign, style = SIGNS[each.state]
        tail = f"  → {each.next_step}" if each.next_step else ""
        shown.append(Text.assemble((sign, style), f" {each.subject:<{width}}  {each.detail}", (tail, "cyan")))
    return shown


def doctor(
    environment: Annotated[str, typer.Option(help="Also what stops a deploy of this environment.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what this machine has, what is missing and what to do. Exit 1 when something is missing."""
    findings = examine(this_machine(), lab=_has_lab())
    if environment:
        from infraflux.cli.doctor_environment import examine_environment  # noqa: PLC0415 - imports clients

        findings += examine_environment(environment, root=project_root())
    if output is not Output.TABLE:
        emit([asdict(each) for each in findings], output=output)
    else:
        console = Console(highlight=False)
        for line in lines(findings):
            console.print(line, soft_wrap=True)
    missing = [each for each in findings if each.state is State.MISSING]
    if missing and output is Output.TABLE:
        group = "" if _has_lab() else " --group real"
        typer.echo(f"\n{len(missing)} missing. All programs at once: infraflux tools install{group}")
    if missing:
        raise typer.Exit(1)
