"""Calls that change something in Proxmox start a task there; this waits for its end."""

import time
from collections.abc import Callable

from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxReader, classed
from infraflux.core.errors import Retryable

TASK_DEADLINE_S = 300.0
POLL_S = 1.0


class ProxmoxWriter(ProxmoxReader):
    """What a task changes; a call is made once, since only its task says whether it can be made again."""

    stage = "proxmox"
    """Where errors say that they happened."""

    def __init__(
        self,
        access: ProxmoxAccess,
        *,
        sleep: Callable[[float], None] = time.sleep,
        wait_s: float = 0.5,
        poll_s: float = POLL_S,
    ) -> None:
        super().__init__(access, wait_s=wait_s)
        self._sleep = sleep
        self._poll_s = poll_s

    def task(self, host: str, call: Callable[[], str], *, doing: str, deadline_s: float = TASK_DEADLINE_S) -> None:
        """Make the call and wait for its task. Raises Retryable where it fails or does not end in time."""
        upid = classed(call, doing=doing, endpoint=self.access.endpoint)
        for _ in range(max(1, int(deadline_s / self._poll_s))):
            status = self.read(f"nodes/{host}/tasks/{upid}/status")
            if status["status"] != "running":
                break
            self._sleep(self._poll_s)
        else:
            raise Retryable(f"{doing}: task {upid} has not ended in {deadline_s:.0f} s", stage=self.stage)
        ended = str(status.get("exitstatus", ""))
        if not ended.startswith(("OK", "WARNINGS")):
            raise Retryable(f"{doing}: {ended}", stage=self.stage, next_step="run it again")
