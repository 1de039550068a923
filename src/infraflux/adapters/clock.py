"""Time as an argument: waiting code runs in tests without time passing."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

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
        time.sleep(seconds)


def wait_for(probe: Callable[[], T | None], *, clock: Clock, deadline_s: float, interval_s: float = 0.5) -> T | None:
    """The first answer of `probe` that is not None; None when the deadline passed. Probes at least once."""
    until = clock.monotonic() + deadline_s
    while True:
        answer = probe()
        if answer is not None:
            return answer
        left = until - clock.monotonic()
        if left <= 0:
            return None
        clock.sleep(min(interval_s, left))
