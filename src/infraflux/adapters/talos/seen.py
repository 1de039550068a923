"""What a node shows of itself, read without changing anything."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from infraflux.adapters.talos.documents import diff_configs
from infraflux.adapters.talos.facts import EtcdMember, EtcdSeen, NodeSeen, NodeState, SystemImage
from infraflux.adapters.talos.talosctl import (
    TALOS_ERRORS,
    Code,
    Resource,
    Talosctl,
    TalosRefused,
    TalosTransient,
    error_code,
)
from infraflux.core.clock import NotYet

SCHEMATIC = "schematic"
"""The extension that the image factory adds to every image, with the schematic's id for a version
(github.com/siderolabs/image-factory, pkg/constants, `SchematicIDExtensionName`)."""


class HasAddress(Protocol):
    """A node as far as a look at it needs one: declared, or on its way out."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> object: ...


def look(
    node: HasAddress, *, admin: Talosctl | None, bare: Talosctl, wanted: str = "", with_config: bool = True
) -> NodeSeen:
    """Look at one node: first with our certificate, then without any.

    `admin` is None before the cluster has a talosconfig. A node that answers neither is SILENT. One that runs with the
    machine config `wanted` is not asked for its UUID and MACs: nothing is going to be written to it.
    """
    if admin is None:
        return _look_bare(node, bare=bare, stranger=False)
    ask = partial(_look_both, node, admin=admin, bare=bare, wanted=wanted, with_config=with_config)
    seen = ask()
    # A node that has just got its first configuration closes one door and opens the other: ask once more, since LOCKED
    # ends a run.
    return ask() if seen.state is NodeState.LOCKED else seen


def _look_both(node: HasAddress, *, admin: Talosctl, bare: Talosctl, wanted: str, with_config: bool) -> NodeSeen:
    try:
        return _look_running(node, admin=admin, wanted=wanted, with_config=with_config)
    except TALOS_ERRORS as error:
        code, detail = error_code(error), error.message
    if code in (Code.UNREACHABLE, Code.HUNG_UP):
        return NodeSeen(name=node.name, address=str(node.address), state=NodeState.SILENT, detail=detail)
    return _look_bare(node, bare=bare, stranger=code is Code.UNKNOWN_AUTHORITY, detail=detail)


def _look_bare(node: HasAddress, *, bare: Talosctl, stranger: bool, detail: str = "") -> NodeSeen:
    """Without a certificate; `stranger`: the node's own certificate is not from our cluster."""
    try:
        return _look_maintenance(node, bare=bare)
    except TALOS_ERRORS as error:
        code, detail = error_code(error), detail or error.message
    # A machine in maintenance mode has a stranger's certificate too, and talks to anybody.
    locked = code is Code.CERTIFICATE_REQUIRED or (stranger and code is Code.HUNG_UP)
    state = NodeState.LOCKED if locked else NodeState.SILENT
    return NodeSeen(name=node.name, address=str(node.address), state=state, detail=detail)


def _look_running(node: HasAddress, *, admin: Talosctl, wanted: str, with_config: bool) -> NodeSeen:
    address = str(node.address)
    config = read_machine_config(admin, address=address) if with_config else ""
    settled = bool(wanted and config) and not diff_configs(wanted, config)
    uuid, macs = ("", ()) if settled else _identity(admin, address=address, insecure=False)
    return NodeSeen(
        name=node.name,
        address=address,
        state=NodeState.RUNNING,
        uuid=uuid,
        macs=macs,
        version=admin.version(node=address),
        config=config,
    )


def _look_maintenance(node: HasAddress, *, bare: Talosctl) -> NodeSeen:
    address = str(node.address)
    uuid, macs = _identity(bare, address=address, insecure=True)
    return NodeSeen(name=node.name, address=address, state=NodeState.MAINTENANCE, uuid=uuid, macs=macs)


def _identity(talosctl: Talosctl, *, address: str, insecure: bool) -> tuple[str, tuple[str, ...]]:
    systems = talosctl.get("systeminformation", node=address, insecure=insecure)
    uuid = str(systems[0].spec.get("uuid", "")).lower() if systems else ""
    links = talosctl.get("links", node=address, insecure=insecure)
    macs = {str(link.spec.get("hardwareAddr", "")).lower() for link in links}
    return uuid, tuple(sorted(macs - {""}))


def read_machine_config(talosctl: Talosctl, *, address: str) -> str:
    """The live machine config as YAML; it holds secrets."""
    found = [one for one in talosctl.get("machineconfig", node=address) if one.id == "v1alpha1"]
    if not found:
        return ""
    spec = found[0].spec
    return spec if isinstance(spec, str) else str(spec)


def read_image(talosctl: Talosctl, *, address: str, version: str = "") -> SystemImage:
    """The Talos image that runs; `version` where it was read already. Raises TalosTransient or TalosRefused."""
    found = [one.spec.get("metadata", {}) for one in talosctl.get("extensions", node=address)]
    names = {str(one.get("name", "")) for one in found}
    return SystemImage(
        version=version or talosctl.version(node=address),
        schematic=next((str(one.get("version", "")) for one in found if one.get("name") == SCHEMATIC), ""),
        extensions=tuple(sorted(names - {"", SCHEMATIC})),
    )


def look_at_etcd(nodes: Sequence[HasAddress], *, admin: Talosctl) -> EtcdSeen | None:
    """The first member list that any control plane gives; None where none has an etcd."""
    found = look_for_etcd(nodes, admin=admin)
    return found if isinstance(found, EtcdSeen) else None


def look_for_leader(nodes: Sequence[HasAddress], *, admin: Talosctl) -> str:
    """Host name of the member that leads etcd; empty where no control plane says so."""
    etcd = look_at_etcd(nodes, admin=admin)
    asked = next((node for node in nodes if etcd is not None and node.name == etcd.asked), None)
    if etcd is None or asked is None:
        return ""
    try:
        leader = admin.etcd_leader(node=str(asked.address))
    except TALOS_ERRORS:
        return ""
    return next((one.hostname for one in etcd.members if one.id == leader), "")


def look_for_etcd(nodes: Sequence[HasAddress], *, admin: Talosctl) -> EtcdSeen | NotYet:
    """The first member list that any control plane gives; else what each of them said instead."""
    said = []
    for node in nodes:
        try:
            members = admin.etcd_members(node=str(node.address))
        except (TalosTransient, TalosRefused) as error:
            said.append(f"{node.name}: {error.message}")
            continue
        if members:
            return EtcdSeen(tuple(_named(one, nodes) for one in members), node.name)
        said.append(f"{node.name} lists no etcd members")
    return NotYet("; ".join(said))


def _named(member: EtcdMember, nodes: Sequence[HasAddress]) -> EtcdMember:
    """A member that has not started yet is on the list without its name: it is the node at its peer URL."""
    name = next((node.name for node in nodes if str(node.address) == member.address), "")
    return member if member.hostname else replace(member, hostname=name)


def look_at_services(*, admin: Talosctl, address: str) -> dict[str, Resource]:
    """Talos services by id."""
    return {one.id: one for one in admin.get("services", node=address)}
