"""Each node's block of the pod network: enough of them, and each large enough.

kube-controller-manager cuts them: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
(`--node-cidr-mask-size`, `--node-cidr-mask-size-ipv4`).
"""

from collections.abc import Iterator
from contextlib import suppress

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import PatchDocument, patch_documents, value_at
from infraflux.config.problems import Path

FLAGS = ("node-cidr-mask-size", "node-cidr-mask-size-ipv4")
KUBELET_MAX_PODS = 110
"""https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ (maxPods)"""


def _patched_masks(subject: Subject) -> Iterator[tuple[PatchDocument, int]]:
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        for flag in FLAGS:
            with suppress(ValueError):  # text that is no number is refused by kube-controller-manager's own words
                yield patch, int(str(value_at(patch.document, f"cluster.controllerManager.extraArgs.{flag}")))


def _mask(subject: Subject) -> tuple[int, Path]:
    """The mask that holds, and where it was written."""
    found: tuple[int, Path] = (subject.spec.network.node_cidr_mask_size, ("network", "pod_cidr"))
    for patch, mask in _patched_masks(subject):
        found = (mask, patch.path)
    return found


@needs("network", "talos")
def the_mask_is_given_once(subject: Subject) -> Iterator[Finding]:
    given = subject.spec.network.node_cidr_mask_size
    for patch, mask in _patched_masks(subject):
        if "node_cidr_mask_size" in subject.spec.network.model_fields_set and mask != given:
            wrong = f"node-cidr-mask-size {mask} would override network.node_cidr_mask_size, which is {given}"
            yield patch.blame(wrong, "set exactly one of them")


@needs("network", "node_pools", "talos")
def pod_network_has_a_block_per_node(subject: Subject) -> Iterator[Finding]:
    cidr = subject.spec.network.pod_cidr
    mask, _ = _mask(subject)
    nodes = sum(pool.count or len(pool.nodes) for pool in subject.spec.node_pools)
    blocks = 2 ** (mask - cidr.prefixlen) if cidr.prefixlen <= mask else 0
    if blocks < nodes:
        widest = mask - max(nodes - 1, 1).bit_length()
        smallest = cidr.prefixlen + max(nodes - 1, 1).bit_length()
        right = f"/{widest} or wider would be right"
        if smallest <= 30:
            right += f", or network.node_cidr_mask_size: {smallest}"
        wrong = f"{cidr} has {blocks} block{'' if blocks == 1 else 's'} of /{mask} for {nodes} nodes"
        yield Finding(("network", "pod_cidr"), wrong, right)


@needs("network", "talos")
def blocks_hold_the_pods_of_a_node(subject: Subject) -> Iterator[Finding]:
    mask, path = _mask(subject)
    room = 2 ** (32 - mask)
    raised = False
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        pods = value_at(patch.document, "machine.kubelet.extraConfig.maxPods")
        if isinstance(pods, int):
            raised = True
            if pods > room:
                wrong = f"maxPods {pods} on nodes whose block, a /{mask}, has {room} addresses"
                yield patch.blame(wrong, "a smaller number, or a smaller network.node_cidr_mask_size")
    if room < KUBELET_MAX_PODS and not raised:
        wrong = f"a /{mask} has {room} addresses, and the kubelet takes up to {KUBELET_MAX_PODS} pods"
        right = f"set machine.kubelet.extraConfig.maxPods to {room - 4} or less, so that no pod waits for an address"
        yield Finding(path, wrong, right, warning=True)
