"""Environments are the same but for what is allowed to differ; anything else is a mistake waiting for production."""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infraflux.config.effective import Difference, differences, settings
from infraflux.config.environments import promotion_order
from infraflux.config.load import Fleet
from infraflux.config.problems import Problem

# Kind -> paths (shell patterns over dotted paths); the first match names the kind.
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "identity": ("environment", "name", "description", "cluster_id", "vm_id_start", "*.vm_id*", "*.mac", "*.uuid"),
    "size": (
        "size", "node_pools.*.cores", "node_pools.*.memory_mib", "node_pools.*.*_disk*", "node_pools.*.data_disks*",
    ),
    "replicas": (
        "node_pools.*.count", "node_pools.*.nodes*", "node_pools.*.name", "*.replicas", "*.replicaCount",
        "talos.schedule_on_control_planes",
    ),
    "addresses": ("network.*", "node_pools.*.addresses", "proxmox.bridge.*"),
    "endpoint": (
        "proxmox.endpoint", "proxmox.token.*", "proxmox.ca_file", "proxmox.insecure", "proxmox.hosts*", "proxmox.pool",
        "proxmox.storage.*", "proxmox.control_plane_spread", "proxmox.ha", "proxmox.description", "image.factory_url",
        "image.installer_registry", "platform.chart_repository", "gitops.*.url", "gitops.*.credentials", "secrets.*",
    ),
    "issuer": ("*.issuer", "*.issuer.*", "*.clusterIssuer", "platform.gateway.tls_hosts"),
    "policy": ("policy.*", "hooks*"),
    # An environment is ahead of the next one while a release is promoted through them.
    "promotion": ("release", "versions.*", "platform.components.*.version", "gitops.*.revision", "image.sha256"),
}  # fmt: skip
# Left out of the comparison: rules about the network that must be the same everywhere.
NEVER = ("network.load_balancer.mode", "network.cluster_domain")


@dataclass(frozen=True)
class ParityDifference:
    """One difference between two clusters of different environments."""

    left: str
    right: str
    difference: Difference
    kind: str
    """Empty: not allowed."""


def compare(fleet: Fleet) -> list[ParityDifference]:
    """Every cluster against the first one of the environment its releases come from, in the order of promotion."""
    found: list[ParityDifference] = []
    sources = sources_of(fleet)
    for environment in promotion_order(sources):
        keys = [spec.key for spec in fleet.of(environment)]
        above = fleet.of(sources[environment] or "")
        for key in keys:
            # Where releases come from nowhere, the clusters are held against the first one of their own.
            reference = above[0].key if above else keys[0]
            if key != reference:
                found += _between(fleet, reference, key)
    return found


def sources_of(fleet: Fleet) -> dict[str, str | None]:
    """Where the releases of each environment come from; None for the first of a chain."""
    found: dict[str, str | None] = dict.fromkeys(fleet.environments)
    return found | {spec.environment: spec.policy.promotion.source for spec in fleet.clusters.values()}


def _between(fleet: Fleet, left: str, right: str) -> Iterator[ParityDifference]:
    one = settings(fleet.clusters[left], fleet.trees[left])
    other = settings(fleet.clusters[right], fleet.trees[right])
    for difference in differences(one, other):
        yield ParityDifference(left, right, difference, kind_of(difference.path))


def kind_of(path: str) -> str:
    """The kind of difference a path may be, or nothing."""
    if path in NEVER:
        return ""
    for kind, patterns in ALLOWED.items():
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            return kind
    return ""


def refused(found: list[ParityDifference]) -> list[Problem]:
    """The differences that no kind allows, at the line to change."""
    problems = []
    for one in found:
        if one.kind:
            continue
        blamed = next((s for s in (one.difference.right, one.difference.left) if s and ":" in s.set_by), None)
        file, _, line = blamed.set_by.partition(":") if blamed else (one.right, "", "0")
        left, other = _value(one.difference.left), _value(one.difference.right)
        wrong = f"differs between {one.left} ({left}) and {one.right} ({other})"
        right = f"set it in a layer both share; allowed to differ: {', '.join(ALLOWED)}"
        problems.append(Problem(file, int(line or 0), one.difference.path, wrong, right))
    return problems


def _value(setting: object) -> object:
    return getattr(setting, "value", None) if setting is not None else "not there"
