"""A look at somebody's Proxmox through a fake reader, and the commands that make a token for it."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.privileges import required
from infraflux.adapters.proxmox.site import look
from infraflux.adapters.proxmox.token_commands import LOOK, token_commands
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError, Permanent

SpecWith = Callable[..., ClusterSpec]
GIB = 2**30
NODE = {"type": "node", "node": "pve", "status": "online", "maxcpu": 8, "maxmem": 32 * GIB, "mem": 4 * GIB}
AWAY = {"type": "node", "node": "pve2", "status": "offline"}
STORAGE = {
    "type": "storage", "storage": "tank", "node": "pve", "plugintype": "zfspool", "content": "images,rootdir",
    "maxdisk": 100 * GIB, "disk": 20 * GIB, "status": "available",
}  # fmt: skip
BRIDGE = {"iface": "vmbr0", "type": "bridge", "cidr": "192.168.1.5/24", "gateway": "192.168.1.1"}
NETWORK = [
    BRIDGE,
    {"iface": "vmbr1", "type": "OVSBridge"},
    {"iface": "k8s", "type": "vnet"},
    {"iface": "eno1", "type": "eth"},
]


@dataclass
class FakeReader:
    """Answers by path; remembers what it was asked."""

    answers: dict[str, Any]
    asked: list[str] = field(default_factory=list)
    access: Any = field(default_factory=lambda: SimpleNamespace(endpoint="https://pve:8006"))

    def read(self, path: str, **_parameters: Any) -> Any:
        self.asked.append(path)
        answer = self.answers[path]
        if isinstance(answer, InfrafluxError):
            raise answer
        return answer


def reader(**changes: Any) -> ProxmoxReader:
    answers = {
        "version": {"version": "9.1.3"},
        "cluster/resources": [NODE, AWAY, STORAGE],
        "nodes/pve/network": NETWORK,
        "access/permissions": {"/": {"Sys.Audit": 1, "VM.Audit": 0}},
        "pools": [{"poolid": "mine"}],
        "cluster/status": [{"type": "cluster", "name": "lab"}, {"type": "node", "name": "pve"}],
        "cluster/ha/resources": [],
    }
    return cast(ProxmoxReader, FakeReader(answers | {path.replace("__", "/"): one for path, one in changes.items()}))


def test_what_a_site_shows() -> None:
    site = look(reader())
    assert (site.endpoint, site.cluster_name, site.ha) == ("https://pve:8006", "lab", False)
    assert {name: host.online for name, host in site.observed.hosts.items()} == {"pve": True, "pve2": False}
    storage = site.observed.storages["pve", "tank"]
    assert (storage.kind, storage.free_gib) == ("zfspool", 80)
    assert site.observed.not_inherited["/"] == {"VM.Audit"}
    assert site.observed.pools == {"mine"}


def test_bridges_and_vnets_are_told_from_cards() -> None:
    k8s, vmbr0, vmbr1 = look(reader()).networks
    assert (vmbr0.name, vmbr0.cidr, vmbr0.gateway) == (
        "vmbr0", IPv4Network("192.168.1.0/24"), IPv4Address("192.168.1.1"),
    )  # fmt: skip
    assert vmbr0.addresses == {IPv4Address("192.168.1.5")}
    assert (vmbr1.cidr, vmbr1.vnet, k8s.vnet) == (None, False, True)


def test_what_the_token_may_not_ask_for_is_left_out() -> None:
    refused = Permanent("403")
    site = look(
        reader(pools=refused, cluster__status=refused, cluster__ha__resources=refused, nodes__pve__network=refused)
    )
    assert (site.networks, site.cluster_name, site.observed.pools) == ((), "", frozenset())


def granted(commands: list[str]) -> dict[str, dict[str, set[str]]]:
    """Privileges by path for user and token, as `pveum` would give them; each entry on a path adds its role."""
    roles: dict[str, set[str]] = {}
    entries: dict[str, dict[str, set[str]]] = {}
    for line in commands:
        match shlex.split(line):
            case ["pveum", "role", "add", role, "-privs", privileges]:
                assert role not in roles, f"{role} is made twice"
                roles[role] = set(privileges.split())
            case ["pveum", "acl", "modify", path, "-user" | "-token" as kind, who, "-role", role]:
                assert ("!" in who) == (kind == "-token")
                entries.setdefault(path, {}).setdefault(kind, set()).update(roles[role])
    return entries


@pytest.mark.parametrize("ha", [True, False])
def test_the_commands_grant_user_and_token_exactly_what_is_needed(spec_with: SpecWith, ha: bool) -> None:
    spec = spec_with()
    spec = spec.model_copy(update={"proxmox": spec.proxmox.model_copy(update={"ha": ha})})
    needed = required(spec)
    found = granted(token_commands("infraflux@pve!home", needed, suffix="home"))
    assert found == {path: {"-user": set(wanted), "-token": set(wanted)} for path, wanted in needed.items()}


def test_user_and_token_are_made_once() -> None:
    made = [line for line in token_commands("a@pve!b", LOOK, suffix="look") if " user " in line and "acl" not in line]
    assert made == ["pveum user add a@pve", "pveum user token add a@pve b --privsep 1"]
    assert not [line for line in token_commands("a@pve!b", LOOK, suffix="look", new=False) if "token add" in line]


def test_roles_of_two_environments_have_names_of_their_own(spec_with: SpecWith) -> None:
    one, other = (token_commands("a@pve!b", required(spec_with()), suffix=suffix) for suffix in ("home", "attic"))
    made = [{line for line in lines if "role add" in line} for lines in (one, other)]
    assert not made[0] & made[1]
