"""One installer per cache at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infraflux.core.clock import Clock
from infraflux.core.errors import ErrorClass, Retryable
from infraflux.core.locks import Taken, hold

NAMELESS = "another process"


@contextmanager
def only_installer(
    path: Path, *, wait_s: float, on_wait: Callable[[str], None], clock: Clock | None = None
) -> Iterator[None]:
    """Hold the lock for the block; wait up to `wait_s` for another holder, else Retryable (conflict)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    me = f"process {os.getpid()}"
    try:
        with hold(path, who=me, wait_s=wait_s, on_wait=lambda holder: on_wait(holder or NAMELESS), clock=clock):
            yield
    except Taken as taken:
        raise Retryable(
            f"{taken.holder or NAMELESS} is installing programs into {path.parent}",
            stage="tools",
            error_class=ErrorClass.CONFLICT,
            next_step="wait until it is done, then run the same command again",
        ) from None
