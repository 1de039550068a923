"""A checkout with a lab that is dressed up as somebody's site: other names, other storages, one token to make."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.projects import commit_all, git
from labkit.project import Project, project_with_lab
from proxmoxer import ProxmoxAPI
from ruamel.yaml import YAML

SITE = "site"
NUMBER = 7


@dataclass(frozen=True)
class Dressed:
    """The site, and root's shell on one of its hosts."""

    project: Project

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


def dress_up(project: Project) -> None:
    """Three hosts of other names, disks on ZFS, and nobody who may do anything but root."""
    path = project.root / "config" / "lab.yaml"
    document = YAML(typ="safe").load(path)
    document["environments"] = {
        SITE: {
            "address": f"{project.net}.{NUMBER}.2",
            "hosts": {name: {"cores": 16, "memory_mib": 65536} for name in ("alpha", "beta", "gamma")},
            "bridges": ["vmbr0", "vmbr1"],
            "storages": [
                {"id": "local", "type": "dir", "content": ["iso", "import", "vztmpl"], "capacity_gib": 100},
                {"id": "nvme", "type": "zfspool", "content": ["images", "rootdir"], "capacity_gib": 900},
            ],
        }
    }
    YAML(typ="safe").dump(document, path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dressed]:
    root = tmp_path_factory.mktemp("init") / "project"
    with project_with_lab(root, change=dress_up) as project:
        (root / ".gitignore").write_text("/.infraflux/\n")
        git(root, "init", "-q", "-b", "main")
        commit_all(root)
        yield Dressed(project)
