"""machine.MachineService: configuration, versions, services, files, events."""

import asyncio
import gzip
import io
import tarfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from google.protobuf.empty_pb2 import Empty

from infraflux_lab.talos import credentials, diff, eventlog
from infraflux_lab.talos.cluster import Clusters
from infraflux_lab.talos.config_loading import ConfigError, parse
from infraflux_lab.talos.context import LabContext
from infraflux_lab.talos.errors import (
    failed_precondition,
    invalid_argument,
    not_authorized,
    not_found,
    unavailable,
    unimplemented,
)
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.lifecycle import Lifecycle
from infraflux_lab.talos.machine_config import MachineConfig, needs_reboot
from infraflux_lab.talos.node import Node, Service, Stage
from infraflux_lab.talos.proto import common_pb2, machine_pb2

_Mode = machine_pb2.ApplyConfigurationRequest
# `talosctl apply-config --mode=try` without a timeout of its own.
_TRY_TIMEOUT_S = 60.0
_BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id"
# Arguments of platform nocloud (platform/nocloud/nocloud.go) and of every image (pkg/machinery/kernel/kernel.go).
_KERNEL_COMMAND_LINE = (
    "talos.platform=nocloud console=tty1 console=ttyS0 net.ifnames=0 init_on_alloc=1 slab_nomerge= pti=on "
    "consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 "
    "module.sig_enforce=1 proc_mem.force_override=never\n"
)
# Memory a kernel keeps for itself; a real VM shows this much less than it was given, too.
_KERNEL_RESERVED_MIB = 32


