"""Where things are in a project: the data in Git above, the runtime state below `.infraflux/` (never committed)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProjectPaths:
    """Every path below one project root."""

    root: Path

    @property
    def state(self) -> Path:
        """Runtime state of this checkout; 0700."""
        return self.root / ".infraflux"

    def cluster_state(self, environment: str, cluster: str) -> Path:
        """What belongs to one cluster: rendered configs, kubeconfig, talosconfig, markers."""
        return self.state / "clusters" / environment / cluster

    def kubeconfig(self, environment: str, cluster: str) -> Path:
        return self.cluster_state(environment, cluster) / "kubeconfig"

    def talosconfig(self, environment: str, cluster: str) -> Path:
        return self.cluster_state(environment, cluster) / "talosconfig"

    def terraform_state(self, environment: str, stack: str) -> Path:
        """Local Terraform state of `<env>/globals` or `<env>/<cluster>`."""
        return self.state / "terraform" / environment / stack

    def last_drift(self, environment: str, cluster: str) -> Path:
        """The newest drift report of a cluster, as JSON."""
        return self.state / "delivery" / "drift" / f"{environment}-{cluster}.json"


def find_root(start: Path) -> Path:
    """The project root at or above `start`: the first directory with `config/defaults` and `clusters`.

    Raises FileNotFoundError that says where it looked.
    """
    for candidate in (start.resolve(), *start.resolve().parents):
        if (candidate / "config" / "defaults").is_dir() and (candidate / "clusters").is_dir():
            return candidate
    raise FileNotFoundError(f"no InfraFlux project at or above {start}: config/defaults and clusters are missing")
