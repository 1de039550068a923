"""Who holds a Terraform state, and whether a lock may be broken.

A lock is broken only when its holder is proven dead: it was taken on this machine by a process that we recorded and
that no longer exists. A lock of another machine is never touched.
"""

import json
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from infraflux.core.errors import Retryable
from infraflux.core.files import write_private

_FIELDS = re.compile(r"^\s*(ID|Path|Operation|Who|Version|Created):[ \t]*(.*?)\s*$", re.MULTILINE)
_ECHOED = re.compile(r"already locked: ID=([0-9A-Za-z-]+)")
_CLOCK_SLACK = timedelta(seconds=2)


class StateLocked(Retryable):
    """Somebody else works on this state; `lock` says who."""

    lock: "LockInfo"


@dataclass(frozen=True, kw_only=True)
class LockInfo:
    """What a lock says of its holder."""

    id: str
    who: str
    operation: str = ""
    created: str = ""

    @property
    def host(self) -> str:
        """The machine it was taken on; empty where it does not say."""
        return self.who.rpartition("@")[2] if "@" in self.who else ""

    def __str__(self) -> str:
        since = f" since {self.created[:19]}" if self.created else ""
        doing = f", {self.operation}" if self.operation else ""
        return f"{self.who or 'somebody'}{since} (lock {self.id}{doing})"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that started Terraform on a state, as it recorded itself beforehand."""

    pid: int
    started: float
    """`psutil` creation time: a pid alone may have been given to another process."""
    host: str
    boot_id: str
    recorded: str
    """ISO time."""

    @classmethod
    def myself(cls) -> "Holder":
        """This process."""
        return cls(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            host=socket.gethostname(),
            boot_id=_boot_id(),
            recorded=datetime.now(UTC).isoformat(),
        )


class HolderRecords:
    """One file per process that works on a state, written before Terraform starts and removed when it ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def me(self) -> Iterator[None]:
        """Record this process for the time of the context."""
        mine = self._directory / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        write_private(mine, json.dumps(asdict(Holder.myself())))
        try:
            yield
        finally:
            mine.unlink(missing_ok=True)

    def read(self) -> tuple[Holder, ...]:
        """Every recorded process, the dead ones included."""
        return tuple(holder for path in self._directory.glob("*.json") if (holder := _read(path)) is not None)

    def forget_dead(self) -> None:
        """Remove the records of processes that are gone: their lock is free by now."""
        for path in self._directory.glob("*.json"):
            holder = _read(path)
            if holder is None or holder.boot_id != _boot_id() or not is_alive(holder):
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Break:
    """The lock may be broken, and why."""

    reason: str


@dataclass(frozen=True)
class Keep:
    """The lock stays, and why."""

    reason: str


def parse_lock(text: str) -> LockInfo | None:
    """The lock of Terraform's message "Error acquiring the state lock"; None where it names none."""
    if echoed := _ECHOED.search(text):
        # The http backend shows the fields of our own request; only the id is the holder's.
        return LockInfo(id=echoed.group(1), who="somebody")
    found: dict[str, str] = dict(_FIELDS.findall(text))
    if not found.get("ID"):
        return None
    return LockInfo(
        id=found["ID"],
        who=found.get("Who", ""),
        operation=found.get("Operation", ""),
        created=found.get("Created", ""),
    )


def judge_lock(
    lock: LockInfo, *, holders: Sequence[Holder], here: Holder, alive: Callable[[Holder], bool]
) -> Break | Keep:
    """Whether every process that can have taken `lock` is proven dead. Pure but for `alive`."""
    if lock.host != here.host:
        return Keep(f"the lock was taken on {lock.host or 'an unknown machine'}; only that machine can prove its end")
    takers = [holder for holder in holders if holder.host == here.host and _may_have_taken(holder, lock)]
    if not takers:
        return Keep("no record says which process took it")
    living = [holder.pid for holder in takers if holder.boot_id == here.boot_id and alive(holder)]
    if living:
        return Keep(f"process {living[0]} on this machine is at work")
    return Break(f"process {', '.join(str(holder.pid) for holder in takers)} on this machine is gone")


def is_alive(holder: Holder) -> bool:
    """Whether exactly this process still exists."""
    try:
        process = psutil.Process(holder.pid)
        return abs(process.create_time() - holder.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _may_have_taken(holder: Holder, lock: LockInfo) -> bool:
    try:
        # "2026-11-23 08:32:15.123456789 +0000 UTC"
        created = datetime.fromisoformat(f"{lock.created[:19].replace(' ', 'T')}+00:00")
    except ValueError:
        return False
    return created + _CLOCK_SLACK >= datetime.fromisoformat(holder.recorded)


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
