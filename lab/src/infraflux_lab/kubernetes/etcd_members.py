"""The etcd members of one cluster: each a process on its machine's address, with its data and certificates."""

import asyncio
import datetime as dt
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infraflux.core.files import make_private_dir, write_private
from infraflux_lab.contracts import EtcdAlarm, EtcdError, EtcdFacts, EtcdMember, EventSink, NodeFacts
from infraflux_lab.kubernetes import etcd
from infraflux_lab.kubernetes.etcd import EtcdClient
from infraflux_lab.kubernetes.material import ETCD_CLIENT_PORT, ETCD_PEER_PORT, MemberLayout, client_of, write_member
from infraflux_lab.kubernetes.process import SupervisedProcess
from infraflux_lab.kubernetes.programs import etcd_program
from infraflux_lab.kubernetes.settings import ClusterSettings, read_settings

# A member answers within a second; a machine that starts three clusters at once takes much longer.
_READY_DEADLINE_S = 90.0
_POLL_S = 0.05
_STOP_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A member that was started, and how to talk to it."""

    process: SupervisedProcess
    client: EtcdClient
    identity: tuple[str, str, bytes]
    """Name, address and authority it was started with."""


class RealEtcd:
    """Implements `EtcdMembers`: see there for what each call promises."""

    def __init__(self, root: Path, *, logs: Path, binaries: Mapping[str, Path], events: EventSink) -> None:
        """Data and certificates below `root`, one directory a machine. Nothing starts yet."""
        self._root, self._logs = root, logs
        self._binaries, self._events = binaries, events
        self._running: dict[str, _Running] = {}

    def has_data(self, machine: str) -> bool:
        """Whether the machine's disk holds a data directory."""
        return self._layout(machine).data.exists()

    def database(self, machine: str) -> Path:
        """See `EtcdMembers.database`."""
        return self._layout(machine).data / "member" / "snap" / "db"

    def has_any_data(self) -> bool:
        """Whether any machine's disk holds one."""
        return any(directory.joinpath("data").exists() for directory in self._root.glob("*"))

    def started(self) -> set[str]:
        """Machines whose member was started."""
        return set(self._running)

    def pids(self) -> dict[str, int]:
        """Process ids by machine."""
        return {machine: one.process.pid for machine, one in self._running.items() if one.process.pid}

    async def ready(self, machine: str) -> bool:
        """Whether the member answers reads that need a leader."""
        running = self._running.get(machine)
        return running is not None and await running.client.ready()

    async def found(self, config: Mapping[str, Any], node: NodeFacts) -> None:
        """See `EtcdMembers.found`."""
        if self.has_data(node.machine_key):
            raise FileExistsError(f"{node.name} has data of etcd already")
        settings = read_settings(config)
        try:
            await self._start(settings, node, initial=f"{node.name}={_peer(node)}", new=True)
            await self._until(node.machine_key, self.ready)
        except BaseException:
            # Nothing of value was written, and a second Bootstrap must not say "already exists".
            await self.drop(node.machine_key)
            raise

    async def recover(
        self, config: Mapping[str, Any], node: NodeFacts, snapshot: bytes, *, checked: bool = True
    ) -> None:
        """See `EtcdMembers.recover`; EtcdError for a damaged snapshot."""
        if checked:
            etcd.check_snapshot(snapshot)
        if self.has_data(node.machine_key):
            raise FileExistsError(f"{node.name} has data of etcd already")
        if "etcdutl" not in self._binaries:
            raise EtcdError("recovery needs etcdutl, which is not installed")
        layout = self._layout(node.machine_key)
        make_private_dir(layout.root)
        uploaded = write_private(layout.root / "recover.snapshot", snapshot)
        try:
            await etcd.restore(
                etcdutl=self._binaries["etcdutl"],
                snapshot=uploaded,
                data_dir=layout.data,
                name=node.name,
                peer_url=_peer(node),
                checked=checked,
            )
        finally:
            uploaded.unlink()
        await self.run(config, node)
        await self._until(node.machine_key, self.ready)

    async def join(self, config: Mapping[str, Any], node: NodeFacts, *, via: str) -> int:
        """See `EtcdMembers.join`; a member that never started, of a lab that was killed, is removed by its address."""
        voice, peer = self._client(via), _peer(node)
        for member in await voice.members():
            if member.name == node.name or peer in member.peer_urls:
                await voice.remove(member.id)
        member_id = await voice.add_learner(peer)
        names = {member_id: node.name}
        members = await voice.members()
        initial = ",".join(f"{names.get(one.id, one.name)}={url}" for one in members for url in one.peer_urls)
        await self.drop(node.machine_key)
        await self._start(read_settings(config), node, initial=initial, new=False)
        await self._until(node.machine_key, self._answers)
        return member_id

    async def run(self, config: Mapping[str, Any], node: NodeFacts) -> None:
        """See `EtcdMembers.run`; returns at once: a member serves nobody before the majority is there."""
        machine, settings = node.machine_key, read_settings(config)
        if not self.has_data(machine):
            raise FileNotFoundError(f"{node.name} has no data of etcd")
        running = self._running.get(machine)
        if running and running.identity == _identity(settings, node):
            return
        # With data there, who the others are stands in the data.
        await self._start(settings, node, initial=f"{node.name}={_peer(node)}", new=False)

    async def announce(self, node: NodeFacts) -> None:
        """Let the others know the member's address, where it is not the one they have."""
        client = self._client(node.machine_key)
        own = (await client.status()).member_id
        for member in await client.members():
            if member.id == own and list(member.peer_urls) != [_peer(node)]:
                await client.move_peer(own, _peer(node))

    async def halt(self, machine: str) -> None:
        """See `EtcdMembers.halt`."""
        if running := self._running.pop(machine, None):
            await running.client.close()
            await running.process.stop(grace_s=_STOP_GRACE_S)

    async def drop(self, machine: str) -> None:
        """See `EtcdMembers.drop`."""
        await self.halt(machine)
        await asyncio.to_thread(shutil.rmtree, self._layout(machine).root, ignore_errors=True)

    async def close(self) -> None:
        """Stop every member; the data stays."""
        await asyncio.gather(*(self.halt(machine) for machine in self.started()))

    async def promote(self, member_id: int, *, via: str) -> None:
        """See `EtcdMembers.promote`."""
        await self._client(via).promote(member_id)

    async def remove(self, member_id: int, *, via: str) -> None:
        """See `EtcdMembers.remove`."""
        await self._client(via).remove(member_id)

    async def members(self, machine: str) -> list[EtcdMember]:
        """See `EtcdMembers.members`."""
        return await self._client(machine).members()

    async def status(self, machine: str) -> EtcdFacts:
        """See `EtcdMembers.status`."""
        return await self._client(machine).status()

    async def alarms(self, machine: str) -> list[EtcdAlarm]:
        """See `EtcdMembers.alarms`."""
        return await self._client(machine).alarms()

    async def disarm(self, machine: str) -> list[EtcdAlarm]:
        """See `EtcdMembers.disarm`."""
        return await self._client(machine).alarms(disarm=True)

    async def defragment(self, machine: str) -> None:
        """See `EtcdMembers.defragment`."""
        await self._client(machine).defragment()

    async def move_leader(self, machine: str, target: int) -> None:
        """See `EtcdMembers.move_leader`."""
        await self._client(machine).move_leader(target)

    async def snapshot(self, machine: str) -> AsyncIterator[bytes]:
        """See `EtcdMembers.snapshot`."""
        async for chunk in self._client(machine).snapshot():
            yield chunk

    def _layout(self, machine: str) -> MemberLayout:
        return MemberLayout(root=self._root / quote(machine, safe=""))

    def _client(self, machine: str) -> EtcdClient:
        running = self._running.get(machine)
        if running is None:
            # What Talos' client says of a port where nobody listens.
            raise EtcdError("context deadline exceeded")
        return running.client

    async def _start(self, settings: ClusterSettings, node: NodeFacts, *, initial: str, new: bool) -> None:
        machine, layout = node.machine_key, self._layout(node.machine_key)
        await self.halt(machine)
        write_member(layout, settings, address=node.address, now=dt.datetime.now(dt.UTC))
        program = etcd_program(layout, node, initial_cluster=initial, new=new, binary=self._binaries["etcd"])
        log = self._logs / f"{program.name}.log"
        process = SupervisedProcess(program, log=log, events=self._events, cluster=settings.name)
        context = client_of(layout, ca="etcd-ca", leaf="etcd-client")
        client = EtcdClient(server=f"https://{node.address}:{ETCD_CLIENT_PORT}", context=context)
        self._running[machine] = _Running(process=process, client=client, identity=_identity(settings, node))
        await process.start()

    async def _answers(self, machine: str) -> bool:
        """Whether the process listens and tells about itself, which a learner does as well."""
        try:
            await self.status(machine)
        except EtcdError:
            return False
        return True

    async def _until(self, machine: str, holds: Any) -> None:
        try:
            async with asyncio.timeout(_READY_DEADLINE_S):
                while not await holds(machine):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            running = self._running.get(machine)
            tail = running.process.tail() if running else ""
            raise EtcdError(f"etcd of {machine} did not start: {tail or 'it wrote no log'}") from None


def _peer(node: NodeFacts) -> str:
    return f"https://{node.address}:{ETCD_PEER_PORT}"


def _identity(settings: ClusterSettings, node: NodeFacts) -> tuple[str, str, bytes]:
    return node.name, node.address, settings.etcd_ca.certificate
