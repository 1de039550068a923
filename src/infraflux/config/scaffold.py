"""New environments and clusters: everything that can be derived from the fleet is; the result validates."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from infraflux.config.layers import ENVIRONMENTS, OVERLAYS, TEMPLATES, Layers
from infraflux.config.load import Fleet, examine
from infraflux.config.models import ClusterSpec
from infraflux.config.models.addresses import AddressRange
from infraflux.config.patterns import NAME
from infraflux.config.problems import ConfigProblems
from infraflux.config.schema import modeline
from infraflux.config.suggest import did_you_mean
from infraflux.core.errors import ErrorClass, Permanent

SPACED = (10, 10), (11, 20), (21, 40), (200, 219)
COMPACT = (0, 0), (1, 10), (11, 30), (31, 50)
"""First and last of VIP, control planes, workers and load balancer, counted from the first address they may use."""
CLUSTER_BLOCK = 256
UNDECIDED_GIT = "https://git.example.org/you/infraflux.git"
"""Stands where nobody has said yet which Git server the cluster reads; `config validate` reminds of it."""


@dataclass(frozen=True)
class NewEnvironment:
    """What cannot be derived."""

    name: str
    endpoint: str
    node_cidr: IPv4Network
    hosts: tuple[str, ...]
    source: str | None = None
    """The environment it is promoted from."""
    platform_url: str = UNDECIDED_GIT
    """Where the cluster reads this repository from."""


def environment_files(new: NewEnvironment, *, root: Path) -> dict[Path, str]:
    """The files of a new environment. Raises Permanent where the name is taken or no name."""
    _check_name(new.name)
    file = ENVIRONMENTS / f"{new.name}.yaml"
    _must_be_new(root / file, new.name)
    if new.source is not None and new.source not in Layers(root).environments():
        raise _user(f"there is no environment {new.source!r}: {did_you_mean(new.source, Layers(root).environments())}")
    files = {file: _environment_text(new)}
    backend = _neighbours_backend(root)
    if backend is not None:
        old, text = backend
        files[Path("terraform/environments") / new.name / "backend.hcl"] = re.sub(rf"\b{old}\b", new.name, text)
    return files


def token_file(environment: str) -> Path:
    """Where the secret of an environment's API token is kept, below the repository; Git ignores it."""
    return Path(".infraflux/secrets") / f"{environment}.token"


def _environment_text(new: NewEnvironment) -> str:
    promotion = f"policy:\n  promotion:\n    source: {new.source}\n    mode: manual\n" if new.source else ""
    hosts = "\n".join(f"    - name: {host}" for host in new.hosts)
    return f"""{modeline("environment", depth=2)}
# The Proxmox API, hosts and network of {new.name}, and what is allowed there.
proxmox:
  endpoint: {new.endpoint}
  # ca_file: where your Proxmox has a CA of its own, a copy of /etc/pve/pve-root-ca.pem; the system's CAs without it.
  token:
    id: infraflux@pve!{new.name}
    secret: file:{token_file(new.name)}
  hosts:
{hosts}
network:
  node_cidr: {new.node_cidr}
gitops:
  # This repository, where the cluster can reach it: Argo CD reads platform/ there.
  platform:
    url: {new.platform_url}
  # The repository of your applications; this one does no harm while nothing is handed over.
  application:
    url: {new.platform_url}
    enabled: false
{promotion}"""


def _neighbours_backend(root: Path) -> tuple[str, str] | None:
    """The backend configuration of an environment there is, to be copied with the name changed."""
    for file in sorted((root / "terraform/environments").glob("*/backend.hcl")):
        return file.parent.name, file.read_text("utf-8")
    return None


def cluster_files(key: str, *, root: Path, size: str | None = None, domain: str | None = None) -> dict[Path, str]:
    """The overlay of a new cluster `<env>/<name>` with free ids and addresses. Raises Permanent, ConfigProblems."""
    environment, _, name = key.partition("/")
    _check_name(name)
    examined = examine(root)
    if examined.problems:
        raise ConfigProblems(examined.problems)
    fleet, layers = examined.fleet, Layers(root)
    if environment not in fleet.environments:
        raise _user(f"there is no environment {environment!r}: {did_you_mean(environment, fleet.environments)}")
    chosen = _size(size, fleet, environment, layers.sizes())
    file = OVERLAYS / environment / f"{name}.yaml"
    _must_be_new(root / file, key)
    text = _cluster_text(fleet, environment, name, size=chosen, domain=domain, cidr=_node_cidr(layers, environment))
    return {file: text}


def _size(size: str | None, fleet: Fleet, environment: str, sizes: list[str]) -> str:
    if size is None:
        siblings = fleet.of(environment)
        size = siblings[0].size if siblings else "medium"
    if size not in sizes:
        raise _user(f"there is no template {TEMPLATES / size}.yaml: {did_you_mean(size, sizes)}")
    return size


