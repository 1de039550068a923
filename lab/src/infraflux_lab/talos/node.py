"""One machine as its operating system sees it: stage, configuration in force, services, events.

A node holds state and says what it looks like; what happens to it over time is in `lifecycle`.
"""

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from infraflux_lab.contracts import Disk, Machine, NodeFacts
from infraflux_lab.talos.eventlog import EventLog
from infraflux_lab.talos.front import Front
from infraflux_lab.talos.machine_config import STATIC_PODS, MachineConfig, image_version
from infraflux_lab.talos.proto import machine_pb2
from infraflux_lab.talos.store import MachineRecord

_SERVICES = ("apid", "auditd", "containerd", "cri", "dashboard", "kubelet", "machined", "syslogd", "udevd")
_MAINTENANCE_SERVICES = ("apid", "auditd", "containerd", "dashboard", "machined", "syslogd", "udevd")


class Stage(IntEnum):
    """Talos' machine stages; the numbers travel on the wire."""

    OFF = 0
    BOOTING = 1
    INSTALLING = 2
    MAINTENANCE = 3
    RUNNING = 4
    REBOOTING = 5
    SHUTTING_DOWN = 6
    RESETTING = 7
    UPGRADING = 8

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(kw_only=True)
class Service:
    """A system service and what it last reported."""

    id: str
    state: str = "Running"
    healthy: bool = True
    unknown: bool = False
    message: str = "Started"
    changed_s: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line that Talos wrote, and the service that it is about."""

    time_s: float
    service: str
    text: str


def new_node_id() -> str:
    """Discovery identity in the shape Talos gives it."""
    return secrets.token_urlsafe(32)


class Node:
    """State of one machine while its record, its power and its place in a cluster change."""

    def __init__(self, *, machine: Machine, record: MachineRecord) -> None:
        self.machine = machine
        self.record = record
        self.stage = Stage.OFF
        self.config: MachineConfig | None = None
        self.events = EventLog()
        self.services: dict[str, Service] = {}
        self.journal: list[Line] = []
        self.front: Front | None = None
        self.boot_id = ""
        self.config_versions = dict.fromkeys(STATIC_PODS, 1)
        self.reported_uuid = machine.uuid
        self.reported_macs = tuple(nic.mac for nic in machine.nics)
        self.gone = asyncio.Event()
        self.registered = False
        self.apply_lock = asyncio.Lock()
        self.rollback: asyncio.TimerHandle | None = None
        self.next_boot_phase = "boot"
        self._observers: set[Callable[[], None]] = set()

    def __repr__(self) -> str:
        return f"Node({self.key}, {self.stage.name})"

    @property
    def key(self) -> str:
        return self.machine.key

    @property
    def address(self) -> str:
        return self.machine.address or ""

    @property
    def hostname(self) -> str:
        return (self.config.hostname if self.config else None) or self.machine.name

    @property
    def up(self) -> bool:
        """The operating system runs with a configuration."""
        return self.config is not None and self.stage in (Stage.BOOTING, Stage.RUNNING)

    @property
    def answering(self) -> bool:
        """The API port is open."""
        return self.front is not None

    @property
    def busy(self) -> bool:
        """On its way down: nothing more is accepted."""
        return self.stage in (Stage.REBOOTING, Stage.SHUTTING_DOWN, Stage.RESETTING, Stage.UPGRADING)

    @property
    def control_plane(self) -> bool:
        return self.config is not None and self.config.control_plane

    @property
    def system_disk(self) -> Disk | None:
        """The disk made from an image, else the first."""
        disks = self.machine.disks
        return next((disk for disk in disks if disk.image), disks[0] if disks else None)

    @property
    def version(self) -> str:
        return self.record.version

    def facts(self) -> NodeFacts:
        """What Kubernetes is told of this node."""
        config = self.config
        assert config is not None
        return NodeFacts(
            name=self.hostname,
            address=self.address,
            control_plane=config.control_plane,
            machine_key=self.key,
            cores=self.machine.cores,
            memory_mib=self.machine.memory_mib,
            kubelet_version=image_version(config.kubelet_image) or "",
            labels=config.labels,
            taints=config.taints,
            registered_taints=config.registered_taints,
            system_uuid=self.machine.uuid,
            boot_id=self.boot_id,
            os_image=f"Talos ({self.version})",
            images={name: config.component_image(section) for name, section in STATIC_PODS.items()},
            config_versions={name: str(version) for name, version in self.config_versions.items()},
        )

    def take_config(self, config: MachineConfig) -> None:
        """Put a configuration in force; the config resources of the control plane that it changes get a new version."""
        before, self.config = self.config, config
        for name, section in STATIC_PODS.items():
            if before is not None and before.cluster.get(section) != config.cluster.get(section):
                self.config_versions[name] += 1
        self.changed()

    def begin_boot(self) -> None:
        """Everything that lives in memory starts anew."""
        self.boot_id = str(uuid.uuid4())
        self.config_versions = dict.fromkeys(STATIC_PODS, 1)
        self.events = EventLog()
        self.services, self.journal = {}, []
        self.gone = asyncio.Event()
        self.registered = False
        self.set_stage(Stage.BOOTING)

    def start_services(self) -> None:
        """What init starts in this mode; etcd waits for its cluster."""
        names = _SERVICES if self.config else _MAINTENANCE_SERVICES
        for name in names:
            self.set_service(name)
        if self.control_plane:
            self.set_service("trustd")
            self.set_service("etcd", state="Preparing", unknown=True, message="Running pre state")

    def set_service(
        self, name: str, *, state: str = "Running", healthy: bool = True, unknown: bool = False, message: str = ""
    ) -> None:
        """Record a service's state; no change leaves its time stamp alone."""
        wanted = Service(
            id=name,
            state=state,
            healthy=healthy and not unknown,
            unknown=unknown,
            message=message or ("Health check successful" if healthy else "Health check failed"),
        )
        current = self.services.get(name)
        if current and (current.state, current.healthy, current.message) == (state, wanted.healthy, wanted.message):
            return
        self.services[name] = wanted
        self._write(name, f"service[{name}]({state}): {wanted.message}")
        self.changed()

    def drop_service(self, name: str) -> None:
        """A service that is stopped for good, or for a moment, is no resource any more."""
        if self.services.pop(name, None) is not None:
            self.changed()

    def set_stage(self, stage: Stage) -> None:
        """Move on and tell followers."""
        self.stage = stage
        self._write("machined", f"machine is {stage.label}")
        self.report_status()

    def _write(self, service: str, text: str) -> None:
        self.journal.append(Line(time_s=time.time(), service=service, text=text))

    def unmet(self) -> list[tuple[str, str]]:
        """Why the machine is not ready, in Talos' condition names."""
        if self.config is None:
            return []
        down = [service.id for service in self.services.values() if not service.healthy]
        found = [("services", f"{', '.join(sorted(down))} not healthy")] if down else []
        if not self.registered:
            found.append(("nodeReady", "node is not registered in Kubernetes"))
        return found

    @property
    def ready(self) -> bool:
        return self.stage in (Stage.RUNNING, Stage.MAINTENANCE) and not self.unmet()

    def report_status(self) -> None:
        """Emit the stage as an event and wake the watchers."""
        event = machine_pb2.MachineStatusEvent(stage=int(self.stage))
        event.status.ready = self.ready
        for name, reason in self.unmet():
            event.status.unmet_conditions.add(name=name, reason=reason)
        self.events.emit(event)
        self.changed()

    def settle(self) -> None:
        """Finish booting once every service is healthy; report readiness when it changes."""
        healthy = bool(self.services) and all(service.healthy for service in self.services.values())
        if self.stage is Stage.BOOTING and self.config is not None and healthy:
            self.set_stage(Stage.RUNNING)
        elif self.up:
            self.report_status()

    def changed(self) -> None:
        """Wake everything that watches this node's resources."""
        for observer in tuple(self._observers):
            observer()

    def observe(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call back at every change; the answer undoes it."""
        self._observers.add(observer)
        return lambda: self._observers.discard(observer)
