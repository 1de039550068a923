"""One writer per cluster.

Three walls, outside in: a file lock (this machine; the kernel gives it back the moment the holder dies), a Prefect
global concurrency limit `cluster:<env>:<name>` with a lease of `LEASE_S` (all machines of one server), Terraform's own
state lock. The lease is renewed in the background; before each step that changes something, `check` proves that it is
still ours, so a holder that was paused or cut off stops before its next write.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.variables import Variable

from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.files import make_private_dir
from infraflux.core.locks import Taken, hold, limit_name, lock_file
from infraflux.core.run_records import RunRecord, alive
from tasks.engine.retry import retry

LEASE_S = 60.0
RENEW_S = 15.0
BUSY_WAIT_S = 5.0
"""A run that meets a holder says so at once; it does not sit in a queue that nobody sees."""

LOCKED = 423
GONE = frozenset({404, 410})


class LockLost(Permanent):
    """Somebody else may hold the cluster by now."""

    default_class = ErrorClass.CONFLICT


class ClusterBusy(Permanent):
    """Another run holds the cluster."""

    default_class = ErrorClass.CONFLICT


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who has the lock; kept as a Prefect variable, where people and other machines can read it."""

    flow_run_id: str
    flow_run_name: str
    lease_id: str
    host: str
    pid: int
    started: float
    since: str

    def __str__(self) -> str:
        return f"{self.flow_run_name} (run {self.flow_run_id}, pid {self.pid} on {self.host}, since {self.since})"


class Fence(StrEnum):
    """May this run write now?"""

    FRESH = "fresh"
    """The lease was renewed a moment ago."""
    ASK = "ask"
    """It may have run out: the server has to say."""
    LOST = "lost"


def judge_fence(*, now: float, renewed_at: float, refused: bool) -> Fence:
    """Decide from monotonic times (pure); the clock goes on while a process is paused."""
    if refused:
        return Fence.LOST
    return Fence.FRESH if now - renewed_at < RENEW_S else Fence.ASK


def may_reclaim(holder: Holder | None, *, host: str, holder_alive: bool) -> bool:
    """Whether a foreign lease may be given back (pure): only where its holder provably died on this very machine."""
    return holder is not None and holder.host == host and not holder_alive


def variable_name(cluster: str) -> str:
    """Prefect allows lower case letters, digits, `-` and `_`."""
    return f"lock_{cluster.replace('/', '_')}"


def busy(cluster: str, holder: Holder | None) -> ClusterBusy:
    """The error that names the holder."""
    who = f"held by {holder}" if holder else "held by a run that left no name"
    return ClusterBusy(
        f"{cluster} is busy: {who}",
        cluster=cluster,
        stage="lock",
        next_step="wait until that run ends, or cancel it, then start again",
    )


class Lease:
    """A held lock; `check` before each change."""

    def __init__(self, cluster: str, lease_id: UUID, renew: Callable[[UUID], None]) -> None:
        self.cluster, self.id, self._renew = cluster, lease_id, renew
        self._renewed_at = time.monotonic()
        self._refused = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {cluster}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def check(self) -> None:
        """LockLost where the lease is not ours any more, Retryable where nobody can tell."""
        fence = judge_fence(now=time.monotonic(), renewed_at=self._renewed_at, refused=self._refused)
        if fence is Fence.ASK:
            try:
                self.renew()
            except httpx.HTTPError as error:
                raise Retryable(
                    f"cannot prove that {self.cluster} is still ours: the Prefect server does not answer",
                    cluster=self.cluster,
                    stage="lock",
                    next_step="start the run again when the server is back; it continues from what is there",
                ) from error
        if self._refused:
            raise LockLost(
                f"the lock on {self.cluster} ran out while this run was paused or cut off",
                cluster=self.cluster,
                stage="lock",
                next_step="start the run again; it continues from what is there",
            )

    def renew(self) -> None:
        """Prolong the lease; remembers a refusal for ever."""
        asked = time.monotonic()
        try:
            self._renew(self.id)
        except (ObjectNotFound, PrefectHTTPStatusError) as error:
            status = getattr(getattr(error, "response", None), "status_code", 404)
            if status not in GONE:
                raise
            self._refused = True
        else:
            self._renewed_at = asked

    def _keep(self) -> None:
        while not self._stop.wait(RENEW_S):
            # A server that is away is asked again; `check` decides what that means for the next write.
            with suppress(httpx.HTTPError):
                self.renew()


