"""What every part of the lab looks like to the daemon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from infraflux_lab.contracts import MachineObserver, PowerControl
from infraflux_lab.events import EventLog
from infraflux_lab.faults import FaultBook
from infraflux_lab.latency import ProfileLatency
from infraflux_lab.pki import Authority
from infraflux_lab.spec import LabSpec
from infraflux_lab.state import LabPaths


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    """One line of `lab status`."""

    name: str
    version: str
    kind: Literal["real", "simulated"]
    endpoint: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LabContext:
    """What parts are made with."""

    spec: LabSpec
    paths: LabPaths
    events: EventLog
    faults: FaultBook
    latency: ProfileLatency
    authority: Authority
    project: Path
    """Directory whose `platform/` and `examples/` the lab's Git serves."""
    programs: Mapping[str, Path]
    """Files of the real programs by name; what is missing is said by the part that needs it."""


class Part(Protocol):
    """Something the daemon starts and stops; started in order, stopped in reverse."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def describe(self) -> Sequence[PartFacts]: ...


class Hypervisor(Part, PowerControl, Protocol):
    """The part that owns machines."""

    def observe(self, observer: MachineObserver) -> None: ...

    def faults_changed(self) -> None: ...

    async def act(self, action: str, *, environment: str, params: Mapping[str, str]) -> Mapping[str, Any]: ...


class GuestSystems(MachineObserver, Protocol):
    """What machines do once they have power: simulated Talos, or real nodes."""

    async def edit_config(self, machine: str, patch: Mapping[str, Any]) -> None:
        """Change a machine's configuration behind everybody's back; KeyError or ValueError where that cannot be."""
