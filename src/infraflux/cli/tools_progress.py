"""Show an installation: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from infraflux.adapters.tools.progress import Compiling, Event, Failed, Fetching, Installed, Note, Started, Taken

# A log that is silent for longer looks like a hang; more often is noise.
LINE_EVERY_S = 20.0


def sentence(event: Event) -> str | None:
    """The line for an event that is worth one; None for those that only move a bar."""
    match event:
        case Note(text=text):
            return text
        case Taken(name=name, version=version, source=source, path=path):
            return f"{name} {version}: {source}, {path}"
        case Started(name=name, version=version, reason=reason):
            return f"{name} {version}: building ({reason})"
        case Installed(name=name, version=version, seconds=seconds):
            return f"{name} {version}: built in {seconds:.0f} s"
        case Failed(name=name, reason=reason):
            return f"{name}: FAILED: {reason}"
    return None


def state(event: Compiling | Fetching) -> str:
    """What a build is at."""
    if isinstance(event, Fetching):
        return f"fetching {event.module.split(' ')[0]}"
    return "linking" if event.done >= event.total else event.package


class LineListener:
    """One line per event, and one every `LINE_EVERY_S` while a build goes on."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self._guard = threading.Lock()
        self._said: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Print what is worth a line; called from the threads that build."""
        with self._guard:
            line = sentence(event)
            if isinstance(event, Started):
                self._said[event.name] = self.clock()
            if isinstance(event, Compiling | Fetching):
                line = self._now_and_then(event)
            if line is not None:
                self.stream.write(f"{line}\n")
                self.stream.flush()

    def _now_and_then(self, event: Compiling | Fetching) -> str | None:
        now = self.clock()
        if now - self._said.get(event.name, now) < LINE_EVERY_S:
            self._said.setdefault(event.name, now)
            return None
        self._said[event.name] = now
        count = f"{event.done}/{event.total} packages, " if isinstance(event, Compiling) else ""
        return f"{event.name}: {count}{state(event)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.flush()


class BarListener:
    """A bar per build, its packages counted; finished ones become lines above."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]:<26}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[state]}", markup=True),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Move the bar of the event's program; rich locks for us."""
        if isinstance(event, Compiling | Fetching):
            counts = {"completed": event.done, "total": event.total} if isinstance(event, Compiling) else {}
            self.progress.update(self._tasks[event.name], state=state(event)[-60:], **counts)  # type: ignore[arg-type]
            return
        if isinstance(event, Started):
            self._tasks[event.name] = self.progress.add_task(event.name, total=None, name=event.name, state="counting")
            return
        if isinstance(event, Installed | Failed) and event.name in self._tasks:
            self.progress.remove_task(self._tasks.pop(event.name))
        self.progress.console.print(sentence(event), markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
