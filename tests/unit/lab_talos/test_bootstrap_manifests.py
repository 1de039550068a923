"""What a configuration brings into a new cluster, by Talos' names; one case per thing that switches something."""

from collections.abc import Callable
from typing import Any

import pytest

from infraflux_lab.talos.bootstrap_manifests import render_manifests
from infraflux_lab.talos.config_loading import parse
from infraflux_lab.talos.machine_config import dump

Documents = list[dict[str, Any]]
ALWAYS = {
    "00-kubelet-bootstrapping-token",
    "01-csr-approver-role-binding",
    "01-csr-node-bootstrap",
    "01-csr-renewal-role-binding",
    "11-kube-config-in-cluster",
    "11-talos-node-rbac-template",
}
DNS, PROXY, FLANNEL = {"11-core-dns", "11-core-dns-svc"}, {"10-kube-proxy"}, {"05-flannel"}
URL = "https://example.org/gateway-api.yaml"


def _cluster(**section: Any) -> Callable[[Documents], None]:
    return lambda documents: documents[0]["cluster"].update(section)


@pytest.mark.parametrize(
    ("change", "more"),
    [
        pytest.param(_cluster(), DNS | PROXY | FLANNEL, id="nothing said"),
        pytest.param(_cluster(network={"cni": {"name": "none"}}), DNS | PROXY, id="own CNI"),
        pytest.param(_cluster(proxy={"disabled": True}), DNS | FLANNEL, id="no kube-proxy"),
        pytest.param(_cluster(coreDNS={"disabled": True}), PROXY | FLANNEL, id="no CoreDNS"),
        pytest.param(
            _cluster(inlineManifests=[{"name": "rc", "contents": "kind: RuntimeClass\napiVersion: node.k8s.io/v1"}]),
            DNS | PROXY | FLANNEL | {"99-rc"},
            id="inline",
        ),
        pytest.param(_cluster(extraManifests=[URL]), DNS | PROXY | FLANNEL | {f"99-{URL}"}, id="extra"),
        pytest.param(_cluster(extraManifests=["https://x/y"]), DNS | PROXY | FLANNEL, id="extra that nobody has"),
        pytest.param(
            _cluster(network={"cni": {"name": "custom", "urls": [URL]}}), DNS | PROXY | {f"05-{URL}"}, id="custom CNI"
        ),
    ],
)
def test_names(control_plane: Documents, change: Callable[[Documents], None], more: set[str]) -> None:
    control_plane[0]["cluster"]["token"] = "abcdef.0123456789abcdef"
    change(control_plane)
    kinds = [{"kind": "CustomResourceDefinition"}]
    found = render_manifests(parse(dump(control_plane)), lambda url: kinds if url == URL else None)
    assert set(found) == ALWAYS | more
    assert list(found) == sorted(found)


def test_the_dns_service_has_the_tenth_address_and_the_configured_domain(control_plane: Documents) -> None:
    control_plane[0]["cluster"]["network"] = {"serviceSubnets": ["10.2.0.0/16"], "dnsDomain": "lab.example"}
    found = render_manifests(parse(dump(control_plane)))
    (service,) = found["11-core-dns-svc"]
    assert service["spec"]["clusterIP"] == "10.2.0.10"
    (corefile,) = [one["data"]["Corefile"] for one in found["11-core-dns"] if one["kind"] == "ConfigMap"]
    assert "kubernetes lab.example in-addr.arpa" in corefile
    assert not any("lab" in (one["metadata"].get("annotations") or {}) for all_ in found.values() for one in all_)


def test_an_inline_manifest_that_is_no_yaml_stops_nothing(control_plane: Documents) -> None:
    control_plane[0]["cluster"]["inlineManifests"] = [{"name": "broken", "contents": "a: ["}]
    assert render_manifests(parse(dump(control_plane)))["99-broken"] == []
