"""Remove one stray machine, and only by name: beside the power of machines all that is changed without Terraform."""

import time
from collections.abc import Callable

from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxMissing
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.tasks import ProxmoxWriter
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Noop, Outcome

STAGE = "orphans"


class StrayRemover(ProxmoxWriter):
    """Stops and deletes a machine after reading its tags once more."""

    stage = STAGE

    def __init__(
        self, access: ProxmoxAccess, *, tag: str, sleep: Callable[[float], None] = time.sleep, wait_s: float = 0.5
    ) -> None:
        super().__init__(access, sleep=sleep, wait_s=wait_s)
        self._tag = tag

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
            self.task(guest.host, lambda: self._api(f"{path}/status/stop").post(), doing=f"POST {path}/status/stop")
        options = {"purge": 1, "destroy-unreferenced-disks": 1}
        self.task(guest.host, lambda: self._api(path).delete(**options), doing=f"DELETE {path}")
        return Done(f"removed VM {guest.vm_id} ({guest.name}) from {guest.host}")
