"""Real Argo CD beside a real control plane: what is pushed is applied, what pods would do is simulated."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from labkit.cni import CNI_TEXT

from infraflux.adapters.tools.locate import Source, this_machine
from infraflux_lab.gitops.git import git
from infraflux_lab.gitops.host import GitOpsLab
from infraflux_lab.gitops.repositories import Seed
from infraflux_lab.kubernetes import KubernetesLab

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.tools]

ADDRESS = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}.84.3"
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
"""
POOL = """
apiVersion: cilium.io/v2alpha1
kind: CiliumLoadBalancerIPPool
metadata: {name: default}
spec: {blocks: [{start: 192.0.2.10, stop: 192.0.2.19}]}
"""
APPLICATIONS = """
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec: {sourceRepos: ['*'], destinations: [{server: '*', namespace: '*'}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  project: default
  source: {repoURL: "@GIT@/open.git", path: app, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: default}
  syncPolicy: {automated: {selfHeal: true}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: private, namespace: argocd}
spec:
  project: default
  source: {repoURL: "@GIT@/closed.git", path: app, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: default}
  syncPolicy: {automated: {selfHeal: true}}
"""


@pytest.fixture
def programs(binaries: dict[str, Path]) -> dict[str, Path]:
    found = {name: this_machine().find(name) for name in ("argocd", "helm", "kustomize")}
    missing = [name for name, item in found.items() if item.source is Source.MISSING]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; run `infraflux tools install --group test`")
    return {**binaries, **{name: item.path for name, item in found.items() if item.path}}


@pytest.fixture
async def gitops(
    lab: KubernetesLab, programs: dict[str, Path], tmp_path: Path, recorded: Any
) -> AsyncIterator[GitOpsLab]:
    trees = {}
    for name, content in {"open": WEB, "closed": "{apiVersion: v1, kind: ConfigMap, metadata: {name: hidden}}"}.items():
        trees[name] = tmp_path / "trees" / name
        (trees[name] / "app").mkdir(parents=True)
        (trees[name] / "app" / "all.yaml").write_text(content)
    made = GitOpsLab(
        state_dir=tmp_path / "git",
        credentials=tmp_path / "credentials",
        address=ADDRESS,
        seeds=[Seed(name=name, directory=tree, private=name == "closed") for name, tree in trees.items()],
        binaries=programs,
        events=recorded,
    )
    lab.observe(made)
    await made.start()
    yield made
    await lab.close()
    await made.stop()


