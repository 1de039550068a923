"""Reboot, shutdown, reset and both generations of the upgrade call."""

from collections.abc import AsyncGenerator

from infraflux_lab.talos import quorum
from infraflux_lab.talos.cluster import Clusters
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.errors import failed_precondition, invalid_argument, not_found
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.lifecycle import Lifecycle
from infraflux_lab.talos.machine_config import image_version
from infraflux_lab.talos.node import Node, Stage
from infraflux_lab.talos.proto import kubernetes_pb2, machine_pb2

# Partitions of a Talos system disk that a reset may name.
_PARTITIONS = frozenset({"EFI", "BOOT", "META", "STATE", "EPHEMERAL"})


class LifecycleApi:
    """Handlers, one method per RPC."""

    def __init__(self, context: LabContext, clusters: Clusters, lifecycle: Lifecycle) -> None:
        self._context = context
        self._clusters = clusters
        self._lifecycle = lifecycle

    async def reboot(self, call: Call, _request: machine_pb2.RebootRequest) -> machine_pb2.RebootResponse:
        actor = self._lifecycle.reboot(call.node)
        return machine_pb2.RebootResponse(messages=[machine_pb2.Reboot(actor_id=actor)])

    async def shutdown(self, call: Call, _request: machine_pb2.ShutdownRequest) -> machine_pb2.ShutdownResponse:
        actor = self._lifecycle.shutdown(call.node)
        return machine_pb2.ShutdownResponse(messages=[machine_pb2.Shutdown(actor_id=actor)])

    async def reset(self, call: Call, request: machine_pb2.ResetRequest) -> machine_pb2.ResetResponse:
        modes = machine_pb2.ResetRequest
        if request.user_disks_to_wipe and request.mode == modes.SYSTEM_DISK:
            raise invalid_argument("reset failed: wipe mode SYSTEM_DISK doesn't support UserDisksToWipe parameter")
        if request.system_partitions_to_wipe and request.mode == modes.USER_DISKS:
            raise invalid_argument(
                "reset failed: wipe mode USER_DISKS doesn't support SystemPartitionsToWipe parameter"
            )
        for partition in request.system_partitions_to_wipe:
            if partition.label not in _PARTITIONS:
                raise invalid_argument(f'failed to get volume status with label "{partition.label}": not found')
        actor = self._lifecycle.reset(call.node, request)
        return machine_pb2.ResetResponse(messages=[machine_pb2.Reset(actor_id=actor)])

    async def upgrade_legacy(self, call: Call, request: machine_pb2.UpgradeRequest) -> machine_pb2.UpgradeResponse:
        node = call.node
        self._lifecycle.require_idle(node)
        _require_installer(request.image)
        if node.control_plane and not request.force and not request.preserve:
            self._require_quorum_without(node)
        self._lifecycle.stage_upgrade(node, request.image)
        actor = self._lifecycle.reboot(node, stage=Stage.UPGRADING, phase="upgrade")
        return machine_pb2.UpgradeResponse(
            messages=[machine_pb2.Upgrade(ack="Upgrade request received", actor_id=actor)]
        )

    def _require_quorum_without(self, node: Node) -> None:
        """Refuse what would take etcd's majority down with this machine."""
        cluster = self._clusters.of(node)
        cluster.require_etcd()
        if len(cluster.members) == 2:
            raise failed_precondition(
                "error validating etcd for upgrade: etcd member count(2) is insufficient to maintain quorum if "
                "upgrade commences"
            )
        alive = cluster.alive()
        for member in cluster.members:
            if member.machine not in alive:
                raise failed_precondition(
                    f"error validating etcd for upgrade: etcd member {member.id:016x} is not healthy; all members "
                    "must be healthy to perform an upgrade"
                )
        if len(cluster.members) > 1 and not quorum.has_quorum(cluster.members, alive - {node.key}):
            raise failed_precondition("error validating etcd for upgrade: quorum would be lost")

    async def image_pull_legacy(
        self, call: Call, request: kubernetes_pb2.ImagePullRequest
    ) -> kubernetes_pb2.ImagePullResponse:
        """What `upgrade-k8s` of 1.13 still calls."""
        await self._pull(call.node, request.reference)
        return kubernetes_pb2.ImagePullResponse(messages=[kubernetes_pb2.ImagePull()])

    async def _pull(self, node: Node, image: str) -> None:
        await self._context.latency.sleep("image-pull")
        if self._context.struck("image-missing", node):
            raise not_found(f'failed to pull image "{image}": failed to resolve image: {image}: not found')
        self._context.emit("image-pulled", node, image=image)

    async def image_pull(
        self, call: Call, request: machine_pb2.ImageServicePullRequest
    ) -> AsyncGenerator[machine_pb2.ImageServicePullResponse, None]:
        await self._pull(call.node, request.image_ref)
        states = machine_pb2.ImageServicePullLayerProgress
        progress = machine_pb2.ImageServicePullProgress(
            layer_id="simulated", progress=states(status=states.ALREADY_EXISTS)
        )
        yield machine_pb2.ImageServicePullResponse(pull_progress=progress)
        yield machine_pb2.ImageServicePullResponse(name=request.image_ref)

    async def upgrade(
        self, call: Call, request: machine_pb2.LifecycleServiceUpgradeRequest
    ) -> AsyncGenerator[machine_pb2.LifecycleServiceUpgradeResponse, None]:
        """Install beside the running system; the client reboots the machine itself."""
        node, image = call.node, request.source.image_name
        self._lifecycle.require_idle(node)
        _require_installer(image)
        yield _progress(message=f"running Talos installer {image_version(image)} (simulated)\n")
        await self._context.latency.sleep("upgrade-install")
        if (fault := self._context.fault("installer-fails", node)) is not None:
            yield _progress(message=f"{fault.get('message') or 'no space left on device'} (fault of the lab)\n")
            yield _progress(exit_code=1)
            return
        self._lifecycle.stage_upgrade(node, image)
        yield _progress(message="installation complete\n")
        yield _progress(exit_code=0)


def _require_installer(image: str) -> None:
    if image_version(image) is None:
        raise invalid_argument(f'error validating installer image "{image}": no version tag')


def _progress(**fields: str | int) -> machine_pb2.LifecycleServiceUpgradeResponse:
    progress = machine_pb2.LifecycleServiceInstallProgress(**fields)
    return machine_pb2.LifecycleServiceUpgradeResponse(progress=progress)
