"""Which parts make the lab, in the order they start. The one place where parts meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infraflux_lab.events import Endpoint, EventLog
from infraflux_lab.factory import ImageFactory
from infraflux_lab.gitops.archives import ChartError
from infraflux_lab.gitops.controllers import fetch_manifest
from infraflux_lab.gitops.host import GitOpsLab, project_seeds
from infraflux_lab.kubernetes import KubernetesLab
from infraflux_lab.parts import GuestSystems, Hypervisor, LabContext, Part, PartFacts
from infraflux_lab.proxmox.part import ProxmoxPart
from infraflux_lab.state import LabError
from infraflux_lab.talos.lab import TALOS_API_VERSION, TalosLab
from infraflux_lab.talos.methods import changes
from infraflux_lab.talos_real.part import RealTalosPart


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The parts, in the order they start."""

    parts: Sequence[Part]
    hypervisor: Hypervisor
    systems: GuestSystems

    async def edit_config(self, machine: str, patch: Mapping[str, Any]) -> None:
        """Change a machine's Talos configuration behind everybody's back; LabError for an unknown machine or a patch
        that Talos would refuse."""
        try:
            await self.systems.edit_config(machine, patch)
        except (KeyError, ValueError) as error:
            raise LabError(str(error.args[0])) from None


def compose(context: LabContext) -> Lab:
    """All parts; whoever observes machines starts before the hypervisor that tells of them."""
    hypervisor = ProxmoxPart(context)
    factory = ImageFactory(context.spec.image_factory, context.events, store=context.paths.root / "schematics.json")
    if context.spec.talos == "real":
        return _with_real_nodes(context, hypervisor, factory)
    clusters = context.paths.root / "kubernetes"
    refuse_older_clusters(clusters)
    kubernetes = KubernetesLab(
        state_dir=clusters,
        binaries=context.programs,
        events=context.events,
        latency=context.latency,
    )
    talos = TalosLab(
        state_dir=context.paths.root,
        power=hypervisor,
        kubernetes=kubernetes,
        events=context.events,
        latency=context.latency,
        faults=context.faults,
        talosctl=context.programs.get("talosctl"),
        schematics=factory.extensions,
        fetch_manifest=fetch_manifest,
        count=partial(_count_talos, context.events),
    )
    gitops = gitops_part(context)
    kubernetes.observe(gitops.lab)
    hypervisor.observe(talos)
    parts: list[Part] = [factory, KubernetesPart(kubernetes), gitops, TalosPart(talos), hypervisor]
    return Lab(parts=parts, hypervisor=hypervisor, systems=talos)


def refuse_older_clusters(directory: Path) -> None:
    """LabError where a lab has left clusters of one etcd, whose further members were only said to be there."""
    if any(directory.glob("*/etcd/member")):
        raise LabError(
            "the clusters of this lab were made by an older one, with one etcd for all control planes: they do not come"
            " back; `infraflux lab reset` forgets them"
        )


def _with_real_nodes(context: LabContext, hypervisor: ProxmoxPart, factory: ImageFactory) -> Lab:
    """Nodes bring their own Kubernetes; Argo CD stands beside it as it does beside the lab's own."""
    gitops = gitops_part(context, gateway_api=True)
    nodes = RealTalosPart(context, hypervisor, beside=gitops.lab)
    hypervisor.observe(nodes)
    parts: list[Part] = [factory, gitops, nodes, hypervisor]
    return Lab(parts=parts, hypervisor=hypervisor, systems=nodes)


def _count_talos(events: EventLog, environment: str, path: str) -> None:
    """Calls of the Talos API stand beside those of Proxmox in `infraflux lab requests`."""
    endpoint = Endpoint(environment=environment, method="gRPC", route=path, mutating=changes(path))
    events.count_request(endpoint, source="talos")


def gitops_part(context: LabContext, *, gateway_api: bool = False) -> "GitOpsPart":
    """Charts, Git and, beside each cluster, what Argo CD's pods would do.

    LabError for a directory of charts that holds something else.
    """
    charts = context.spec.charts
    try:
        lab = GitOpsLab(
            state_dir=context.paths.root / "git",
            credentials=context.paths.credentials,
            address=str(context.spec.image_factory.address),
            seeds=project_seeds(context.project),
            binaries=context.programs,
            events=context.events,
            charts=context.project / charts if charts else None,
            gateway_api=gateway_api,
        )
    except ChartError as error:
        raise LabError(str(error)) from None
    return GitOpsPart(lab)


class KubernetesPart:
    """The Kubernetes host as a part."""

    def __init__(self, host: KubernetesLab) -> None:
        self._host = host

    async def start(self) -> None:
        """Control planes start when their machines do."""
        await self._host.open()

    async def stop(self) -> None:
        """Stop every control plane."""
        await self._host.close()

    def describe(self) -> Sequence[PartFacts]:
        """One line per program."""
        return [
            PartFacts(name=part.name, version=part.version, kind=part.kind, note=part.note)
            for part in self._host.describe()
        ]


class GitOpsPart:
    """The GitOps side as a part."""

    def __init__(self, lab: GitOpsLab) -> None:
        self.lab = lab

    async def start(self) -> None:
        """Import the project's trees and serve."""
        await self.lab.start()

    async def stop(self) -> None:
        """Stop what stands beside the clusters, then the servers."""
        await self.lab.stop()

    def describe(self) -> Sequence[PartFacts]:
        """Servers, charts, Argo CD, stand-ins."""
        return [
            PartFacts(name=facts.name, version=facts.version, kind=facts.kind, endpoint=facts.endpoint)
            for facts in self.lab.describe()
        ]


class TalosPart:
    """The Talos emulator as a part."""

    def __init__(self, talos: TalosLab) -> None:
        self._talos = talos

    async def start(self) -> None:
        """Serve; machines appear as they get power."""
        await self._talos.start()

    async def stop(self) -> None:
        """Close every port."""
        await self._talos.stop()

    def describe(self) -> Sequence[PartFacts]:
        """One line, with the number of machines."""
        facts = self._talos.describe()
        judge = "configs judged by talosctl" if facts["validates"] else "talosctl is missing: configs not judged"
        note = f"{len(facts['machines'])} machines; {judge}"
        return [PartFacts(name="Talos API", version=TALOS_API_VERSION, kind="simulated", note=note)]
