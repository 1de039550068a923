"""The power button of one machine of ours: shut down, start, what it runs with.

A shutdown asks the guest through its agent where that is on, else by ACPI (PVE::QemuServer, `_do_vm_stop`); one that
does not obey runs on, or is stopped with `forceStop`. For a machine under HA the call only tells the HA manager, and
its task ends before the machine does: so the machine itself is looked at.
"""

import time
from collections.abc import Callable
from typing import Any

from infraflux.adapters.proxmox.client import ProxmoxAccess
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import Hardware, hardware_of
from infraflux.adapters.proxmox.observe import observe_guests
from infraflux.adapters.proxmox.tasks import ProxmoxWriter
from infraflux.core.errors import ErrorClass, Permanent, Retryable

STARTED_DEADLINE_S = 120.0
"""The HA manager acts every ten seconds, and a host under load takes its time to make a machine's memory."""
_HA_GRACE_S = 60.0
_DEAF = "powerdown failed"
"""PVE::QemuServer, `_do_vm_stop`: `VM quit/powerdown failed`, with ` - got timeout` where the guest took its time."""


class MachinePower(ProxmoxWriter):
    """Machines that carry `tag`; any other is refused."""

    stage = "restart nodes"

    def __init__(
        self,
        access: ProxmoxAccess,
        *,
        tag: str,
        sleep: Callable[[float], None] = time.sleep,
        wait_s: float = 0.5,
        poll_s: float = 1.0,
    ) -> None:
        super().__init__(access, sleep=sleep, wait_s=wait_s, poll_s=poll_s)
        self._tag = tag

    def machine(self, vm_id: int) -> Guest:
        """Where it is and whether it runs. Permanent where it is gone, or not ours."""
        found = next((one for one in observe_guests(self) if one.vm_id == vm_id), None)
        if found is not None and self._tag in found.tags:
            return found
        raise Permanent(
            f"VM {vm_id} {'does not carry our tag' if found else 'does not exist'}",
            stage=self.stage,
            error_class=ErrorClass.CONFLICT,
            next_step="run again: the plan makes what is missing",
        )

    def hardware(self, guest: Guest) -> Hardware:
        """What it runs with, and what waits for its next start."""
        return hardware_of(self.read(f"{_path(guest)}/pending"))

    def shut_down(self, guest: Guest, *, timeout_s: int, force: bool) -> None:
        """Ask the guest to power off, and wait until it is off. Raises Retryable where it still runs after that time.

        `force`: it is stopped then.
        """
        if self._runs(guest):
            path = f"{_path(guest)}/status/shutdown"
            options: dict[str, Any] = {"timeout": timeout_s, **({"forceStop": 1} if force else {})}
            call = lambda: self._api(path).post(**options)  # noqa: E731 - what is called when, the caller says
            self._power(guest, call, path, deadline_s=timeout_s + _HA_GRACE_S)
        self._wait(guest, running=False, deadline_s=timeout_s + _HA_GRACE_S)

    def start(self, guest: Guest) -> None:
        """Power on, with everything that waited for it. Raises Retryable where it does not run then."""
        if not self._runs(guest):
            path = f"{_path(guest)}/status/start"
            self._power(guest, lambda: self._api(path).post(), path, deadline_s=STARTED_DEADLINE_S)
        self._wait(guest, running=True, deadline_s=STARTED_DEADLINE_S)

    def _power(self, guest: Guest, call: Callable[[], str], path: str, *, deadline_s: float) -> None:
        try:
            self.task(guest.host, call, doing=f"POST {path}", deadline_s=deadline_s)
        except Retryable as error:
            # A guest that took no notice once takes none a second later: every other failure may pass.
            kind = Permanent if _DEAF in error.message else Retryable
            raise kind(
                f"{guest.name} (VM {guest.vm_id} on {guest.host}): {error.message}",
                stage=self.stage,
                error_class=ErrorClass.TRANSIENT,
                next_step="look at its console and its tasks in Proxmox, then run again: it goes on there"
                " (policy.rollout says how long a shutdown may take and what then)",
            ) from error

    def _runs(self, guest: Guest) -> bool:
        return bool(self.read(f"{_path(guest)}/status/current").get("status") == "running")

    def _wait(self, guest: Guest, *, running: bool, deadline_s: float) -> None:
        for _ in range(max(1, int(deadline_s / self._poll_s))):
            if self._runs(guest) is running:
                return
            self._sleep(self._poll_s)
        raise Retryable(
            f"{guest.name} (VM {guest.vm_id} on {guest.host}) {'does not run' if running else 'still runs'}"
            f" after {deadline_s:.0f} s",
            stage=self.stage,
            next_step="look at its tasks in Proxmox, then run again: it goes on there",
        )


def _path(guest: Guest) -> str:
    return f"nodes/{guest.host}/qemu/{guest.vm_id}"
