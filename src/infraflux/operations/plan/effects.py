"""What a change of a machine config does to a running node, field by field. Pure.

Whether Talos needs a reboot is Talos' own answer to a dry run of the node (`CanApplyImmediate`, v1alpha1_runtime.go of
Talos 1.13). Which service starts again follows from its controllers: `kubelet_service.go` starts the kubelet again when
its spec changes, `control_plane_static_pod.go` writes new static pods, `etcd.go` reads its arguments at its start only.
What goes into these specs from elsewhere in the config: `control_plane.go` takes endpoint and networks of the cluster,
`kubelet_config.go` its DNS domain and, for the address of DNS, its services' network.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infraflux.config.models.policy import Disruption

_RESTARTS = (
    ("machine.kubelet", "kubelet restarts"),
    ("cluster.apiServer", "kube-apiserver restarts"),
    ("cluster.controllerManager", "kube-controller-manager restarts"),
    ("cluster.scheduler", "kube-scheduler restarts"),
    ("cluster.controlPlane.endpoint", "kube-apiserver restarts"),
    ("cluster.network.podSubnets", "kube-controller-manager restarts"),
    ("cluster.network.serviceSubnets", "kube-apiserver, kube-controller-manager and kubelet restart"),
    ("cluster.network.dnsDomain", "kubelet restarts"),
    ("cluster.externalCloudProvider", "control plane components and kubelet restart"),
    ("cluster.ca", "control plane components restart"),
    ("cluster.aggregatorCA", "control plane components restart"),
    ("cluster.serviceAccount", "control plane components restart"),
    ("cluster.secretboxEncryptionSecret", "kube-apiserver restarts"),
    ("cluster.aescbcEncryptionSecret", "kube-apiserver restarts"),
    ("machine.pods", "its static pods restart"),
    ("machine.network", "the node's network is set up anew"),
    ("machine.registries", "containerd reads its registries anew"),
)
_WHEN = (
    ("cluster.etcd", "etcd takes it up at the next restart of the node"),
    ("machine.install", "taken up by the next upgrade of Talos"),
    ("cluster.extraManifests", "applied by the next Kubernetes upgrade, or at the bootstrap"),
    ("cluster.inlineManifests", "applied by the next Kubernetes upgrade, or at the bootstrap"),
    ("cluster.coreDNS", "applied by the next Kubernetes upgrade, or at the bootstrap"),
    ("cluster.proxy", "applied by the next Kubernetes upgrade, or at the bootstrap"),
    ("cluster.network.cni", "applied by the next Kubernetes upgrade, or at the bootstrap"),
)
"""Talos stores these and does not act on them at once; bootstrap manifests are created only where they are absent
(`manifest_apply.go`)."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How a node takes a change."""

    disruption: Disruption
    words: str


def effect_of(paths: Iterable[str], *, reboots: bool) -> Effect:
    """What changing these fields (`v1alpha1.machine.kubelet.extraArgs.v`) does to a node that runs."""
    if reboots:
        return Effect(disruption=Disruption.NODE_RESTART, words="the node restarts")
    names = [path.removeprefix("v1alpha1.") for path in paths]
    mounts = [f"/var/mnt/{name}" for name in dict.fromkeys(filter(None, map(_volume, names)))]
    restarts = _found(names, _RESTARTS)
    later = [*_found(names, _WHEN), *([f"its data disks: {', '.join(mounts)}"] if mounts else [])]
    if restarts:
        return Effect(disruption=Disruption.SERVICE_RESTART, words=", ".join([*restarts, *later]))
    return Effect(disruption=Disruption.NONE, words=", ".join(["applied while the node runs", *later]))


def _volume(name: str) -> str:
    """`UserVolumeConfig/data.filesystem.type` -> `data`; empty for anything else."""
    kind, _, rest = name.partition("/")
    return rest.partition(".")[0] if kind == "UserVolumeConfig" else ""


def _found(names: Iterable[str], table: Iterable[tuple[str, str]]) -> list[str]:
    names = list(names)
    hits = (words for prefix, words in table if any(_below(name, prefix) for name in names))
    return list(dict.fromkeys(hits))


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith((f"{prefix}.", f"{prefix}["))
