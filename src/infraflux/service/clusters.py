"""Which clusters the configuration holds."""

from collections.abc import Sequence
from pathlib import Path

CLUSTER_GLOB = "clusters/overlays/*/*.yaml"


def cluster_names(project: Path) -> Sequence[str]:
    """`<env>/<name>`, sorted: one file per cluster, `clusters/overlays/<env>/<name>.yaml`."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in project.glob(CLUSTER_GLOB))
