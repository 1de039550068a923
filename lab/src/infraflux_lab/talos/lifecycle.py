"""What happens to a machine over time: power, boot, reboot, upgrade, reset."""

import asyncio
import ssl
import uuid

from infraflux_lab.certificates import KeyPair
from infraflux_lab.contracts import Machine
from infraflux_lab.talos import pki
from infraflux_lab.talos.cluster import Clusters
from infraflux_lab.talos.config_loading import parse
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.errors import TalosError, failed_precondition
from infraflux_lab.talos.eventlog import new_actor
from infraflux_lab.talos.front import Front
from infraflux_lab.talos.machine_config import MachineConfig, image_schematic, image_version, mapping, without
from infraflux_lab.talos.node import Node, Stage, new_node_id
from infraflux_lab.talos.proto import common_pb2, machine_pb2
from infraflux_lab.talos.store import MachineRecord

# Boots when neither the image's name nor an installer says which version is in it.
DEFAULT_VERSION = "v1.13.9"
# The answer and the last events must leave before the port closes; a real machine stops services for longer.
GRACE_S = 0.3
# A tracker opens its event stream while its call is under way. On a real machine seconds of draining pass before the
# event it waits for; here it would be over before anybody listens.
LISTEN_S = 1.0
# Reads like a real one: whoever talks to maintenance mode may look, and push a configuration.
MAINTENANCE_ROLES = frozenset({"os:reader"})
_IMPOSTOR = uuid.UUID("5f0bcf6e-6f6e-4d1c-9a0e-7b1f3f0f7a11")


def reported_identity(machine: Machine, fault: dict[str, object]) -> tuple[str, tuple[str, ...]]:
    """UUID and MAC addresses of another machine: what the fault says, else derived so that they are stable."""
    other = str(fault.get("uuid") or uuid.uuid5(_IMPOSTOR, machine.key))
    digits = uuid.uuid5(_IMPOSTOR, other).hex
    mac = str(fault.get("mac") or "02:" + ":".join(digits[at : at + 2] for at in range(0, 10, 2)))
    return other, (mac, *(nic.mac for nic in machine.nics[1:]))


