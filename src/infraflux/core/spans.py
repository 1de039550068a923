"""Where the time of a run goes: every outside program, every wait, every resource that Terraform changes.

Adapters note what takes time; who wants to know listens. Without a listener nothing is kept.
"""

import itertools
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_COMMAND = re.compile(r"[a-z][a-z-]+")


class Kind(StrEnum):
    """What took the time."""

    PROGRAM = "program"
    """An outside program worked."""
    RESOURCE = "resource"
    """Terraform changed one resource; inside of a program."""
    WAIT = "wait"
    """Something was looked at again and again until it was so."""


@dataclass(frozen=True)
class Span:
    """One stretch of monotonic time."""

    kind: Kind
    name: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


_listeners: list[list[Span]] = []
_thread = threading.local()


@contextmanager
def listening() -> Iterator[list[Span]]:
    """Collect what every thread of this process notes inside the context, in the order it ended."""
    heard: list[Span] = []
    _listeners.append(heard)
    try:
        yield heard
    finally:
        _listeners[:] = [one for one in _listeners if one is not heard]


def note(kind: Kind, name: str, *, start_s: float, end_s: float) -> None:
    """Tell every listener."""
    for heard in _listeners:
        heard.append(Span(kind, name, start_s, end_s))


@contextmanager
def span(kind: Kind, name: str) -> Iterator[None]:
    """Around what takes time. What a thread does inside of a wait belongs to that wait: it is the looking."""
    if getattr(_thread, "waits", False):
        yield
        return
    _thread.waits = kind is Kind.WAIT
    started = time.monotonic()
    try:
        yield
    finally:
        _thread.waits = False
        note(kind, name, start_s=started, end_s=time.monotonic())


def program_name(argv: Sequence[str]) -> str:
    """`talosctl bootstrap 10.0.0.11`: program, command and node of a command line; never a value of its options."""
    command = [word for word in argv[1:] if _COMMAND.fullmatch(word)]
    nodes = [value for option, value in itertools.pairwise(argv) if option == "--nodes"]
    return " ".join([Path(argv[0]).name, *command[:1], *nodes[:1]])
