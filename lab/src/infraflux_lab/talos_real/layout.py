"""Where the real nodes of one lab keep things, and what of this machine carries their names."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from infraflux_lab.contracts import Machine

# What `docker run` would make volumes of, filled from the image once; constants.Overlays and the two partitions of
# Talos' machinery.
VOLUMES = ("/var", "/system/state", "/etc/cni", "/etc/kubernetes", "/usr/libexec/kubernetes", "/opt")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Paths below the lab's state directory."""

    home: Path

    @property
    def lab(self) -> str:
        """Tells the labs of one machine apart."""
        return f"infraflux-{hashlib.sha256(str(self.home).encode()).hexdigest()[:10]}"

    @property
    def root(self) -> Path:
        """The root file system of all nodes."""
        return self.home / "root"

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def sysctls(self) -> Path:
        """What the machine's settings were before the first node started."""
        return self.home / "sysctls.json"

    @property
    def kubelet_patch(self) -> Path:
        """The machine config patch that this machine's nodes need; there only where they need one."""
        return self.home / "kubelet-patch.yaml"

    def machine(self, machine: Machine) -> "MachineLayout":
        return MachineLayout(home=self.home / "machines" / machine.key.replace("/", "-"))


@dataclass(frozen=True, kw_only=True)
class MachineLayout:
    """Paths of one machine."""

    home: Path

    @property
    def name(self) -> str:
        return self.home.name

    @property
    def target(self) -> Path:
        """Mount point of the node's root, in the node's own mount namespace."""
        return self.home / "root"

    @property
    def console(self) -> Path:
        return self.home / "console.log"

    @property
    def generation(self) -> Path:
        """Which content of the system disk the volumes stand for."""
        return self.home / "generation"

    def volume(self, path: str) -> Path:
        return self.home / "volumes" / path.strip("/").replace("/", "-")

    def wipe(self) -> None:
        """Forget what the node keeps; its next boot is its first."""
        shutil.rmtree(self.home / "volumes", ignore_errors=True)

    def file(self, path: str) -> Path:
        return self.home / "files" / Path(path).name
