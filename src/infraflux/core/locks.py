"""Locks of runs on this machine: whether a run holds a cluster, and work of which one run at a time is enough."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infraflux.core.files import make_private_dir


def lock_file(directory: Path, cluster: str) -> Path:
    """The lock of `<env>/<name>` below the directory of locks."""
    return directory / f"{cluster.replace('/', '--')}.lock"


def limit_name(cluster: str) -> str:
    """The concurrency limit `cluster:<env>:<name>` (Prefect allows no slash): the service makes it, runs take it."""
    return f"cluster:{cluster.replace('/', ':')}"


def is_held(directory: Path, cluster: str) -> bool:
    """Whether somebody holds it now. A shared lock is taken and given back at once: a run waits seconds for its own,
    so it never notices."""
    path = lock_file(directory, cluster)
    try:
        handle = path.open("r")
    except FileNotFoundError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def one_at_a_time(directory: Path, work: str, *, who: str) -> Iterator[str]:
    """Hold a piece of work for the body; yields who does it already, empty where it is ours.

    The kernel gives the lock back when its holder dies, so nothing that crashed is in the way of the next one.
    """
    path = make_private_dir(directory) / f"{work.replace('/', '--')}.work"
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            yield handle.read().strip() or "another run"
            return
        handle.truncate(0)
        handle.write(f"{who}\n")
        handle.flush()
        yield ""
