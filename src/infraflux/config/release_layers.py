"""What a release adds to the layers of an environment that names it; every value keeps its line in the release's file.

- `pins`: versions of Talos, Kubernetes and charts;
- `machine_classes` of the cluster's size: cores, memory and disk of its pools;
- `commit`: Argo CD follows exactly this commit of the platform repository.
"""

from collections.abc import Iterator

from infraflux.config.tree import Value, children, name_of


def release_layers(release: Value, *, size: str, below: Value | None) -> Iterator[Value]:
    """The layers of a release file for clusters of one size, lying on `below`.

    Raises ValueError with the key that holds something else than a release has there.
    """
    yield _map(release, "pins", required=True)
    if below is not None:
        pools = list(_pools(_map(release, "machine_classes"), size=size, known=_pool_names(below)))
        if pools:
            yield Value({"node_pools": Value(pools, release.file, 1)}, release.file, 1)
    commit = children(release).get("commit")
    if commit is not None:
        platform = Value({"revision": commit}, release.file, commit.line)
        gitops = Value({"platform": platform}, release.file, commit.line)
        yield Value({"gitops": gitops}, release.file, commit.line)


def _map(release: Value, key: str, *, required: bool = False) -> Value:
    found = children(release).get(key)
    if found is None and not required:
        return Value({}, release.file, 1)
    if found is None or not isinstance(found.data, dict):
        raise ValueError(key)
    return found


def _pools(classes: Value, *, size: str, known: set[str]) -> Iterator[Value]:
    """A pool that the size lost since the release was cut has no class any more."""
    for key, machine_class in children(classes).items():
        of_size, _, pool = str(key).partition("/")
        if of_size == size and pool in known:
            if not isinstance(machine_class.data, dict):
                raise ValueError("machine_classes")
            name = Value(pool, machine_class.file, machine_class.line)
            yield Value({"name": name, **machine_class.data}, machine_class.file, machine_class.line)


def _pool_names(tree: Value) -> set[str]:
    pools = children(tree).get("node_pools")
    items = pools.data if pools is not None and isinstance(pools.data, list) else []
    return {name for item in items if (name := name_of(item))}
