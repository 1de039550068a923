"""A real control plane and the lab's GitOps side (real Argo CD, charts and Git over HTTP) around one cluster."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.bundles import ROOT, compute_bundle
from ruamel.yaml import YAML

from infraflux.adapters.argocd.client import ArgoCd
from infraflux.adapters.argocd.facts import Application
from infraflux.adapters.helm import Helm
from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Manifest, Ref
from infraflux.config.load import load_cluster
from infraflux.config.models import ClusterSpec
from infraflux.config.secrets_ref import resolve
from infraflux.core.clock import SystemClock
from infraflux.operations import handoff_secrets
from infraflux.operations.installer import Installer
from infraflux_lab.contracts import NodeFacts
from infraflux_lab.gitops.controllers import registered_kinds
from infraflux_lab.gitops.host import GitOpsLab, project_seeds
from infraflux_lab.kubernetes import KubernetesLab

NET = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}.86"
WEB = f"{NET}.3"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "talosctl")
PROGRAMS = (*CONTROL_PLANE, "helm", "kustomize", "terraform", "argocd", "sops")


class Silent:
    def emit(self, *_: object, **__: object) -> None:
        """Nothing is recorded."""

    async def sleep(self, _phase: str) -> None:
        """Nothing takes time."""


class Loop:
    """An event loop in a thread, so that plain tests can use the lab's coroutines."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(180)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Checkout:
    """A clone of one of the lab's repositories; a push is what a developer's merge is."""

    path: Path

    def git(self, *words: str) -> None:
        who = {f"GIT_{role}_{part}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        argv = ["git", "-C", self.path, *words]
        subprocess.run(argv, check=True, capture_output=True, env=os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"})

    def push(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        # The lab's repository follows the project, which may have moved since.
        self.git("pull", "--quiet", "--rebase")
        self.git("push", "--quiet")


@dataclass
class Site:
    """One cluster with everything around it."""

    spec: ClusterSpec
    installer: Installer
    kubernetes: Kubernetes
    helm: Helm
    platform: Checkout
    apps: Checkout
    directory: Path

    def read(self, kind: str, name: str, *, namespace: str | None = None, api_version: str = "v1") -> Any:
        return self.kubernetes.read(Ref(api_version=api_version, kind=kind, namespace=namespace, name=name))

    def secrets(self, *, credentials: Path | None = None) -> list[Manifest]:
        """The handoff's secrets; `credentials` replaces those of the application repository."""
        spec = self.spec
        if credentials:
            document = spec.model_dump(mode="json")
            document["gitops"]["application"]["credentials"] = f"file:{credentials}"
            spec = ClusterSpec.model_validate(document)
        return handoff_secrets.collect(
            spec,
            resolve=lambda reference: resolve(reference, root=self.directory),
            kubernetes=self.kubernetes,
            identity=self.directory / "applications.age",
        )

    def hand_off(self, *, credentials: Path | None = None) -> list[Any]:
        return self.installer.hand_off(self.secrets(credentials=credentials))

    def synced(self, *, patience_s: float = 120.0, deadline_s: float = 400.0) -> list[Application]:
        argocd = self.installer.argocd
        argocd.refresh(argocd.read())
        return argocd.wait_until_synced(
            clock=self.installer.clock, deadline_s=deadline_s, degraded_deadline_s=patience_s
        )


def node(number: int) -> NodeFacts:
    return NodeFacts(
        name=f"n{number}",
        address=f"{NET}.{10 + number}",
        control_plane=number == 1,
        machine_key=f"dev/{number}",
        cores=8,
        memory_mib=16384,
        kubelet_version="v1.36.3",
    )


@contextmanager
def control_plane(binaries: dict[str, Path], directory: Path) -> Iterator[Path]:
    """A bare cluster of one control plane and two workers, with charts, Git and Argo CD's processes beside it."""
    argv = [binaries["talosctl"], "gen", "config", "lab", f"https://{NET}.10:6443", "--output", directory / "talos"]
    subprocess.run(argv, check=True, capture_output=True)
    documents = YAML(typ="safe").load_all((directory / "talos/controlplane.yaml").read_text())
    config = next(one for one in documents if "machine" in one)
    loop, silent = Loop(), Silent()
    programs = {name: binaries[name] for name in CONTROL_PLANE}
    lab = KubernetesLab(state_dir=directory / "lab", binaries=programs, events=silent, latency=silent)
    gitops = GitOpsLab(
        state_dir=directory / "git",
        credentials=directory / "credentials",
        address=WEB,
        seeds=project_seeds(ROOT),
        binaries=binaries,
        events=silent,
    )
    lab.observe(gitops)
    try:
        loop.run(gitops.start())
        loop.run(lab.open())
        loop.run(lab.start("platform", config, node(1), new=True))
        for number in (1, 2, 3):
            loop.run(lab.node_up("platform", node(number)))
        # What Talos would have fetched: `platform.gateway.manifests`.
        loop.run(lab.apply_manifests("platform", registered_kinds(gateway_api=True)))
        yield lab.clusters()[0].kubeconfig
    finally:
        loop.run(lab.close())
        loop.run(gitops.stop())
        loop.close()


def clone(name: str, directory: Path) -> Checkout:
    credential = (directory / "credentials/git").read_text().strip()
    target = directory / "checkouts" / name
    target.parent.mkdir(exist_ok=True)
    url = f"http://{credential}@{WEB}:8881/{name}.git"
    subprocess.run(["git", "clone", "--quiet", url, target], check=True, capture_output=True)
    return Checkout(target)


@contextmanager
def open_site(binaries: dict[str, Path], kubeconfig: Path, directory: Path) -> Iterator[Site]:
    """The shipped dev-1 on that control plane, with clones of both of its repositories."""
    spec = spec_here()
    kubernetes = Kubernetes.from_kubeconfig(kubeconfig, cluster=spec.key)

    def forget_record(namespace: str, name: str) -> None:
        kubernetes.delete(Ref(api_version="v1", kind="Secret", namespace=namespace, name=name))

    helm = Helm(binary=binaries["helm"], kubeconfig=kubeconfig, cluster=spec.key, forget_record=forget_record)
    installer = Installer(
        spec=spec,
        tree=ROOT / "platform",
        bundle=compute_bundle(spec, directory),
        kubernetes=kubernetes,
        helm=helm,
        argocd=ArgoCd(kubernetes, cluster=spec.key),
        clock=SystemClock(),
    )
    try:
        yield Site(
            spec=spec,
            installer=installer,
            kubernetes=kubernetes,
            helm=helm,
            platform=clone("platform", directory),
            apps=clone("platform-north-star", directory),
            directory=directory,
        )
    finally:
        kubernetes.close()


def spec_here() -> ClusterSpec:
    """The shipped dev-1, with its charts and repositories at this test's address."""
    document = load_cluster(ROOT, "dev/dev-1").model_dump(mode="json")
    document["platform"]["chart_repository"] = f"http://{WEB}:8880/charts"
    document["gitops"]["platform"]["url"] = f"http://{WEB}:8881/platform.git"
    application = {"url": f"http://{WEB}:8881/platform-north-star.git", "credentials": "file:credentials/git"}
    document["gitops"]["application"] |= application
    return ClusterSpec.model_validate(document)
