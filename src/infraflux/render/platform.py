"""ClusterSpec -> the platform part of the Terraform variables (modules cilium-config and argocd-bootstrap); pure."""

import json
from typing import Any

from infraflux.config.models import ClusterSpec
from infraflux.config.models.platform import Component, GitRepository

ISSUER = "platform"
"""ClusterIssuer that every environment has; what is behind it differs (platform/infrastructure/cert-manager)."""


def render_platform(spec: ClusterSpec) -> dict[str, Any]:
    """The variable `platform` of `terraform/cluster`; without secrets: credentials stay references until delivery."""
    network = spec.network
    application = spec.gitops.application
    gateway = spec.platform.gateway
    return {
        "cluster_id": spec.cluster_id,
        "domain": network.domain,
        "kubernetes_version": spec.versions.kubernetes,
        "talos_version": spec.versions.talos,
        "pod_cidr": str(network.pod_cidr),
        "load_balancer": _load_balancer(spec),
        "gateway": {"domain": network.domain, "issuer": ISSUER, "hosts": list(gateway.tls_hosts)}
        if gateway.enabled
        else None,
        "platform_repository": _repository(spec.gitops.platform) | {"path": platform_path(spec)},
        "application_repository": _repository(application)
        | {"path": application.path, "namespaces": list(application.namespaces)}
        if application.enabled
        else None,
        "chart_repository": spec.platform.chart_repository,
        "components": {one.name: _component(one) for one in spec.platform.components},
        "storage_classes": storage_classes(spec),
        "facts": dict(spec.gitops.facts),
        "admin_enabled": spec.gitops.admin_enabled,
        "secret_management": spec.gitops.secret_management,
    }


def platform_path(spec: ClusterSpec) -> str:
    """Where `platform/` is in its repository: `gitops.platform.path` is where this project is in it."""
    path = spec.gitops.platform.path.strip("/")
    return "platform" if path in ("", ".") else f"{path}/platform"


def storage_classes(spec: ClusterSpec) -> list[str]:
    """Storage classes that enabled components bring, the default one first."""
    return ["longhorn"] if spec.platform.runs("longhorn") else []


def _repository(repository: GitRepository) -> dict[str, Any]:
    return {"url": repository.url, "revision": repository.revision}


def _load_balancer(spec: ClusterSpec) -> dict[str, Any]:
    balancer = spec.network.load_balancer
    bgp = balancer.bgp
    return {
        "mode": balancer.mode.value,
        "pools": [
            {"name": pool.name, "first": str(pool.addresses.first), "last": str(pool.addresses.last)}
            for pool in balancer.pools
        ],
        "bgp": {
            "local_asn": bgp.local_asn,
            "peers": [{"name": one.name, "address": str(one.address), "asn": one.asn} for one in bgp.peers],
        }
        if bgp
        else None,
    }


def _component(component: Component) -> dict[str, Any]:
    return {
        "enabled": component.enabled,
        "version": component.version,
        "repository": component.repository,
        "values": json.dumps(component.values, sort_keys=True),
    }
