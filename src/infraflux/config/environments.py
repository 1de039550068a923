"""The environments there are, with what the service needs to know of each; readable while other files are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infraflux.config.layers import Layers
from infraflux.config.models.proxmox import is_loopback
from infraflux.config.problems import Path as ValuePath
from infraflux.config.tree import find


@dataclass(frozen=True)
class Environment:
    """One file of `config/environments/`."""

    name: str
    source: str | None = None
    """The environment its releases come from."""
    clusters: tuple[str, ...] = ()
    """Names of its clusters, sorted."""
    simulated: bool = False
    """Whether its Proxmox is the lab's: a real one is never on this machine's own addresses."""

    @property
    def keys(self) -> tuple[str, ...]:
        """`<environment>/<cluster>` of each cluster."""
        return tuple(f"{self.name}/{cluster}" for cluster in self.clusters)


def known_environments(root: Path) -> tuple[Environment, ...]:
    """Every environment, in the order of promotion; a file that cannot be read counts as one without a source."""
    layers = Layers(root)
    clusters: dict[str, list[str]] = {name: [] for name in layers.environments()}
    for cluster in layers.clusters():
        clusters.setdefault(cluster.environment, []).append(cluster.name)
    sources = {name: _said(layers, name, ("policy", "promotion", "source")) for name in layers.environments()}
    return tuple(
        Environment(
            name,
            source=sources[name],
            clusters=tuple(clusters[name]),
            simulated=is_loopback(_said(layers, name, ("proxmox", "endpoint")) or ""),
        )
        for name in promotion_order(sources)
    )


def _said(layers: Layers, environment: str, path: ValuePath) -> str | None:
    tree = layers.environment_tree(environment)
    value = find(tree, path) if tree is not None else None
    return str(value.data) if value is not None else None


def promotion_order(sources: Mapping[str, str | None]) -> list[str]:
    """Environments with those that releases come from first (pure); `sources`: by environment, where its come from."""

    def depth(environment: str) -> int:
        passed = [environment]
        while (above := sources.get(passed[-1])) is not None and above not in passed:
            passed.append(above)
        return len(passed)

    return sorted(sources, key=lambda one: (depth(one), one))
