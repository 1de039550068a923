"""Where a program is: PATH first, then the cache. Nothing here builds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path

from infraflux.adapters.tools.pins import Pins, Program, load_pins
from infraflux.adapters.tools.places import Places
from infraflux.adapters.tools.probe import ProbeRecord
from infraflux.adapters.tools.providers import publish
from infraflux.core.errors import Permanent


class Source(StrEnum):
    """Where a program came from."""

    PATH = "path"
    CACHE = "cache"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of one program on this machine."""

    program: Program
    """The program itself; for an `any_of` name, the alternative that was taken."""
    source: Source
    version: str
    path: Path | None = None
    refused: str = ""
    """Why a file of that name on PATH was not taken."""


class InstalledPrograms:
    """The pinned programs as they are on this machine."""

    def __init__(self, *, pins: Pins, places: Places) -> None:
        self.pins = pins
        self.places = places

    @cached_property
    def _record(self) -> ProbeRecord:
        return ProbeRecord(self.places.tools / "probes.json")

    def find(self, name: str) -> Found:
        """The program as it is now; `Source.MISSING` when it has to be built."""
        program = self.pins.get(name)
        if not program.any_of:
            return self._find_one(program)
        tried = [self._find_one(self.pins.get(each)) for each in program.any_of]
        there = next((found for found in tried if found.source is not Source.MISSING), None)
        if there is not None:
            return there
        buildable = next((found for found in tried if found.program.can_build), tried[-1])
        refused = "; ".join(found.refused for found in tried if found.refused)
        return Found(
            program=buildable.program, source=Source.MISSING, version=buildable.program.version, refused=refused
        )

    def _find_one(self, program: Program) -> Found:
        on_path, refused = self._on_path(program)
        if on_path is not None:
            return on_path
        built = self.built_path(program)
        if program.can_build and built.exists():
            return Found(program=program, source=Source.CACHE, version=program.version, path=built, refused=refused)
        return Found(program=program, source=Source.MISSING, version=program.version, refused=refused)

    def _on_path(self, program: Program) -> tuple[Found | None, str]:
        if not program.on_path:
            return None, ""
        where = shutil.which(program.file_name, path=self.places.path)
        if where is None:
            return None, ""
        path = Path(where)
        version = self._record.ask(path, program=program, environ=self.places.environ)
        if program.accepts(version):
            return Found(program=program, source=Source.PATH, version=version or "", path=path), ""
        wanted = program.accept or f"=={program.version}"
        return None, f"{path} is {version or 'of unknown version'}, wanted {wanted}"

    def built_path(self, program: Program) -> Path:
        """Where the cache has the program, or will have it."""
        return self.places.built(name=program.name, version=program.version, file_name=program.file_name)

    def locate(self, name: str) -> Path:
        """The program's path; Permanent with the next step when it is not there."""
        found = self.find(name)
        if found.path is None:
            why = f" ({found.refused})" if found.refused else ""
            raise Permanent(
                f"{name} {found.version} is not installed{why}",
                stage="tools",
                next_step=f"infraflux tools install {name}" if found.program.can_build else f"put {name} on PATH",
            )
        return found.path

    def provider_mirror(self) -> Path:
        """The filesystem mirror that holds every pinned provider; Permanent when one is missing."""
        for program in self.pins.programs.values():
            if program.provider:
                publish(self.locate(program.name), program=program, mirror=self.places.mirror)
        return self.places.mirror


@lru_cache(maxsize=1)
def this_machine() -> InstalledPrograms:
    """The programs of this machine, with the project's pins."""
    places = Places.of_this_machine()
    return InstalledPrograms(pins=load_pins(places.pins), places=places)


@lru_cache(maxsize=64)
def locate(name: str) -> Path:
    """The path of a pinned program: PATH, then the cache.

    Raises Permanent with the next step `infraflux tools install NAME`. An answer holds for the life of the process.
    """
    return this_machine().locate(name)


def provider_mirror() -> Path:
    """Directory for Terraform's `filesystem_mirror`: `<registry>/<namespace>/<type>/<version>/<os>_<arch>/…`."""
    return this_machine().provider_mirror()
