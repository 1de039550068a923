"""The etcd calls of machine.MachineService: one real etcd, its data and its snapshots; further members synthetic."""

from collections.abc import AsyncGenerator, AsyncIterator

from google.protobuf.empty_pb2 import Empty

from infraflux.core.files import write_private
from infraflux_lab.talos.api_machine import require_control_plane
from infraflux_lab.talos.cluster import Cluster, Clusters, client_url, peer_url
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.errors import failed_precondition
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.proto import common_pb2, machine_pb2
from infraflux_lab.talos.store import Member


class EtcdApi:
    """Handlers, one method per RPC."""

    def __init__(self, context: LabContext, clusters: Clusters) -> None:
        self._context = context
        self._clusters = clusters

    def _cluster(self, call: Call, what: str) -> Cluster:
        require_control_plane(call.node, what)
        return self._clusters.of(call.node)

    def _member(self, call: Call, what: str) -> tuple[Cluster, Member]:
        """The cluster and the call's own member; a node without one has no etcd to ask."""
        cluster = self._cluster(call, what)
        cluster.require_etcd()
        member = cluster.member_of(call.node)
        if member is None or not call.node.record.etcd_data:
            raise failed_precondition("etcd is not running on this node")
        return cluster, member

    async def member_list(
        self, call: Call, _request: machine_pb2.EtcdMemberListRequest
    ) -> machine_pb2.EtcdMemberListResponse:
        cluster = self._cluster(call, "member list")
        cluster.require_etcd()
        answer = machine_pb2.EtcdMemberListResponse()
        message = answer.messages.add()
        for member in cluster.members:
            message.legacy_members.append(member.name)
            message.members.add(
                id=member.id, hostname=member.name, peer_urls=[peer_url(member)], client_urls=[client_url(member)]
            )
        return answer

    async def status(self, call: Call, _request: Empty) -> machine_pb2.EtcdStatusResponse:
        cluster, member = self._member(call, "etcd status")
        facts = await cluster.etcd_facts()
        status = machine_pb2.EtcdMemberStatus(
            member_id=member.id,
            protocol_version=facts.version,
            storage_version=".".join([*facts.version.split(".")[:2], "0"]),
            db_size=facts.db_size_bytes,
            db_size_in_use=facts.db_size_in_use_bytes,
            leader=cluster.leader(),
            raft_index=facts.raft_index,
            raft_term=facts.raft_term,
            raft_applied_index=facts.raft_applied_index,
        )
        return machine_pb2.EtcdStatusResponse(messages=[machine_pb2.EtcdStatus(member_status=status)])

    async def alarm_list(self, call: Call, _request: Empty) -> machine_pb2.EtcdAlarmListResponse:
        self._member(call, "etcd alarm list")
        return machine_pb2.EtcdAlarmListResponse(messages=[machine_pb2.EtcdAlarm()])

    async def snapshot(
        self, call: Call, _request: machine_pb2.EtcdSnapshotRequest
    ) -> AsyncGenerator[common_pb2.Data, None]:
        cluster, _ = self._member(call, "etcd snapshot")
        async for chunk in cluster.snapshot():
            yield common_pb2.Data(bytes=chunk)

    async def recover(self, call: Call, chunks: AsyncIterator[common_pb2.Data]) -> machine_pb2.EtcdRecoverResponse:
        self._cluster(call, "etcd recover")
        snapshot = b"".join([chunk.bytes async for chunk in chunks])
        write_private(self._context.store.snapshot_path(call.node.key), snapshot)
        return machine_pb2.EtcdRecoverResponse(messages=[machine_pb2.EtcdRecover()])

    async def leave_cluster(
        self, call: Call, _request: machine_pb2.EtcdLeaveClusterRequest
    ) -> machine_pb2.EtcdLeaveClusterResponse:
        cluster, _ = self._member(call, "etcd leave")
        await cluster.leave(call.node)
        self._context.emit("etcd-left", call.node, cluster=cluster.id)
        return machine_pb2.EtcdLeaveClusterResponse(messages=[machine_pb2.EtcdLeaveCluster()])

    async def remove_member(
        self, call: Call, request: machine_pb2.EtcdRemoveMemberByIDRequest
    ) -> machine_pb2.EtcdRemoveMemberByIDResponse:
        cluster = self._cluster(call, "etcd remove member")
        await cluster.remove_member(request.member_id)
        return machine_pb2.EtcdRemoveMemberByIDResponse(messages=[machine_pb2.EtcdRemoveMemberByID()])

    async def forfeit_leadership(
        self, call: Call, _request: machine_pb2.EtcdForfeitLeadershipRequest
    ) -> machine_pb2.EtcdForfeitLeadershipResponse:
        cluster = self._cluster(call, "etcd forfeit leadership")
        successor = await cluster.forfeit_leadership(call.node)
        return machine_pb2.EtcdForfeitLeadershipResponse(messages=[machine_pb2.EtcdForfeitLeadership(member=successor)])
