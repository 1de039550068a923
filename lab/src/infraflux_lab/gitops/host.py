"""The GitOps side of the lab as one thing to start and stop."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infraflux_lab.contracts import EventSink
from infraflux_lab.gitops.archives import STANDIN_CHARTS, ChartArchive, collect
from infraflux_lab.gitops.argo_processes import ArgoProcesses
from infraflux_lab.gitops.argocd import EXTRAS as ARGO_EXTRAS
from infraflux_lab.gitops.argocd import PROGRAMS as ARGO_PROGRAMS
from infraflux_lab.gitops.argocd import ArgoSite
from infraflux_lab.gitops.chart_server import ChartServer
from infraflux_lab.gitops.controllers import ClusterControllers
from infraflux_lab.gitops.git import GitError
from infraflux_lab.gitops.git_server import GitServer, ensure_credential
from infraflux_lab.gitops.repositories import Import, Seed, import_tree
from infraflux_lab.kubernetes import ClusterHandle
from infraflux_lab.kubernetes.api import ApiClient
from infraflux_lab.kubernetes.material import client_of


@dataclass(frozen=True, kw_only=True)
class GitOpsFacts:
    """One line of `infraflux lab status`."""

    name: str
    version: str
    kind: Literal["real", "simulated"]
    endpoint: str = ""


def project_seeds(project: Path) -> list[Seed]:
    """The platform repository (the project with its commits, or only its `platform/` where it is no Git repository)
    and the example application repository (private) from `examples/`."""
    return [
        Seed(name="platform", directory=project, paths=("platform",), history=True),
        Seed(name="platform-north-star", directory=project / "examples" / "platform-north-star", private=True),
    ]


class GitOpsLab:
    """Charts and Git over HTTP; controllers beside every running cluster (see `KubernetesLab.observe`)."""

    def __init__(
        self,
        *,
        state_dir: Path,
        credentials: Path,
        address: str,
        seeds: Sequence[Seed],
        binaries: Mapping[str, Path],
        events: EventSink,
        charts: Path | None = None,
        gateway_api: bool = False,
    ) -> None:
        """`charts` is a directory of the user's chart archives; `binaries` as for `KubernetesLab`, plus ARGO_PROGRAMS.

        `gateway_api`: register it, because nobody fetches what Talos would. ChartError for a directory that holds
        something else.
        """
        self._gateway_api = gateway_api
        self._state_dir, self._credentials, self._address = state_dir, credentials, address
        self._seeds = [seed for seed in seeds if seed.directory.is_dir()]
        self._binaries, self._events = binaries, events
        self._archives: list[ChartArchive] = collect(standins=STANDIN_CHARTS, given=charts)
        self._charts = ChartServer(address=address, archives=self._archives, events=events)
        self._git: GitServer | None = None
        self._importing = asyncio.Lock()
        self._controllers: dict[str, ClusterControllers] = {}

    async def start(self) -> None:
        """Import the working trees and listen."""
        await self.import_trees()
        self._git = GitServer(
            address=self._address,
            root=self._state_dir,
            private={seed.name: seed.private for seed in self._seeds},
            credential=ensure_credential(self._credentials / "git"),
            events=self._events,
            pushed=self._pushed,
            reading=self._reading,
        )
        await self._git.start()
        await self._charts.start()

    async def stop(self) -> None:
        """Stop the controllers and stop listening."""
        for cluster_id in list(self._controllers):
            await self.cluster_down(cluster_id)
        await self._charts.stop()
        if self._git:
            await self._git.stop()

    async def import_trees(self) -> Mapping[str, Import]:
        """Bring the repositories up to date with the project's files; what was pushed to them is kept."""
        done = {seed.name: await self._import(seed) for seed in self._seeds}
        if Import.DONE in done.values():
            await self._refresh_all()
        return done

    async def _import(self, seed: Seed) -> Import:
        async with self._importing:
            done = await import_tree(self._state_dir / f"{seed.name}.git", seed)
        if done is not Import.NOTHING:
            self._events.emit("git", "import", repository=seed.name, result=str(done))
        return done

    async def _reading(self, repository: str) -> None:
        """Somebody is about to read: show the project as it is now, as a Git host shows what was pushed last."""
        try:
            for seed in self._seeds:
                if seed.name == repository and await self._import(seed) is Import.DONE:
                    await self._refresh_all()
        except GitError as error:  # the working tree is being written; what was imported last is served
            self._events.emit("git", "import-failed", repository=repository, reason=str(error))

    async def cluster_up(self, cluster: ClusterHandle) -> None:
        """A control plane came up: watch what is installed there."""
        layout = cluster.layout
        site = ArgoSite(
            root=layout.root / "argocd",
            home=cluster.home,
            kubeconfig=cluster.kubeconfig,
            binaries={name: self._binaries[name] for name in (*ARGO_PROGRAMS, *ARGO_EXTRAS) if name in self._binaries},
        )
        argo = ArgoProcesses(site=site, logs=layout.logs, events=self._events, cluster=cluster.name)
        controllers = ClusterControllers(
            api=ApiClient(server=cluster.server, context=client_of(layout)),
            argo=argo,
            events=self._events,
            cluster=cluster.name,
            gateway_api=self._gateway_api,
        )
        self._controllers[cluster.cluster_id] = controllers
        controllers.start()

    async def cluster_down(self, cluster_id: str) -> None:
        """A control plane is about to go."""
        controllers = self._controllers.pop(cluster_id, None)
        if controllers:
            await controllers.stop()

    def argo_pids(self, cluster_id: str) -> Mapping[str, int]:
        """Process ids of a cluster's Argo CD by program; empty where none is installed."""
        controllers = self._controllers.get(cluster_id)
        return controllers.argo_pids() if controllers else {}

    def describe(self) -> list[GitOpsFacts]:
        """Servers, charts and Argo CD, real or simulated."""
        simulated = [archive for archive in self._archives if archive.simulated]
        facts = [GitOpsFacts(name="git http-backend", version="Git", kind="real", endpoint=self._git_endpoint())]
        facts += [
            GitOpsFacts(
                name=f"chart {archive.name}",
                version=archive.version,
                kind="simulated" if archive in simulated else "real",
                endpoint=self._charts.url,
            )
            for archive in self._archives
        ]
        argo = self._binaries.get("argocd")
        version = argo.parent.name if argo else "missing"
        facts.append(GitOpsFacts(name="Argo CD controllers", version=version, kind="real"))
        facts.append(GitOpsFacts(name="load balancer, gateways, certificates", version="-", kind="simulated"))
        return facts

    def _git_endpoint(self) -> str:
        return ", ".join(self._git.url(seed.name) for seed in self._seeds) if self._git else ""

    async def _pushed(self, _repository: str) -> None:
        await self._refresh_all()

    async def _refresh_all(self) -> None:
        """What a Git host's webhook does: Argo CD looks again now, not at its next poll."""
        for controllers in self._controllers.values():
            await controllers.refresh()
