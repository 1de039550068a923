"""The pin list `tools/pins.yaml`, typed: which outside programs, in which version, built from what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux.core.errors import ErrorClass, Permanent

Group = Literal["up", "real", "test", "all", "talos-real"]


class Pinned(BaseModel):
    """Frozen, and unknown keys are refused: a typing error in a pin must not pass for a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Probe(Pinned):
    """How a program is asked its version."""

    arguments: tuple[str, ...] = ()
    pattern: str = ""
    """Regular expression; its first group is the version."""
    build_info: str = ""
    """Instead of asking: the Go module whose version the Go toolchain reads out of the binary."""

    def read(self, output: str) -> str | None:
        """The version in what the program printed; None when it is not there."""
        found = re.search(self.pattern, output)
        return found.group(1) if found else None


class Files(Pinned):
    """Files that a program's Go module carries beside its source."""

    module: str
    """Path of the Go module."""
    take: tuple[str, ...]
    """Paths inside it; each is kept as `files/<name>`."""


class Program(Pinned):
    """One outside program."""

    name: str
    summary: str
    version: str = ""
    accept: str = ""
    """Version specifier for a program found on PATH; empty means exactly `version`."""
    command: str = ""
    """File name, where it differs from the name."""
    on_path: bool = True
    groups: frozenset[Group] = frozenset()
    module: str = ""
    package: str = ""
    symbols: dict[str, str] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    """Go build tags."""
    files: Files | None = None
    """What of the module's own files is kept beside the program."""
    probe: Probe = Probe()
    provider: str = ""
    """`namespace/type` of a Terraform provider: installed into the provider mirror as well."""
    any_of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.any_of:
            return self
        if not self.version:
            raise ValueError(f"{self.name}: version is missing")
        if bool(self.module) != bool(self.package):
            raise ValueError(f"{self.name}: module and package go together")
        if not (self.probe.pattern or self.probe.build_info):
            raise ValueError(f"{self.name}: probe says nothing about how to ask the version")
        return self

    @property
    def file_name(self) -> str:
        """Name of the executable."""
        return self.command or self.name

    @property
    def can_build(self) -> bool:
        """Whether there is a Go module to build it from."""
        return bool(self.package)

    def accepts(self, version: str | None) -> bool:
        """Whether a program of this version, found on PATH, will do."""
        if version is None:
            return False
        if not self.accept:
            return version == self.version
        from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - few programs are looked for by a range
        from packaging.version import InvalidVersion, Version  # noqa: PLC0415

        try:
            # A vendor's suffix ("1.33.2-gke.1") is no part of the comparison.
            return Version(version.split("-", 1)[0].split("+", 1)[0]) in SpecifierSet(self.accept)
        except InvalidVersion:
            return False


class GoPin(Pinned):
    """Which Go builds the programs."""

    minimum: str
    requirements: str


class Pins(Pinned):
    """The whole list, in build order."""

    directory: Path
    """Where pins.yaml and the modules are."""
    go: GoPin
    programs: dict[str, Program]

    @field_validator("programs", mode="before")
    @classmethod
    def _named(cls, value: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        return {name: {**fields, "name": name} for name, fields in value.items()}

    @model_validator(mode="after")
    def _alternatives_exist(self) -> Self:
        for program in self.programs.values():
            for name in program.any_of:
                if name not in self.programs or self.programs[name].any_of:
                    raise ValueError(f"{program.name}: any_of names {name}, which is no program of its own")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names in build order."""
        return tuple(self.programs)

    def get(self, name: str) -> Program:
        """The program; Permanent with the known names when there is none."""
        if name not in self.programs:
            raise Permanent(
                f"no outside program is called {name!r}; known: {', '.join(self.names)}",
                stage="tools",
                next_step="infraflux tools list",
            )
        return self.programs[name]

    def select(self, *, names: Iterable[str] = (), group: Group | None = None) -> list[Program]:
        """The named programs and those of the group, in build order; everything when neither is given."""
        wanted = {self.get(name).name for name in names}
        if group == "all" or (group is None and not wanted):
            # Real Talos nodes need root and packages of the distribution: who wants them says so.
            wanted |= {
                program.name
                for program in self.programs.values()
                if (program.can_build or program.any_of) and program.groups != {"talos-real"}
            }
        elif group is not None:
            wanted |= {program.name for program in self.programs.values() if group in program.groups}
        return [program for program in self.programs.values() if program.name in wanted]

    def recipe(self, program: Program) -> str:
        """Digest of what a build is made from: pin, module, checksums, our own code; another one: build again."""
        module = self.directory / program.module
        said = program.model_dump_json(include={"version", "package", "symbols"})
        # What most pins do not say is left out, so that a new field builds nothing again.
        said += program.model_dump_json(include={"tags", "files"}, exclude_defaults=True).removeprefix("{}")
        digest = sha256(said.encode())
        for part in (module / "go.mod", module / "go.sum", *sorted(module.rglob("*.go"))):
            digest.update(sha256(part.read_bytes()).digest())
        return digest.hexdigest()[:16]


def load_pins(directory: Path) -> Pins:
    """Read `directory/pins.yaml`; Permanent (config) when it is not there or not valid."""
    path = directory / "pins.yaml"
    try:
        data = YAML(typ="safe").load(path.read_text())
        return Pins(directory=directory, **data)
    except FileNotFoundError:
        problem = "it does not exist"
    except (YAMLError, TypeError) as error:
        problem = f"it is not valid YAML: {' '.join(str(error).split())}"
    except ValidationError as error:
        problem = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    raise Permanent(f"{path} cannot be used: {problem}", stage="tools", error_class=ErrorClass.CONFIG)