@contextmanager
def cluster_lock(cluster: str, *, directory: Path, flow_run_id: str, flow_run_name: str) -> Iterator[Lease]:
    """Hold the cluster for the body; ClusterBusy names who else does."""
    with _file_lock(cluster, directory=directory), get_client(sync_client=True) as client:
        lease_id = retry(lambda: _acquire(client, cluster, flow_run_id=flow_run_id))
        lease = Lease(cluster, lease_id, lambda one: _renew(client, one))
        lease.start()
        try:
            _write_holder(cluster, flow_run_id=flow_run_id, flow_run_name=flow_run_name, lease_id=lease_id)
            yield lease
        finally:
            lease.stop()
            # The server may be away: then the lease runs out by itself.
            with suppress(httpx.HTTPError):
                client.release_concurrency_slots_with_lease(lease_id)
                Variable.unset(variable_name(cluster))


def _renew(client: SyncPrefectClient, lease_id: UUID) -> None:
    client.renew_concurrency_lease(lease_id, lease_duration=LEASE_S)


@contextmanager
def _file_lock(cluster: str, *, directory: Path) -> Iterator[None]:
    path = lock_file(make_private_dir(directory), cluster)
    with ExitStack() as held:
        try:
            held.enter_context(hold(path, who=f"process {os.getpid()}", wait_s=BUSY_WAIT_S, poll_s=0.2))
        except Taken:
            raise busy(cluster, read_holder(cluster)) from None
        yield


def _acquire(client: SyncPrefectClient, cluster: str, *, flow_run_id: str) -> UUID:
    """A lease, waited for a moment."""
    name = limit_name(cluster)
    deadline = time.monotonic() + BUSY_WAIT_S
    while True:
        lease = _try_acquire(client, name, flow_run_id=flow_run_id)
        if lease is not None:
            return lease
        holder = read_holder(cluster)
        if may_reclaim(holder, host=os.uname().nodename, holder_alive=_holder_alive(holder)):
            assert holder is not None
            client.release_concurrency_slots_with_lease(UUID(holder.lease_id))
            Variable.unset(variable_name(cluster))
        elif time.monotonic() > deadline:
            raise busy(cluster, holder)
        else:
            time.sleep(0.5)


def _try_acquire(client: SyncPrefectClient, name: str, *, flow_run_id: str) -> UUID | None:
    holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(flow_run_id))
    try:
        reply = client.increment_concurrency_slots_with_lease(
            names=[name], slots=1, mode="concurrency", lease_duration=LEASE_S, holder=holder
        )
    except PrefectHTTPStatusError as error:
        if error.response.status_code == LOCKED:
            return None
        raise
    granted = reply.json()
    if not granted["limits"]:
        # Prefect lets everybody in where the limit does not exist; make it and ask again. At once: a slow server is no
        # other holder.
        client.upsert_global_concurrency_limit_by_name(name, 1)
        return _try_acquire(client, name, flow_run_id=flow_run_id)
    return UUID(granted["lease_id"])


def _write_holder(cluster: str, *, flow_run_id: str, flow_run_name: str, lease_id: UUID) -> None:
    process = psutil.Process()
    holder = Holder(
        flow_run_id=flow_run_id,
        flow_run_name=flow_run_name,
        lease_id=str(lease_id),
        host=os.uname().nodename,
        pid=process.pid,
        started=process.create_time(),
        since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    retry(lambda: Variable.set(variable_name(cluster), json.dumps(asdict(holder)), overwrite=True))


def read_holder(cluster: str) -> Holder | None:
    """Who holds the cluster, as far as anybody wrote it down."""
    return _parsed(Variable.get(variable_name(cluster)))


def _parsed(value: Any) -> Holder | None:
    if not value:
        return None
    try:
        return Holder(**(json.loads(value) if isinstance(value, str) else value))
    except (TypeError, ValueError):
        return None


def seen_holder(client: SyncPrefectClient, cluster: str) -> str:
    """Who holds the cluster anywhere, in words; empty where nobody does. Takes and changes nothing."""
    try:
        limit = client.read_global_concurrency_limit_by_name(limit_name(cluster))
    except ObjectNotFound:
        return ""
    if not limit.active_slots:
        return ""
    variable = client.read_variable_by_name(variable_name(cluster))
    holder = _parsed(variable.value if variable else None)
    return f"held by {holder}" if holder else "held by a run that left no name"


def _holder_alive(holder: Holder | None) -> bool:
    if holder is None:
        return True
    record = RunRecord(
        flow_run_id=holder.flow_run_id, flow="", cluster="", api_url="", pid=holder.pid, started=holder.started
    )
    return alive(record)
