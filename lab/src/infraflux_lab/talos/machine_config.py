"""A Talos machine configuration as the emulator reads it: several YAML documents, one of them v1alpha1.

How a text becomes one, and what is refused, is in `config_loading`.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from ruamel.yaml import YAML

from infraflux_lab.certificates import KeyPair

STATIC_PODS = {
    "kube-apiserver": "apiServer",
    "kube-controller-manager": "controllerManager",
    "kube-scheduler": "scheduler",
}
"""The control plane's pods, each with its section below `cluster`."""
CONTROL_PLANE = "controlplane"
WORKER = "worker"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What Talos 1.13 changes on a running node; anything else in v1alpha1 needs a reboot.
_IMMEDIATE_MACHINE_KEYS = _words(
    "ca acceptedCAs time certSANs install network sysfs sysctls logging controlPlane kubelet kernel registries pods "
    "seccompProfiles nodeAnnotations nodeLabels nodeTaints"
)
_IMMEDIATE_FEATURES = _words("kubernetesTalosAPIAccess kubePrism hostDNS imageCache nodeAddressSortAlgorithm")
# In an image reference, a file name or a URL; build metadata and file extensions are not part of it.
_TAG = re.compile(r"(?<![\w.])v\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?(?![\w])")
_SCHEMATIC = re.compile(r"\b[0-9a-f]{64}\b")


def image_version(image: str) -> str | None:
    """`v1.36.3` of `ghcr.io/siderolabs/kubelet:v1.36.3` or of a boot image's name; None without a version."""
    found = _TAG.findall(image.split("@", 1)[0])
    return found[-1] if found else None


def image_schematic(image: str) -> str | None:
    """Image Factory schematic id in an installer reference or in the name of a boot image."""
    found = _SCHEMATIC.search(image.split("@", 1)[0])
    return found[0] if found else None


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class MachineConfig:
    """One validated machine configuration, with the facts the emulator needs of it."""

    raw: bytes
    documents: Sequence[Mapping[str, Any]]

    def __repr__(self) -> str:
        # The content is full of keys; it must never reach a log through a repr.
        return f"MachineConfig({self.kind}, {len(self.documents)} documents)"

    @cached_property
    def v1alpha1(self) -> dict[str, Any]:
        return next((dict(document) for document in self.documents if "kind" not in document), {})

    @property
    def machine(self) -> dict[str, Any]:
        return mapping(self.v1alpha1.get("machine"))

    @property
    def cluster(self) -> dict[str, Any]:
        return mapping(self.v1alpha1.get("cluster"))

    def of_kind(self, kind: str) -> list[Mapping[str, Any]]:
        return [document for document in self.documents if document.get("kind") == kind]

    @property
    def kind(self) -> str:
        """`controlplane` or `worker`."""
        return WORKER if self.machine.get("type") in (WORKER, "join") else CONTROL_PLANE

    @property
    def control_plane(self) -> bool:
        return self.kind == CONTROL_PLANE

    @property
    def cluster_id(self) -> str:
        """`cluster.id`; the authority's fingerprint where the config has none."""
        return str(self.cluster.get("id") or self.authority_fingerprint)

    @property
    def cluster_name(self) -> str:
        return str(self.cluster.get("clusterName") or "")

    @property
    def endpoint(self) -> str:
        """URL of the Kubernetes API that clients use."""
        return str(mapping(self.cluster.get("controlPlane")).get("endpoint") or "")

    @property
    def authority_certificate(self) -> bytes:
        """Certificate of the OS authority (`machine.ca.crt`), PEM."""
        ca = mapping(self.machine.get("ca"))
        accepted = self.machine.get("acceptedCAs") or [{}]
        return base64.b64decode(ca.get("crt") or mapping(accepted[0]).get("crt") or "")

    @cached_property
    def authority_fingerprint(self) -> str:
        """Equal for all nodes of one cluster."""
        certificate = x509.load_pem_x509_certificate(self.authority_certificate)
        return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def authority(self) -> KeyPair | None:
        """OS authority with its key: control planes only."""
        return _pair(self.machine.get("ca"))

    @property
    def kubernetes_authority(self) -> KeyPair | None:
        return _pair(self.cluster.get("ca"))

    @property
    def hostname(self) -> str | None:
        """Name set by the configuration; None leaves it to the platform (the name of the VM)."""
        for document in self.of_kind("HostnameConfig"):
            if document.get("hostname"):
                return str(document["hostname"])
        name = mapping(self.machine.get("network")).get("hostname")
        return str(name) if name else None

    @property
    def vip(self) -> str | None:
        """Virtual address of the control plane, from either place Talos knows."""
        for document in self.of_kind("Layer2VIPConfig"):
            if document.get("name"):
                return str(document["name"])
        for interface in mapping(self.machine.get("network")).get("interfaces") or []:
            address = mapping(mapping(interface).get("vip")).get("ip")
            if address:
                return str(address)
        return None

    @property
    def installer_image(self) -> str | None:
        image = mapping(self.machine.get("install")).get("image")
        return str(image) if image else None

    @property
    def kubelet_image(self) -> str:
        return str(mapping(self.machine.get("kubelet")).get("image") or "")

    @property
    def labels(self) -> dict[str, str]:
        """What Talos writes onto the Node, if the API server lets it."""
        return {str(key): str(value) for key, value in mapping(self.machine.get("nodeLabels")).items()}

    @property
    def registered_taints(self) -> list[str]:
        """What the kubelet registers with, as `key=value:Effect`."""
        extra = mapping(mapping(self.machine.get("kubelet")).get("extraConfig"))
        chosen = [mapping(one) for one in extra.get("registerWithTaints") or ()]
        return [f"{one.get('key')}={one.get('value') or ''}:{one.get('effect')}" for one in chosen]

    @property
    def taints(self) -> list[str]:
        """What Talos writes, as `key=value:Effect`; a control plane's own among it unless it takes workloads."""
        own = [f"{key}={value}" for key, value in mapping(self.machine.get("nodeTaints")).items()]
        schedulable = self.cluster.get("allowSchedulingOnControlPlanes") or self.cluster.get("allowSchedulingOnMasters")
        if self.control_plane and not schedulable:
            own.append("node-role.kubernetes.io/control-plane=:NoSchedule")
        return own

    @property
    def cni(self) -> str:
        return str(mapping(mapping(self.cluster.get("network")).get("cni")).get("name") or "flannel")

    @property
    def cert_sans(self) -> list[str]:
        return [str(name) for name in self.machine.get("certSANs") or []]

    def component_image(self, section: str) -> str:
        """Image of `apiServer`, `controllerManager` or `scheduler`."""
        return str(mapping(self.cluster.get(section)).get("image") or "")

    def component_arguments(self, section: str) -> list[str]:
        """What `extraArgs` adds to a component's command line, `--name=value`."""
        return _arguments(self.cluster.get(section))

    @property
    def kubelet_arguments(self) -> list[str]:
        return _arguments(self.machine.get("kubelet"))


