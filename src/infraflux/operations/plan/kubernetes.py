"""Kubernetes versions: which step brings what runs to what is wanted, and what machine configs keep until then. Pure.

A version is no field like the others: pushed with a machine config it would reach kubelets before API servers, and
every node undrained. So a config that is pushed keeps the versions that its node runs; the steps below change them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from infraflux.adapters.talos.documents import parse_documents, safe_yaml
from infraflux.config.matrix import find_release, matrix, minor, minor_text, step_problem
from infraflux.config.models import ClusterSpec, Node, Role

KUBELET = "machine.kubelet.image"
API_SERVER = "cluster.apiServer.image"
CONTROL_PLANE = (API_SERVER, "cluster.controllerManager.image", "cluster.scheduler.image", "cluster.proxy.image")
VERSIONED = (KUBELET, *CONTROL_PLANE)
"""Fields whose tag is a Kubernetes version: what `talosctl upgrade-k8s` of 1.13 writes (pkg/cluster/kubernetes)."""
_SUFFIXES = ("-fat", "-slim")
"""Flavours of Talos' kubelet image, behind the version."""


@dataclass(frozen=True)
class ImageChange:
    """One image of another Kubernetes version."""

    before: str
    after: str

    @property
    def versions(self) -> tuple[str, str]:
        return image_version(self.before), image_version(self.after)


Changes = Mapping[str, Mapping[str, ImageChange]]
"""By node and field."""


def image_version(image: str) -> str:
    """`v1.36.3` of `ghcr.io/siderolabs/kubelet:v1.36.3-slim@sha256:…`; empty where there is no tag."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return next((tag.removesuffix(one) for one in _SUFFIXES if tag.endswith(one)), tag)


def images_of(config: str) -> dict[str, str]:
    """The versioned images of a machine config, by field; those that it names."""
    main = parse_documents(config).get("v1alpha1", {}) if config else {}
    found = {path: _read(main, path) for path in VERSIONED}
    return {path: image for path, image in found.items() if image}


def version_changes(wanted: str, live: str) -> dict[str, ImageChange]:
    """The fields in which two machine configs are of different Kubernetes versions."""
    left, right = images_of(wanted), images_of(live)
    return {
        path: ImageChange(right[path], left[path])
        for path in VERSIONED
        if path in left and path in right and image_version(left[path]) != image_version(right[path])
    }


def with_running_versions(wanted: str, live: str) -> str:
    """The wanted machine config with the Kubernetes versions of the one that a node has."""
    kept = {path: change.before for path, change in version_changes(wanted, live).items()}
    return _with_images(wanted, kept) if kept else wanted


def at_version(config: str, version: str) -> str:
    """The machine config with every Kubernetes image at this version: how a node joins a cluster that is behind."""
    images = images_of(config)
    moved = {path: image.partition("@")[0].replace(image_version(image), version) for path, image in images.items()}
    return config if not version or moved == images else _with_images(config, moved)


def _with_images(config: str, images: Mapping[str, str]) -> str:
    documents = parse_documents(config)
    for path, image in images.items():
        at: Any = documents["v1alpha1"]
        *parents, last = path.split(".")
        for key in parents:
            at = at[key]
        at[last] = image
    stream = StringIO()
    safe_yaml().dump_all(list(documents.values()), stream)
    return stream.getvalue()


def _read(document: Any, path: str) -> str:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return str(document or "")


@dataclass(frozen=True, kw_only=True)
class KubernetesSteps:
    """What brings a cluster to its wanted Kubernetes version, in this order."""

    wanted: str
    planes: Changes = field(default_factory=dict)
    """Control planes whose API server, controllers or scheduler are behind."""
    kubelets: Mapping[str, ImageChange] = field(default_factory=dict)
    """Nodes whose kubelet is behind, control planes first."""

    @property
    def empty(self) -> bool:
        return not self.planes and not self.kubelets

    @property
    def lowest(self) -> str:
        """The oldest version among what is behind on the control planes."""
        found = [change.versions[0] for one in self.planes.values() for change in one.values()]
        return min(found, key=_order, default=self.wanted)


def plan_kubernetes(
    spec: ClusterSpec, wanted: Mapping[str, str], live: Mapping[str, str], joining: Iterable[str] = ()
) -> KubernetesSteps:
    """The steps from what runs (machine config by node) to what is wanted; `joining` nodes come in at what runs."""
    running = cluster_version(spec, live)
    seen = dict(live)
    if running:
        seen |= {name: at_version(wanted[name], running) for name in joining if name in wanted}
    changes = {node.name: version_changes(wanted[node.name], seen[node.name]) for node in _ordered(spec, seen)}
    planes = {
        name: {path: change for path, change in found.items() if path != KUBELET} for name, found in changes.items()
    }
    return KubernetesSteps(
        wanted=spec.versions.kubernetes,
        planes={name: found for name, found in planes.items() if found},
        kubelets={name: found[KUBELET] for name, found in changes.items() if KUBELET in found},
    )


def _ordered(spec: ClusterSpec, seen: Mapping[str, str]) -> Iterator[Node]:
    nodes = sorted(spec.nodes, key=lambda node: node.role is not Role.CONTROL_PLANE)
    return (node for node in nodes if node.name in seen)


def cluster_version(spec: ClusterSpec, live: Mapping[str, str]) -> str:
    """The oldest API server that a control plane is configured for; empty where there is none."""
    planes = [node.name for node in spec.control_planes]
    found = (image_version(images_of(live[name]).get(API_SERVER, "")) for name in planes if name in live)
    return min(filter(None, found), key=_order, default="")


def _order(version: str) -> tuple[int, ...]:
    numbers = version.removeprefix("v").split("-")[0].split(".")
    return tuple(int(one) if one.isdigit() else 0 for one in numbers)


def step_problems(spec: ClusterSpec, running: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with going from these versions to the wanted one, and the way out.

    One minor at a time and no way down, against what runs. And the wanted Talos, which comes first, has to run them.
    """
    release = find_release(matrix().talos, spec.versions.talos)
    for version in sorted(set(filter(None, running)), key=_order):
        if problem := step_problem("Kubernetes", version, spec.versions.kubernetes):
            yield problem
        elif release and minor_text(version) not in release.allowed:
            yield (
                f"Talos {spec.versions.talos}, which comes first, does not run Kubernetes {version}, which runs now",
                f"upgrade Kubernetes with the Talos that runs: to v{_nearest(release.allowed, version)}.x",
            )


def _nearest(allowed: Iterable[str], version: str) -> str:
    return min(allowed, key=lambda one: (abs(minor(one)[1] - minor(version)[1]), one))
