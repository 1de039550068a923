"""The etcd calls of machine.MachineService: what the real member of a node answers, in Talos' frame."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from google.protobuf.empty_pb2 import Empty

from infraflux.core.files import write_private
from infraflux_lab.contracts import EtcdAlarm
from infraflux_lab.talos.api_machine import require_control_plane
from infraflux_lab.talos.cluster import Cluster, Clusters
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.proto import common_pb2, machine_pb2


class EtcdApi:
    """Handlers, one method per RPC."""

    def __init__(self, context: LabContext, clusters: Clusters) -> None:
        self._context = context
        self._clusters = clusters

    def _cluster(self, call: Call, what: str) -> Cluster:
        require_control_plane(call.node, what)
        return self._clusters.of(call.node)

    async def member_list(
        self, call: Call, request: machine_pb2.EtcdMemberListRequest
    ) -> machine_pb2.EtcdMemberListResponse:
        cluster = self._cluster(call, "member list")
        answer = machine_pb2.EtcdMemberListResponse()
        message = answer.messages.add()
        for member in await cluster.membership.list_members(call.node, local=request.query_local):
            message.legacy_members.append(member.name)
            message.members.add(
                id=member.id,
                hostname=member.name,
                peer_urls=member.peer_urls,
                client_urls=member.client_urls,
                is_learner=member.is_learner,
            )
        return answer

    async def status(self, call: Call, _request: Empty) -> machine_pb2.EtcdStatusResponse:
        cluster = self._cluster(call, "etcd status")
        facts = await cluster.membership.status(call.node)
        status = machine_pb2.EtcdMemberStatus(
            member_id=facts.member_id,
            protocol_version=facts.version,
            storage_version=facts.storage_version or ".".join([*facts.version.split(".")[:2], "0"]),
            db_size=facts.db_size_bytes,
            db_size_in_use=facts.db_size_in_use_bytes,
            leader=facts.leader,
            raft_index=facts.raft_index,
            raft_term=facts.raft_term,
            raft_applied_index=facts.raft_applied_index,
            errors=facts.errors,
            is_learner=facts.is_learner,
        )
        return machine_pb2.EtcdStatusResponse(messages=[machine_pb2.EtcdStatus(member_status=status)])

    async def alarm_list(self, call: Call, _request: Empty) -> machine_pb2.EtcdAlarmListResponse:
        cluster = self._cluster(call, "etcd alarm list")
        found = await cluster.membership.alarms(call.node, disarm=False)
        return machine_pb2.EtcdAlarmListResponse(messages=[machine_pb2.EtcdAlarm(member_alarms=_alarms(found))])

    async def alarm_disarm(self, call: Call, _request: Empty) -> machine_pb2.EtcdAlarmDisarmResponse:
        cluster = self._cluster(call, "etcd alarm disarm")
        cleared = await cluster.membership.alarms(call.node, disarm=True)
        answer = machine_pb2.EtcdAlarmDisarm(member_alarms=_alarms(cleared))
        return machine_pb2.EtcdAlarmDisarmResponse(messages=[answer])

    async def defragment(self, call: Call, _request: Empty) -> machine_pb2.EtcdDefragmentResponse:
        cluster = self._cluster(call, "etcd defragment")
        await cluster.membership.defragment(call.node)
        return machine_pb2.EtcdDefragmentResponse(messages=[machine_pb2.EtcdDefragment()])

    async def snapshot(
        self, call: Call, _request: machine_pb2.EtcdSnapshotRequest
    ) -> AsyncGenerator[common_pb2.Data, None]:
        cluster = self._cluster(call, "etcd snapshot")
        async for chunk in cluster.membership.snapshot(call.node):
            yield common_pb2.Data(bytes=chunk)

    async def recover(self, call: Call, chunks: AsyncIterator[common_pb2.Data]) -> machine_pb2.EtcdRecoverResponse:
        self._cluster(call, "etcd recover")
        snapshot = b"".join([chunk.bytes async for chunk in chunks])
        write_private(self._context.store.snapshot_path(call.node.key), snapshot)
        return machine_pb2.EtcdRecoverResponse(messages=[machine_pb2.EtcdRecover()])

    async def leave_cluster(
        self, call: Call, _request: machine_pb2.EtcdLeaveClusterRequest
    ) -> machine_pb2.EtcdLeaveClusterResponse:
        cluster = self._cluster(call, "etcd leave")
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


# machine.EtcdMemberAlarm.AlarmType.
_ALARM_KINDS = {"NONE": 0, "NOSPACE": 1, "CORRUPT": 2}


def _alarms(alarms: Iterable[EtcdAlarm]) -> list[machine_pb2.EtcdMemberAlarm]:
    return [
        machine_pb2.EtcdMemberAlarm(member_id=alarm.member_id, alarm=_ALARM_KINDS.get(alarm.kind, 0))
        for alarm in alarms
    ]
