"""The Terraform state of one stack: what it knows, versioned backups, and proof that it never went back.

After every run that may have written, the lineage and serial are recorded and the state is copied. A state that is
missing, cut off, older or of another lineage than the record is refused before anything is planned: planning on it
would make every machine a second time.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infraflux.adapters.terraform.plan import VM_TYPE
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.files import write_private

KEPT_BACKUPS = 30
_BACKUP_NAME = re.compile(r"^(\d+)-.*\.tfstate$")


class StateRefused(Permanent):
    """The state is not the one that the last run left behind."""

    default_class = ErrorClass.CONFLICT


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A VM as the state knows it."""

    name: str
    vm_id: int
    host: str
    address: str
    """Resource address, for example `module.machines.module.node["dev-1-cp-1"].proxmox_virtual_environment_vm.this`."""


@dataclass(frozen=True, kw_only=True)
class StateHead:
    """What a state says of itself."""

    lineage: str
    serial: int
    machines: tuple[Machine, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    resources: int = 0


@dataclass(frozen=True, kw_only=True)
class StateRecord:
    """Lineage and serial after the last run."""

    lineage: str
    serial: int


def parse_state(text: str) -> StateHead:
    """Read a state document; StateRefused where it is cut off or no state."""
    try:
        document = json.loads(text)
        resources = document.get("resources") or []
        return StateHead(
            lineage=str(document["lineage"]),
            serial=int(document["serial"]),
            machines=tuple(_machines(resources)),
            outputs={name: output.get("value") for name, output in (document.get("outputs") or {}).items()},
            resources=sum(
                len(one.get("instances") or ()) for one in resources if one.get("mode", "managed") == "managed"
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateRefused("the Terraform state is damaged: it is no complete state document") from error


def head_of(text: str | None) -> StateHead | None:
    """What a state document says, None where there is none; a remote backend answers an empty one until then."""
    head = parse_state(text) if text else None
    return head if head and head.lineage else None


def judge_state(head: StateHead | None, record: StateRecord | None) -> str:
    """What is wrong with the state that was found, given the last record; empty where nothing is."""
    if record is None:
        return ""
    if head is None:
        return f"the Terraform state is missing; the last run left serial {record.serial}"
    if head.lineage != record.lineage:
        return f"the Terraform state has lineage {head.lineage}; the last run left {record.lineage}"
    if head.serial < record.serial:
        return f"the Terraform state is at serial {head.serial}; the last run left {record.serial}"
    return ""


class StateArchive:
    """Record and backups of one stack, beside its state."""

    def __init__(self, directory: Path) -> None:
        self._record = directory / "record.json"
        self._backups = directory / "backups"

    def record(self) -> StateRecord | None:
        """What the last run left; None before the first."""
        try:
            return StateRecord(**json.loads(self._record.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StateRefused(f"{self._record.name} of the Terraform state is damaged") from error

    def keep(self, text: str) -> StateHead:
        """Record and back up a state that a run just left; an older serial than the record is refused."""
        head = parse_state(text)
        wrong = judge_state(head, self.record())
        if wrong:
            raise StateRefused(wrong)
        if self._newest_serial() != head.serial:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            write_private(self._backups / f"{head.serial:08d}-{stamp}.tfstate", text)
            for old in self.backups()[KEPT_BACKUPS:]:
                old.unlink(missing_ok=True)
        write_private(self._record, json.dumps(asdict(StateRecord(lineage=head.lineage, serial=head.serial))))
        return head

    def forget(self) -> None:
        """Accept whatever state is there next: only for a state that was lost for good."""
        self._record.unlink(missing_ok=True)

    def backups(self) -> list[Path]:
        """All backups, newest first."""
        found = (path for path in self._backups.glob("*.tfstate") if _BACKUP_NAME.match(path.name))
        return sorted(found, key=lambda path: path.name, reverse=True)

    def newest(self) -> str | None:
        """The newest backup that is whole and of the recorded lineage and serial, or later."""
        for path in self.backups():
            text = path.read_text()
            try:
                head = parse_state(text)
            except StateRefused:
                continue
            if not judge_state(head, self.record()):
                return text
        return None

    def _newest_serial(self) -> int | None:
        newest = next(iter(self.backups()), None)
        match = _BACKUP_NAME.match(newest.name) if newest else None
        return int(match.group(1)) if match else None


def _machines(resources: list[dict[str, Any]]) -> list[Machine]:
    found = []
    for resource in resources:
        if resource.get("type") != VM_TYPE or resource.get("mode", "managed") != "managed":
            continue
        for instance in resource.get("instances") or ():
            attributes = instance["attributes"]
            prefix = f"{resource['module']}." if resource.get("module") else ""
            found.append(
                Machine(
                    name=attributes["name"],
                    vm_id=int(attributes["vm_id"]),
                    host=attributes["node_name"],
                    address=f"{prefix}{VM_TYPE}.{resource['name']}",
                )
            )
    return sorted(found, key=lambda machine: machine.vm_id)


def known_machines(state: str | None) -> dict[int, str]:
    """Name by VM id of every machine in a state document."""
    return {machine.vm_id: machine.name for machine in parse_state(state).machines} if state else {}
