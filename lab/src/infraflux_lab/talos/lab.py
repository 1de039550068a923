"""The emulator as the rest of the lab sees it."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from infraflux_lab.contracts import EventSink, Faults, KubernetesHost, Latency, Machine, PowerControl
from infraflux_lab.talos.api_cluster import ClusterApi
from infraflux_lab.talos.api_cosi import CosiApi
from infraflux_lab.talos.api_day2 import Day2Api
from infraflux_lab.talos.api_etcd import EtcdApi
from infraflux_lab.talos.api_lifecycle import LifecycleApi
from infraflux_lab.talos.api_machine import MachineApi
from infraflux_lab.talos.api_storage import StorageApi
from infraflux_lab.talos.bootstrap_manifests import FetchManifest, nothing_to_fetch
from infraflux_lab.talos.cluster import Clusters
from infraflux_lab.talos.context import LabContext, Schematics, Tasks, no_schematics
from infraflux_lab.talos.front import Connections
from infraflux_lab.talos.gateway import Router
from infraflux_lab.talos.lifecycle import Lifecycle
from infraflux_lab.talos.machine_config import merged
from infraflux_lab.talos.methods import method_table
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.store import Store
from infraflux_lab.talos.validation import Validator

# Snapshots and machine configs are larger than gRPC's default of 4 MiB in one message only in theory.
_MAX_MESSAGE_BYTES = 32 * 1024 * 1024
TALOS_API_VERSION = "v1.13"


class TalosLab:
    """Answers for the operating system of every powered-on machine; implements `MachineObserver`."""

    def __init__(
        self,
        *,
        state_dir: Path,
        power: PowerControl,
        kubernetes: KubernetesHost,
        events: EventSink,
        latency: Latency,
        faults: Faults,
        talosctl: Path | None = None,
        schematics: Schematics = no_schematics,
        fetch_manifest: FetchManifest = nothing_to_fetch,
        count: Callable[[str, str], None] = lambda _environment, _path: None,
    ) -> None:
        """`talosctl` judges machine configs; `fetch_manifest` answers for URLs of manifests.

        `count` is told the environment and the method of every call.
        """
        self._count = count
        # Unix socket paths are limited to about 100 characters; the state directory may be longer.
        self._runtime = tempfile.TemporaryDirectory(prefix="infraflux-talos-")
        self._context = LabContext(
            store=Store(state_dir / "talos"),
            power=power,
            kubernetes=kubernetes,
            events=events,
            latency=latency,
            faults=faults,
            connections=Connections(Path(self._runtime.name) / "grpc.sock"),
            tasks=Tasks(events),
            validator=Validator(talosctl),
            schematics=schematics,
            fetch_manifest=fetch_manifest,
        )
        self._clusters = Clusters(self._context)
        self._lifecycle = Lifecycle(self._context, self._clusters)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Begin to serve; machines appear when they are powered on."""
        context, clusters, lifecycle = self._context, self._clusters, self._lifecycle
        methods = method_table(
            machine=MachineApi(context, clusters, lifecycle),
            lifecycle=LifecycleApi(context, clusters, lifecycle),
            etcd=EtcdApi(context, clusters),
            cosi=CosiApi(context, clusters),
            storage=StorageApi(),
            day2=Day2Api(context, clusters),
            cluster=ClusterApi(clusters),
        )
        options = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)]
        self._server = grpc.aio.server(options=options)
        router = Router(
            methods,
            origin=self._origin,
            find=lambda name, node: context.find(name, seen_from=node),
            count=self._count,
        )
        self._server.add_generic_rpc_handlers((router,))
        self._server.add_insecure_port(f"unix:{context.connections.socket_path}")
        await self._server.start()

    async def stop(self) -> None:
        """Close every port; what is on the machines' disks stays."""
        await self._context.tasks.stop()
        for node in self._context.nodes.values():
            node.gone.set()
            if node.front:
                await node.front.close()
                node.front = None
        if self._server is not None:
            await self._server.stop(grace=None)
        self._runtime.cleanup()

    def _origin(self, peer: str) -> tuple[Node, frozenset[str]] | None:
        connection = self._context.connections.find(peer)
        node = self._context.nodes.get(connection.machine) if connection else None
        return (node, connection.roles) if connection and node else None

    # MachineObserver

    async def powered_on(self, machine: Machine) -> None:
        """A machine got power: it boots, into maintenance unless its disk holds a configuration."""
        await self._lifecycle.powered_on(machine)

    async def powered_off(self, machine: Machine) -> None:
        """A machine lost power: its port closes, its cluster reacts."""
        await self._lifecycle.powered_off(machine)

    async def deleted(self, machine: Machine) -> None:
        """A machine and its disks are gone."""
        await self._lifecycle.deleted(machine)

    # Control

    async def edit_config(self, machine: str, patch: Mapping[str, Any]) -> None:
        """Change a machine's configuration behind everybody's back (drift).

        `machine` is a key (`dev/10011`) or a name, with or without its environment; `patch` is merged into the
        v1alpha1 document, None deletes. KeyError for an unknown machine, ConfigError (a ValueError) for a patch that
        Talos would refuse.
        """
        node = next((node for node in self._context.nodes.values() if machine in _names(node)), None)
        if node is None or node.config is None:
            raise KeyError(f"no configured machine {machine}")
        config, _ = await self._context.validator.accept(merged(node.config, patch), talos_version=node.version)
        node.record.config = config.raw.decode()
        self._context.store.save_machine(node.record)
        self._context.emit("config-edited", node, keys=sorted(patch))
        await self._lifecycle.configured(node, config)

    def describe(self) -> dict[str, Any]:
        """What this part of the lab is and what it holds, for `lab status`."""
        return {
            "component": "talos",
            "simulated": True,
            "version": TALOS_API_VERSION,
            "validates": self._context.validator.complete,
            "machines": [_describe_node(node) for node in self._context.nodes.values()],
            "clusters": [
                {"id": cluster.id, "running": cluster.running, "members": [member.name for member in cluster.members]}
                for cluster in self._clusters.all()
            ],
        }


def _names(node: Node) -> tuple[str, ...]:
    return node.key, node.machine.name, f"{node.machine.environment}/{node.machine.name}"


def _describe_node(node: Node) -> dict[str, Any]:
    return {
        "machine": node.key,
        "name": node.hostname,
        "address": node.address,
        "stage": node.stage.label,
        "ready": node.ready,
        "version": node.version,
        "type": node.config.kind if node.config else None,
    }