def _node_cidr(layers: Layers, environment: str) -> IPv4Network:
    tree = layers.environment_tree(environment)
    try:
        assert tree is not None
        assert isinstance(tree.data, dict)
        network = tree.data["network"].data
        assert isinstance(network, dict)
        return IPv4Network(str(network["node_cidr"].data))
    except (AssertionError, KeyError, ValueError):
        raise _user(
            f"{ENVIRONMENTS / environment}.yaml has no network.node_cidr: nothing to take addresses from"
        ) from None


def _cluster_text(
    fleet: Fleet, environment: str, name: str, *, size: str, domain: str | None, cidr: IPv4Network
) -> str:
    number = next(one for one in range(1, 256) if one not in {spec.cluster_id for spec in fleet.clusters.values()})
    vip, control_planes, workers, balancer = _free_ranges(fleet, cidr)
    pods, services = _free_network(fleet, number, 0), _free_network(fleet, number, 100)
    siblings = fleet.of(environment)
    suffix = siblings[0].network.domain.partition(".")[2] if siblings else "example.org"
    return f"""{modeline("overlay", depth=3)}
size: {size}
cluster_id: {number}
vm_id_start: {_free_vm_ids(fleet)}
network:
  vip: {vip}
  pod_cidr: {pods}
  service_cidr: {services}
  domain: {domain or f"{name}.{suffix}"}
  load_balancer:
    pools:
      - name: default
        addresses: {balancer}
node_pools:
  - name: cp
    addresses: {control_planes}
  - name: worker
    addresses: {workers}
"""


def _free_ranges(fleet: Fleet, cidr: IPv4Network) -> list[AddressRange]:
    """VIP, control planes, workers, load balancer: in a block of 256 of its own, else side by side in 51."""
    taken = [one for spec in fleet.clusters.values() for one in used_ranges(spec)]
    for start in range(0, cidr.num_addresses, CLUSTER_BLOCK):
        block = AddressRange(cidr[start], cidr[min(start + CLUSTER_BLOCK, cidr.num_addresses) - 1])
        if len(block) == CLUSTER_BLOCK and not any(block.overlaps(one) for one in taken):
            return [AddressRange(block.first + first, block.first + last) for first, last in SPACED]
    # The first two addresses are the network's own and, most often, the gateway.
    for start in range(2, min(cidr.num_addresses, 65536) - COMPACT[-1][1] - 1):
        whole = AddressRange(cidr[start], cidr[start + COMPACT[-1][1]])
        if not any(whole.overlaps(one) for one in taken):
            return [AddressRange(whole.first + first, whole.first + last) for first, last in COMPACT]
    raise _user(f"{cidr} has no room for one more cluster: widen network.node_cidr or write the overlay by hand")


def used_ranges(spec: ClusterSpec) -> Iterator[AddressRange]:
    yield AddressRange(spec.network.vip, spec.network.vip)
    yield from (AddressRange(node.address, node.address) for node in spec.nodes)
    yield from (pool.addresses for pool in spec.node_pools if pool.addresses is not None)
    yield from (pool.addresses for pool in spec.network.load_balancer.pools)


def _free_network(fleet: Fleet, number: int, offset: int) -> IPv4Network:
    """A /16 of 10.0.0.0/8 that no node, pod or service network of the fleet overlaps, from `10 + offset + number`."""
    networks = [
        one
        for spec in fleet.clusters.values()
        for one in (spec.network.node_cidr, spec.network.pod_cidr, spec.network.service_cidr)
    ]
    for step in range(256):
        candidate = IPv4Network(f"10.{(10 + offset + number + step) % 256}.0.0/16")
        if not any(candidate.overlaps(one) for one in networks):
            return candidate
    raise _user("10.0.0.0/8 has no free /16 left: write the overlay by hand")


def _free_vm_ids(fleet: Fleet) -> int:
    """A ten thousand above every VM id of the fleet."""
    highest = max((node.vm_id for spec in fleet.clusters.values() for node in spec.nodes), default=0)
    return (highest // 10_000 + 1) * 10_000


def write_new(files: dict[Path, str], *, root: Path) -> None:
    """Write the files, then check the whole repository; where that fails nothing stays. Raises ConfigProblems."""
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, "utf-8")
    problems = examine(root).problems
    if problems:
        for file in files:
            (root / file).unlink()
        raise ConfigProblems(problems)


def _check_name(name: str) -> None:
    if not re.match(NAME.regex, name):
        raise _user(f"{name!r} is no name: {NAME.meaning} is expected")


def _must_be_new(file: Path, what: str) -> None:
    if file.exists():
        raise _user(f"{what} is there already: {file.name}")


def _user(message: str) -> Permanent:
    return Permanent(message, error_class=ErrorClass.USER)
