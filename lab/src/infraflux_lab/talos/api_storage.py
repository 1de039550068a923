"""storage.StorageService: the probe by which clients tell maintenance mode."""

from google.protobuf.empty_pb2 import Empty

from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.hardware import disks
from infraflux_lab.talos.proto import storage_pb2


class StorageApi:
    """Handlers, one method per RPC."""

    async def disks(self, call: Call, _request: Empty) -> storage_pb2.DisksResponse:
        answer = storage_pb2.DisksResponse()
        message = answer.messages.add()
        for disk in disks(call.node):
            message.disks.add(
                size=disk.size_bytes,
                model=disk.model,
                device_name=disk.path,
                serial=disk.serial,
                type=storage_pb2.Disk.HDD if disk.rotational else storage_pb2.Disk.SSD,
                bus_path=disk.bus_path,
                system_disk=disk.system,
                subsystem=disk.subsystem,
            )
        return answer
