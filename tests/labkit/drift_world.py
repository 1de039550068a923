"""Two clusters of a lab to do mischief to: dev-1 deployed and handed over, staging-1 machines under HA only."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit.bring_up import bring_up
from labkit.project import PARTS, Project, project_with_lab

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.cli.lab import installed_programs
from infraflux.config.load import load_cluster
from infraflux.config.models import ClusterSpec
from infraflux.core.clock import SystemClock
from infraflux.drift.findings import ALL_LAYERS, ClusterDrift, Layer
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.drift_fleet import check_fleet
from infraflux.operations.platform import Platform, open_platform
from infraflux.operations.talos import open_talos

DEV, STAGING = "dev/dev-1", "staging/staging-1"
SYNC_DEADLINE_S = 180.0
AUDIT_POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"


@dataclass
class World:
    """The fleet, ways to look at it and ways to change it behind its back."""

    project: Project
    kept: dict[str, Any] = field(default_factory=dict)
    """What an injection leaves for its undoing."""

    @property
    def root(self) -> Path:
        return self.project.root

    def spec(self, key: str = DEV) -> ClusterSpec:
        return load_cluster(self.root, key)

    @cached_property
    def talos(self) -> TalosCluster:
        return open_talos(self.spec(), root=self.root)

    @cached_property
    def platform(self) -> Platform:
        return open_platform(self.spec(), root=self.root)

    @property
    def kubernetes(self) -> Kubernetes:
        return self.platform.kubernetes

    # Look

    def look(
        self, key: str = DEV, *, layers: Collection[Layer] = ALL_LAYERS, now: datetime | None = None
    ) -> ClusterDrift:
        """What the product reports of one cluster."""
        [report] = check_fleet(self.root, [key], layers=layers, now=now)
        return report

    def until(self, check: Callable[[], Any], *, what: str, deadline_s: float = 120.0) -> Any:
        """The first true value of `check`."""
        deadline = time.monotonic() + deadline_s
        while not (value := check()):
            assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s for {what}"
            time.sleep(0.3)
        return value

    # Proxmox, behind everybody's back

    def act(self, action: str, key: str = DEV, **params: str) -> None:
        self.project.act(action, environment=key.partition("/")[0], **params)

    def config(self, vm_id: int, key: str = DEV) -> dict[str, Any]:
        """A VM's options as Proxmox shows them."""
        environment = key.partition("/")[0]
        client = self.project.client(environment, 1 if environment == "dev" else 2)
        [row] = [row for row in client.cluster.resources.get(type="vm") if row["vmid"] == vm_id]
        return dict(client.nodes(row["node"]).qemu(vm_id).config.get())

    def proxmox(self, key: str) -> Any:
        environment = key.partition("/")[0]
        return self.project.client(environment, 1 if environment == "dev" else 2)

    def redeploy_machines(self, key: str) -> None:
        """Undo by the product itself."""
        machines = self.project.machines(key)
        machines.apply(machines.plan())

    # Talos

    def edit_config(self, machine: str, patch: dict[str, Any]) -> None:
        self.project.ask("edit-config", machine=machine, patch=patch)

    def upgrade(self, address: str, image: str) -> None:
        self.talos.admin.call(
            "upgrade", "--image", image, "--drain=false", "--timeout=90s", node=address, deadline_s=120
        )

    def talos_running(self, address: str) -> None:
        self.until(lambda: self._answers(address), what=f"Talos on {address}")

    def _answers(self, address: str) -> bool:
        try:
            return bool(self.talos.admin.version(node=address))
        except TALOS_ERRORS:
            return False

    # Kubernetes, as somebody with kubectl

    def send(self, method: str, path: str, body: Any = None, *, kind: str = "merge-patch") -> Any:
        suffix = "?fieldManager=kubectl-edit" if method in ("PATCH", "POST") else ""
        content = f"application/{kind}+json" if method == "PATCH" else "application/json"
        text = None if body is None else json.dumps(body)
        answer = self.kubernetes.transport.request(method, path + suffix, body=text, content_type=content)
        assert answer.status < 300, answer.body
        return answer.body

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def patch(self, path: str, body: Any, *, kind: str = "merge-patch") -> None:
        self.send("PATCH", path, body, kind=kind)

    def hand_off(self) -> None:
        """Apply our own objects again, as a deploy does."""
        self.platform.installer.hand_off(self.platform.secrets())

    def synced(self) -> None:
        """Wait for Argo CD. Its ApplicationSets are left alone: a refresh makes their controller rewrite them, and the
        root then takes minutes to heal that."""
        argocd = self.platform.installer.argocd
        argocd.refresh([one for one in argocd.read() if one.kind == "Application"], hard=False)
        argocd.wait_until_synced(clock=SystemClock(), deadline_s=SYNC_DEADLINE_S)

    # Git

    def git(self, *words: str, at: Path | None = None) -> None:
        who = {f"GIT_{role}_{part}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        env = os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"}
        subprocess.run(["git", "-C", at or self.root, *words], check=True, capture_output=True, env=env)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        # Empty where a repeated test commits what its first attempt did.
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    @cached_property
    def apps(self) -> Path:
        """A clone of the application repository; a push is what a developer's merge is."""
        credential = (self.project.lab.credentials / "git").read_text().strip()
        target = self.root.parent / "apps"
        url = f"http://{credential}@{self.project.net}.0.3:8881/platform-north-star.git"
        subprocess.run(["git", "clone", "--quiet", url, target], check=True, capture_output=True)
        return target

    def push_app(self, place: str, manifest: str) -> None:
        home = self.apps / "apps" / place / "dev"
        home.mkdir(parents=True)
        (home / "map.yaml").write_text(manifest)
        (home / "kustomization.yaml").write_text("resources: [map.yaml]\n")
        self.git("add", "--all", at=self.apps)
        self.git("commit", "--quiet", "--message", place, at=self.apps)
        self.git("push", "--quiet", at=self.apps)

    def revert_app(self) -> None:
        self.git("revert", "--no-edit", "HEAD", at=self.apps)
        self.git("push", "--quiet", at=self.apps)

    # The API server's audit log

    def writes_of_admin(self, since: int = 0) -> list[str]:
        """What the holder of our kubeconfig changed, from this line of the audit log on; a dry run changes nothing."""
        lines = self.audit_lines()[since:]
        events = [json.loads(line) for line in lines]
        return [
            f"{one['verb']} {one['requestURI']}"
            for one in events
            if one["user"]["username"] == "admin"
            and one["verb"] not in ("get", "list", "watch")
            and "dryRun=All" not in one["requestURI"]
        ]

    def audit_lines(self) -> list[str]:
        return (self.root / "audit.log").read_text().splitlines()


