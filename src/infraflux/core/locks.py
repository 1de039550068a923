"""Locks on this machine. The kernel gives a lock back when its holder dies, so none is ever stale."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from infraflux.core.clock import Clock, NotYet, SystemClock, wait_until
from infraflux.core.files import make_private_dir

if TYPE_CHECKING:
    from filelock import FileLock

# Short enough to start at once when the other is done, long enough to cost nothing.
POLL_S = 0.5


class Taken(Exception):
    """Somebody else holds the lock; `holder` is what they call themselves, empty where they left no name."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def take(path: Path, *, who: str) -> "FileLock":
    """Hold the lock until its `release`, or until this process ends; raises Taken at once where somebody has it."""
    # Imported here: it costs 0.1 s, and most commands lock nothing.
    from filelock import FileLock, Timeout  # noqa: PLC0415

    lock = FileLock(path, mode=0o600, thread_local=False, preserve_lock_file=True, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Taken(_name_in(path)) from None
    path.write_text(f"{who}\n")
    return lock


@contextmanager
def hold(
    path: Path,
    *,
    who: str,
    wait_s: float = 0.0,
    on_wait: Callable[[str], None] | None = None,
    clock: Clock | None = None,
    poll_s: float = POLL_S,
) -> Iterator[None]:
    """Hold the lock for the body; Taken where somebody else has it for longer than `wait_s`.

    `on_wait` hears once who is waited for.
    """
    clock, told = clock or SystemClock(), False

    def attempt() -> "FileLock | NotYet":
        nonlocal told
        try:
            return take(path, who=who)
        except Taken as taken:
            if on_wait and wait_s > 0 and not told:
                told = True
                on_wait(taken.holder)
            return NotYet(taken.holder)

    lock = wait_until(attempt, clock=clock, deadline_s=wait_s, interval_s=poll_s, what=f"the lock {path.name}")
    if isinstance(lock, NotYet):
        raise Taken(lock.reason)
    try:
        yield
    finally:
        lock.release()


def holder_of(path: Path) -> str | None:
    """What the holder calls itself, empty where it left no name; None where nobody has the lock.

    A shared lock is taken and given back at once: those who look never meet each other, and who wants the lock waits
    for longer than that. (filelock knows exclusive ones only.)
    """
    try:
        handle = path.open("r")
    except FileNotFoundError:
        return None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle.read().strip()
        return None


def _name_in(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def lock_file(directory: Path, cluster: str) -> Path:
    """The lock of `<env>/<name>` below the directory of locks."""
    return directory / f"{cluster.replace('/', '--')}.lock"


def limit_name(cluster: str) -> str:
    """The concurrency limit `cluster:<env>:<name>` (Prefect allows no slash): the service makes it, runs take it."""
    return f"cluster:{cluster.replace('/', ':')}"


def is_held(directory: Path, cluster: str) -> bool:
    """Whether a run on this machine holds the cluster now."""
    return holder_of(lock_file(directory, cluster)) is not None


@contextmanager
def one_at_a_time(directory: Path, work: str, *, who: str) -> Iterator[str]:
    """Hold a piece of work for the body; yields who does it already, empty where it is ours."""
    path = make_private_dir(directory) / f"{work.replace('/', '--')}.work"
    try:
        lock = take(path, who=who)
    except Taken as taken:
        yield taken.holder or "another run"
        return
    try:
        yield ""
    finally:
        lock.release()
