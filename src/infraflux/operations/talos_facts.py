"""The read side: what runs on every node now, beside what is wanted. Nothing here changes anything."""

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cryptography import x509

from infraflux.adapters.talos.documents import FieldChange, diff_configs
from infraflux.adapters.talos.facts import NodeFacts, NodeSeen, NodeState, SystemImage, TalosFacts
from infraflux.adapters.talos.seen import look_at_etcd, read_image
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.models import Node
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.credentials import read_kubeconfig, read_talosconfig


def read_facts(cluster: TalosCluster) -> TalosFacts:
    """Look at every node, etcd and the certificates once."""
    return TalosFacts(
        nodes={node.name: _read_node(cluster, node) for node in cluster.spec.nodes},
        etcd=look_at_etcd(cluster.spec.control_planes, admin=cluster.admin),
        certificates=dict(_certificates(cluster)),
    )


def _read_node(cluster: TalosCluster, node: Node) -> NodeFacts:
    seen = cluster.look(node)
    if seen.state is not NodeState.RUNNING:
        return NodeFacts(name=node.name, state=seen.state, unknown=seen.detail or f"the node is {seen.state}")
    return NodeFacts(
        name=node.name,
        state=seen.state,
        config_changes=_changes(cluster, node, seen),
        image=_image(cluster, seen),
    )


def _changes(cluster: TalosCluster, node: Node, seen: NodeSeen) -> tuple[FieldChange, ...]:
    configs = cluster.workspace.configs
    return tuple(diff_configs(configs.by_node[node.name], seen.config, hidden=configs.secrets))


def _image(cluster: TalosCluster, seen: NodeSeen) -> SystemImage | None:
    try:
        return read_image(cluster.admin, address=seen.address, version=seen.version)
    except TALOS_ERRORS:
        return None


def _certificates(cluster: TalosCluster) -> Iterator[tuple[str, datetime]]:
    workspace = cluster.workspace
    for name, path, reader in (
        ("kubeconfig", workspace.kubeconfig, read_kubeconfig),
        ("talosconfig", workspace.talosconfig, read_talosconfig),
    ):
        credential = reader(path.read_text()) if path.exists() else None
        if credential is not None:
            yield name, credential.expires
    yield from _authorities(workspace.bundle.document)


def _authorities(bundle: Mapping[str, Any]) -> Iterator[tuple[str, datetime]]:
    """The certificate authorities of the bundle; they are cut for ten years and nobody watches them."""
    for name, entry in sorted(bundle.get("certs", {}).items()):
        if isinstance(entry, dict) and "crt" in entry:
            certificate = x509.load_pem_x509_certificate(base64.b64decode(entry["crt"]))
            yield f"{name} authority", certificate.not_valid_after_utc
