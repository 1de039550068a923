"""What no two clusters of the fleet may share, in passes whose cost grows with the fleet and not with its square."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infraflux.config.checks.finding import Finding
from infraflux.config.checks.machines import node_path
from infraflux.config.models import ClusterSpec
from infraflux.config.models.addresses import AddressRange
from infraflux.config.problems import Path
from infraflux.config.suggest import did_you_mean


@dataclass(frozen=True)
class Claim:
    """A value that one cluster uses, and where it says so."""

    cluster: str
    path: Path
    what: str
    value: Any


@dataclass(frozen=True)
class _Place:
    path: str
    storage: str

    def __str__(self) -> str:
        return self.path


def fleet_findings(specs: Mapping[str, ClusterSpec], *, environments: tuple[str, ...]) -> Iterator[tuple[str, Finding]]:
    """Every clash as (cluster to blame, finding); of two clusters the later in the alphabet is blamed."""
    for claims in (_cluster_ids, _domains, _bundles, _macs, _tags):
        yield from _equal(claims, specs)
    for shared in _by_endpoint(specs):
        yield from _equal(_vm_ids, shared)
        yield from _equal(_vm_names, shared)
    yield from _overlapping(specs)
    yield from _disagreements(specs)
    yield from _sources(specs, environments)


def _equal(
    claims: Callable[[ClusterSpec], Iterator[Claim]], specs: Mapping[str, ClusterSpec]
) -> Iterator[tuple[str, Finding]]:
    first: dict[Any, Claim] = {}
    said: set[tuple[str, Path, str]] = set()
    for spec in specs.values():
        for claim in claims(spec):
            taken = first.setdefault(claim.value, claim)
            pair = (claim.cluster, claim.path, taken.cluster)
            if taken.cluster != claim.cluster and pair not in said:
                said.add(pair)
                by = f" ({taken.what})" if taken.what != claim.what else ""
                wrong = f"{claim.what} {claim.value} is also used by {taken.cluster}{by}"
                yield claim.cluster, Finding(claim.path, wrong, "a value of its own is expected")


def _cluster_ids(spec: ClusterSpec) -> Iterator[Claim]:
    yield Claim(spec.key, ("cluster_id",), "cluster id", spec.cluster_id)


def _domains(spec: ClusterSpec) -> Iterator[Claim]:
    yield Claim(spec.key, ("network", "domain"), "domain", spec.network.domain)


def _bundles(spec: ClusterSpec) -> Iterator[Claim]:
    # A relative place is below the repository or below the state directory: two places of one name.
    yield Claim(spec.key, ("secrets", "bundle"), "secrets bundle", _Place(spec.bundle_path, spec.secrets.storage))


def _macs(spec: ClusterSpec) -> Iterator[Claim]:
    for node in spec.nodes:
        yield Claim(spec.key, node_path(spec, node, "mac"), f"MAC of {node.name}", node.mac)


def _vm_ids(spec: ClusterSpec) -> Iterator[Claim]:
    for node in spec.nodes:
        path = node_path(spec, node, "vm_id")
        pool = next(pool for pool in spec.node_pools if pool.name == node.pool)
        if path[-1] == "vm_id_start" and pool.vm_id_start is None:
            path = ("vm_id_start",)
        yield Claim(spec.key, path, f"VM id of {node.name}", node.vm_id)


def _vm_names(spec: ClusterSpec) -> Iterator[Claim]:
    for node in spec.nodes:
        yield Claim(spec.key, node_path(spec, node, "name"), "VM name", node.name)


def _tags(spec: ClusterSpec) -> Iterator[Claim]:
    """`dev/x-1` and `dev-x/1` would both own what carries `infraflux-dev-x-1`, and share one schema of a `pg` state."""
    yield Claim(spec.key, ("name",), "ownership tag", spec.ownership_tag)


def _by_endpoint(specs: Mapping[str, ClusterSpec]) -> Iterator[dict[str, ClusterSpec]]:
    """The clusters that share a Proxmox endpoint."""
    grouped: dict[str, dict[str, ClusterSpec]] = {}
    for key, spec in specs.items():
        grouped.setdefault(spec.proxmox.endpoint.rstrip("/").lower(), {})[key] = spec
    yield from grouped.values()


def _address_claims(spec: ClusterSpec) -> Iterator[Claim]:
    yield Claim(spec.key, ("network", "vip"), "VIP", AddressRange(spec.network.vip, spec.network.vip))
    for node in spec.nodes:
        own = AddressRange(node.address, node.address)
        yield Claim(spec.key, node_path(spec, node, "address"), f"address of {node.name}", own)
    for pool in spec.network.load_balancer.pools:
        path = ("network", "load_balancer", "pools", pool.name, "addresses")
        yield Claim(spec.key, path, f"load balancer pool {pool.name}", pool.addresses)


def _overlapping(specs: Mapping[str, ClusterSpec]) -> Iterator[tuple[str, Finding]]:
    """Addresses used twice anywhere in the fleet, found by sweeping over all of them in order."""
    claims = sorted(
        (claim for spec in specs.values() for claim in _address_claims(spec)),
        key=lambda claim: (int(claim.value.first), int(claim.value.last)),
    )
    open_claims: list[Claim] = []
    said: set[tuple[str, Path, str]] = set()
    for claim in claims:
        open_claims = [other for other in open_claims if other.value.last >= claim.value.first]
        for other in open_claims:
            kept, blamed = sorted((other, claim), key=lambda one: one.cluster)
            pair = (blamed.cluster, blamed.path, kept.cluster)
            if kept.cluster != blamed.cluster and pair not in said:
                said.add(pair)
                yield _clash(kept, blamed)
        open_claims.append(claim)


def _clash(kept: Claim, blamed: Claim) -> tuple[str, Finding]:
    wrong = f"{blamed.what} {blamed.value} is also used by {kept.cluster} ({kept.what} {kept.value})"
    return blamed.cluster, Finding(blamed.path, wrong, "addresses nobody else uses are expected")


def _sources(specs: Mapping[str, ClusterSpec], environments: tuple[str, ...]) -> Iterator[tuple[str, Finding]]:
    sources = {spec.environment: spec.policy.promotion.source for spec in specs.values()}
    for spec in specs.values():
        source, path = spec.policy.promotion.source, ("policy", "promotion", "source")
        if source is not None and source not in environments:
            wrong = f"there is no environment {source!r}"
            yield spec.key, Finding(path, wrong, did_you_mean(source, environments))
        elif circle := _circle(spec.environment, sources):
            yield spec.key, Finding(path, f"promotion goes in a circle: {circle}", "one environment must be the first")


def _circle(start: str, sources: Mapping[str, str | None]) -> str:
    seen, here = [start], sources.get(start)
    while here is not None and here not in seen:
        seen.append(here)
        here = sources.get(here)
    return " <- ".join([*seen, here]) if here == start and len(seen) > 1 else ""


SHARED: tuple[tuple[Path, Callable[[ClusterSpec], Any]], ...] = (
    (("proxmox", "endpoint"), lambda spec: spec.proxmox.endpoint),
    (("proxmox", "insecure"), lambda spec: spec.proxmox.insecure),
    (("proxmox", "pool"), lambda spec: spec.pool_name),
    (("proxmox", "storage", "images"), lambda spec: spec.proxmox.storage.images),
)
"""What the clusters of an environment have in common, because one Terraform state holds it (terraform/globals)."""


def _disagreements(specs: Mapping[str, ClusterSpec]) -> Iterator[tuple[str, Finding]]:
    first: dict[str, ClusterSpec] = {}
    for spec in specs.values():
        one = first.setdefault(spec.environment, spec)
        for path, value in SHARED:
            if value(one) != value(spec):
                wrong = f"{value(spec)} differs from {value(one)} of {one.key}, and an environment has one for all"
                yield spec.key, Finding(path, wrong, "set it in the environment's file, not in a cluster's")