def _arguments(section: object) -> list[str]:
    """A value may be a list since Talos 1.12: one flag for each."""
    found = mapping(mapping(section).get("extraArgs")).items()
    return [f"--{key}={one}" for key, value in found for one in (value if isinstance(value, list) else [value])]


def _pair(section: object) -> KeyPair | None:
    fields = mapping(section)
    if not fields.get("crt") or not fields.get("key"):
        return None
    return KeyPair(certificate=base64.b64decode(fields["crt"]), key=base64.b64decode(fields["key"]))


def needs_reboot(current: MachineConfig, wanted: MachineConfig) -> list[str]:
    """Dotted paths of the v1alpha1 changes a running node cannot take without a reboot."""
    changed = [f".{key}" for key in ("version", "persist") if current.v1alpha1.get(key) != wanted.v1alpha1.get(key)]
    before, after = current.machine, wanted.machine
    for key in sorted((set(before) | set(after)) - _IMMEDIATE_MACHINE_KEYS):
        old, new = before.get(key), after.get(key)
        if key == "features" and isinstance(old, dict) and isinstance(new, dict):
            old, new = without(old, _IMMEDIATE_FEATURES), without(new, _IMMEDIATE_FEATURES)
        if old != new:
            changed.append(f".machine.{key}")
    return changed


def without(section: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """The section but for some of its keys."""
    return {key: value for key, value in section.items() if key not in keys}


def merged(config: MachineConfig, patch: Mapping[str, Any]) -> bytes:
    """The configuration with a merge patch on its v1alpha1 document (None deletes a key), as YAML."""
    documents = [deepcopy(dict(document)) for document in config.documents]
    for document in documents:
        if "kind" not in document:
            _merge(document, patch)
    return dump(documents)


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            section = target.get(key)
            if not isinstance(section, dict):
                section = target[key] = {}
            _merge(section, value)
        else:
            target[key] = deepcopy(value)


def dump(documents: Sequence[Mapping[str, Any]]) -> bytes:
    """Write documents as one multi-document YAML text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    stream = BytesIO()
    yaml.dump_all([dict(document) for document in documents], stream)
    return stream.getvalue()
