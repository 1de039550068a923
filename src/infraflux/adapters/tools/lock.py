"""One installer per cache at a time. The kernel releases the lock with its holder, so no lock is ever stale."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infraflux.core.errors import ErrorClass, Retryable

# Short enough to start at once when the other is done, long enough to cost nothing.
POLL_S = 0.5


@contextmanager
def only_installer(
    path: Path,
    *,
    wait_s: float,
    on_wait: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock for the block; wait up to `wait_s` for another holder, else Retryable (conflict)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = clock() + wait_s
        told = False
        while not _taken(descriptor):
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            if clock() >= deadline:
                raise Retryable(
                    f"{holder} is installing programs into {path.parent}",
                    stage="tools",
                    error_class=ErrorClass.CONFLICT,
                    next_step="wait until it is done, then run the same command again",
                )
            if not told:
                on_wait(holder)
                told = True
            sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
