"""A Prefect server that restarts is away for some 15 s; a run that works meanwhile waits for it.

Prefect's client repeats a refused connection only where it was connected before, and most of its functions make a new
client for every call: one report in the wrong second would end a deploy.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

R = TypeVar("R")

DEADLINE_S = 90.0
"""A server on a busy machine has been seen to take 60 s."""
EVERY_S = 1.0


def retry(call: Callable[[], R], *, deadline_s: float = DEADLINE_S, sleep: Callable[[float], None] = time.sleep) -> R:
    """The result of `call`, repeated while the server cannot be reached; its last error at the deadline.

    A reply may be lost, so only for calls that may be made twice.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(httpx.TransportError),
        stop=stop_after_delay(deadline_s),
        wait=wait_fixed(EVERY_S),
        sleep=sleep,
        reraise=True,
    )
    return retrying(call)
