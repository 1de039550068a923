"""A whole project of its own, with a lab of its own addresses below it."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxmoxer import ProxmoxAPI
from ruamel.yaml import YAML

from infraflux.config.load import Fleet
from infraflux.operations.machines import Machines, open_machines
from infraflux_lab import control, lifecycle
from infraflux_lab.events import read_events
from infraflux_lab.state import LabPaths, lab_paths

REPOSITORY = Path(__file__).parents[2]
PARTS = ("config", "clusters", "terraform", "platform")
SHIPPED_NET = "127.77"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A checkout with a running lab."""

    root: Path
    net: str
    program: str = "terraform"
    """Which one plans and applies; `terraform` is whichever is there."""

    @property
    def lab(self) -> LabPaths:
        return lab_paths(self.root / ".infraflux" / "lab")

    def machines(self, key: str) -> Machines:
        fleet = Fleet.load(self.root)
        return open_machines(fleet.cluster(key), root=self.root, fleet=fleet, program=self.program)

    def edit(self, name: str, change: Callable[[Any], None]) -> None:
        """Change one YAML file of the project."""
        yaml = YAML()
        path = self.root / name
        document = yaml.load(path)
        change(document)
        yaml.dump(document, path)

    def token(self, environment: str) -> str:
        return (self.lab.credentials / f"{environment}.token").read_text().strip()

    def client(self, environment: str, number: int) -> ProxmoxAPI:
        return ProxmoxAPI(
            f"{self.net}.{number}.2:8006",
            user="infraflux@pve",
            token_name=environment,
            token_value=self.token(environment),
            verify_ssl=str(self.lab.ca_certificate),
            timeout=20,
        )

    def ask(self, op: str, **fields: Any) -> Any:
        return control.call(self.lab.socket, op, **fields)

    def fault(
        self, kind: str, *, environment: str = "dev", target: str = "*", times: int | None = None, **params: str
    ) -> None:
        self.ask("fault-add", kind=kind, environment=environment, target=target, times=times, params=params)

    def act(self, action: str, *, environment: str = "dev", **params: str) -> None:
        self.ask("act", action=action, environment=environment, params=params)

    def restart_lab(self, change: Callable[[Any], None]) -> None:
        """Start the lab again with another specification; it reads its file only then."""
        self.edit("config/lab.yaml", change)
        lifecycle.down(self.lab.root)
        lifecycle.up(spec_path=self.root / "config" / "lab.yaml", state_dir=self.lab.root)

    def vms(self, environment: str, number: int) -> dict[int, str]:
        """Name by id of every VM there is."""
        rows = self.client(environment, number).cluster.resources.get(type="vm")
        return {row["vmid"]: row["name"] for row in rows}

    def writes(self) -> int:
        return sum(row["count"] for row in self.ask("requests") if row["mutating"])

    def events(self, **wanted: Any) -> list[Mapping[str, Any]]:
        return list(read_events(self.lab.events, **wanted))


@contextmanager
def project_with_lab(
    root: Path,
    *,
    parts: Sequence[str] = PARTS,
    change: Callable[[Project], None] = lambda _project: None,
    programs: Mapping[str, Path] | None = None,
) -> Iterator[Project]:
    """A copy of the repository's data at `root`, changed, with its lab running; the lab is gone afterwards.

    Addresses are below `127.<INFRAFLUX_TEST_OCTET>`, so that several can run side by side.
    """
    net = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"
    for part in parts:
        shutil.copytree(
            REPOSITORY / part, root / part, ignore=shutil.ignore_patterns(".terraform", ".terraform.lock.hcl")
        )
    for path in (*(root / "config").rglob("*.yaml"), *(root / "clusters").rglob("*.yaml")):
        path.write_text(path.read_text().replace(SHIPPED_NET, net))
    project = Project(root=root, net=net)
    change(project)
    lifecycle.up(spec_path=root / "config" / "lab.yaml", state_dir=project.lab.root, programs=programs)
    try:
        yield project
    finally:
        lifecycle.reset(project.lab.root)