async def _until(attempt: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(120):
        while not await attempt():
            await asyncio.sleep(0.5)


async def _helm(programs: dict[str, Path], kubeconfig: Path, home: Path, *arguments: str) -> None:
    names = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME")
    process = await asyncio.create_subprocess_exec(
        str(programs["helm"]),
        *arguments,
        env={"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin", **dict.fromkeys(names, str(home))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One lab cluster with Git, charts and Argo CD beside it."""

    lab: KubernetesLab
    gitops: GitOpsLab
    programs: dict[str, Path]
    kubectl: Any
    cluster_id: str
    home: Path

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:8881"

    async def found(self, *arguments: str) -> Any:
        text = await self.kubectl(self.lab, "get", *arguments, "-o", "json", check=False)
        return json.loads(text) if text.startswith("{") else {}

    async def status(self, name: str) -> tuple[str, str]:
        said = (await self.found("application", "-n", "argocd", name)).get("status", {})
        return said.get("sync", {}).get("status", ""), said.get("health", {}).get("status", "")

    async def helm(self, *arguments: str) -> None:
        await _helm(self.programs, self.lab.clusters()[0].kubeconfig, self.home, *arguments)

    async def until_found(self, *arguments: str) -> None:
        async def there() -> bool:
            return bool(await self.found(*arguments))

        await _until(there)

    async def install(self) -> None:
        """Cilium and Argo CD from the lab's charts, then the Applications of this test."""
        charts = ("--repo", f"http://{ADDRESS}:8880/charts")
        await self.helm("install", "cilium", "cilium", *charts, "--namespace=kube-system")
        await self.helm("install", "argocd", "argo-cd", *charts, "--namespace=argocd", "--create-namespace")
        await self.kubectl(self.lab, "apply", "-f", "-", stdin=POOL)
        await self.kubectl(self.lab, "apply", "-f", "-", stdin=APPLICATIONS.replace("@GIT@", self.url))

    def credentials(self) -> tuple[str, str]:
        user, _, password = (self.home / "credentials" / "git").read_text().partition(":")
        return user, password

    async def give_credentials(self) -> None:
        user, password = self.credentials()
        literals = {"type": "git", "url": f"{self.url}/closed.git", "username": user, "password": password}
        flags = [f"--from-literal={key}={value}" for key, value in literals.items()]
        await self.kubectl(self.lab, "create", "secret", "generic", "closed", "-n", "argocd", *flags)
        label = "argocd.argoproj.io/secret-type=repository"
        await self.kubectl(self.lab, "label", "secret", "closed", "-n", "argocd", label)
        refresh = "argocd.argoproj.io/refresh=hard"
        await self.kubectl(self.lab, "annotate", "application", "private", "-n", "argocd", refresh)

    async def push(self, name: str, content: str) -> None:
        """Commit one file to the open repository and push it."""
        clone = self.home / "clone"
        await git("clone", "--quiet", f"{self.url}/open.git", str(clone))
        (clone / "app" / name).write_text(content)
        await git("-C", str(clone), "add", "--all")
        await git("-C", str(clone), "commit", "--quiet", "--message", "more")
        authorised = self.url.replace("http://", "http://{}:{}@".format(*self.credentials()))
        await git("-C", str(clone), "push", "--quiet", f"{authorised}/open.git", "main")


async def test_a_push_reaches_the_cluster(
    lab: KubernetesLab,
    gitops: GitOpsLab,
    programs: dict[str, Path],
    config: dict[str, Any],
    node: Any,
    kubectl: Any,
    tmp_path: Path,
) -> None:
    cluster_id = config["cluster"]["id"]
    await lab.start(cluster_id, config, node(1), new=True)
    await lab.node_up(cluster_id, node(1))
    await lab.node_up(cluster_id, node(2, control_plane=False))
    await kubectl(lab, "apply", "-f", "-", stdin=CNI_TEXT)
    stage = Stage(lab=lab, gitops=gitops, programs=programs, kubectl=kubectl, cluster_id=cluster_id, home=tmp_path)

    # Before Argo CD is installed, nothing of it runs.
    assert gitops.argo_pids(cluster_id) == {}
    await stage.install()

    # A Service of type LoadBalancer is healthy for Argo CD only once it has an address.
    async def is_healthy() -> bool:
        return await stage.status("web") == ("Synced", "Healthy")

    await _until(is_healthy)
    ingress = (await stage.found("service", "web"))["status"]["loadBalancer"]["ingress"]
    assert [entry["ip"] for entry in ingress] == ["192.0.2.10"]
    assert len(gitops.argo_pids(cluster_id)) == 3

    # Without the credential the private repository is refused, and nothing of it is there.
    assert (await stage.status("private"))[0] == "Unknown"
    assert not await stage.found("configmap", "hidden")
    await stage.give_credentials()
    await stage.until_found("configmap", "hidden")

    # A push is applied without anybody asking for it.
    await stage.push("more.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: pushed}}")
    await stage.until_found("configmap", "pushed")

    # Uninstalled, its processes go.
    pids = list(gitops.argo_pids(cluster_id).values())
    await stage.helm("uninstall", "argocd", "--namespace=argocd")

    async def gone() -> bool:
        return not any(psutil.pid_exists(pid) for pid in pids)

    await _until(gone)
