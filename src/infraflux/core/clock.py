"""Time as an argument: waiting code runs in tests without time passing."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

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


def wait_for(
    probe: Callable[[], T | None], *, clock: Clock, deadline_s: float, interval_s: float = 0.5, what: str = "an answer"
) -> T | None:
    """The first answer of `probe` that is not None; None when the deadline passed. Probes at least once.

    `what` is waited for: it names the time on the timeline, once the first look was in vain.
    """
    until = clock.monotonic() + deadline_s
    answer = probe()
    if answer is not None or deadline_s <= 0:
        return answer
    with span(Kind.WAIT, what):
        while (left := until - clock.monotonic()) > 0:
            clock.sleep(min(interval_s, left))
            answer = probe()
            if answer is not None:
                return answer
    return None
