"""How long simulated work takes, by phase, in profiles.

`real` holds what operators of real hardware report: seconds, medians of public logs. Boot, upgrade, reset and join are
assumptions, nobody has published them. Timers inside clients, such as the provider's one second task poll, do not
shrink with `scale`.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from infraflux_lab.contracts import EventSink

PROFILES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "zero": {},
        "real": {
            "image-download": 20.0,
            "vm-create": 20.0,
            "vm-clone": 11.0,
            "vm-start": 4.0,
            "vm-stop": 2.0,
            "vm-shutdown": 5.0,
            "vm-delete": 4.0,
            "vm-migrate": 20.0,
            "vm-snapshot": 2.0,
            "vm-rollback": 4.0,
            "vm-backup": 60.0,
            "vm-restore": 60.0,
            "image-upload": 5.0,
            "disk-resize": 1.0,
            "disk-move": 20.0,
            "ha-recovery": 120.0,
            "boot": 20.0,
            "config-install-reboot": 60.0,
            "reboot": 30.0,
            "upgrade": 40.0,
            "upgrade-install": 20.0,
            "image-pull": 10.0,
            "kubelet-restart": 15.0,
            "reset": 10.0,
            "etcd-join": 10.0,
            # Until a learner votes; 40 s were seen on real nodes.
            "etcd-learner": 40.0,
            "node-join": 5.0,
            # Talos writes a node's labels and role after it has registered: 3 to 40 s were seen on real nodes.
            "node-labels": 20.0,
            "etcd-bootstrap": 45.0,
            "cilium-ready": 45.0,
            "argocd-ready": 75.0,
            "root-app": 30.0,
        },
    }
)


class ProfileLatency:
    """Implements `Latency`: sleeps a phase's seconds times `scale`, and logs each sleep so that a critical path can
    be computed from the log."""

    def __init__(
        self, *, profile: str, scale: float, overrides: Mapping[str, float], events: EventSink | None = None
    ) -> None:
        self.profile = profile
        self.scale = scale
        self._phases = {**PROFILES[profile], **overrides}
        self._events = events

    def seconds(self, phase: str) -> float:
        """Scaled seconds of a phase; unknown phases take no time."""
        return self._phases.get(phase, 0.0) * self.scale

    async def sleep(self, phase: str) -> None:
        """Pass the time of one phase."""
        seconds = self.seconds(phase)
        if seconds <= 0:
            return
        if self._events:
            self._events.emit("latency", "sleep", phase=phase, seconds=seconds)
        await asyncio.sleep(seconds)
