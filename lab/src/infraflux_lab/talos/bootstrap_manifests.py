"""What a control plane puts into a new cluster, by the names of Talos' `Manifests` resources: a pure rendering.

Names and order: internal/app/machined/pkg/controllers/k8s/manifest.go and control_plane.go (Talos 1.13). The objects
are the lab's own, written after k8stemplates/ there; the annotation `lab`, which is taken off, names their manifest.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infraflux_lab.talos.machine_config import MachineConfig, image_version, mapping

Document = dict[str, Any]
ManifestSet = Mapping[str, Sequence[Document]]
FetchManifest = Callable[[str], Sequence[Document] | None]

_TEMPLATES = Path(__file__).with_name("manifests")
# pkg/machinery/constants/constants.go of Talos 1.13.9.
_COREDNS_IMAGE = "registry.k8s.io/coredns/coredns:v1.14.6"
_PROXY_IMAGE = "registry.k8s.io/kube-proxy"
_KUBEPRISM_PORT = 7445
_DNS_HOST = 10
_GROUP_ANNOTATION = "lab"


def nothing_to_fetch(_url: str) -> None:
    """Used where nobody answers for manifests of the Internet."""


def render_manifests(config: MachineConfig, fetch: FetchManifest = nothing_to_fetch) -> dict[str, list[Document]]:
    """Objects by manifest name, in the order they are applied.

    `fetch` gives the objects behind a URL, None where it cannot be had: Talos then tries for ever beside the rest.
    """
    found: dict[str, list[Document]] = defaultdict(list)
    found["00-kubelet-bootstrapping-token"] = [_bootstrap_token(config)]
    for name in _template_names(config):
        for document in _read(name, **_values(config)):
            found[document["metadata"]["annotations"].pop(_GROUP_ANNOTATION)].append(document)
    for priority, url in _urls(config):
        if (objects := fetch(url)) is not None:
            found[f"{priority}-{url}"] = list(objects)
    for entry in config.cluster.get("inlineManifests") or ():
        found[f"99-{entry.get('name')}"] = parse_documents(str(entry.get("contents") or ""))
    return {name: found[name] for name in sorted(found)}


def parse_documents(text: str) -> list[Document]:
    """Objects of a multi-document YAML text; a text that is no YAML has none, which Talos would log for ever."""
    try:
        return [document for document in YAML(typ="safe").load_all(text) if isinstance(document, dict)]
    except YAMLError:
        return []


def _template_names(config: MachineConfig) -> list[str]:
    cluster = config.cluster
    chosen = {
        "rbac": True,
        "core-dns": not mapping(cluster.get("coreDNS")).get("disabled"),
        "flannel": config.cni == "flannel",
        "kube-proxy": not mapping(cluster.get("proxy")).get("disabled"),
    }
    return [name for name, wanted in chosen.items() if wanted]


def _values(config: MachineConfig) -> dict[str, str]:
    network = mapping(config.cluster.get("network"))
    services = ipaddress.ip_network((network.get("serviceSubnets") or ["10.96.0.0/12"])[0])
    prism = mapping(mapping(config.machine.get("features")).get("kubePrism"))
    version = image_version(config.kubelet_image) or "latest"
    return {
        "server": f"https://127.0.0.1:{prism.get('port') or _KUBEPRISM_PORT}"
        if prism.get("enabled")
        else config.endpoint,
        "domain": str(network.get("dnsDomain") or "cluster.local"),
        "dns_address": str(services[_DNS_HOST]),
        "pod_subnet": str((network.get("podSubnets") or ["10.244.0.0/16"])[0]),
        "coredns_image": str(mapping(config.cluster.get("coreDNS")).get("image") or _COREDNS_IMAGE),
        "proxy_image": config.component_image("proxy") or f"{_PROXY_IMAGE}:{version}",
    }


def _urls(config: MachineConfig) -> list[tuple[str, str]]:
    """Addresses with the priority that Talos puts before their names."""
    cni = mapping(mapping(config.cluster.get("network")).get("cni"))
    cloud = mapping(config.cluster.get("externalCloudProvider"))
    found = [("05", str(url)) for url in cni.get("urls") or ()]
    found += [("30", str(url)) for url in cloud.get("manifests") or ()]
    return found + [("99", str(url)) for url in config.cluster.get("extraManifests") or ()]


def _bootstrap_token(config: MachineConfig) -> Document:
    token, _, secret = str(config.cluster.get("token") or "").partition(".")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{token}", "namespace": "kube-system"},
        "stringData": {
            "token-id": token,
            "token-secret": secret,
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:nodes",
        },
    }


def _read(name: str, **values: str) -> list[Document]:
    return parse_documents(Template(_template(name)).substitute(values))


@lru_cache
def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.yaml").read_text()
