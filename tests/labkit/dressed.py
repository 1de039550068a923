"""The lab dressed up as somebody's site: other names, other storages, nobody but root, and root's shell on a host."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from proxmoxer import ProxmoxAPI
from ruamel.yaml import YAML

from infraflux_lab.state import LabPaths

SITE = "site"
NUMBER = 7


HOSTS = ("alpha", "beta", "gamma")


class Checkout(Protocol):
    """A project with a lab."""

    @property
    def root(self) -> Path: ...

    @property
    def net(self) -> str: ...

    @property
    def lab(self) -> LabPaths: ...


@dataclass(frozen=True)
class Dressed:
    """The site, and root's shell on one of its hosts."""

    project: Checkout

    @property
    def endpoint(self) -> str:
        return f"https://{self.project.net}.{NUMBER}.2:8006"

    @property
    def ca_file(self) -> Path:
        return self.project.lab.ca_certificate

    @property
    def pve(self) -> ProxmoxAPI:
        password = (self.project.lab.credentials / f"{SITE}.root-password").read_text().strip()
        host = f"{self.project.net}.{NUMBER}.2:8006"
        return ProxmoxAPI(host, user="root@pam", password=password, verify_ssl=str(self.ca_file), timeout=20)

    def paste(self, lines: list[str]) -> str:
        """Do what these `pveum` commands do; the secret of the token they make, if they make one."""
        secret = ""
        for line in lines:
            words = shlex.split(line)
            assert words[0] == "pveum", line
            secret = self._pveum(words[1:]) or secret
        return secret

    def _pveum(self, words: list[str]) -> str:
        access = self.pve.access
        match words:
            case ["role", "add", role, "-privs", privileges]:
                access.roles.post(roleid=role, privs=privileges)
            case ["user", "add", user]:
                access.users.post(userid=user)
            case ["user", "token", "add", user, name, "--privsep", "1"]:
                return str(access.users(user).token(name).post(privsep=1)["value"])
            case ["acl", "modify", path, "-user", user, "-role", role]:
                access.acl.put(path=path, users=user, roles=role)
            case ["acl", "modify", path, "-token", token, "-role", role]:
                access.acl.put(path=path, tokens=token, roles=role)
            case _:
                raise AssertionError(f"no pveum command: {words}")
        return ""


def dress_up(root: Path, *, net: str, hosts: tuple[str, ...] = HOSTS) -> None:
    """Hosts of other names, disks on ZFS, and nobody who may do anything but root."""
    path = root / "config" / "lab.yaml"
    document: dict[str, Any] = YAML(typ="safe").load(path)
    document["environments"] = {SITE: site_of(net, hosts)}
    YAML(typ="safe").dump(document, path)


def site_of(net: str, hosts: tuple[str, ...]) -> Mapping[str, Any]:
    """The lab's specification of the site."""
    return {
        "address": f"{net}.{NUMBER}.2",
        "hosts": {name: {"cores": 16, "memory_mib": 65536} for name in hosts},
        "bridges": ["vmbr0", "vmbr1"],
        "storages": [
            {"id": "local", "type": "dir", "content": ["iso", "import", "vztmpl"], "capacity_gib": 100},
            {"id": "nvme", "type": "zfspool", "content": ["images", "rootdir"], "capacity_gib": 900},
        ],
    }
