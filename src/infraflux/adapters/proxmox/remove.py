"""Remove one stray machine: the only thing InfraFlux changes in Proxmox without Terraform, and only by name."""

import time
from collections.abc import Callable

from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxMissing, ProxmoxReader, classed
from infraflux.adapters.proxmox.facts import Guest
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome

STAGE = "orphans"
TASK_DEADLINE_S = 300.0
_POLL_S = 1.0


class StrayRemover(ProxmoxReader):
    """Stops and deletes a machine after reading its tags once more."""

    def __init__(
        self, access: ProxmoxAccess, *, tag: str, sleep: Callable[[float], None] = time.sleep, wait_s: float = 0.5
    ) -> None:
        super().__init__(access, wait_s=wait_s)
        self._tag = tag
        self._sleep = sleep

    def remove(self, guest: Guest) -> Outcome:
        """Delete the machine with its disks. Raises Permanent where it is no longer ours to delete."""
        path = f"nodes/{guest.host}/qemu/{guest.vm_id}"
        try:
            config = self.read(f"{path}/config")
            status = self.read(f"{path}/status/current")
        except ProxmoxMissing:
            return Noop(f"VM {guest.vm_id} is gone already")
        if self._tag not in str(config.get("tags", "")).split(";") or config.get("name") != guest.name:
            raise Permanent(
                f"VM {guest.vm_id} is not {guest.name} with tag {self._tag} any more; it is left alone",
                stage=STAGE,
                error_class=ErrorClass.CONFLICT,
            )
        if status.get("status") == "running":
            self._task(guest.host, lambda: self._api(f"{path}/status/stop").post(), doing=f"POST {path}/status/stop")
        options = {"purge": 1, "destroy-unreferenced-disks": 1}
        self._task(guest.host, lambda: self._api(path).delete(**options), doing=f"DELETE {path}")
        return Done(f"removed VM {guest.vm_id} ({guest.name}) from {guest.host}")

    def _task(self, host: str, call: Callable[[], str], *, doing: str) -> None:
        upid = classed(call, doing=doing, endpoint=self.access.endpoint)
        for _ in range(int(TASK_DEADLINE_S / _POLL_S)):
            status = self.read(f"nodes/{host}/tasks/{upid}/status")
            if status["status"] != "running":
                break
            self._sleep(_POLL_S)
        else:
            raise Retryable(f"{doing}: task {upid} has not ended in {TASK_DEADLINE_S:.0f} s", stage=STAGE)
        ended = str(status.get("exitstatus", ""))
        if not ended.startswith(("OK", "WARNINGS")):
            raise Retryable(f"{doing}: {ended}", stage=STAGE, next_step="run it again")