class Lifecycle:
    """Carries out the life cycle of all machines."""

    def __init__(self, context: LabContext, clusters: Clusters) -> None:
        self._context = context
        self._clusters = clusters
        self._boots: dict[str, asyncio.Task[None]] = {}

    # Power

    async def powered_on(self, machine: Machine) -> None:
        """Begin to boot; returns at once."""
        node = self._context.nodes.get(machine.key)
        if node is None:
            node = Node(machine=machine, record=self._context.store.machine(machine.key))
            self._context.nodes[machine.key] = node
        elif node.stage is not Stage.OFF:
            await self._down(node)
        node.machine = machine
        self._match_disk(node)
        self._boots[node.key] = self._context.tasks.spawn(f"boot {node.key}", self._boot(node))

    async def powered_off(self, machine: Machine) -> None:
        """Everything the machine did ends; its cluster finds out."""
        if node := self._context.nodes.get(machine.key):
            # A reset has taken the configuration from the disk: the cluster it was in is to find out all the same.
            before = node.config
            await self._down(node)
            self._clusters.reconcile_later(before)

    async def deleted(self, machine: Machine) -> None:
        """The machine and its disks are gone for good."""
        node = self._context.nodes.get(machine.key)
        record = node.record if node else self._context.store.machine(machine.key)
        config = node.config if node else None
        if node is not None:
            await self._down(node)
        self._context.nodes.pop(machine.key, None)
        self._context.store.forget_machine(machine.key)
        self._clusters.reconcile_later(config)
        self._data_lost(record, config)

    async def _down(self, node: Node) -> None:
        if boot := self._boots.pop(node.key, None):
            boot.cancel()
            await asyncio.gather(boot, return_exceptions=True)
        if node.rollback:
            node.rollback.cancel()
            node.rollback = None
        node.stage = Stage.OFF
        node.registered = False
        node.gone.set()
        if front := node.front:
            node.front = None
            await front.close()
        # What a try-mode configuration changed was in memory only.
        node.config = parse(node.record.config.encode()) if node.record.config else None
        node.changed()
        self._context.emit("powered-off", node)

    def _match_disk(self, node: Node) -> None:
        """Another generation of the system disk means that whatever was installed is gone."""
        disk = node.system_disk
        generation = disk.generation if disk else ""
        if node.record.version and node.record.disk_generation == generation:
            return
        lost, config = node.record, node.config
        image = (disk.image if disk else None) or ""
        node.record = MachineRecord(
            key=node.key, disk_generation=generation, version=image_version(image) or DEFAULT_VERSION, image=image
        )
        node.config = None
        self._context.store.save_machine(node.record)
        self._data_lost(lost, config)

    def _data_lost(self, record: MachineRecord, config: MachineConfig | None) -> None:
        if not record.etcd_data:
            return
        if config is None and record.config:
            config = parse(record.config.encode())
        if config is not None:
            cluster = self._clusters.get(config.cluster_id)
            self._context.tasks.spawn(f"data-lost {record.key}", cluster.data_lost(record.key))

    # Boot

    async def _boot(self, node: Node) -> None:
        phase, node.next_boot_phase = node.next_boot_phase, "boot"
        if self._context.struck("never-boots", node):
            return
        if phase != "boot" and self._context.struck("reboot-never-returns", node):
            return
        await self._context.latency.sleep(phase)
        self._take_identity(node)
        self._take_upgrade(node)
        node.config = parse(node.record.config.encode()) if node.record.config else None
        node.begin_boot()
        node.start_services()
        self._context.emit("booted", node, version=node.version, configured=node.config is not None, phase=phase)
        if node.config is None:
            await self._open_maintenance(node)
            node.set_stage(Stage.MAINTENANCE)
            return
        await self._open_waiting(node.config.authority_fingerprint)
        await self._clusters.of(node).reconcile()

    def _take_identity(self, node: Node) -> None:
        fault = self._context.fault("wrong-identity", node)
        if fault is None:
            node.reported_uuid = node.machine.uuid
            node.reported_macs = tuple(nic.mac for nic in node.machine.nics)
        else:
            node.reported_uuid, node.reported_macs = reported_identity(node.machine, dict(fault))

    def _take_upgrade(self, node: Node) -> None:
        """Boot what the installer wrote, if it wrote something."""
        image = node.record.next_image
        if image is None:
            return
        version = image_version(image) or node.record.version
        # An A/B system: the image that does not come up is left, and the one before boots again.
        other = (version, image_schematic(image)) != (node.record.version, image_schematic(node.record.image))
        stays = other and self._context.struck("version-stays-old", node)
        if not stays:
            node.record.version, node.record.image = version, image
        node.record.next_image = None
        self._context.store.save_machine(node.record)

    async def _open_maintenance(self, node: Node) -> None:
        if not node.address:
            self._context.emit("no-address", node)
            return
        pair = pki.maintenance_certificate([node.address])
        await self._open(node, context=pki.server_context(pair, client_authority=None), roles=MAINTENANCE_ROLES)

    async def _open_waiting(self, fingerprint: str) -> None:
        """Open the ports of a cluster's machines, as far as a key to sign their certificates is known.

        Workers hold the authority's certificate only; theirs is signed once some control plane was configured.
        """
        authority = self._context.authority(fingerprint)
        for node in self._context.siblings(fingerprint):
            if not node.up or node.answering:
                continue
            if authority is None:
                self._context.emit("waiting-for-trustd", node)
            elif node.address:
                await self._open_running(node, authority)

    async def _open_running(self, node: Node, authority: KeyPair) -> None:
        assert node.config is not None
        names = [node.hostname, *(name for name in node.config.cert_sans if not _is_address(name))]
        addresses = [node.address, *(name for name in node.config.cert_sans if _is_address(name))]
        if node.config.vip:
            addresses.append(node.config.vip)
        pair = pki.server_certificate(authority, addresses=addresses, names=names)
        context = pki.server_context(pair, client_authority=node.config.authority_certificate)

        def choose(tls: object, _name: object, _context: object) -> None:
            # Asked at every handshake, so that the fault strikes at once and stops at once.
            if self._context.struck("expired-client-cert", node):
                expired = pki.expired_authority(authority)
                tls.context = pki.server_context(pair, client_authority=expired)  # type: ignore[attr-defined]

        context.sni_callback = choose
        await self._open(node, context=context, roles=frozenset())

    async def _open(self, node: Node, *, context: ssl.SSLContext, roles: frozenset[str]) -> None:
        front = Front(
            machine=node.key, address=node.address, context=context, connections=self._context.connections, roles=roles
        )
        try:
            await front.open()
        except OSError as error:
            self._context.emit("port-refused", node, address=node.address, error=str(error))
            return
        node.front = front
        self._context.emit("api-open", node, mode="maintenance" if roles else "running")

    # Actions of the API

    def require_idle(self, node: Node) -> None:
        """Refuse a second action while one is under way."""
        if node.busy:
            raise failed_precondition("locked: another sequence is already running")

    def reboot(self, node: Node, *, stage: Stage = Stage.REBOOTING, phase: str = "reboot") -> str:
        """Go down and come back; returns the actor's id before anything happens.

        No SequenceEvent `reboot` is sent: a tracker that sees one reconnects after a second and then waits for the
        connection to break, by when a machine of the lab may long be back.
        """
        self.require_idle(node)
        actor = new_actor()
        node.set_stage(stage)
        for name in ("cleanup", "stopServices"):
            node.events.emit(machine_pb2.PhaseEvent(phase=name), actor_id=actor)
        self._context.tasks.spawn(f"reboot {node.key}", self._reboot(node, phase=phase))
        return actor

    async def _reboot(self, node: Node, *, phase: str) -> None:
        await asyncio.sleep(GRACE_S)
        node.next_boot_phase = phase
        await self._context.power.guest_reboot(node.key)

    def shutdown(self, node: Node) -> str:
        """Power off from inside."""
        self.require_idle(node)
        actor = new_actor()
        node.set_stage(Stage.SHUTTING_DOWN)
        node.events.emit(
            machine_pb2.SequenceEvent(sequence="shutdown", action=machine_pb2.SequenceEvent.START), actor_id=actor
        )
        self._context.tasks.spawn(f"shutdown {node.key}", self._shutdown(node))
        return actor

    async def _shutdown(self, node: Node) -> None:
        await asyncio.sleep(GRACE_S)
        await self._context.power.guest_shutdown(node.key)

    def install(self, node: Node, config: MachineConfig) -> None:
        """Write a first configuration and the system it names to disk, then boot it."""
        record = node.record
        record.config = config.raw.decode()
        record.node_id = new_node_id()
        if config.installer_image and image_version(config.installer_image):
            record.next_image = config.installer_image
        self._context.store.save_machine(record)
        self._context.emit("config-installed", node, type=config.kind)
        self.reboot(node, stage=Stage.INSTALLING, phase="config-install-reboot")

    def stage_upgrade(self, node: Node, image: str) -> None:
        """The installer has written a new system; it boots next time."""
        node.record.next_image = image
        self._context.store.save_machine(node.record)
        self._context.emit("upgrade-staged", node, image=image)

    def reset(self, node: Node, request: machine_pb2.ResetRequest) -> str:
        """Wipe, then reboot or power off; a control plane leaves etcd first if asked to be graceful."""
        self.require_idle(node)
        actor = new_actor()
        before = node.stage
        node.set_stage(Stage.RESETTING)
        self._context.tasks.spawn(f"reset {node.key}", self._reset(node, request, actor=actor, before=before))
        return actor

    async def _reset(self, node: Node, request: machine_pb2.ResetRequest, *, actor: str, before: Stage) -> None:
        await asyncio.sleep(LISTEN_S)
        sequence = machine_pb2.SequenceEvent(sequence="reset", action=machine_pb2.SequenceEvent.START)
        node.events.emit(sequence, actor_id=actor)
        if request.graceful and node.control_plane and node.record.etcd_data:
            node.events.emit(machine_pb2.TaskEvent(task="leaveEtcd"), actor_id=actor)
            # The machine still counts as a living member while it asks to leave.
            node.stage = Stage.RUNNING
            try:
                await self._clusters.of(node).leave(node)
            except TalosError as error:
                self._reset_failed(node, error, actor=actor, before=before)
                return
            node.stage = Stage.RESETTING
        node.events.emit(machine_pb2.TaskEvent(task="stopAllServices"), actor_id=actor)
        await self._context.latency.sleep("reset")
        await asyncio.sleep(GRACE_S)
        await self._wipe(node, request)
        if request.reboot:
            node.next_boot_phase = "reboot"
            await self._context.power.guest_reboot(node.key)
        else:
            await self._context.power.guest_shutdown(node.key)

    def _reset_failed(self, node: Node, error: TalosError, *, actor: str, before: Stage) -> None:
        node.set_stage(before)
        node.events.emit(
            machine_pb2.SequenceEvent(
                sequence="reset",
                action=machine_pb2.SequenceEvent.NOOP,
                error=common_pb2.Error(message=f"failed to leave cluster: {error.message}"),
            ),
            actor_id=actor,
        )
        self._context.emit("reset-failed", node, error=error.message)

    async def _wipe(self, node: Node, request: machine_pb2.ResetRequest) -> None:
        if request.mode == machine_pb2.ResetRequest.USER_DISKS:
            return
        labels = {part.label for part in request.system_partitions_to_wipe if part.wipe}
        whole = not request.system_partitions_to_wipe
        lost, config, record = node.record, node.config, node.record
        if whole or "EPHEMERAL" in labels:
            lost = MachineRecord(key=record.key, etcd_data=record.etcd_data, config=record.config)
            record.etcd_data = False
        if whole or "STATE" in labels:
            record.config, record.node_id, node.config = None, "", None
        self._context.store.save_machine(record)
        self._data_lost(lost, config)
        self._context.emit("wiped", node, partitions=sorted(labels) or "all")
        if whole and (disk := node.system_disk):
            await self._context.power.guest_wipe_disk(node.key, disk.interface)

    # Configuration of a running machine

    async def configured(self, node: Node, config: MachineConfig) -> None:
        """Put a configuration in force on a running machine and let everything that depends on it follow."""
        before = node.config
        node.take_config(config)
        if before and before.machine.get("kubelet") != config.machine.get("kubelet"):
            self._context.tasks.spawn(f"kubelet {node.key}", self._restart_kubelet(node))
        cluster = self._clusters.of(node)
        if before and cluster.record.home == node.key and _control_plane_changed(before, config):
            await cluster.restart()
        else:
            await cluster.reconcile()

    async def _restart_kubelet(self, node: Node) -> None:
        """Talos ends the service, which takes it off the list, and starts the one of the new specification."""
        boot = node.boot_id
        node.drop_service("kubelet")
        await self._context.latency.sleep("kubelet-restart")
        await asyncio.sleep(GRACE_S)
        if node.boot_id == boot and node.up:
            node.set_service("kubelet")
            self._context.emit("kubelet-restarted", node, version=node.facts().kubelet_version)


def _control_plane_changed(before: MachineConfig, after: MachineConfig) -> bool:
    """Whether the one real control plane has to start anew: another image of a controller is the same program here."""
    for section in ("controllerManager", "scheduler"):
        left, right = (without(mapping(one.cluster.get(section)), {"image"}) for one in (before, after))
        if left != right:
            return True
    sections = ("apiServer", "etcd", "network", "ca", "controlPlane")
    return any(before.cluster.get(section) != after.cluster.get(section) for section in sections)


def _is_address(name: str) -> bool:
    return all(part.isdigit() for part in name.split(".")) or ":" in name
