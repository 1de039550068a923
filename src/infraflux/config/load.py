"""The fleet: every cluster of the repository, typed and checked.

`examine` looks at everything and raises nothing; `Fleet.load` and `load_cluster` raise `ConfigProblems` with every
mistake at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infraflux.config.fleet_checks import fleet_findings
from infraflux.config.layers import ENVIRONMENTS, Layers
from infraflux.config.models import ClusterSpec
from infraflux.config.problems import ConfigProblems, Problem
from infraflux.config.suggest import did_you_mean
from infraflux.config.tree import Value
from infraflux.config.validate import Judged, judge
from infraflux.core.errors import ErrorClass, Permanent


@dataclass(frozen=True)
class Fleet:
    """All clusters of a repository."""

    root: Path
    clusters: Mapping[str, ClusterSpec]
    """By `<environment>/<cluster>`, sorted."""
    trees: Mapping[str, Value]
    """The merged layers of each cluster, every value with its file and line."""
    environments: tuple[str, ...]

    @classmethod
    def load(cls, root: Path, *, instead: Mapping[Path, str] | None = None) -> "Fleet":
        """Everything below `root`; see `examine` for `instead`. Raises ConfigProblems with every mistake in it."""
        examined = examine(root, instead=instead)
        if examined.problems:
            raise ConfigProblems(examined.problems)
        return examined.fleet

    def cluster(self, key: str) -> ClusterSpec:
        """The cluster `<environment>/<name>`. Raises Permanent with the nearest one there is."""
        if key not in self.clusters:
            raise unknown_cluster(key, self.clusters)
        return self.clusters[key]

    def of(self, environment: str) -> tuple[ClusterSpec, ...]:
        """The clusters of one environment."""
        return tuple(spec for spec in self.clusters.values() if spec.environment == environment)


@dataclass(frozen=True)
class Examined:
    """What was found: the usable clusters, and every mistake."""

    fleet: Fleet
    keys: tuple[str, ...]
    """Every cluster that has a file, usable or not."""
    problems: tuple[Problem, ...]
    by_cluster: Mapping[str, tuple[Problem, ...]]
    """The mistakes that stop one cluster, those of its layers included."""
    by_environment: Mapping[str, tuple[Problem, ...]]
    """What would stop every cluster of an environment that has none yet."""
    warnings: Mapping[str, tuple[Problem, ...]]
    """What works in one cluster and is perhaps not meant; nothing is stopped by it."""

    def select(self, target: str) -> tuple[str, ...]:
        """The cluster keys that `ENV` or `ENV/CLUSTER` means. Raises Permanent where there is none."""
        chosen = tuple(key for key in self.keys if target in (key, key.split("/")[0]))
        if not chosen and target not in self.fleet.environments:
            raise unknown_cluster(target, [*self.fleet.environments, *self.keys])
        return chosen

    def cluster(self, key: str) -> ClusterSpec:
        """One cluster. Raises ConfigProblems with its mistakes, Permanent if there is no such cluster."""
        if key not in self.keys:
            raise unknown_cluster(key, self.keys)
        if self.by_cluster[key]:
            raise ConfigProblems(self.by_cluster[key], cluster=key)
        return self.fleet.clusters[key]


def examine(root: Path, *, instead: Mapping[Path, str] | None = None) -> Examined:
    """Read, merge and check the whole repository; mistakes are returned, not raised.

    `instead`: texts by path below the root that are read in place of what those files hold.
    """
    layers = Layers(root, instead or {})
    files = layers.clusters()
    judged: dict[str, Judged] = {}
    by_cluster: dict[str, tuple[Problem, ...]] = {}
    for cluster in files:
        layered = layers.layered(cluster)
        by_cluster[cluster.key] = layered.problems
        if layered.tree is not None:
            judged[cluster.key] = judge(layered.tree, root=root)
    environments = tuple(layers.environments())
    specs = {key: one.spec for key, one in judged.items() if one.spec is not None}
    unused = [name for name in environments if all(cluster.environment != name for cluster in files)]
    by_environment = {name: tuple(_of_environment(layers, name)) for name in unused}
    for key, finding in fleet_findings(specs, environments=environments):
        judged[key] = judged[key].blame(finding)
    for key, one in judged.items():
        by_cluster[key] += one.problems
    trees = {key: one.tree for key, one in judged.items()}
    fleet = Fleet(root=root, clusters=specs, trees=trees, environments=environments)
    everything = {*layers.all_problems()}
    for found in (*by_cluster.values(), *by_environment.values()):
        everything.update(found)
    keys = tuple(cluster.key for cluster in files)
    return Examined(
        fleet=fleet,
        keys=keys,
        problems=tuple(sorted(everything)),
        by_cluster=by_cluster,
        by_environment=by_environment,
        warnings={key: one.warnings for key, one in judged.items()},
    )


BY_CLUSTER = (
    "environment", "name", "size", "cluster_id", "vm_id_start", "node_pools", "network.vip", "network.pod_cidr",
    "network.service_cidr", "network.domain", "network.load_balancer",
)  # fmt: skip
"""What a cluster's own file and its template say, so that no environment has to."""


def _of_environment(layers: Layers, environment: str) -> Iterator[Problem]:
    """What an environment that has no cluster yet would keep from every cluster of it."""
    tree = layers.environment_tree(environment)
    if tree is None:
        return
    file = str(ENVIRONMENTS / f"{environment}.yaml")
    for problem in judge(tree, root=layers.root).problems:
        if not any(problem.path == one or problem.path.startswith(f"{one}.") for one in BY_CLUSTER):
            missing = problem.wrong == "is missing" and problem.file != file
            yield replace(problem, file=file, line=1) if missing else problem


def load_cluster(root: Path, key: str) -> ClusterSpec:
    """One cluster, checked against the whole fleet. Raises ConfigProblems with its mistakes, Permanent if unknown."""
    return examine(root).cluster(key)


def unknown_cluster(key: str, known: Mapping[str, ClusterSpec] | list[str] | tuple[str, ...]) -> Permanent:
    """The error for a cluster that has no file."""
    return Permanent(
        f"there is no cluster {key!r}: {did_you_mean(key, list(known))}",
        error_class=ErrorClass.USER,
        next_step="see `infraflux config validate` for the clusters there are",
    )
