"""What was seen of a cluster before its plan is made: facts only, each from one look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infraflux.adapters.kubernetes.facts import Manifest, ManifestChange, RemovedApi
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import Hardware
from infraflux.adapters.talos.facts import BootstrapMarker, EtcdSeen, NodeSeen, SystemImage
from infraflux.adapters.terraform.plan import PlanSummary
from infraflux.core.outcomes import Outcome
from infraflux.operations.plan.actions import GitChange


@dataclass(frozen=True, kw_only=True)
class PlatformSeen:
    """The Kubernetes side of a cluster that has one."""

    installs: Mapping[str, Outcome]
    """Per component what its first install would do; Noop once Argo CD owns it."""
    handoff: Mapping[str, Outcome]
    """Per object what applying it would do, as the API server answers a dry run."""
    nodes: Mapping[str, Manifest]
    """Node objects by name."""
    from_git: tuple[GitChange, ...] = ()
    manifests: tuple[ManifestChange, ...] = ()
    """Where the cluster is behind what Talos brings with it."""
    manifests_unknown: str = ""
    """Why that is not known."""
    removed_apis: tuple[RemovedApi, ...] = ()
    """In use, as the API servers say; asked where the Kubernetes that runs is behind."""
    unasked: tuple[str, ...] = ()
    """Control planes whose API server could not be asked for them, and why."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One look at everything."""

    shared: PlanSummary
    machines: PlanSummary
    warnings: tuple[str, ...] = ()
    has_secrets: bool = False
    """Whether the Talos secrets bundle is there."""
    marker: BootstrapMarker | None = None
    nodes: Mapping[str, NodeSeen] = field(default_factory=dict)
    """Nodes whose machines stay; one that is to be made is not asked."""
    images: Mapping[str, SystemImage] = field(default_factory=dict)
    """The Talos image of every node that runs."""
    reboots: Mapping[str, bool] = field(default_factory=dict)
    """Per node that runs with another config: whether Talos needs a reboot for the wanted one."""
    hardware: Mapping[str, Hardware] = field(default_factory=dict)
    """Per node whose machine runs: what it runs with, and what waits for its next start."""
    guests: Mapping[str, Guest] = field(default_factory=dict)
    """The machine of each declared node that has one; only where somebody acts by hand."""
    maintenance: frozenset[str] = frozenset()
    """Nodes whose machines were shut down for the maintenance of their host."""
    etcd: EtcdSeen | None = None
    platform: PlatformSeen | None = None
    no_platform: str = ""
    """Why the Kubernetes side could not be looked at."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the configuration makes of the nodes, beside the spec."""

    configs: Mapping[str, str] = field(repr=False)
    """Machine config by node; empty before there are secrets to make them with."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What patches referred to, to be masked in what the plan shows."""
    fingerprints: Mapping[str, str]
    """Digest of each node's patches and versions: known before there are secrets, and holds none."""
    components: Mapping[str, str]
    """What is installed first, in order: Cilium, Argo CD; each with a digest of the files it is installed from."""
    handoff: Sequence[str]
    """Objects of the handoff, by name, in order."""
