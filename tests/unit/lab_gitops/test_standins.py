from typing import Any

import pytest

from infraflux_lab.gitops.standins import (
    MESSAGE,
    certificate_status,
    choose_address,
    due_certificates,
    gateway_patches,
    issuer_patches,
    load_balancer_patches,
    monitor_patches,
    pool_addresses,
    webhook_bodies,
)

NOW = "2027-01-02T03:04:05Z"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def _pool(name: str, first: str, last: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"blocks": [{"start": first, "stop": last}], **spec}}


def _service(name: str, *, kind: str = "LoadBalancer", ip: str | None = None, **metadata: Any) -> dict[str, Any]:
    status = {"loadBalancer": {"ingress": [{"ip": ip}]}} if ip else {"loadBalancer": {}}
    return {"metadata": {"name": name, "namespace": "shop", **metadata}, "spec": {"type": kind}, "status": status}


POOL = _pool("default", "10.0.0.200", "10.0.0.202")


@pytest.mark.parametrize(
    ("services", "pools", "given"),
    [
        ([_service("a")], [POOL], {"a": "10.0.0.200"}),
        ([_service("a"), _service("b")], [POOL], {"a": "10.0.0.200", "b": "10.0.0.201"}),
        ([_service("a", ip="10.0.0.200"), _service("b")], [POOL], {"b": "10.0.0.201"}),
        ([_service("a", kind="ClusterIP")], [POOL], {}),
        ([_service("a")], [], {}),
        ([_service("a")], [_pool("default", "10.0.0.200", "10.0.0.202", disabled=True)], {}),
        ([_service("a", ip="10.0.0.1"), _service("b")], [_pool("one", "10.0.0.1", "10.0.0.1")], {}),
        ([_service("a", annotations={"lbipam.cilium.io/ips": "10.0.0.202"})], [POOL], {"a": "10.0.0.202"}),
        ([_service("a", annotations={"lbipam.cilium.io/ips": "192.0.2.1"})], [POOL], {}),
        ([_service("a")], [_pool("p", "10.0.0.1", "10.0.0.9", serviceSelector={"matchLabels": {"x": "y"}})], {}),
        (
            [_service("a", labels={"x": "y"})],
            [_pool("p", "10.0.0.1", "10.0.0.9", serviceSelector={"matchLabels": {"x": "y"}})],
            {"a": "10.0.0.1"},
        ),
    ],
    ids=[
        "first",
        "two",
        "taken",
        "not a load balancer",
        "no pool",
        "disabled",
        "exhausted",
        "asked",
        "asked in vain",
        "other label",
        "its label",
    ],
)
def test_load_balancer_addresses(
    services: list[dict[str, Any]], pools: list[dict[str, Any]], given: dict[str, str]
) -> None:
    patches = load_balancer_patches(services, [], pools)

    assert {
        patch.path.split("/")[-2]: patch.body["status"]["loadBalancer"]["ingress"][0]["ip"] for patch in patches
    } == given


def test_pools_may_be_networks() -> None:
    pool = {"metadata": {"name": "p"}, "spec": {"blocks": [{"cidr": "10.0.0.8/30"}, {"start": "10.0.1.1"}]}}

    assert list(pool_addresses(pool)) == ["10.0.0.8", "10.0.0.9", "10.0.0.10", "10.0.0.11", "10.0.1.1"]


def test_a_gateway_gets_an_address_of_its_own() -> None:
    gateway = {"metadata": {"name": "platform", "namespace": "kube-system"}, "spec": {"listeners": [{"name": "https"}]}}
    classes = [{"metadata": {"name": "cilium"}}]
    route = {"metadata": {"name": "r", "namespace": "shop"}, "spec": {"parentRefs": [{"name": "platform"}]}}

    patches = gateway_patches(
        classes, [gateway], [route], services=[_service("a", ip="10.0.0.200")], pools=[POOL], now=NOW
    )

    by_kind = {patch.path.split("/")[-3]: patch.body["status"] for patch in patches}
    assert by_kind["gatewayclasses"]["conditions"][0]["status"] == "True"
    assert by_kind["gateways"]["addresses"] == [{"type": "IPAddress", "value": "10.0.0.201"}]
    assert by_kind["httproutes"]["parents"][0]["parentRef"] == {"name": "platform"}
    assert all("simulated" in str(status) for status in by_kind.values())


def test_what_is_said_already_is_not_said_again() -> None:
    accepted = {"metadata": {"name": "c"}, "status": {"conditions": [{"type": "Accepted", "status": "True"}]}}
    issuer = {"metadata": {"name": "i"}, **READY}

    assert gateway_patches([accepted], [], [], services=[], pools=[], now=NOW) == []
    assert issuer_patches([], [issuer], now=NOW) == []
    assert load_balancer_patches([_service("a", ip="10.0.0.200")], [], [POOL]) == []
    assert choose_address(_service("a"), [POOL], used={"10.0.0.200", "10.0.0.201", "10.0.0.202"}) is None


@pytest.mark.parametrize(
    ("reference", "due"),
    [
        ({"kind": "ClusterIssuer", "name": "platform"}, True),
        ({"name": "local"}, True),
        ({"kind": "ClusterIssuer", "name": "absent"}, False),
        ({"name": "platform"}, False),
    ],
    ids=["cluster issuer", "issuer beside it", "no such issuer", "kind left out"],
)
def test_a_certificate_waits_for_its_issuer(reference: dict[str, str], due: bool) -> None:
    certificate = {"metadata": {"name": "c", "namespace": "shop"}, "spec": {"issuerRef": reference}}
    issuers = [{"kind": "Issuer", "metadata": {"name": "local", "namespace": "shop"}, **READY}]
    cluster_issuers = [{"kind": "ClusterIssuer", "metadata": {"name": "platform"}, **READY}]

    assert bool(due_certificates([certificate], issuers, cluster_issuers)) == due
    patch = certificate_status(certificate, not_before=NOW, not_after=NOW, now=NOW)
    assert not due_certificates([{**certificate, **patch.body}], issuers, cluster_issuers)


def test_webhooks_of_pods_are_never_called_and_keep_their_fields() -> None:
    served = {"name": "a.example.org", "clientConfig": {"service": {"name": "w"}}, "failurePolicy": "Fail"}
    outside = {"name": "b.example.org", "clientConfig": {"url": "https://example.org"}}
    configuration = {"metadata": {"name": "c"}, "webhooks": [served, outside]}

    [(name, body)] = webhook_bodies([configuration])

    assert name == "c"
    assert [hook["name"] for hook in body["webhooks"]] == ["a.example.org"]
    assert set(body["webhooks"][0]) == {"name", "matchConditions"}
    silenced = {**configuration, "webhooks": [{**served, **body["webhooks"][0]}, outside]}
    assert webhook_bodies([silenced]) == []


def test_a_prometheus_becomes_available_once_with_the_replicas_it_asks_for() -> None:
    named = {"metadata": {"name": "p", "namespace": "monitoring"}, "spec": {"replicas": 2}}

    (patch,) = monitor_patches("prometheuses", [named], now=NOW)

    assert patch.path == "/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses/p/status"
    assert patch.body["status"]["availableReplicas"] == 2
    assert {one["message"] for one in patch.body["status"]["conditions"]} == {MESSAGE}
    assert monitor_patches("prometheuses", [{**named, **patch.body}], now=NOW) == []
