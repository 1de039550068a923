"""What the lab reads from a control plane's v1alpha1 machine config, typed once and for all."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from infraflux_lab.certificates import KeyPair

DEFAULT_POD_SUBNETS = ("10.244.0.0/16",)
DEFAULT_SERVICE_SUBNETS = ("10.96.0.0/12",)
DEFAULT_DNS_DOMAIN = "cluster.local"


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """How Secrets are encrypted in etcd: `secretbox`, or `aescbc` in configs older than Talos 1.3."""

    provider: str
    key: str

    def __repr__(self) -> str:
        return f"Encryption(provider={self.provider!r}, key=***)"


@dataclass(frozen=True, kw_only=True, repr=False)
class ClusterSettings:
    """The cluster section of a machine config, as far as the control plane processes need it."""

    name: str
    endpoint: str
    ca: KeyPair
    aggregator_ca: KeyPair
    etcd_ca: KeyPair
    service_account_key: bytes
    bootstrap_token: str
    encryption: Encryption | None
    pod_subnets: Sequence[str]
    service_subnets: Sequence[str]
    dns_domain: str
    api_server_sans: Sequence[str]
    admission_control: Sequence[Mapping[str, Any]]
    extra_args: Mapping[str, Mapping[str, Any]]
    images: Mapping[str, str]
    schedulable_control_planes: bool

    @property
    def endpoint_host(self) -> str:
        """Host of the cluster endpoint: the VIP or a name in front of the control planes."""
        return urlsplit(self.endpoint).hostname or ""


class SettingsError(ValueError):
    """A machine config that cannot carry a control plane; names the key, never its value."""


def read_settings(config: Mapping[str, Any]) -> ClusterSettings:
    """Read the v1alpha1 document of a control plane.

    Raises SettingsError naming the first missing or undecodable key.
    Key names: https://www.talos.dev/v1.13/reference/configuration/v1alpha1/config/
    """
    cluster = _section(config, "cluster")
    network = cluster.get("network") or {}
    api_server = cluster.get("apiServer") or {}
    components = {name: cluster.get(key) or {} for name, key in _COMPONENTS.items()}
    return ClusterSettings(
        name=str(cluster.get("clusterName") or ""),
        endpoint=_text(_section(cluster, "controlPlane", "cluster"), "endpoint", "cluster.controlPlane"),
        ca=_key_pair(cluster, "ca", "cluster"),
        aggregator_ca=_key_pair(cluster, "aggregatorCA", "cluster"),
        etcd_ca=_key_pair(_section(cluster, "etcd", "cluster"), "ca", "cluster.etcd"),
        service_account_key=_decoded(_section(cluster, "serviceAccount", "cluster"), "key", "cluster.serviceAccount"),
        bootstrap_token=_text(cluster, "token", "cluster"),
        encryption=_encryption(cluster),
        pod_subnets=tuple(network.get("podSubnets") or DEFAULT_POD_SUBNETS),
        service_subnets=tuple(network.get("serviceSubnets") or DEFAULT_SERVICE_SUBNETS),
        dns_domain=str(network.get("dnsDomain") or DEFAULT_DNS_DOMAIN),
        api_server_sans=tuple(str(san) for san in api_server.get("certSANs") or ()),
        admission_control=tuple(api_server.get("admissionControl") or ()),
        extra_args={name: dict(part.get("extraArgs") or {}) for name, part in components.items()},
        images={name: str(part["image"]) for name, part in components.items() if part.get("image")},
        schedulable_control_planes=bool(cluster.get("allowSchedulingOnControlPlanes")),
    )


_COMPONENTS = {
    "kube-apiserver": "apiServer",
    "kube-controller-manager": "controllerManager",
    "kube-scheduler": "scheduler",
    "etcd": "etcd",
}


def _section(parent: Mapping[str, Any], key: str, path: str = "") -> Mapping[str, Any]:
    value = parent.get(key)
    if not isinstance(value, Mapping):
        raise SettingsError(f"{_path(path, key)}: missing in the machine config")
    return value


def _text(parent: Mapping[str, Any], key: str, path: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{_path(path, key)}: missing in the machine config")
    return value


def _decoded(parent: Mapping[str, Any], key: str, path: str) -> bytes:
    try:
        return base64.b64decode(_text(parent, key, path), validate=True)
    except binascii.Error:
        raise SettingsError(f"{_path(path, key)}: not base64") from None


def _key_pair(parent: Mapping[str, Any], key: str, path: str) -> KeyPair:
    section = _section(parent, key, path)
    inner = _path(path, key)
    return KeyPair(certificate=_decoded(section, "crt", inner), key=_decoded(section, "key", inner))


def _encryption(cluster: Mapping[str, Any]) -> Encryption | None:
    for provider, key in (("secretbox", "secretboxEncryptionSecret"), ("aescbc", "aescbcEncryptionSecret")):
        if cluster.get(key):
            return Encryption(provider=provider, key=str(cluster[key]))
    return None


def _path(parent: str, key: str) -> str:
    return f"{parent}.{key}" if parent else key
