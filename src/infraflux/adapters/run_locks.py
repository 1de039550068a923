"""Whether a run holds a cluster on this machine: the file lock that every run takes, looked at and left alone."""

import fcntl
from pathlib import Path


def lock_file(directory: Path, cluster: str) -> Path:
    """The lock of `<env>/<name>` below the directory of locks."""
    return directory / f"{cluster.replace('/', '--')}.lock"


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
