"""The files the control plane processes read: certificates, kubeconfigs, encryption and admission settings."""

import base64
import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infraflux.core.files import make_private_dir, write_private
from infraflux_lab.certificates import KeyPair
from infraflux_lab.kubernetes.api import client_context
from infraflux_lab.kubernetes.pki import Authority, Leaf, public_key_pem
from infraflux_lab.kubernetes.settings import ClusterSettings, Encryption

API_PORT = 6443
ETCD_CLIENT_PORT = 2379
ETCD_PEER_PORT = 2380


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a cluster's files are, below one directory of its own."""

    root: Path

    @property
    def members(self) -> Path:
        """One directory per etcd member; any data there means that the cluster was bootstrapped."""
        return self.root / "members"

    @property
    def pki(self) -> Path:
        """Certificates and keys, made anew at every start."""
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    def certificate(self, name: str) -> Path:
        """`<name>.crt`."""
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        """`<name>.key`."""
        return self.pki / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """`<name>.kubeconfig`."""
        return self.root / f"{name}.kubeconfig"

    @property
    def encryption(self) -> Path:
        """EncryptionConfiguration of the API server."""
        return self.root / "encryption.json"

    @property
    def admission(self) -> Path:
        """AdmissionConfiguration of the API server."""
        return self.root / "admission.json"

    @property
    def service_account_public_key(self) -> Path:
        """Verifies service account tokens."""
        return self.pki / "service-account.pub"


@dataclass(frozen=True, kw_only=True)
class MemberLayout:
    """Where the files of one etcd member are, below a directory of its own."""

    root: Path

    @property
    def data(self) -> Path:
        """The data directory; its existence means that the member was started."""
        return self.root / "data"

    def certificate(self, name: str) -> Path:
        """`<name>.crt`."""
        return self.root / f"{name}.crt"

    def key(self, name: str) -> Path:
        """`<name>.key`."""
        return self.root / f"{name}.key"


def client_of(layout: Layout | MemberLayout, *, ca: str = "ca", leaf: str = "admin") -> ssl.SSLContext:
    """Mutual TLS with the certificates of a cluster or member: as the cluster's admin where nothing else is said."""
    return client_context(ca=layout.certificate(ca), certificate=layout.certificate(leaf), key=layout.key(leaf))


# kubeconfig name -> the identity Kubernetes' bootstrap RBAC knows. kwok acts for many kubelets, so it is admin.
IDENTITIES: Mapping[str, Leaf] = {
    "admin": Leaf(common_name="lab-admin", organization="system:masters"),
    "kwok": Leaf(common_name="lab-kubelets", organization="system:masters"),
    "kube-controller-manager": Leaf(common_name="system:kube-controller-manager"),
    "kube-scheduler": Leaf(common_name="system:kube-scheduler"),
}


def write_material(
    layout: Layout, settings: ClusterSettings, *, home: str, served: Iterable[str], now: dt.datetime
) -> None:
    """Write every file the processes need to run on the address `home`; `served` as in `write_serving`."""
    make_private_dir(layout.logs)
    _write_authorities(layout, settings)
    client = Authority(settings.etcd_ca).issue(Leaf(common_name="kube-apiserver"), now=now)
    _write_pair(layout, "etcd-client", client)
    write_serving(layout, settings, home=home, served=served, now=now)
    front_proxy = Leaf(common_name="front-proxy-client")
    _write_pair(layout, "front-proxy-client", Authority(settings.aggregator_ca).issue(front_proxy, now=now))
    _write_clients(layout, settings, home=home, now=now)
    write_private(layout.encryption, json.dumps(encryption_configuration(settings.encryption)))
    write_private(layout.admission, json.dumps(admission_configuration(settings)))


def write_serving(
    layout: Layout, settings: ClusterSettings, *, home: str, served: Iterable[str], now: dt.datetime
) -> None:
    """Write the API server's own certificate; a running API server takes it up by itself.

    `served` are the addresses of the other control planes: clients reach the one API server under theirs too.
    """
    sans = (*api_server_sans(settings, home), *served)
    leaf = Leaf(common_name="kube-apiserver", sans=sans, server=True, client=False)
    _write_pair(layout, "kube-apiserver", Authority(settings.ca).issue(leaf, now=now))


