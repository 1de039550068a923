"""One Kubernetes cluster of the lab: its etcd members, and where the one real control plane runs.

Every control plane has a real etcd member; API server, controllers and kwok run once, beside one of the members, and
the other control planes lead to it. Without a majority of members there is no API until it is back.

Everything is level-triggered: whoever changes a machine calls `reconcile`, which compares what should be with what is.
"""

import asyncio

from infraflux_lab.contracts import EtcdError
from infraflux_lab.talos import quorum
from infraflux_lab.talos.context import SOURCE, LabContext
from infraflux_lab.talos.errors import already_exists, failed_precondition, unavailable
from infraflux_lab.talos.machine_config import MachineConfig
from infraflux_lab.talos.manifest_keeper import ManifestKeeper
from infraflux_lab.talos.membership import Membership
from infraflux_lab.talos.node import Node
from infraflux_lab.talos.store import ClusterRecord, Member

# Between attempts to bring the real processes in line.
_RETRY_PAUSE_S = 2.0
# Between attempts to join; Talos waits 3 s.
_JOIN_PAUSE_S = 1.0
LEARNER = "etcdserver: rpc not supported for learner"


class Cluster:
    """Keeps one cluster's real control plane in step with its machines."""

    def __init__(self, context: LabContext, cluster_id: str) -> None:
        self._context = context
        self.id = cluster_id
        self.membership = Membership(context, cluster_id, self.nodes)
        self._lock = asyncio.Lock()
        self._home_boot: str | None = None
        self._registered: dict[str, tuple[str, object]] = {}
        self._reported_down: set[str] = set()
        self._joining: asyncio.Task[None] | None = None
        self._starting = False
        self.manifests = ManifestKeeper(context, cluster_id, applied=self._changed)

    # What it looks like

    def nodes(self) -> list[Node]:
        """Configured machines of this cluster."""
        found = [node for node in self._context.nodes.values() if node.config and node.config.cluster_id == self.id]
        return sorted(found, key=lambda node: (node.hostname, node.key))

    @property
    def record(self) -> ClusterRecord:
        return self.membership.record

    @property
    def members(self) -> list[Member]:
        return self.membership.members

    def member_of(self, node: Node) -> Member | None:
        return self.membership.of(node)

    def alive(self) -> set[str]:
        """Machines that run and hold etcd data."""
        return self.membership.alive()

    @property
    def running(self) -> bool:
        return self._context.kubernetes.running(self.id)

    def require_etcd(self) -> None:
        """Raise as a client of etcd would see it while it has no quorum."""
        if not self.running:
            raise unavailable("etcdserver: no leader" if self.members else "etcd is not running")

    # What clients ask for

    async def bootstrap(self, node: Node, *, recover: bool, checked: bool = True) -> None:
        """Make this node the first member of a new etcd, or of one recovered from the uploaded snapshot.

        Returns when the decision is on disk; the processes start after the simulated time it takes.
        """
        async with self._lock:
            if node.record.etcd_data:
                raise already_exists("etcd data directory is not empty")
            if recover and not self._context.store.snapshot_path(node.key).exists():
                raise failed_precondition("no etcd snapshot was uploaded to recover from")
            if not recover and (self.members or self._context.kubernetes.has_data(self.id)):
                raise already_exists("etcd data directory is not empty")
            recovery = "recover" if checked else "recover-unchecked"
            self._found(node, pending=recovery if recover else "new")
        self._context.tasks.spawn(f"bootstrap {node.key}", self._bootstrap_later())

    def _found(self, node: Node, *, pending: str) -> None:
        # The id is etcd's to give; until it runs there is none.
        self.record.members = [Member(id=0, name=node.hostname, address=node.address, machine=node.key)]
        self.record.home = node.key
        self.record.pending = pending
        self._save()
        node.record.etcd_data = True
        self._context.store.save_machine(node.record)
        self._starting = True

    async def _bootstrap_later(self) -> None:
        try:
            await self._context.latency.sleep("etcd-bootstrap")
        finally:
            self._starting = False
        await self.reconcile()

    async def leave(self, node: Node) -> None:
        """The node's member leaves and its data directory is removed."""
        async with self._lock:
            await self._move_from(node)
            await self.membership.leave(node)
            if node.up:
                node.set_service("etcd", state="Finished", healthy=False, message="Service finished successfully")
        await self.reconcile()

    async def _move_from(self, node: Node) -> None:
        """An API server whose etcd goes first hangs: it moves to another member before, if there is one."""
        others = [member for member in self.membership.voters if member.machine != node.key]
        if self.running and node.key == self.record.home and quorum.has_quorum(others, self.alive()):
            await self._stop()
            await self._start_at(quorum.choose_home(others, self.alive(), None))

    async def remove_member(self, member_id: int) -> None:
        """Remove any member by id; the machine that held it, if it lives, keeps useless data."""
        async with self._lock:
            await self.membership.remove(member_id)
        await self.reconcile()

    async def forfeit_leadership(self, node: Node) -> str:
        """Name of the member that leads now; empty if this one did not."""
        return await self.membership.forfeit(node)

    async def data_lost(self, machine: str) -> None:
        """A machine was wiped or deleted without leaving; the last such machine takes the data with it."""
        async with self._lock:
            holders = {record.key for record in self._context.store.machines() if record.etcd_data}
            if self.members and not any(member.machine in holders - {machine} for member in self.members):
                await self._context.kubernetes.remove(self.id)
                self.membership.forget()
                self._home_boot = None
                self._registered.clear()
                self.manifests.forget()
                self._context.events.emit(SOURCE, "etcd-data-gone", cluster=self.id)
            else:
                # First nothing may use the data any more, then it goes.
                await self._settle()
            if machine not in holders:
                await self.membership.etcd.drop(machine)
        await self.reconcile()

    # Keeping it so

    async def reconcile(self) -> None:
        """Bring control plane, members and Node objects in line with the machines.

        The host of the real processes may fail for any reason (a port still taken, a process that died); that is
        reported and tried again, for a real node keeps trying as well.
        """
        async with self._lock:
            await self._settle()
            self._settle_services()
        self._settle_manifests()
        if self._joining is None and self._waiting_to_join():
            self._joining = self._context.tasks.spawn(f"join {self.id}", self._join_waiting())

    async def _settle(self) -> None:
        try:
            await self._settle_control_plane()
            await self._settle_nodes()
        except Exception as error:  # noqa: BLE001 - whatever the host raises is reported and retried, see `reconcile`
            reason = f"{type(error).__name__}: {error}"
            self._context.events.emit(SOURCE, "reconcile-failed", cluster=self.id, error=reason)
            self._context.tasks.spawn(f"retry {self.id}", self._reconcile_later())

    def _settle_manifests(self) -> None:
        home = self._context.nodes.get(self.record.home or "")
        self.manifests.want(home.config if home and self.running else None)

    def _changed(self) -> None:
        for node in self.nodes():
            node.changed()

    async def _reconcile_later(self) -> None:
        await asyncio.sleep(_RETRY_PAUSE_S)
        await self.reconcile()

    async def restart(self) -> None:
        """The control plane's configuration changed: its static pods start anew."""
        async with self._lock:
            if self.running:
                await self._stop()
        await self.reconcile()

    async def _settle_control_plane(self) -> None:
        voters, alive = self.membership.voters, self.alive()
        home_key = None if self._starting else quorum.choose_home(voters, alive, self.record.home)
        home = self._context.nodes.get(home_key) if home_key else None
        if self.running and (home is None or (home.key, home.boot_id) != (self.record.home, self._home_boot)):
            await self._stop()
        await self.membership.settle()
        if home is not None and not self.running:
            await self._start_at(home.key)

    async def _start_at(self, machine: str | None) -> None:
        # The start registers every node that the host still takes for up: one that went meanwhile is no more.
        for name in self._absent():
            await self._context.kubernetes.node_down(self.id, name)
        await self._start(self._context.nodes[machine or ""])

    async def _stop(self) -> None:
        await self._context.kubernetes.stop(self.id)
        self._home_boot = None
        self._registered.clear()
        self._reported_down.clear()
        for node in self.nodes():
            node.registered = False
        self._context.events.emit(SOURCE, "control-plane-stopped", cluster=self.id)

    async def _start(self, home: Node) -> None:
        assert home.config is not None
        kubernetes, config, facts = self._context.kubernetes, home.config.v1alpha1, home.facts()
        if self.record.pending.startswith("recover") and not self.membership.etcd.has_data(home.key):
            snapshot = self._context.store.snapshot_path(home.key).read_bytes()
            checked = self.record.pending == "recover"
            await self.membership.etcd.recover(config, facts, snapshot, checked=checked)
        new = self.record.pending == "new" and not kubernetes.has_data(self.id)
        await kubernetes.start(self.id, config, facts, new=new)
        await self._started(home)

    async def _started(self, home: Node) -> None:
        first = self.record.pending
        self.record.pending = ""
        self.record.home = home.key
        self._home_boot = home.boot_id
        if first and len(self.members) == 1:
            self.members[0].id = (await self.membership.etcd.status(home.key)).member_id
        self._save()
        self._context.emit("control-plane-started", home, cluster=self.id, first=bool(first))
        vip = next((node.config.vip for node in self.nodes() if node.config and node.config.vip), None)
        if vip:
            await self._context.kubernetes.set_vip(self.id, vip)

    async def _settle_nodes(self) -> None:
        if not self.running:
            return
        up = {node.hostname: node for node in self.nodes() if node.up}
        for name, node in up.items():
            wanted = (node.boot_id, node.facts())
            if self._registered.get(name) != wanted and self._may_register(node):
                await self._context.kubernetes.node_up(self.id, node.facts())
                self._registered[name] = wanted
                node.registered = True
                self._remember(name)
        for name in self._absent():
            if self._registered.pop(name, None) is not None or name not in self._reported_down:
                await self._context.kubernetes.node_down(self.id, name)
                self._reported_down.add(name)

    def _absent(self) -> list[str]:
        """Nodes that were registered once and are not up."""
        up = {node.hostname for node in self.nodes() if node.up}
        return [name for name in self.record.known_nodes if name not in up]

    def _may_register(self, node: Node) -> bool:
        """A control plane's kubelet talks to its own API server, which waits for its own etcd."""
        return not node.control_plane or node.record.etcd_data

    def _remember(self, name: str) -> None:
        self._reported_down.discard(name)
        if name not in self.record.known_nodes:
            self.record.known_nodes.append(name)
            self._save()

    def _waiting_to_join(self) -> Node | None:
        """A control plane that is no voter yet, while there is a cluster to join: a learner first, etcd takes one."""
        waiting = [node for node in self.nodes() if self.running and self._may_join(node)]
        return next(iter(sorted(waiting, key=lambda node: self.member_of(node) is None)), None)

    def _may_join(self, node: Node) -> bool:
        member = self.member_of(node)
        if not node.up or not node.control_plane:
            return False
        if node.record.etcd_data:
            return member is not None and member.learner
        # After `etcd leave` the service is finished and stays so until the machine reboots.
        etcd = node.services.get("etcd")
        return bool(etcd and etcd.state != "Finished")

    async def _join_waiting(self) -> None:
        """Take waiting control planes in one at a time, as etcd takes learners."""
        try:
            while node := self._waiting_to_join():
                await self._join(node)
        finally:
            self._joining = None
        await self.reconcile()

    async def _join(self, node: Node) -> None:
        if not node.record.etcd_data:
            await self._context.latency.sleep("etcd-join")
            async with self._lock:
                joined = not (self.running and self._may_join(node)) or await self._add(node)
            if not joined:
                await asyncio.sleep(_JOIN_PAUSE_S)
            await self.reconcile()
            return
        await self._context.latency.sleep("etcd-learner")
        await self.membership.promote(node)
        await self.reconcile()

    async def _add(self, node: Node) -> bool:
        try:
            await self.membership.add(node)
        except (EtcdError, OSError) as error:
            # For some seconds after each change etcd calls itself unhealthy: Talos tries again as well.
            self._context.emit("etcd-join-refused", node, cluster=self.id, error=str(error))
            return False
        node.record.etcd_data = True
        self._context.store.save_machine(node.record)
        self._context.emit("etcd-learner", node, cluster=self.id)
        return True

    def _settle_services(self) -> None:
        for node in self.nodes():
            if not node.up:
                continue
            if node.control_plane and node.record.etcd_data:
                self._settle_etcd(node)
            node.settle()

    def _settle_etcd(self, node: Node) -> None:
        member = self.member_of(node)
        if member is None:
            node.set_service("etcd", healthy=False, message="the member has been permanently removed from the cluster")
        elif member.learner:
            node.set_service("etcd", healthy=False, message=LEARNER)
        elif self.running:
            node.set_service("etcd")
        else:
            node.set_service("etcd", healthy=False, message="context deadline exceeded")

    def _save(self) -> None:
        self.membership.save()


class Clusters:
    """All clusters of the lab by id, made when first needed."""

    def __init__(self, context: LabContext) -> None:
        self._context = context
        self._clusters: dict[str, Cluster] = {}

    def of(self, node: Node) -> Cluster:
        """The cluster of a configured machine."""
        assert node.config is not None
        return self.get(node.config.cluster_id)

    def get(self, cluster_id: str) -> Cluster:
        if cluster_id not in self._clusters:
            self._clusters[cluster_id] = Cluster(self._context, cluster_id)
        return self._clusters[cluster_id]

    def all(self) -> list[Cluster]:
        return list(self._clusters.values())

    def reconcile_later(self, config: MachineConfig | None) -> None:
        """Reconcile the cluster of a machine with this configuration in the background."""
        if config is not None:
            self._context.tasks.spawn(f"reconcile {config.cluster_id}", self.get(config.cluster_id).reconcile())
