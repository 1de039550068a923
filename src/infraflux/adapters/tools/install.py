"""Install the pinned programs: take what is there, build the rest, prove each one before it is put in place."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from infraflux.adapters.tools.build import Builder, files_directory
from infraflux.adapters.tools.locate import Found, InstalledPrograms, Source
from infraflux.adapters.tools.lock import only_installer
from infraflux.adapters.tools.pins import Program
from infraflux.adapters.tools.probe import ask_version
from infraflux.adapters.tools.progress import Failed, Installed, Listener, Note, Started, Taken
from infraflux.adapters.tools.providers import publish
from infraflux.adapters.tools.toolchain import Go, require_go
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent

# Another installer builds the same programs: waiting for it is quicker than anything else. A cold build of all takes
# under half an hour on two cores.
WAIT_S = 3600.0
MAX_JOBS = 2
# Compiling kube-apiserver peaks at 2 GiB, Argo CD at 2.4 GiB: two at once want room beside them.
MEMORY_FOR_TWO_BYTES = 7 * 1024**3


class Receipt(BaseModel):
    """Written beside a built program: what it was made from."""

    version: str
    recipe: str
    go: str
    build_s: float


@dataclass(frozen=True, kw_only=True)
class Todo:
    """A program to build, and why."""

    program: Program
    reason: str


@dataclass(kw_only=True)
class Report:
    """What an installation did."""

    taken: list[str] = field(default_factory=list)
    built: dict[str, float] = field(default_factory=dict)
    """Seconds by name."""
    failed: dict[str, InfrafluxError] = field(default_factory=dict)
    wall_s: float = 0.0


def decide(found: Found, *, recipe: str, receipt: Receipt | None) -> Todo | None:
    """What to do about one program: nothing, or build it; Permanent when it cannot be built."""
    program = found.program
    if found.source is Source.PATH:
        return None
    if not program.can_build:
        raise Permanent(
            f"{program.name} is not on PATH{f' ({found.refused})' if found.refused else ''} and is never built",
            stage="tools",
            next_step=f"put {program.file_name} {program.accept or program.version} on PATH",
        )
    if found.source is Source.MISSING:
        return Todo(program=program, reason=found.refused or "not there yet")
    if receipt is None:
        return Todo(program=program, reason="the file in the cache has no receipt")
    if receipt.recipe != recipe:
        return Todo(program=program, reason="its Go module or pin has changed")
    return None


def default_jobs() -> int:
    """Builds at a time that this machine's cores and memory can bear."""
    roomy = psutil.virtual_memory().total >= MEMORY_FOR_TWO_BYTES and (os.cpu_count() or 1) > 1
    return MAX_JOBS if roomy else 1