def api_server_sans(settings: ClusterSettings, home: str) -> list[str]:
    """Names the API server answers to: those Talos gives it, and the address it runs on."""
    service_ip = str(next(ipaddress.ip_network(settings.service_subnets[0]).hosts()))
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    names.append(f"kubernetes.default.svc.{settings.dns_domain}")
    names += [home, "127.0.0.1", service_ip, settings.endpoint_host, *settings.api_server_sans]
    return list(dict.fromkeys(names))


def encryption_configuration(encryption: Encryption | None) -> dict[str, Any]:
    """Encrypt Secrets at rest as Talos does; without a key in the machine config they stay plain."""
    providers: list[dict[str, Any]] = [{"identity": {}}]
    if encryption:
        key = {"name": "key1" if encryption.provider == "aescbc" else "key2", "secret": encryption.key}
        providers.insert(0, {encryption.provider: {"keys": [key]}})
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }


def admission_configuration(settings: ClusterSettings) -> dict[str, Any]:
    """`cluster.apiServer.admissionControl`, in the API server's own format."""
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [dict(plugin) for plugin in settings.admission_control],
    }


def write_admin(layout: Layout, settings: ClusterSettings, *, home: str, now: dt.datetime) -> None:
    """Write what the lab itself needs of a cluster whose processes somebody else runs: the CA, admin's credentials."""
    make_private_dir(layout.logs)
    write_private(layout.certificate("ca"), settings.ca.certificate)
    _write_client(layout, settings, "admin", home=home, now=now)


def _write_authorities(layout: Layout, settings: ClusterSettings) -> None:
    write_private(layout.certificate("ca"), settings.ca.certificate)
    write_private(layout.key("ca"), settings.ca.key)
    write_private(layout.certificate("etcd-ca"), settings.etcd_ca.certificate)
    write_private(layout.certificate("aggregator-ca"), settings.aggregator_ca.certificate)
    write_private(layout.key("service-account"), settings.service_account_key)
    write_private(layout.service_account_public_key, public_key_pem(settings.service_account_key))


def write_member(layout: MemberLayout, settings: ClusterSettings, *, address: str, now: dt.datetime) -> None:
    """Write the certificates of one etcd member that listens on `address`, and those of whoever asks it."""
    make_private_dir(layout.root)
    authority = Authority(settings.etcd_ca)
    write_private(layout.certificate("etcd-ca"), settings.etcd_ca.certificate)
    # On a machine with loopback addresses, members see each other come from 127.0.0.1.
    sans = (address, "127.0.0.1", "localhost")
    for name in ("etcd-server", "etcd-peer"):
        leaf = Leaf(common_name=name, sans=sans, server=True)
        _write_pair(layout, name, authority.issue(leaf, now=now))
    _write_pair(layout, "etcd-client", authority.issue(Leaf(common_name="lab"), now=now))


def _write_clients(layout: Layout, settings: ClusterSettings, *, home: str, now: dt.datetime) -> None:
    for name in IDENTITIES:
        _write_client(layout, settings, name, home=home, now=now)


def _write_client(layout: Layout, settings: ClusterSettings, name: str, *, home: str, now: dt.datetime) -> None:
    pair = Authority(settings.ca).issue(IDENTITIES[name], now=now)
    kubeconfig = _kubeconfig(cluster=settings.name, home=home, ca=settings.ca, client=pair)
    write_private(layout.kubeconfig(name), kubeconfig)
    if name == "admin":
        _write_pair(layout, name, pair)


def _write_pair(layout: Layout | MemberLayout, name: str, pair: KeyPair) -> None:
    write_private(layout.certificate(name), pair.certificate)
    write_private(layout.key(name), pair.key)


def _kubeconfig(*, cluster: str, home: str, ca: KeyPair, client: KeyPair) -> str:
    """A kubeconfig (JSON is YAML) with everything inside, for the address the API server listens on."""

    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    server = {"server": f"https://{home}:{API_PORT}", "certificate-authority-data": data(ca.certificate)}
    user = {"client-certificate-data": data(client.certificate), "client-key-data": data(client.key)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": cluster or "lab", "cluster": server}],
            "users": [{"name": "lab", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": cluster or "lab", "user": "lab"}}],
        }
    )
