"""What one simulated Proxmox cluster consists of, without its API.

The calls (`api_*`), the rows they show (`views`) and the server (`http`) work on an engine; the simulator puts an
engine and a server together. So every import points one way.
"""

import time
from collections.abc import Mapping

from infraflux_lab.contracts import MachineObserver
from infraflux_lab.events import EventLog
from infraflux_lab.proxmox import VERSION
from infraflux_lab.proxmox.access import Access
from infraflux_lab.proxmox.backups import Backups
from infraflux_lab.proxmox.cluster import Cluster
from infraflux_lab.proxmox.guests import Guests
from infraflux_lab.proxmox.ha import HighAvailability
from infraflux_lab.proxmox.machines import Notifier
from infraflux_lab.proxmox.snapshots import Snapshots
from infraflux_lab.proxmox.storage import Storages
from infraflux_lab.proxmox.tasks import Tasks


class Engine:
    """A cluster with all that acts on it."""

    version = VERSION

    def __init__(self, *, cluster: Cluster, secrets: Mapping[str, str], events: EventLog) -> None:
        self.cluster = cluster
        self.storages = Storages(cluster)
        self.tasks = Tasks(cluster)
        self.notifier = Notifier(events)
        self.guests = Guests(cluster, self.storages, self.tasks, self.notifier)
        self.snapshots = Snapshots(self.guests)
        self.backups = Backups(self.guests)
        self.ha = HighAvailability(self.guests)
        self.access = Access(cluster, secrets)
        self._started_at = time.time()

    @property
    def entry_host(self) -> str:
        """The host that calls itself local."""
        return next(iter(self.cluster.spec.hosts))

    @property
    def uptime_s(self) -> int:
        return int(time.time() - self._started_at) + 1

    @property
    def now_s(self) -> int:
        return int(time.time())

    def observe(self, observer: MachineObserver) -> None:
        """Tell this observer of machines from now on."""
        self.notifier.observer = observer