def settle(project: Project) -> None:
    """Small clusters, HA and protection on staging, an audit log on dev, and a commit that describes all of it."""

    def only_what_it_takes(document: Any) -> None:
        for one in document["platform"]["components"]:
            one["enabled"] = one["name"] in ("cilium", "argocd", "cert-manager")

    project.edit("config/defaults/platform.yaml", only_what_it_takes)
    project.edit("clusters/overlays/staging/staging-1.yaml", lambda it: it.update(size="small"))

    def staging(document: Any) -> None:
        document["proxmox"]["ha"] = True
        document["policy"] |= {"allow_single_control_plane": True, "deletion_protection": True}

    project.edit("config/environments/staging.yaml", staging)
    policy = project.root / "audit-policy.yaml"
    policy.write_text(AUDIT_POLICY)
    arguments = {"audit-log-path": str(project.root / "audit.log"), "audit-policy-file": str(policy)}
    patch = {"name": "audit", "content": {"cluster": {"apiServer": {"extraArgs": arguments}}}}
    project.edit(
        "clusters/overlays/dev/dev-1.yaml", lambda it: it.update(talos={"patches": {"control_plane": [patch]}})
    )
    (project.root / ".gitignore").write_text(".infraflux/\n.terraform*\naudit.log\n")
    world = World(project)
    world.git("init", "--quiet")
    world.commit("all")


@contextmanager
def deployed_world(root: Path) -> Iterator[World]:
    """Both clusters, brought up by the adapters that a deploy uses."""
    with project_with_lab(root, parts=(*PARTS, "examples"), change=settle, programs=installed_programs()) as project:
        world = World(project)
        world.redeploy_machines(DEV)
        world.redeploy_machines(STAGING)
        bring_up(world.talos)
        installer = world.platform.installer
        installer.install_cilium()
        installer.install_argocd()
        world.hand_off()
        world.synced()
        try:
            yield world
        finally:
            world.kubernetes.close()
