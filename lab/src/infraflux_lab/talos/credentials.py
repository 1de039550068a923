"""The client files a control plane makes: the administrator's kubeconfig, and a talosconfig for any role."""

import base64
from collections.abc import Sequence
from datetime import timedelta
from io import BytesIO

from ruamel.yaml import YAML

from infraflux_lab.certificates import KeyPair
from infraflux_lab.talos import pki
from infraflux_lab.talos.errors import failed_precondition
from infraflux_lab.talos.machine_config import MachineConfig


def admin_certificate(config: MachineConfig) -> KeyPair:
    """A fresh client certificate of `system:masters`."""
    authority = config.kubernetes_authority
    if authority is None:
        raise failed_precondition("the machine configuration has no Kubernetes CA key")
    return pki.client_certificate(
        authority, common_name="admin", organizations=["system:masters"], lifetime=pki.KUBECONFIG_LIFETIME
    )


def kubeconfig(config: MachineConfig) -> bytes:
    """YAML with one context, `admin@<cluster>`."""
    authority = config.kubernetes_authority
    pair = admin_certificate(config)
    assert authority is not None
    cluster, user = config.cluster_name, f"admin@{config.cluster_name}"
    document: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": config.endpoint, "certificate-authority-data": _b64(authority.certificate)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _b64(pair.certificate), "client-key-data": _b64(pair.key)},
            }
        ],
        "contexts": [{"name": user, "context": {"cluster": cluster, "namespace": "default", "user": user}}],
        "current-context": user,
    }
    return _dump(document)


def talos_client(config: MachineConfig, *, roles: Sequence[str], lifetime: timedelta) -> KeyPair:
    """Client certificate for the Talos API; each role is an organization of its subject."""
    authority = config.authority
    assert authority is not None
    pair = pki.client_certificate(authority, common_name="", organizations=roles, lifetime=lifetime)
    # Talos' own label for the same content.
    key = pair.key.replace(b"BEGIN PRIVATE", b"BEGIN ED25519 PRIVATE").replace(b"END PRIVATE", b"END ED25519 PRIVATE")
    return KeyPair(certificate=pair.certificate, key=key)


def talosconfig(config: MachineConfig, pair: KeyPair, *, roles: Sequence[str]) -> bytes:
    """YAML with one context, `reader@<cluster>` for a single role, else the cluster's name."""
    name = f"{roles[0].removeprefix('os:')}@{config.cluster_name}" if len(roles) == 1 else config.cluster_name
    context = {
        "endpoints": [],
        "ca": _b64(config.authority_certificate),
        "crt": _b64(pair.certificate),
        "key": _b64(pair.key),
    }
    return _dump({"context": name, "contexts": {name: context}})


def _dump(document: dict[str, object]) -> bytes:
    stream = BytesIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(document, stream)
    return stream.getvalue()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
