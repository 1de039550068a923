"""Time as an argument: waiting code runs in tests without time passing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from infraflux.core.errors import InfrafluxError
from infraflux.core.spans import Kind, span

T = TypeVar("T")


class Clock(Protocol):
    """Monotonic seconds and a way to let them pass."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        with span(Kind.WAIT, "a pause"):
            time.sleep(seconds)


@dataclass(frozen=True)
class NotYet:
    """What a probe answers while it waits: what it saw instead."""

    reason: str
    cause: InfrafluxError | None = None
    """The error that it stands for, where there was one."""

    def __str__(self) -> str:
        return self.reason


def wait_until(
    probe: Callable[[], T | NotYet],
    *,
    clock: Clock,
    deadline_s: float,
    interval_s: float = 0.5,
    what: str,
    log: Callable[[str], None] = lambda _reason: None,
) -> T | NotYet:
    """The first answer of `probe` that is not NotYet; at the deadline the last NotYet. Probes at least once.

    `what` is waited for: it names the time on the timeline, once the first look was in vain. `log` hears each reason
    that differs from the one before.
    """
    until = clock.monotonic() + deadline_s
    answer = probe()
    if not isinstance(answer, NotYet):
        return answer
    log(answer.reason)
    if deadline_s <= 0:
        return answer
    with span(Kind.WAIT, what):
        while (left := until - clock.monotonic()) > 0:
            clock.sleep(min(interval_s, left))
            before, answer = answer.reason, probe()
            if not isinstance(answer, NotYet):
                return answer
            if answer.reason != before:
                log(answer.reason)
    return answer
