"""etcd members in a book: who is there, who votes, what is refused without a majority. No process runs."""

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infraflux_lab.contracts import EtcdAlarm, EtcdError, EtcdFacts, EtcdMember, NodeFacts

_IDS = itertools.count(0x1234ABCD00000001, 0x1111)
NOT_IN_SYNC = "etcdserver: can only promote a learner member which is in sync with leader"
NO_LEADER = "etcdserver: no leader"


@dataclass(frozen=True)
class Entry:
    machine: str
    member: EtcdMember


class PretendEtcd:
    """Implements `EtcdMembers`."""

    def __init__(self, snapshot: bytes) -> None:
        self._snapshot = snapshot
        self.entries: dict[int, Entry] = {}
        self.data: set[str] = set()
        self.running: set[str] = set()
        self.recovered: bytes | None = None
        self.raised: list[EtcdAlarm] = []
        self.defragmented: list[str] = []
        self._leader = 0
        self._asked: set[int] = set()

    def has_data(self, machine: str) -> bool:
        return machine in self.data

    def started(self) -> set[str]:
        return set(self.running)

    async def found(self, config: Mapping[str, Any], node: NodeFacts) -> None:
        if self.data:
            raise FileExistsError(node.name)
        self.entries.clear()
        self._add(node, learner=False)

    def database(self, machine: str) -> Path:
        return Path("/nonexistent")

    async def recover(
        self, config: Mapping[str, Any], node: NodeFacts, snapshot: bytes, *, checked: bool = True
    ) -> None:
        self.recovered = snapshot
        self.entries.clear()
        self._add(node, learner=False)

    async def join(self, config: Mapping[str, Any], node: NodeFacts, *, via: str) -> int:
        self._need_leader()
        if any(entry.member.is_learner for entry in self.entries.values()):
            raise EtcdError("etcdserver: too many learner members in cluster")
        self.entries = {at: one for at, one in self.entries.items() if one.member.name != node.name}
        return self._add(node, learner=True)

    def _add(self, node: NodeFacts, *, learner: bool) -> int:
        number = next(_IDS)
        urls = [f"https://{node.address}:{port}" for port in (2380, 2379)]
        member = EtcdMember(id=number, name=node.name, peer_urls=urls[:1], client_urls=urls[1:], is_learner=learner)
        self.entries[number] = Entry(node.machine_key, member)
        self.data.add(node.machine_key)
        self.running.add(node.machine_key)
        return number

    async def run(self, config: Mapping[str, Any], node: NodeFacts) -> None:
        if node.machine_key not in self.data:
            raise FileNotFoundError(node.name)
        self.running.add(node.machine_key)

    async def halt(self, machine: str) -> None:
        self.running.discard(machine)

    async def drop(self, machine: str) -> None:
        self.running.discard(machine)
        self.data.discard(machine)

    async def promote(self, member_id: int, *, via: str) -> None:
        self._need_leader()
        if member_id not in self._asked:
            self._asked.add(member_id)
            raise EtcdError(NOT_IN_SYNC)
        entry = self.entries[member_id]
        self.entries[member_id] = replace(entry, member=replace(entry.member, is_learner=False))

    async def remove(self, member_id: int, *, via: str) -> None:
        self._need_leader()
        if member_id not in self.entries:
            raise EtcdError("etcdserver: member not found")
        left = [one for at, one in self._voters().items() if at != member_id]
        started = sum(one.machine in self.running for one in left)
        if started < len(left) // 2 + 1:
            raise EtcdError("etcdserver: re-configuration failed due to not enough started members")
        self.running.discard(self.entries.pop(member_id).machine)

    async def members(self, machine: str) -> list[EtcdMember]:
        self._need(machine)
        self._need_leader()
        return [entry.member for entry in self.entries.values()]

    async def status(self, machine: str) -> EtcdFacts:
        number, own = next((at, one) for at, one in self.entries.items() if one.machine == self._need(machine))
        leader = self.leader()
        return EtcdFacts(
            member_id=number,
            cluster_id=1,
            db_size_bytes=20480,
            db_size_in_use_bytes=16384,
            leader=leader,
            raft_index=42,
            raft_term=2,
            raft_applied_index=42,
            version="3.6.14",
            is_learner=own.member.is_learner,
            errors=() if leader else (NO_LEADER,),
        )

    async def alarms(self, machine: str) -> list[EtcdAlarm]:
        self._need(machine)
        return list(self.raised)

    async def disarm(self, machine: str) -> list[EtcdAlarm]:
        self._need(machine)
        cleared, self.raised = self.raised, []
        return cleared

    async def defragment(self, machine: str) -> None:
        self.defragmented.append(self._need(machine))

    async def move_leader(self, machine: str, target: int) -> None:
        self._need_leader()
        self._leader = target

    async def snapshot(self, machine: str) -> AsyncIterator[bytes]:
        self._need(machine)
        yield self._snapshot[:1000]
        yield self._snapshot[1000:]

    def _voters(self) -> dict[int, Entry]:
        return {at: one for at, one in self.entries.items() if not one.member.is_learner}

    def leader(self) -> int:
        voters = self._voters()
        living = [at for at, one in voters.items() if one.machine in self.running]
        if len(living) < len(voters) // 2 + 1:
            return 0
        if self._leader not in living:
            self._leader = living[0]
        return self._leader

    def _need_leader(self) -> None:
        if not self.leader():
            raise EtcdError(NO_LEADER)

    def _need(self, machine: str) -> str:
        if machine not in self.running:
            raise EtcdError("context deadline exceeded")
        return machine
