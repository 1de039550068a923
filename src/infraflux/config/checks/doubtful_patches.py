"""Patches that Talos takes and that are perhaps not meant: said, and nothing is stopped by them."""

from collections.abc import Callable, Iterator
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import PatchDocument, is_true, patch_documents, value_at


def _main_documents(subject: Subject) -> list[PatchDocument]:
    patches = patch_documents(subject.spec.talos.patches, subject.root)
    return [one for one in patches if not one.kind]


def _filled(value: Any) -> bool:
    return isinstance(value, (list, dict)) and bool(value)


# The machines start from a disk image; Talos' installer, which alone reads extraKernelArgs, runs at upgrades.
DOUBTFUL: tuple[tuple[str, Callable[[Any], bool], str, str], ...] = (
    (
        "machine.install.extraKernelArgs",
        _filled,
        "machine.install.extraKernelArgs has no effect before the first upgrade of Talos",
        "image.schematic.kernel_args holds from the first start",
    ),
    (
        "cluster.coreDNS.disabled",
        is_true,
        "no pod would find a name, those of Argo CD included, which would bring another DNS",
        "a manifest of yours has to bring one to the bootstrap",
    ),
)
"""Field, whether its value is doubtful, what it does, what to do."""


@needs("talos")
def patches_do_what_they_seem_to(subject: Subject) -> Iterator[Finding]:
    for patch in _main_documents(subject):
        for field, is_doubtful, wrong, right in DOUBTFUL:
            if is_doubtful(value_at(patch.document, field)):
                yield patch.blame(wrong, right, warning=True)


@needs("talos")
def a_cloud_controller_comes_with_the_cluster(subject: Subject) -> Iterator[Finding]:
    """https://kubernetes.io/docs/tasks/administer-cluster/running-cloud-controller/#running-cloud-controller-manager"""
    documents = _main_documents(subject)
    places = ("cluster.externalCloudProvider.manifests", "cluster.extraManifests", "cluster.inlineManifests")
    if any(_filled(value_at(patch.document, place)) for patch in documents for place in places):
        return
    for patch in documents:
        if is_true(value_at(patch.document, "cluster.externalCloudProvider.enabled")):
            wrong = "nodes stay tainted until a cloud controller has seen them, so Argo CD could not start to bring it"
            right = "name its manifests in cluster.externalCloudProvider.manifests"
            yield patch.blame(wrong, right, warning=True)


@needs("talos", "network")
def pods_ask_a_resolver_that_is_there(subject: Subject) -> Iterator[Finding]:
    """Link-local addresses are those of a DNS cache on each node."""
    cidr = subject.spec.network.service_cidr
    for patch in _main_documents(subject):
        given = value_at(patch.document, "machine.kubelet.clusterDNS")
        for text in given if isinstance(given, list) else ():
            address = _address(text)
            if address is not None and address not in cidr and not address.is_link_local:
                wrong = f"pods would ask {address} for every name, and it is outside network.service_cidr {cidr}"
                yield patch.blame(wrong, f"{cidr[10]} is where Talos puts CoreDNS: remove it", warning=True)


def _address(text: Any) -> IPv4Address | None:
    try:
        return IPv4Address(str(text))
    except AddressValueError:
        return None
