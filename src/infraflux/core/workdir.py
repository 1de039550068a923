"""A directory for secrets in the clear: gone afterwards, and where its owner was killed, gone with the next use."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infraflux.core.files import make_private_dir

PREFIX = ".work-"


@contextmanager
def private_workdir(parent: Path) -> Iterator[Path]:
    """A 0700 directory that is removed when the body is left; what killed processes left beside it is removed first."""
    make_private_dir(parent)
    sweep_workdirs(parent)
    path, held = _make(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def sweep_workdirs(parent: Path) -> None:
    """Remove the directories below `parent` that nobody works in. The kernel frees the lock of a dead owner."""
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            held = _hold(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(held)


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        with suppress(FileNotFoundError):
            held = _hold(path, fcntl.LOCK_EX)
            # A sweep may have met it before it was held.
            if path.exists():
                return path, held
            os.close(held)


def _hold(path: Path, how: int) -> int:
    """A descriptor with the lock; OSError where the directory is gone or somebody else has it.

    The lock is on the directory itself (filelock locks files only): a file inside would go with the directory, and one
    beside it would have to be found and removed as well.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
