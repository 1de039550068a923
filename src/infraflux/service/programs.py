"""What supervisord starts: wait for what the program needs, tie it to supervisord's life, become it.

`python -m infraflux.service.programs NAME`; imports little, since it only stands in front of the real program.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from infraflux.service.launch import die_with_parent

HEALTH_TIMEOUT_S = 300.0
"""A first start on a slow disk migrates an empty database for some 20 s; much later something else is wrong."""


def healthy(api_url: str) -> bool:
    """Whether the server answers; the endpoint is open, so no password is needed."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=2) as reply:  # noqa: S310 - our own http URL
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_healthy(
    api_url: str,
    *,
    timeout_s: float = HEALTH_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Poll until the server answers; False at the deadline."""
    deadline = clock() + timeout_s
    while not healthy(api_url):
        if clock() > deadline:
            return False
        sleep(0.2)
    return True


def command(name: str) -> list[str]:
    """The argv of a program; `prefect` is the one beside this interpreter."""
    environ = os.environ
    prefect = [sys.executable, "-m", "prefect"]
    programs = {
        "server": [sys.executable, "-m", "infraflux.service.server"],
        "forkserver": [
            *(sys.executable, "-m", "infraflux.service.forkserver"),
            environ.get("INFRAFLUX_FORKSERVER_SOCKET", ""),
        ],
        # No --limit: with one, a run that is resumed while its first process still ends crashes the whole worker
        # ("this borrower is already holding one of this CapacityLimiter's tokens"). Pool and queues have limits.
        "worker": [
            *prefect,
            *("worker", "start", "--type", "process", "--install-policy", "never"),
            *("--pool", environ.get("INFRAFLUX_WORKER_POOL", "")),
            *("--name", f"infraflux-{os.uname().nodename}"),
        ],
        "watchdog": [sys.executable, "-m", "infraflux.service.watchdog"],
    }
    return programs[name]


NEEDS_SERVER = frozenset({"worker", "watchdog"})


def main() -> None:
    name = sys.argv[1]
    os.umask(0o077)
    # A killed supervisord must not leave programs that a new one would collide with.
    die_with_parent()
    if name in NEEDS_SERVER and not wait_healthy(os.environ["PREFECT_API_URL"]):
        sys.exit(f"{name}: the Prefect server did not answer within {HEALTH_TIMEOUT_S:.0f} s")
    argv = command(name)
    os.execv(argv[0], argv)  # noqa: S606 - argv is ours


if __name__ == "__main__":
    main()