class MachineApi:
    """Handlers, one method per RPC."""

    def __init__(self, context: LabContext, clusters: Clusters, lifecycle: Lifecycle) -> None:
        self._context = context
        self._clusters = clusters
        self._lifecycle = lifecycle

    # Configuration

    async def apply_configuration(
        self, call: Call, request: machine_pb2.ApplyConfigurationRequest
    ) -> machine_pb2.ApplyConfigurationResponse:
        node = call.node
        if node.config is not None and not call.admin:
            raise not_authorized()
        if node.apply_lock.locked():
            raise failed_precondition("another apply configuration is already in progress")
        async with node.apply_lock:
            return await self._apply(node, request)

    async def _apply(
        self, node: Node, request: machine_pb2.ApplyConfigurationRequest
    ) -> machine_pb2.ApplyConfigurationResponse:
        if node.busy or node.stage is Stage.INSTALLING:
            raise failed_precondition(
                "configuration was already applied and node is rebooting, cannot apply more configuration changes "
                "until next reboot"
            )
        if (fault := self._context.fault("apply-refused", node)) is not None:
            raise invalid_argument(str(fault.get("message") or "the configuration was refused (fault of the lab)"))
        try:
            config, warnings = await self._context.validator.accept(request.data, talos_version=node.version)
        except ConfigError as error:
            raise invalid_argument(str(error)) from None
        mode, details = _decide_mode(node, config, request.mode)
        if request.dry_run:
            shown = diff.unified(node.config.raw if node.config else b"", config.raw)
            return _applied(mode, f"Dry run summary:\n{details} (skipped in dry-run).\nConfig diff:\n\n{shown}")
        details += await self._carry_out(node, config, mode, request)
        self._context.emit("config-applied", node, mode=_Mode.Mode.Name(mode), type=config.kind)
        return _applied(mode, details, warnings=warnings)

    async def _carry_out(
        self,
        node: Node,
        config: MachineConfig,
        mode: "machine_pb2.ApplyConfigurationRequest.Mode",
        request: machine_pb2.ApplyConfigurationRequest,
    ) -> str:
        """Do what the mode says; the answer is what to add to its details."""
        if mode != _Mode.TRY and node.rollback:
            node.rollback.cancel()
            node.rollback = None
        if node.config is None:
            self._lifecycle.install(node, config)
            return ""
        if mode == _Mode.TRY:
            return await self._try(node, config, request)
        node.record.config = config.raw.decode()
        self._context.store.save_machine(node.record)
        if mode == _Mode.NO_REBOOT:
            await self._lifecycle.configured(node, config)
        elif mode == _Mode.REBOOT:
            self._lifecycle.reboot(node)
        return ""

    async def _try(self, node: Node, config: MachineConfig, request: machine_pb2.ApplyConfigurationRequest) -> str:
        timeout = request.try_mode_timeout
        timeout_s = timeout.seconds + timeout.nanos / 1e9 if request.HasField("try_mode_timeout") else _TRY_TIMEOUT_S
        if node.rollback:
            node.rollback.cancel()
        node.rollback = asyncio.get_running_loop().call_later(timeout_s, self._roll_back, node)
        await self._lifecycle.configured(node, config)
        return f"\nThe config is applied in 'try' mode and will be automatically reverted back in {timeout_s:g}s"

    def _roll_back(self, node: Node) -> None:
        node.rollback = None
        if not node.up or node.record.config is None:
            return
        self._context.emit("config-rolled-back", node)
        persisted = parse(node.record.config.encode())
        self._context.tasks.spawn(f"roll back {node.key}", self._lifecycle.configured(node, persisted))

    # What the machine tells about itself

    async def version(self, call: Call, _request: Empty) -> machine_pb2.VersionResponse:
        answer = machine_pb2.VersionResponse()
        message = answer.messages.add()
        message.version.tag = call.node.version
        message.version.os, message.version.arch = "linux", "amd64"
        # Says where the answer comes from: no build of Talos has this commit or compiler.
        message.version.sha, message.version.go_version = "simulated", "infraflux-lab"
        message.platform.name, message.platform.mode = "nocloud", "cloud"
        if call.node.config is not None:
            message.features.rbac = True
        return answer

    async def hostname(self, call: Call, _request: Empty) -> machine_pb2.HostnameResponse:
        return machine_pb2.HostnameResponse(messages=[machine_pb2.Hostname(hostname=call.node.hostname)])

    async def memory(self, call: Call, _request: Empty) -> machine_pb2.MemoryResponse:
        total_kib = max(call.node.machine.memory_mib - _KERNEL_RESERVED_MIB, 0) * 1024
        info = machine_pb2.MemInfo(memtotal=total_kib, memfree=total_kib // 2, memavailable=total_kib * 3 // 4)
        return machine_pb2.MemoryResponse(messages=[machine_pb2.Memory(meminfo=info)])

    async def service_list(self, call: Call, _request: Empty) -> machine_pb2.ServiceListResponse:
        answer = machine_pb2.ServiceListResponse()
        message = answer.messages.add()
        for service in sorted(call.node.services.values(), key=lambda service: service.id):
            message.services.append(_service_info(service))
        return answer

    async def read(self, call: Call, request: machine_pb2.ReadRequest) -> AsyncGenerator[common_pb2.Data, None]:
        files = {
            _BOOT_ID_PATH: f"{call.node.boot_id}\n",
            "/etc/os-release": f'NAME="Talos"\nID=talos\nVERSION_ID={call.node.version}\n',
            "/proc/cmdline": _KERNEL_COMMAND_LINE,
        }
        if request.path not in files:
            raise not_found(f"stat {request.path}: no such file or directory")
        yield common_pb2.Data(bytes=files[request.path].encode())

    async def events(self, call: Call, request: machine_pb2.EventsRequest) -> AsyncGenerator[machine_pb2.Event, None]:
        yield eventlog.hello(request.with_actor_id)
        async with aclosing(call.node.events.follow(request)) as events:
            async for event in events:
                yield event

    async def kubeconfig(self, call: Call, _request: Empty) -> AsyncGenerator[common_pb2.Data, None]:
        config = require_control_plane(call.node, "kubeconfig")
        yield common_pb2.Data(bytes=pack_file("kubeconfig", credentials.kubeconfig(config)))

    async def generate_client_configuration(
        self, call: Call, request: machine_pb2.GenerateClientConfigurationRequest
    ) -> machine_pb2.GenerateClientConfigurationResponse:
        config = require_control_plane(call.node, "generate client configuration")
        if request.crt_ttl.seconds <= 0:
            raise invalid_argument("crt_ttl should be positive")
        roles = list(request.roles)
        pair = credentials.talos_client(config, roles=roles, lifetime=timedelta(seconds=request.crt_ttl.seconds))
        answer = machine_pb2.GenerateClientConfigurationResponse()
        answer.messages.add(
            ca=config.authority_certificate,
            crt=pair.certificate,
            key=pair.key,
            talosconfig=credentials.talosconfig(config, pair, roles=roles),
        )
        return answer

    # Bootstrap

    async def bootstrap(self, call: Call, request: machine_pb2.BootstrapRequest) -> machine_pb2.BootstrapResponse:
        node = call.node
        if "cri" not in node.services or node.busy:
            raise failed_precondition("bootstrap is not available yet")
        require_control_plane(node, "bootstrap")
        await self._clusters.of(node).bootstrap(
            node, recover=request.recover_etcd, checked=not request.recover_skip_hash_check
        )
        self._context.emit("bootstrapped", node, recover=request.recover_etcd)
        if self._context.struck("bootstrap-race", node):
            raise unavailable("error reading from server: EOF")
        return machine_pb2.BootstrapResponse(messages=[machine_pb2.Bootstrap()])


def require_control_plane(node: Node, what: str) -> MachineConfig:
    """The node's configuration, if it is a control plane's."""
    if node.config is None or not node.config.control_plane:
        raise unimplemented(f"{what} is only available on control plane nodes")
    return node.config


def _decide_mode(
    node: Node, config: MachineConfig, asked: "machine_pb2.ApplyConfigurationRequest.Mode"
) -> tuple["machine_pb2.ApplyConfigurationRequest.Mode", str]:
    """The mode that will be used and how it is described; refuses what cannot be done without a reboot."""
    obstacles = needs_reboot(node.config, config) if node.config else []
    if node.config is None and asked == _Mode.REBOOT:
        asked = _Mode.NO_REBOOT
    if asked == _Mode.AUTO:
        asked = _Mode.REBOOT if obstacles else _Mode.NO_REBOOT
    elif asked in (_Mode.NO_REBOOT, _Mode.TRY) and obstacles:
        raise invalid_argument(
            f"this config change can't be applied in immediate mode\nchanged: {', '.join(obstacles)}"
        )
    if asked == _Mode.STAGED:
        return asked, "Staged configuration to be applied after the next reboot"
    reason = f": changed {', '.join(obstacles)}" if asked == _Mode.REBOOT and obstacles else ""
    return asked, f"Applied configuration {'with' if asked == _Mode.REBOOT else 'without'} a reboot{reason}"


def _applied(
    mode: "machine_pb2.ApplyConfigurationRequest.Mode", details: str, *, warnings: Sequence[str] = ()
) -> machine_pb2.ApplyConfigurationResponse:
    # A dry run answers without warnings: v1alpha1_server.go returns before it adds them.
    return machine_pb2.ApplyConfigurationResponse(
        messages=[machine_pb2.ApplyConfiguration(mode=mode, mode_details=details, warnings=warnings)]
    )


def _service_info(service: Service) -> machine_pb2.ServiceInfo:
    info = machine_pb2.ServiceInfo(id=service.id, state=service.state)
    event = info.events.events.add(msg=service.message, state=service.state)
    event.ts.FromSeconds(int(service.changed_s))
    info.health.healthy, info.health.unknown = service.healthy, service.unknown
    info.health.last_message = service.message
    info.health.last_change.FromSeconds(int(service.changed_s))
    return info


def pack_file(name: str, content: bytes) -> bytes:
    """A .tar.gz with one file, as the copy protocol of the API sends it."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
