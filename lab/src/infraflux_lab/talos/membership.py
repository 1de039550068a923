"""Who is a member of one cluster's etcd: the machines' records beside the real members, and what those are asked to do.

How Talos joins, leaves and hands over: internal/app/machined/pkg/system/services/etcd.go and internal/pkg/etcd/etcd.go.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from infraflux_lab.contracts import EtcdAlarm, EtcdError, EtcdFacts, EtcdMember, EtcdMembers
from infraflux_lab.talos.context import SOURCE, LabContext
from infraflux_lab.talos.errors import etcd_failed, failed_precondition
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.store import Member

# Talos waits 10 s between attempts to leave while etcd calls itself unhealthy, as it does for 5 s after a change, and
# 15 s between attempts to promote; the lab is not that patient.
_LEAVE_ATTEMPTS, _LEAVE_PAUSE_S = 60, 1.0
_PROMOTE_PAUSE_S = 0.3
_PASSES = ("unhealthy cluster", "server stopped")


class Membership:
    """One cluster's members; callers hold the cluster's lock around whatever changes them."""

    def __init__(self, context: LabContext, cluster_id: str, nodes: Callable[[], list[Node]]) -> None:
        self._context, self._cluster_id, self._nodes = context, cluster_id, nodes
        self.record = context.store.cluster(cluster_id)

    @property
    def etcd(self) -> EtcdMembers:
        """The real members."""
        return self._context.kubernetes.etcd(self._cluster_id)

    @property
    def members(self) -> list[Member]:
        """As recorded, with the machine of each."""
        return self.record.members

    @property
    def voters(self) -> list[Member]:
        """Members that count for the majority."""
        return [member for member in self.members if not member.learner]

    def of(self, node: Node) -> Member | None:
        """The node's own member."""
        return next((member for member in self.members if member.machine == node.key), None)

    def alive(self) -> set[str]:
        """Machines that run and hold etcd data."""
        return {node.key for node in self._nodes() if node.up and node.record.etcd_data}

    def save(self) -> None:
        """Write the record."""
        self._context.store.save_cluster(self.record)

    def forget(self) -> None:
        """The data is gone with the last member."""
        self._context.store.forget_cluster(self._cluster_id)
        self.record = self._context.store.cluster(self._cluster_id)

    async def settle(self) -> None:
        """Let exactly the members run whose machines do."""
        alive = self.alive()
        wanted = {member.machine for member in self.members if member.machine in alive}
        for machine in self.etcd.started() - wanted:
            await self.etcd.halt(machine)
        for node in self._nodes():
            if node.key in wanted and self.etcd.has_data(node.key) and node.config:
                await self.etcd.run(node.config.v1alpha1, node.facts())

    # Reading

    async def list_members(self, node: Node, *, local: bool) -> list[EtcdMember]:
        """As the node's own member sees it, or as any voter does."""
        try:
            return await self.etcd.members(node.key if local else self._voice())
        except EtcdError as error:
            raise etcd_failed(error) from None

    async def status(self, node: Node) -> EtcdFacts:
        """Of the node's own member."""
        try:
            return await self.etcd.status(node.key)
        except EtcdError as error:
            raise etcd_failed(error, "failed to query etcd status") from None

    async def alarms(self, node: Node, *, disarm: bool) -> list[EtcdAlarm]:
        """Raised alarms, or those that were cleared now, as the node's own member says."""
        try:
            return await (self.etcd.disarm if disarm else self.etcd.alarms)(node.key)
        except EtcdError as error:
            doing = "failed to disarm etcd alarm" if disarm else "failed to list etcd alarms"
            raise etcd_failed(error, doing) from None

    async def defragment(self, node: Node) -> None:
        """Of the node's own member; it answers nobody meanwhile."""
        try:
            await self.etcd.defragment(node.key)
        except EtcdError as error:
            raise etcd_failed(error, "failed to defragment etcd") from None

    async def snapshot(self, node: Node) -> AsyncIterator[bytes]:
        """Of the node's own member."""
        try:
            async for chunk in self.etcd.snapshot(node.key):
                yield chunk
        except EtcdError as error:
            raise etcd_failed(error, "failed reading etcd snapshot") from None

    # Changing

    async def add(self, node: Node) -> Member:
        """The node becomes a learner; EtcdError where the others do not take it now."""
        assert node.config is not None
        member_id = await self.etcd.join(node.config.v1alpha1, node.facts(), via=self._voice())
        member = Member(id=member_id, name=node.hostname, address=node.address, machine=node.key, learner=True)
        # etcd has removed a member of the same name: the machine was made anew.
        others = [one for one in self.members if node.key != one.machine and node.hostname != one.name]
        self.record.members = [*others, member]
        self.save()
        return member

    async def promote(self, node: Node) -> None:
        """Repeat until the node's learner votes; returns at once where it goes away meanwhile."""
        said = ""
        while (member := self.of(node)) and member.learner and node.key in self.alive():
            try:
                await self.etcd.promote(member.id, via=self._voice())
            except EtcdError as error:
                if said != str(error):
                    said = str(error)
                    self._context.events.emit(SOURCE, "etcd-promotion-refused", cluster=self._cluster_id, error=said)
                await asyncio.sleep(_PROMOTE_PAUSE_S)
                continue
            member.learner = False
            self.save()
            self._context.emit("etcd-joined", node, cluster=self._cluster_id, members=len(self.members))

    async def remove(self, member_id: int) -> None:
        """Any member by id; the machine that held it, if it lives, keeps useless data."""
        try:
            await self.etcd.remove(member_id, via=self._voice())
        except EtcdError as error:
            raise etcd_failed(error, f"failed to remove member: failed to remove member {member_id}") from None
        self._removed(member_id)

    async def leave(self, node: Node) -> None:
        """The node's member leaves; its data goes. Repeated while etcd says that this will pass."""
        if (member := self.of(node)) is not None:
            await self._leave(member)
            self._removed(member.id)
        await self.etcd.drop(node.key)
        node.record.etcd_data = False
        self._context.store.save_machine(node.record)

    async def _leave(self, member: Member) -> None:
        for attempt in range(_LEAVE_ATTEMPTS):
            try:
                return await self.etcd.remove(member.id, via=self._voice())
            except EtcdError as error:
                if "member not found" in str(error):
                    return None
                if attempt + 1 == _LEAVE_ATTEMPTS or not any(words in str(error) for words in _PASSES):
                    doing = f"failed to leave cluster: failed to remove member {member.id}"
                    raise etcd_failed(error, doing) from None
            await asyncio.sleep(_LEAVE_PAUSE_S)
        return None

    async def forfeit(self, node: Node) -> str:
        """Name of the member that leads now; empty if the node's did not."""
        doing = "failed to forfeit leadership"
        try:
            members = await self.etcd.members(self._voice())
            if len(members) == 1:
                raise failed_precondition(f"{doing}: cannot forfeit leadership, only one member")
            facts = await self.etcd.status(node.key)
            if facts.leader != facts.member_id:
                return ""
            # The first one in the list, whatever it is and whether it lives: so does Talos.
            other = next(one for one in members if one.id != facts.member_id)
            await self.etcd.move_leader(node.key, other.id)
        except EtcdError as error:
            raise etcd_failed(error, doing) from None
        return other.name

    def _removed(self, member_id: int) -> None:
        self.record.members = [member for member in self.members if member.id != member_id]
        self.save()

    def _voice(self) -> str:
        """Machine of a voter that runs, to ask about the cluster; the home's first."""
        started = self.etcd.started()
        living = [member.machine for member in self.voters if member.machine in started]
        if self.record.home in living:
            return str(self.record.home)
        return next(iter(living), "")
