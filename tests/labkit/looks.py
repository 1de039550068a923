"""One cluster looked at behind InfraFlux's back: Proxmox, Talos, Kubernetes and Argo CD asked by their own clients."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.house import House
from proxmoxer import ProxmoxAPI

from infraflux.config.models import ClusterSpec
from infraflux.core.paths import ProjectPaths


@dataclass(frozen=True)
class Look:
    """What is there of `<env>/<name>`."""

    house: House
    key: str

    @property
    def environment(self) -> str:
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]

    @property
    def spec(self) -> ClusterSpec:
        return self.house.spec(self.key)

    @property
    def directory(self) -> Path:
        return ProjectPaths(self.house.root).cluster_state(self.environment, self.name)

    # Proxmox

    def proxmox(self) -> ProxmoxAPI:
        lab = self.house.lab
        return ProxmoxAPI(
            str(self.spec.proxmox.endpoint).removeprefix("https://"),
            user="infraflux@pve",
            token_name=self.environment,
            token_value=(lab.credentials / f"{self.environment}.token").read_text().strip(),
            verify_ssl=str(lab.ca_certificate),
            timeout=20,
        )

    def machines(self) -> dict[int, str]:
        """Name by id of every VM of the environment, whoever made it."""
        return {row["vmid"]: row["name"] for row in self.proxmox().cluster.resources.get(type="vm")}

    def declared(self) -> dict[int, str]:
        return {node.vm_id: node.name for node in self.spec.nodes}

    def creations(self) -> list[int]:
        """The id of each VM that Proxmox was ever told to make for this cluster, repeats included."""
        ids = [int(event["subject"]) for event in self.house.lab_events(kind="task-started") if _creates(event)]
        return sorted(vm_id for vm_id in ids if vm_id in self.declared())

    # Talos

    def etcd(self) -> set[str]:
        """Members of etcd as the first control plane lists them."""
        address = str(self.spec.control_planes[0].address)
        words = ("--talosconfig", self.directory / "talosconfig", "--nodes", address, "--endpoints", address)
        _head, *rows = self.house.tool("talosctl", *words, "etcd", "members").strip().splitlines()
        return {row.split()[2] for row in rows}

    def bootstraps(self) -> int:
        """How often etcd was bootstrapped on a node of this cluster."""
        names = set(self.declared().values())
        return sum(event["name"] in names for event in self.house.lab_events(kind="bootstrapped"))

    # Kubernetes

    def kubectl(self, *words: str) -> Any:
        said = self.house.tool("kubectl", "--kubeconfig", self.directory / "kubeconfig", *words, "--output", "json")
        return json.loads(said)

    def nodes(self) -> dict[str, str]:
        """Whether each node is Ready."""
        return {item["metadata"]["name"]: _ready(item) for item in self.kubectl("get", "nodes")["items"]}

    def root_application(self) -> tuple[str, str]:
        """Sync and health of what everything else hangs on."""
        status = self.kubectl("get", "application", "root", "--namespace", "argocd")["status"]
        return status["sync"]["status"], status["health"]["status"]

    def stands(self) -> None:
        """Fails where it is not all there, once."""
        names = set(self.declared().values())
        assert self.declared().items() <= self.machines().items()
        assert self.creations() == sorted(self.declared()), "a machine was made twice"
        assert self.etcd() == {node.name for node in self.spec.control_planes}
        assert self.bootstraps() == 1
        assert self.nodes() == dict.fromkeys(names, "True")
        assert self.root_application() == ("Synced", "Healthy")


def _creates(event: Mapping[str, Any]) -> bool:
    return event["task"] in ("qmcreate", "qmclone")


def _ready(node: Mapping[str, Any]) -> str:
    return next(one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready")
