"""Where Terraform works: an initialised copy of the configuration, and a directory per run.

The copy is named by what is in it, so a plan and its apply use the same files whatever happens to the checkout between
them, and `terraform init` is paid once per change and not once per run.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infraflux.adapters.terraform.cli_config import write_cli_config
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.files import built_once, make_private_dir, write_private

GLOBALS = "globals"
KEPT_COPIES = 3
KEPT_RUNS = 10
_BACKEND = re.compile(r'^\s*backend\s+"([a-z0-9]+)"', re.MULTILINE)
_LEFT_OUT = (".md", ".tfstate", ".backup", ".tfplan")
"""Everything else belongs to the configuration: a module may read any file beside it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The directories of one stack of one environment."""

    source: Path
    """`terraform/` of the project."""
    state: Path
    """Runtime state of this stack: 0700, never committed."""
    environment: str
    name: str
    """`globals`, or the cluster's name."""
    environments: Path | None = None
    """Where `<env>/backend.hcl` is; below `source` where it is not given. A release brings its own modules, but never
    another place for the state."""

    @property
    def stack(self) -> str:
        """Directory below `terraform/`."""
        return GLOBALS if self.name == GLOBALS else "cluster"

    @property
    def local_state(self) -> Path:
        return self.state / "terraform.tfstate"

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    def run(self, run_id: str) -> Path:
        """Directory of one run; ValueError where the id is no plain name."""
        if not re.fullmatch(r"[0-9A-Za-z-]+", run_id):
            raise ValueError(f"{run_id!r} is no run id")
        return self.runs / run_id

    def backend(self) -> tuple[str, str]:
        """Type and text of the environment's backend block."""
        path = (self.environments or self.source / "environments") / self.environment / "backend.hcl"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return "local", 'backend "local" {}\n'
        found = _BACKEND.search(text)
        if found is None:
            raise Permanent(
                f"{path.name} of environment {self.environment} holds no backend block",
                error_class=ErrorClass.CONFIG,
                next_step='write `backend "local" {}` into it',
            )
        return found.group(1), text


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The program, and where its providers come from."""

    binary: Path
    mirror: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Copy:
    """An initialised copy of the configuration."""

    directory: Path
    """Of the stack inside the copy."""
    cli_config: Path


Init = Callable[[Copy], None]


def prepare(place: Place, tool: Tool, *, init: Init) -> Copy:
    """The initialised copy for the configuration as it is now; `init` is called when it has to be made."""
    copies = make_private_dir(place.state / "work")
    target = copies / configuration_digest(place, tool)
    if not target.exists():
        with built_once(target) as building:
            _fill(building, place, tool)
            init(_copy(building, place))
        _prune(copies, keep=KEPT_COPIES, newest=target)
    return _copy(target, place)


def prune_runs(place: Place, *, newest: Path) -> None:
    """Remove the oldest runs; the newest ones stay for an apply that waits for approval."""
    _prune(place.runs, keep=KEPT_RUNS, newest=newest)


def _copy(root: Path, place: Place) -> Copy:
    return Copy(directory=root / "terraform" / place.stack, cli_config=root / "cli.tfrc")


def _fill(target: Path, place: Place, tool: Tool) -> None:
    for relative in _sources(place):
        destination = target / "terraform" / relative
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place.source / relative, destination)
    _, block = place.backend()
    stack = target / "terraform" / place.stack
    write_private(stack / "backend.tf", f"terraform {{\n{block}\n}}\n")
    write_private(stack / "backend.conf", _backend_settings(place))
    write_cli_config(target / "cli.tfrc", mirror=tool.mirror)


def _backend_settings(place: Place) -> str:
    """What tells this stack's state from the others, for `-backend-config=FILE`."""
    kind, _ = place.backend()
    settings = {
        "local": {"path": str(place.local_state)},
        "pg": {"schema_name": f"infraflux_{place.environment}_{place.name}".replace("-", "_")},
        "s3": {"key": f"{place.environment}/{place.name}/terraform.tfstate"},
        # Its one address is given by the block or by TF_HTTP_ADDRESS.
        "http": {},
    }
    if kind not in settings:
        raise Permanent(
            f"backend {kind} of environment {place.environment} is not known",
            error_class=ErrorClass.CONFIG,
            next_step=f"use one of {', '.join(settings)}",
        )
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings[kind].items())


def _sources(place: Place) -> Iterator[Path]:
    for top in ("modules", place.stack):
        for path in sorted((place.source / top).rglob("*")):
            relative = path.relative_to(place.source)
            hidden = any(part.startswith(".") or part == "tests" for part in relative.parts)
            if path.is_file() and not hidden and path.suffix not in _LEFT_OUT:
                yield relative


def configuration_digest(place: Place, tool: Tool) -> str:
    """Of everything that a plan follows from beside its variables, the state and the world: modules, backend, program.

    The provider's version is pinned in the modules.
    """
    digest = hashlib.sha256()
    for relative in _sources(place):
        digest.update(f"{relative}\0".encode() + (place.source / relative).read_bytes() + b"\0")
    kind_and_text = place.backend()
    changed = tool.binary.stat().st_mtime_ns if tool.binary.exists() else 0
    digest.update(repr((kind_and_text, str(tool.binary), changed, str(tool.mirror))).encode())
    return digest.hexdigest()[:16]


def _prune(directory: Path, *, keep: int, newest: Path) -> None:
    others = [path for path in directory.iterdir() if path.is_dir() and path != newest and path.name[0] != "."]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[keep - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
