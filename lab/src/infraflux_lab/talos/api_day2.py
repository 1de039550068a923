"""What is asked of a node that stands: its logs and messages, files, a restart of its kubelet, the time, META."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from infraflux_lab.talos.api_machine import pack_file
from infraflux_lab.talos.cluster import Clusters
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.errors import not_found, refused_unnamed
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.machine_config import mapping
from infraflux_lab.talos.node import Line, Node
from infraflux_lab.talos.proto import common_pb2, day2_pb2

_SYSTEM_NAMESPACE = "system"
_ETCD_DATABASE = "/var/lib/etcd/member/snap/db"
_DEFAULT_TIME_SERVER = "time.cloudflare.com"
_CHUNK_BYTES = 32 * 1024
_FOLLOW_PAUSE_S = 0.2


class Day2Api:
    """Handlers, one method per RPC."""

    def __init__(self, context: LabContext, clusters: Clusters) -> None:
        self._context = context
        self._clusters = clusters

    async def logs(self, call: Call, request: day2_pb2.LogsRequest) -> AsyncGenerator[common_pb2.Data, None]:
        """Lines of one system service; containers of Kubernetes do not run, so they have none."""
        node = call.node
        if request.namespace != _SYSTEM_NAMESPACE and request.id != "kubelet":
            raise not_found(f'container "{request.id}" not found')
        if request.id not in node.services:
            raise refused_unnamed(f'log "{request.id}" was not registered')
        tail = request.tail_lines if request.tail_lines >= 0 else None
        async for line in _lines(node, request.id, tail=tail, follow=request.follow):
            yield common_pb2.Data(bytes=f"{line.text}\n".encode())

    async def logs_containers(self, call: Call, _request: Empty) -> day2_pb2.LogsContainersResponse:
        container = day2_pb2.LogsContainer(ids=sorted(call.node.services))
        return day2_pb2.LogsContainersResponse(messages=[container])

    async def dmesg(self, call: Call, request: day2_pb2.DmesgRequest) -> AsyncGenerator[common_pb2.Data, None]:
        """What Talos says on the console, in the frame of the kernel's log."""
        tail = 0 if request.tail else None
        async for line in _lines(call.node, "", tail=tail, follow=request.follow):
            stamp = datetime.fromtimestamp(line.time_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            yield common_pb2.Data(bytes=f"user: warning: [{stamp}]: [talos] {line.text}\n".encode())

    async def copy(self, call: Call, request: day2_pb2.CopyRequest) -> AsyncGenerator[common_pb2.Data, None]:
        """A .tar.gz of one file; the database of the node's etcd member is the one there is."""
        node, path = call.node, request.root_path
        if not path.startswith("/"):
            raise refused_unnamed(f"path is not absolute {path}")
        source = self._clusters.of(node).membership.etcd.database(node.key) if node.config else None
        if path != _ETCD_DATABASE or source is None or not source.exists():
            missing = common_pb2.Metadata(error=f"lstat {path}: no such file or directory")
            yield common_pb2.Data(metadata=missing)
            return
        packed = await asyncio.to_thread(lambda: pack_file("db", source.read_bytes()))
        for at in range(0, len(packed), _CHUNK_BYTES):
            yield common_pb2.Data(bytes=packed[at : at + _CHUNK_BYTES])

    async def service_restart(
        self, call: Call, request: day2_pb2.ServiceRestartRequest
    ) -> day2_pb2.ServiceRestartResponse:
        """Of the kubelet alone: pkg/system/services of Talos allows no other."""
        if request.id not in call.node.services:
            raise refused_unnamed(f'service "{request.id}" not defined')
        if request.id != "kubelet":
            raise refused_unnamed(f'service "{request.id}" doesn\'t support restart operation via API')
        call.node.set_service("kubelet", state="Running", unknown=True, message="Started task kubelet")
        call.node.set_service("kubelet")
        self._context.emit("service-restarted", call.node, service=request.id)
        answer = day2_pb2.ServiceRestart(resp=f'Service "{request.id}" restarted')
        return day2_pb2.ServiceRestartResponse(messages=[answer])

    async def meta_write(self, call: Call, request: day2_pb2.MetaWriteRequest) -> day2_pb2.MetaWriteResponse:
        """Survives everything but a wipe of META."""
        call.node.record.meta[str(request.key)] = request.value.decode(errors="replace")
        self._context.store.save_machine(call.node.record)
        return day2_pb2.MetaWriteResponse(messages=[day2_pb2.MetaWrite()])

    async def meta_delete(self, call: Call, request: day2_pb2.MetaDeleteRequest) -> day2_pb2.MetaDeleteResponse:
        if call.node.record.meta.pop(str(request.key), None) is None:
            raise not_found("key not found")
        self._context.store.save_machine(call.node.record)
        return day2_pb2.MetaDeleteResponse(messages=[day2_pb2.MetaDelete()])

    async def time(self, call: Call, _request: Empty) -> day2_pb2.TimeResponse:
        return _time(_time_server(call.node))

    async def time_check(self, _call: Call, request: day2_pb2.TimeRequest) -> day2_pb2.TimeResponse:
        return _time(request.server)


async def _lines(node: Node, service: str, *, tail: int | None, follow: bool) -> AsyncGenerator[Line, None]:
    """Lines of the node's journal, of one service or all; then those to come until the node goes down."""
    journal, boot = node.journal, node.boot_id
    seen = len(journal)
    past = list(_of(journal, service))
    for line in past if tail is None else past[len(past) - min(tail, len(past)) :]:
        yield line
    while follow and node.boot_id == boot and not node.gone.is_set():
        await asyncio.sleep(_FOLLOW_PAUSE_S)
        for line in _of(journal[seen:], service):
            yield line
        seen = len(journal)


def _of(lines: list[Line], service: str) -> Iterator[Line]:
    return (line for line in lines if service in ("", line.service))


def _time_server(node: Node) -> str:
    for document in node.config.of_kind("TimeSyncConfig") if node.config else ():
        for server in mapping(document.get("ntp")).get("servers") or ():
            return str(server)
    servers = mapping(node.config.machine.get("time")).get("servers") if node.config else None
    return str(servers[0]) if servers else _DEFAULT_TIME_SERVER


def _time(server: str) -> day2_pb2.TimeResponse:
    """The machine's own clock on both sides: nobody is asked."""
    message = day2_pb2.Time(server=server)
    message.localtime.GetCurrentTime()
    message.remotetime.CopyFrom(message.localtime)
    return day2_pb2.TimeResponse(messages=[message])
