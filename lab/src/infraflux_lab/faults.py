"""Faults to order: one switch each, with a target and a number of times.

A target is `<environment>/<what>`: a VM id, host, storage, task type or `METHOD /path`. Patterns use `*` and `?`.
Kinds are open-ended: each part of the lab takes those it knows.
"""

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from infraflux.core.files import write_whole
from infraflux_lab.contracts import EventSink
from infraflux_lab.state import read_json

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "slow-task": "a task takes `seconds` longer (default 5)",
        "fail-task": "a task fails with `message` before it did anything",
        "fail-task-late": "a task fails with `message` after the work was done",
        "warn-task": "a task ends as `WARNINGS: 1` with `message` in its log",
        "vanish-task": "a task does its work but its status answers `no such task`",
        "vm-lock": "changes to the VM answer `VM is locked (<lock>)` (default backup)",
        "ignores-shutdown": "the guest takes no notice of a shutdown: agent and ACPI alike",
        "storage-full": "nothing more fits on the storage",
        "host-offline": "the host is gone: its calls answer 595, its VMs are dark, HA moves those it manages",
        "http-500": "the API answers 500 with `message`",
        "http-502": "the API answers 502 with `message`",
        "http-596": "the API answers 596 with `message`",
        "http-401": "the API answers 401 with `message`",
        "http-403": "the API answers 403 with `message`",
        "http-slow": "the API answers after `seconds` (default 30)",
        "reply-lost": "the call does its work, then the connection is reset (mutating calls, unless `any=1`)",
        "tls-reset": "the connection is reset before anything is done",
    }
)
"""The kinds the Proxmox simulator takes, with their parameters in backquotes."""
TALOS_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "never-boots": "the machine has power but its Talos API never appears",
        "reboot-never-returns": "the next reboot does not come back",
        "wrong-identity": "Talos reports another machine's UUID or MAC addresses",
        "version-stays-old": "an upgrade ends with the old image running",
        "image-missing": "an image cannot be pulled: no registry has it",
        "installer-fails": "the installer of an upgrade ends with exit code 1 and `message`",
        "expired-client-cert": "client certificates count as expired",
        "apply-refused": "ApplyConfiguration answers InvalidArgument with `message`",
        "bootstrap-race": "Bootstrap does its work but its answer is lost",
    }
)
"""The kinds the Talos emulator takes; the target is the VM id or the machine's name."""
ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "edit-vm": "change options of a VM in place: vm=ID and any Proxmox options (cores=4 tags=a;b), delete=a,b",
        "ha-move": "move a VM to another host as HA does: vm=ID [host=NAME]",
        "create-vm": "a VM nobody here made: [vm=ID] [host=NAME] and any Proxmox options (name=, tags=)",
        "delete-vm": "destroy a VM with its disks: vm=ID",
        "start-vm": "power a VM on: vm=ID",
        "stop-vm": "power a VM off: vm=ID",
        "unlock-vm": "remove the lock a killed task left: vm=ID",
        "edit-config": "change a Talos configuration: machine=NAME or vm=ID, and paths (machine.install.disk=/dev/vda)",
        "delete-volume": "delete a volume whoever uses it: host=NAME volume=VOLID",
    }
)
"""What can be done behind the clients' back, with its parameters."""
STATES = frozenset({"host-offline", "storage-full", "vm-lock"})
"""Kinds that last until cleared unless a number of times is given."""


@dataclass(kw_only=True)
class Fault:
    """One switch. `times` None means until cleared."""

    id: int
    kind: str
    target: str = "*"
    times: int | None = 1
    params: dict[str, str] = field(default_factory=dict)
    hits: int = 0

    def matches(self, kind: str, target: str) -> bool:
        """Whether this fault strikes here and now."""
        spent = self.times is not None and self.hits >= self.times
        return not spent and kind == self.kind and fnmatch.fnmatchcase(target, self.target)


def target_pattern(*, environment: str | None, target: str) -> str:
    """Pattern from what a user typed: `dev` and `10011` become `dev/10011`."""
    first_word = target.split(" ", 1)[0]
    if "/" in first_word and not first_word.startswith("/"):
        return target
    return f"{environment or '*'}/{target}"


class FaultBook:
    """Implements `Faults`; kept in a file so that a killed lab comes back with its faults."""

    def __init__(self, path: Path, events: EventSink) -> None:
        self._path = path
        self._events = events
        self._faults = [Fault(**entry) for entry in read_json(path, [])]

    def add(self, kind: str, *, target: str = "*", times: int | None = 1, params: Mapping[str, str]) -> Fault:
        """Set a switch."""
        number = max((fault.id for fault in self._faults), default=0) + 1
        fault = Fault(id=number, kind=kind, target=target, times=times, params=dict(params))
        self._faults.append(fault)
        self._save()
        self._events.emit("faults", "added", fault=asdict(fault))
        return fault

    def clear(self, number: int | None = None) -> list[Fault]:
        """Clear one fault by its number, or all; returns what was cleared."""
        cleared = [fault for fault in self._faults if number is None or fault.id == number]
        self._faults = [fault for fault in self._faults if fault not in cleared]
        self._save()
        for fault in cleared:
            self._events.emit("faults", "cleared", fault=asdict(fault))
        return cleared

    def list(self) -> list[Fault]:
        """All switches, spent ones too (their hits tell that they struck)."""
        return list(self._faults)

    def active(self, kind: str, target: str) -> Mapping[str, str] | None:
        """Parameters of a fault that is on for this target, without counting it down."""
        fault = next((fault for fault in self._faults if fault.matches(kind, target)), None)
        return fault.params if fault else None

    def take(self, kind: str, target: str) -> Mapping[str, str] | None:
        """Parameters of a fault for this target, counted down; None where there is none."""
        fault = next((fault for fault in self._faults if fault.matches(kind, target)), None)
        if fault is None:
            return None
        fault.hits += 1
        self._save()
        self._events.emit("faults", "struck", id=fault.id, fault=kind, target=target)
        return fault.params

    def take_any(self, kind: str, *targets: str) -> Mapping[str, str] | None:
        """Like `take`, for something that is known by several names."""
        return next((params for target in targets if (params := self.take(kind, target)) is not None), None)

    def _save(self) -> None:
        write_whole(self._path, json.dumps([asdict(fault) for fault in self._faults]).encode())
