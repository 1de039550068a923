"""A first environment on somebody's Proxmox: look, propose, write; the samples go, or nothing is written."""

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.proxmox.addresses import answering
from infraflux.adapters.proxmox.client import ProxmoxAccess, ProxmoxReader
from infraflux.adapters.proxmox.facts import Site
from infraflux.adapters.proxmox.observe import observe
from infraflux.adapters.proxmox.privileges import missing, required
from infraflux.adapters.proxmox.site import look
from infraflux.adapters.proxmox.token_commands import LOOK, token_commands
from infraflux.config.layers import ENVIRONMENTS, OVERLAYS, Layers
from infraflux.config.load import Fleet
from infraflux.config.models import ClusterSpec
from infraflux.config.scaffold import token_file, used_ranges, write_new
from infraflux.config.tree import plain
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent
from infraflux.core.files import write_private
from infraflux.core.paths import ProjectPaths
from infraflux.operations.machines import proxmox_access
from infraflux.operations.proposal import Proposal, Refusal, Taken, Wishes, propose
from infraflux.operations.proposal_sizes import PoolSize

LOOKS = 5
"""How often addresses are chosen anew because somebody answered on the ones before."""

Probe = Callable[[Iterable[str]], tuple[str, ...]]


def look_at(accesses: Sequence[ProxmoxAccess]) -> list[Site]:
    """One look at each API. Raises Retryable or Permanent where one does not answer as Proxmox does."""
    return [look(ProxmoxReader(access)) for access in accesses]


def propose_for(
    sites: Sequence[Site], wishes: Wishes, *, root: Path, leaving: Collection[str], probe: Probe = answering
) -> Proposal:
    """The proposal, on addresses where nobody answers; `leaving`: environments that are to go. Raises Permanent."""
    taken, sizes = _taken(root, leaving), _sizes(root)
    for _ in range(LOOKS):
        proposal = propose(sites, wishes=wishes, taken=taken, sizes=sizes)
        if isinstance(proposal, Refusal):
            raise Permanent(
                "\n  ".join(["this site does not fit:", *proposal.reasons]), error_class=ErrorClass.CAPACITY
            )
        answered = {IPv4Address(one) for one in probe(map(str, _to_probe(proposal)))}
        if not answered:
            return proposal
        taken = replace(taken, answering={*taken.answering, *answered})
    raise Permanent(
        "somebody answers wherever addresses were looked for",
        error_class=ErrorClass.CONFLICT,
        next_step="give free ones with --addresses",
    )


def _to_probe(proposal: Proposal) -> list[IPv4Address]:
    one = proposal.addresses.value
    return [address for part in (one.vip, one.control_planes, one.workers, one.balancer) for address in part]


def _taken(root: Path, leaving: Collection[str]) -> Taken:
    specs = [spec for spec in Fleet.load(root).clusters.values() if spec.environment not in leaving]
    return Taken(
        cluster_ids=[spec.cluster_id for spec in specs],
        vm_ids=[node.vm_id for spec in specs for node in spec.nodes],
        ranges=[one for spec in specs for one in used_ranges(spec)],
        networks=[
            one for spec in specs for one in (spec.network.node_cidr, spec.network.pod_cidr, spec.network.service_cidr)
        ],
    )


def _sizes(root: Path) -> dict[str, dict[str, PoolSize]]:
    """The templates that have a pool `cp` and a pool `worker`."""
    layers, found = Layers(root), {}
    for name in layers.sizes():
        tree = layers.sized(name)
        pools: Mapping[str, Any] = {pool["name"]: pool for pool in plain(tree)["node_pools"]} if tree else {}
        if {"cp", "worker"} <= pools.keys():
            found[name] = {pool: _pool_size(pools[pool]) for pool in ("cp", "worker")}
    return found


def _pool_size(pool: Mapping[str, Any]) -> PoolSize:
    return PoolSize(cores=pool["cores"], memory_mib=pool["memory_mib"], disk_gib=pool["system_disk_gib"])


# The samples


def kept_because(root: Path, environments: Sequence[str]) -> str:
    """Why the samples must stay; empty where they may go."""
    standing = [name for name in environments if any(ProjectPaths(root).terraform_state(name, ".").glob("*/*.tfstate"))]
    if standing:
        return f"{', '.join(standing)} stands in the lab (`infraflux lab reset` forgets it)"
    try:
        changed = GitRepo(root).changed([str(one.relative_to(root)) for one in _of(root, environments)])
    except InfrafluxError:
        return "they are not committed, and would be lost"
    return f"{', '.join(changed)} has changes that are not committed" if changed else ""


def _of(root: Path, environments: Sequence[str]) -> list[Path]:
    """Files and directories of these environments."""
    found = []
    for name in environments:
        overlays = (root / "platform/infrastructure").glob(f"*/overlays/{name}")
        found += [root / ENVIRONMENTS / f"{name}.yaml", root / OVERLAYS / name, *overlays]
    return [path for path in found if path.exists()]


def remove_samples(root: Path, environments: Sequence[str]) -> list[Path]:
    """Remove what belongs to these environments; what was removed, by path below the root. Git has it still."""
    gone = _of(root, environments)
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for parent in {path.parent for path in gone if path.parent.name == "overlays" and path.parent.parent != root}:
        if parent != root / OVERLAYS and not any(parent.iterdir()):
            parent.rmdir()
    return [path.relative_to(root) for path in gone]


# Writing


@dataclass(frozen=True)
class NewSite:
    """What is to be written, and what goes."""

    files: Mapping[Path, str]
    secret: str
    leaving: Sequence[str] = ()


def write_site(new: NewSite, *, environment: str, root: Path) -> list[Path]:
    """Write token and files, remove the samples; what was removed. Raises ConfigProblems where the result is invalid:
    then the files are as they were."""
    write_private(root / token_file(environment), f"{new.secret}\n")
    aside = root / ".infraflux" / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    for path in _of(root, new.leaving):
        target = aside / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target)
    gone = remove_samples(root, new.leaving)
    try:
        write_new(dict(new.files), root=root)
    except InfrafluxError:
        if aside.exists():
            shutil.copytree(aside, root, dirs_exist_ok=True)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return gone


# The token


def commands_to_look(token_id: str) -> list[str]:
    """What makes a token that may look around and do nothing."""
    return token_commands(token_id, LOOK, suffix="look")


def commands_of_environment(specs: Sequence[ClusterSpec], *, root: Path, new: bool = True) -> list[str]:
    """What makes the token of an environment, with exactly the rights that its clusters need together.

    Which zone a VNet is in is asked of Proxmox; where nobody answers yet, every network counts as a bridge.
    """
    needed: dict[str, frozenset[str]] = {}
    for spec in specs:
        for path, privileges in required(spec, zones_of(spec, root)).items():
            needed[path] = needed.get(path, frozenset()) | privileges
    return token_commands(specs[0].proxmox.token.id, needed, suffix=specs[0].environment, new=new)


def zones_of(spec: ClusterSpec, root: Path) -> Mapping[str, str]:
    """The SDN zone of each VNet that a cluster uses; empty where Proxmox does not answer."""
    try:
        return observe(ProxmoxReader(proxmox_access(spec, root=root)), spec).zones
    except InfrafluxError:
        return {}


def lacks(spec: ClusterSpec, site: Site) -> bool:
    """Whether the token may not do yet what a deploy of this cluster does."""
    return any(missing(spec, site.observed))