class Installer:
    """Installs the pinned programs of this machine."""

    def __init__(
        self,
        *,
        installed: InstalledPrograms,
        listener: Listener,
        jobs: int | None = None,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.installed = installed
        self.listener = listener
        self.jobs = min(jobs or default_jobs(), MAX_JOBS)
        self.wait_s = wait_s
        self.clock = clock

    def install(self, programs: Sequence[Program]) -> Report:
        """Make every program be there. What can be built is built even when another one fails."""
        started = self.clock()
        report = Report()
        if self._plan(programs, report=Report()):
            lock = self.installed.places.tools / "install.lock"
            with only_installer(lock, wait_s=self.wait_s, on_wait=self._say_waiting):
                # Planned again: the one we waited for may have built it all.
                todo = self._plan(programs, report=report, announce=True)
                if todo:
                    self._build_all(todo, report=report)
        else:
            self._plan(programs, report=report, announce=True)
        self._publish_providers(programs)
        report.wall_s = self.clock() - started
        return report

    def _say_waiting(self, holder: str) -> None:
        self.listener(Note(text=f"{holder} is installing programs already: waiting for it"))

    def _plan(self, programs: Sequence[Program], *, report: Report, announce: bool = False) -> list[Todo]:
        todo: dict[str, Todo] = {}
        for program in programs:
            found = self.installed.find(program.name)
            recipe = self.installed.pins.recipe(found.program) if found.program.can_build else ""
            needed = decide(found, recipe=recipe, receipt=read_receipt(self.installed.built_path(found.program)))
            if needed is not None:
                todo[needed.program.name] = needed
            elif announce and found.path is not None:
                report.taken.append(program.name)
                self.listener(Taken(name=program.name, version=found.version, source=found.source, path=found.path))
        return list(todo.values())

    def _build_all(self, todo: Sequence[Todo], *, report: Report) -> None:
        places, pins = self.installed.places, self.installed.pins
        scratch = places.tools / ".building"
        shutil.rmtree(scratch, ignore_errors=True)  # left by an interrupted run; we hold the lock
        go = require_go(pins=pins, places=places, listener=self.listener)
        builder = Builder(pins=pins, places=places, go=go, listener=self.listener)
        # Programs of one module share packages: one after the other, the compiler's cache serves the later ones;
        # at once, both would compile the same. Different modules fill each other's gaps (linking uses one core).
        lanes: dict[str, list[Todo]] = {}
        for each in todo:
            lanes.setdefault(each.program.module, []).append(each)
        with ThreadPoolExecutor(max_workers=self.jobs, thread_name_prefix="build") as pool:
            try:
                futures = [
                    pool.submit(self._build_lane, lane, builder=builder, scratch=scratch, report=report)
                    for lane in lanes.values()
                ]
                for future in futures:
                    future.result()
            finally:
                builder.stop()  # nothing runs any more, unless this is Ctrl-C
                shutil.rmtree(scratch, ignore_errors=True)

    def _build_lane(self, lane: Sequence[Todo], *, builder: Builder, scratch: Path, report: Report) -> None:
        for each in lane:
            name = each.program.name
            self.listener(Started(name=name, version=each.program.version, reason=each.reason))
            try:
                seconds = self._build_one(each.program, builder=builder, scratch=scratch)
            except InfrafluxError as error:
                if builder.stopped:
                    return
                report.failed[name] = error
                self.listener(Failed(name=name, reason=error.message))
            else:
                report.built[name] = seconds
                path = self.installed.built_path(each.program)
                self.listener(Installed(name=name, version=each.program.version, seconds=seconds, path=path))

    def _build_one(self, program: Program, *, builder: Builder, scratch: Path) -> float:
        started = self.clock()
        output = scratch / program.name / program.file_name
        output.parent.mkdir(parents=True, exist_ok=True)
        builder.build(program, output=output)
        prove(output, program=program, go=builder.go, installed=self.installed)
        seconds = self.clock() - started
        receipt = Receipt(
            version=program.version, recipe=self.installed.pins.recipe(program), go=builder.go.version, build_s=seconds
        )
        put_in_place(output, target=self.installed.built_path(program), receipt=receipt)
        return seconds

    def _publish_providers(self, programs: Sequence[Program]) -> None:
        for program in programs:
            built = self.installed.built_path(program)
            if program.provider and built.exists():
                publish(built, program=program, mirror=self.installed.places.mirror)


def prove(output: Path, *, program: Program, go: Go, installed: InstalledPrograms) -> None:
    """Ask the built program its version; Permanent when it is not the pinned one."""
    version = ask_version(output, program=program, environ=installed.places.environ, go=go.path)
    if version != program.version:
        raise Permanent(
            f"{program.name} was built, but calls itself {version or 'nothing'} instead of {program.version}",
            stage="tools",
            error_class=ErrorClass.INTERNAL,
            next_step=f"make tools/pins.yaml and tools/{program.module}/go.mod name the same version",
        )


def receipt_path(program: Path) -> Path:
    """Where the receipt of a built program is."""
    return program.parent / "receipt.json"


def read_receipt(program: Path) -> Receipt | None:
    """The receipt beside a built program; None when there is none or it cannot be read."""
    with suppress(OSError, ValidationError):
        return Receipt.model_validate_json(receipt_path(program).read_bytes())
    return None


def put_in_place(output: Path, *, target: Path, receipt: Receipt) -> None:
    """Move a proven program to its final path: whoever runs it meanwhile has the old or the new file, whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    output.chmod(0o755)
    for file in sorted(files_directory(output).glob("*")):
        kept = files_directory(target)
        kept.mkdir(exist_ok=True)
        file.replace(kept / file.name)
    # Program first, receipt last: a crash in between leaves a program without a matching receipt, which is built again.
    output.replace(target)
    draft = output.with_name("receipt.json")
    draft.write_text(receipt.model_dump_json(indent=1) + "\n")
    draft.replace(receipt_path(target))
