"""A proposal as the two files it becomes: each value with its reason as a comment. Pure."""

import textwrap
from pathlib import Path

from infraflux.config.layers import ENVIRONMENTS, OVERLAYS
from infraflux.config.scaffold import UNDECIDED_GIT, token_file
from infraflux.config.schema import modeline
from infraflux.operations.proposal import SPREAD_FROM, Proposal

WIDTH = 118


def proposal_files(proposal: Proposal, *, token_id: str, ca_file: str) -> dict[Path, str]:
    """The environment's and the cluster's file, by path below the repository."""
    name = proposal.wishes.environment
    return {
        ENVIRONMENTS / f"{name}.yaml": _environment(proposal, token_id=token_id, ca_file=ca_file),
        OVERLAYS / name / f"{proposal.cluster}.yaml": _cluster(proposal),
    }


def _why(text: str, *, indent: int = 0) -> str:
    """The reason as comment lines, ending in a newline."""
    lead = " " * indent + "# "
    return textwrap.fill(text[:1].upper() + text[1:] + ".", WIDTH, initial_indent=lead, subsequent_indent=lead) + "\n"


def _environment(proposal: Proposal, *, token_id: str, ca_file: str) -> str:
    name, wishes = proposal.wishes.environment, proposal.wishes
    hosts = "".join(f"    - name: {host}\n" for host in proposal.hosts.value)
    vlan = f"    vlan: {wishes.vlan}\n" if wishes.vlan is not None else ""
    return (
        f"{modeline('environment', depth=2)}\n"
        f"# {name}: its Proxmox, its network, and what is allowed there. Written by `infraflux init` from what\n"
        "# Proxmox showed; it is yours to change.\n"
        f"proxmox:\n  endpoint: {proposal.endpoint}\n"
        + (f"  ca_file: {ca_file}\n" if ca_file else "")
        + f"  token:\n    id: {token_id}\n    secret: file:{token_file(name)}\n"
        + _why(proposal.hosts.why, indent=2)
        + f"  hosts:\n{hosts}"
        + _spread(proposal)
        + "  storage:\n"
        + _why(proposal.disks.why, indent=4)
        + f"    disks: {proposal.disks.value}\n"
        + _why(proposal.images.why, indent=4)
        + f"    images: {proposal.images.value}\n  bridge:\n"
        + _why(proposal.bridge.why, indent=4)
        + f"    name: {proposal.bridge.value}\n{vlan}network:\n"
        + _why(proposal.network.why, indent=2)
        + f"  node_cidr: {proposal.network.value}\n  gateway: {proposal.gateway}\n"
        + _git(wishes.git)
        + _policy(proposal)
    )


def _spread(proposal: Proposal) -> str:
    if len(proposal.hosts.value) < SPREAD_FROM or proposal.size.value.control_planes < SPREAD_FROM:
        return ""
    return _why("three control planes on three hosts: the loss of one takes one of them", indent=2) + (
        "  control_plane_spread: required\n"
    )


def _git(url: str) -> str:
    said = "" if url else "  # TO DECIDE: `git push` this repository to where the cluster can read it, and say where.\n"
    return (
        "gitops:\n  # This repository as Argo CD reads it; `credentials: file:...` where it is not public.\n"
        f"{said}  platform:\n    url: {url or UNDECIDED_GIT}\n"
        "  # The repository of your applications, once there is one.\n"
        f"  application:\n    url: {url or UNDECIDED_GIT}\n    enabled: false\n"
    )


def _policy(proposal: Proposal) -> str:
    if proposal.size.value.control_planes > 1:
        return ""
    return (
        "policy:\n"
        + _why("one control plane: while it is away nothing is scheduled, and its loss is the cluster's", indent=2)
        + ("  allow_single_control_plane: true\n")
    )


def _cluster(proposal: Proposal) -> str:
    addresses, size = proposal.addresses.value, proposal.size.value
    domain = proposal.wishes.domain or f"{proposal.cluster}.example.org"
    decide = "" if proposal.wishes.domain else "  # TO DECIDE: the names of web pages of this cluster end in it.\n"
    return (
        f"{modeline('overlay', depth=3)}\n"
        + _why(size.why)
        + f"size: {size.name}\n"
        + f"cluster_id: {proposal.cluster_id}\n"
        + _why(proposal.vm_id_start.why)
        + f"vm_id_start: {proposal.vm_id_start.value}\nnetwork:\n"
        + _why(f"all addresses: {proposal.addresses.why}", indent=2)
        + f"  vip: {addresses.vip}\n"
        + "  # Inside the cluster only; they overlap nothing that is known here.\n"
        + f"  pod_cidr: {proposal.pods}\n  service_cidr: {proposal.services}\n{decide}  domain: {domain}\n"
        + "  load_balancer:\n    pools:\n      - name: default\n"
        + f"        addresses: {addresses.balancer}\n"
        + "node_pools:\n"
        + f"  - name: cp\n    count: {size.control_planes}\n    addresses: {addresses.control_planes}\n"
        + f"  - name: worker\n    count: {size.workers}\n    addresses: {addresses.workers}\n"
    )
