"""The progress artifact of a run, written beside it: no stage waits for a bar."""

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

CLOSE_S = 5.0
"""A server that is away longer does not get the last value: the state of the run says the same."""


def artifact_writer(key: str) -> Callable[[float], None]:
    """Writes percentages into one artifact of this key: makes it with the first, changes it with the next."""
    made: list[UUID] = []

    def write(percent: float) -> None:
        if made:
            update_progress_artifact(artifact_id=made[0], progress=percent)
        else:
            made.append(cast(UUID, create_progress_artifact(progress=percent, key=key)))

    return write


class ProgressBar:
    """Hands the newest value to a thread of its own; values that were overtaken meanwhile are never written."""

    def __init__(self, write: Callable[[float], None]) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._newest: float | None = None
        self._closing = False
        # Prefect finds the run that an artifact belongs to in the context, which threads do not inherit.
        context = copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._keep), name="progress bar", daemon=True)

    def show(self, percent: float) -> None:
        """Write this value soon."""
        with self._changed:
            if not self._thread.ident:
                self._thread.start()
            self._newest = percent
            self._changed.notify()

    def close(self) -> None:
        """Write what was shown last, within `CLOSE_S`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident:
            self._thread.join(timeout=CLOSE_S)

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._closing)
                percent, self._newest = self._newest, None
            if percent is None:
                return
            # The next value says it again.
            with suppress(httpx.HTTPError):
                self._write(percent)
