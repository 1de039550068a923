"""What every part of the emulator works with: the machines, their records, and the lab around them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infraflux_lab.certificates import KeyPair
from infraflux_lab.contracts import EventSink, Faults, KubernetesHost, Latency, PowerControl
from infraflux_lab.talos.bootstrap_manifests import FetchManifest, nothing_to_fetch
from infraflux_lab.talos.front import Connections
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.store import Store
from infraflux_lab.talos.validation import Validator

SOURCE = "talos"

Schematics = Callable[[str], Sequence[str]]
"""System extensions of an Image Factory schematic id; empty if the id is unknown."""


def no_schematics(_schematic: str) -> Sequence[str]:
    """Used where no image factory can be asked."""
    return ()


class Tasks:
    """Background work of the lab; a failure is reported to the event log instead of being lost."""

    def __init__(self, events: EventSink) -> None:
        self._events = events
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.emit(SOURCE, "task-failed", task=task.get_name(), error=f"{type(error).__name__}: {error}")

    async def stop(self) -> None:
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@dataclass(kw_only=True)
class LabContext:
    """The outside world and the machines in it."""

    store: Store
    power: PowerControl
    kubernetes: KubernetesHost
    events: EventSink
    latency: Latency
    faults: Faults
    connections: Connections
    tasks: Tasks
    validator: Validator
    schematics: Schematics = no_schematics
    fetch_manifest: FetchManifest = nothing_to_fetch
    nodes: dict[str, Node] = field(default_factory=dict)

    def emit(self, kind: str, node: Node, **fields: Any) -> None:
        """Write to the lab's log what happened on a machine."""
        self.events.emit(SOURCE, kind, machine=node.key, name=node.machine.name, **fields)

    def fault(self, kind: str, node: Node) -> Mapping[str, Any] | None:
        """An active fault for this machine, addressed by its key (`dev/10011`) or its name (`dev/cp-1`)."""
        found = self.faults.take(kind, node.key)
        if found is None:
            found = self.faults.take(kind, f"{node.machine.environment}/{node.machine.name}")
        if found is not None:
            self.emit("fault", node, fault=kind)
        return found

    def struck(self, kind: str, node: Node) -> bool:
        """Whether a fault without parameters is on; a fault's parameters may well be empty."""
        return self.fault(kind, node) is not None

    def siblings(self, fingerprint: str) -> list[Node]:
        """Machines whose configuration in force has this OS authority, by name."""
        found = [
            node for node in self.nodes.values() if node.config and node.config.authority_fingerprint == fingerprint
        ]
        return sorted(found, key=lambda node: (node.hostname, node.key))

    def authority(self, fingerprint: str) -> KeyPair | None:
        """Key of an OS authority, once some control plane was given it."""
        for node in self.siblings(fingerprint):
            if node.config and (pair := node.config.authority):
                return pair
        return None

    def find(self, target: str, *, seen_from: Node) -> Node | None:
        """The machine of the same cluster that an address or a host name means."""
        if target in (seen_from.address, seen_from.hostname):
            return seen_from
        if seen_from.config is None:
            return None
        siblings = self.siblings(seen_from.config.authority_fingerprint)
        return next((node for node in siblings if target in (node.address, node.hostname)), None)
