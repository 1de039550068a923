"""The lock file of each guest: one task or change at a time, the next one waits, but not for ever."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infraflux_lab.proxmox.errors import TaskFailed

# PVE::AbstractConfig::lock_config.
PATIENCE_S = 10.0


class GuestLocks:
    """Locks by guest id."""

    def __init__(self) -> None:
        self.patience_s = PATIENCE_S
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def hold(self, vm_id: int) -> AsyncIterator[None]:
        """Have the guest to oneself, or fail as Proxmox does."""
        lock = self._locks[vm_id]
        try:
            await asyncio.wait_for(lock.acquire(), self.patience_s)
        except TimeoutError:
            path = f"/var/lock/qemu-server/lock-{vm_id}.conf"
            raise TaskFailed(f"can't lock file '{path}' - got timeout") from None
        try:
            yield
        finally:
            lock.release()
