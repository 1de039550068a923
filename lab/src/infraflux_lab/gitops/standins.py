"""What the pods of Cilium, cert-manager and monitoring would have done, said of objects: from documents to patches.

Pure functions. Every patch says that it is simulated. Nothing here touches what Git owns: only status, generated
Secrets, and `matchConditions` of webhooks, which none of the charts set.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
SIMULATED = "Simulated"
MESSAGE = "simulated by the lab"
_REQUESTED = ("lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips")


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A merge patch for one object; `path` ends in `/status` where it is for that."""

    path: str
    body: Mapping[str, Any]


def condition(kind: str, now: str, *, status: bool = True, reason: str = SIMULATED, message: str = MESSAGE) -> Document:
    """One condition as Kubernetes writes them; `now` is RFC 3339."""
    said = {"type": kind, "status": str(status), "reason": reason, "message": message}
    return {**said, "lastTransitionTime": now}


def is_true(document: Document, kind: str) -> bool:
    """Whether a condition of the object is True."""
    conditions = (document.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


# --- load balancer addresses -----------------------------------------------------------------------------------------


def load_balancer_patches(
    services: Sequence[Document], gateways: Sequence[Document], pools: Sequence[Document]
) -> list[Patch]:
    """Give every Service of type LoadBalancer that has no address the lowest free one of a pool that serves it."""
    used = set(addresses_in_use(services, gateways))
    patches = []
    for service in services:
        if service["spec"].get("type") != "LoadBalancer" or _ingress(service):
            continue
        address = choose_address(service, pools, used=used)
        if address:
            used.add(address)
            metadata = service["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
            patches.append(Patch(path=path, body={"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}))
    return patches


def addresses_in_use(services: Iterable[Document], gateways: Iterable[Document]) -> list[str]:
    """Addresses that are given out already."""
    of_services = [entry["ip"] for service in services for entry in _ingress(service) if "ip" in entry]
    return of_services + [entry["value"] for gateway in gateways for entry in _addresses(gateway)]


def choose_address(service: Document, pools: Sequence[Document], *, used: set[str]) -> str | None:
    """The requested address, or the lowest free one; None where no pool has any for this Service."""
    annotations = service["metadata"].get("annotations") or {}
    asked = next((annotations[key] for key in _REQUESTED if key in annotations), None)
    fitting = [pool for pool in pools if not pool["spec"].get("disabled") and _selects(pool, service)]
    for pool in sorted(fitting, key=lambda pool: str(pool["metadata"]["name"])):
        for address in pool_addresses(pool):
            if address not in used and asked in (None, address):
                return address
    return None


def pool_addresses(pool: Document) -> Iterable[str]:
    """Addresses of a CiliumLoadBalancerIPPool in order: blocks of `start`/`stop` or `cidr`."""
    for block in pool["spec"].get("blocks") or ():
        if "cidr" in block:
            network = ipaddress.ip_network(block["cidr"], strict=False)
            yield from (str(address) for address in network)
        else:
            first = ipaddress.ip_address(block["start"])
            last = ipaddress.ip_address(block.get("stop") or block["start"])
            yield from (str(first + step) for step in range(int(last) - int(first) + 1))


def _selects(pool: Document, service: Document) -> bool:
    wanted = (pool["spec"].get("serviceSelector") or {}).get("matchLabels") or {}
    metadata = service["metadata"]
    labels = {
        **(metadata.get("labels") or {}),
        "io.kubernetes.service.name": metadata["name"],
        "io.kubernetes.service.namespace": metadata["namespace"],
    }
    return all(labels.get(key) == value for key, value in wanted.items())


def _ingress(service: Document) -> Sequence[Mapping[str, str]]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()


def _addresses(gateway: Document) -> Sequence[Mapping[str, str]]:
    return (gateway.get("status") or {}).get("addresses") or ()


# --- Gateway API -----------------------------------------------------------------------------------------------------


def gateway_patches(
    classes: Sequence[Document],
    gateways: Sequence[Document],
    routes: Sequence[Document],
    *,
    services: Sequence[Document],
    pools: Sequence[Document],
    now: str,
) -> list[Patch]:
    """Accept classes, program gateways with an address of their own, accept the routes that name them."""
    group = "/apis/gateway.networking.k8s.io/v1"
    accepted = {"status": {"conditions": [condition("Accepted", now)]}}
    patches = [
        Patch(path=f"{group}/gatewayclasses/{one['metadata']['name']}/status", body=accepted)
        for one in classes
        if not is_true(one, "Accepted")
    ]
    used = set(addresses_in_use(services, gateways))
    for gateway in gateways:
        if not is_true(gateway, "Programmed"):
            address = choose_address(gateway, pools, used=used)
            used |= {address} if address else set()
            path = f"{group}/{_namespaced(gateway, 'gateways')}/status"
            patches.append(Patch(path=path, body={"status": _gateway_status(gateway, address, now)}))
    patches += [
        Patch(path=f"{group}/{_namespaced(route, 'httproutes')}/status", body={"status": _route_status(route, now)})
        for route in routes
        if not (route.get("status") or {}).get("parents")
    ]
    return patches


def _gateway_status(gateway: Document, address: str | None, now: str) -> Document:
    kinds = ("Accepted", "Programmed", "ResolvedRefs")
    listeners = [
        {
            "name": listener["name"],
            "attachedRoutes": 0,
            "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            "conditions": [condition(kind, now) for kind in kinds],
        }
        for listener in gateway["spec"].get("listeners") or ()
    ]
    return {
        "addresses": [{"type": "IPAddress", "value": address}] if address else [],
        "conditions": [
            condition("Accepted", now),
            condition("Programmed", now, status=address is not None, message=MESSAGE if address else "no free address"),
        ],
        "listeners": listeners,
    }


def _route_status(route: Document, now: str) -> Document:
    conditions = [condition("Accepted", now), condition("ResolvedRefs", now)]
    controller = "io.cilium/gateway-controller"
    parents = route["spec"].get("parentRefs") or ()
    return {"parents": [{"parentRef": ref, "controllerName": controller, "conditions": conditions} for ref in parents]}


# --- cert-manager ----------------------------------------------------------------------------------------------------


def issuer_patches(issuers: Sequence[Document], cluster_issuers: Sequence[Document], *, now: str) -> list[Patch]:
    """Every issuer is Ready: whatever it stands for (ACME, Vault, ...) is not asked."""
    group = "/apis/cert-manager.io/v1"
    ready = {"status": {"conditions": [condition("Ready", now)]}}
    paths = [f"{group}/{_namespaced(one, 'issuers')}/status" for one in issuers if not is_true(one, "Ready")]
    paths += [
        f"{group}/clusterissuers/{one['metadata']['name']}/status"
        for one in cluster_issuers
        if not is_true(one, "Ready")
    ]
    return [Patch(path=path, body=ready) for path in paths]


def monitor_patches(plural: str, monitors: Sequence[Document], *, now: str) -> list[Patch]:
    """Every Prometheus and Alertmanager (`plural` says which) is Available with the replicas it asks for."""
    due = [one for one in monitors if not is_true(one, "Available")]
    return [
        Patch(
            path=f"/apis/monitoring.coreos.com/v1/{_namespaced(one, plural)}/status",
            body={"status": _monitor_status(int(one["spec"].get("replicas", 1)), now=now)},
        )
        for one in due
    ]


def _monitor_status(replicas: int, *, now: str) -> Document:
    counts = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    conditions = [condition(kind, now) for kind in ("Available", "Reconciled")]
    return {"paused": False, **counts, "unavailableReplicas": 0, "conditions": conditions}


def due_certificates(
    certificates: Sequence[Document], issuers: Sequence[Document], cluster_issuers: Sequence[Document]
) -> list[Document]:
    """Certificates that are not Ready although their issuer is."""
    ready = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in (*issuers, *cluster_issuers)
        if is_true(one, "Ready")
    }
    return [one for one in certificates if not is_true(one, "Ready") and _issuer_of(one) in ready]


def certificate_status(certificate: Document, *, not_before: str, not_after: str, now: str) -> Patch:
    """The status of an issued certificate."""
    path = f"/apis/cert-manager.io/v1/{_namespaced(certificate, 'certificates')}/status"
    status = {"notBefore": not_before, "notAfter": not_after, "revision": 1, "conditions": [condition("Ready", now)]}
    return Patch(path=path, body={"status": status})


def _issuer_of(certificate: Document) -> tuple[str, str, str]:
    reference = certificate["spec"]["issuerRef"]
    kind = reference.get("kind", "Issuer")
    return (kind, certificate["metadata"]["namespace"] if kind == "Issuer" else "", reference["name"])


# --- webhooks --------------------------------------------------------------------------------------------------------


def webhook_bodies(configurations: Sequence[Document]) -> list[tuple[str, Document]]:
    """Name and apply body of each configuration with webhooks served by pods: they would be waited for in vain.

    A match condition that is never met leaves every field the charts set as it is.
    """
    bodies: list[tuple[str, Document]] = []
    for configuration in configurations:
        hooks = [hook for hook in configuration.get("webhooks") or () if "service" in hook["clientConfig"]]
        silenced = [{"name": hook["name"], "matchConditions": [_NEVER]} for hook in hooks]
        if any(_NEVER not in (hook.get("matchConditions") or ()) for hook in hooks):
            bodies.append((str(configuration["metadata"]["name"]), {"webhooks": silenced}))
    return bodies


_NEVER = {"name": "simulated-by-the-lab", "expression": "false"}


def _namespaced(document: Document, plural: str) -> str:
    metadata = document["metadata"]
    return f"namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
