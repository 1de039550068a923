"""Beside each running cluster: watches what was installed, runs Argo CD, and does what the absent pods would do."""

import asyncio
import base64
import contextlib
import datetime as dt
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import trustme
from ruamel.yaml import YAML

from infraflux_lab.certificates import KeyPair
from infraflux_lab.contracts import EventSink
from infraflux_lab.gitops import standins
from infraflux_lab.gitops.argo_processes import ArgoProcesses
from infraflux_lab.gitops.argocd import container_variables
from infraflux_lab.gitops.plugins import Plugin, decoded, find_plugins, secret_names
from infraflux_lab.gitops.standins import Document, Patch
from infraflux_lab.kubernetes.api import ApiClient, ApiError, eventually
from infraflux_lab.kubernetes.pki import Authority, Leaf

_ARGO = "/apis/apps/v1/namespaces/argocd"
_SERVICES = "/api/v1/services"
_POOLS = "/apis/cilium.io/v2alpha1/ciliumloadbalancerippools"
_GATEWAY_GROUP = "gateway.networking.k8s.io"
_GATEWAY = f"/apis/{_GATEWAY_GROUP}/v1"
_CERTIFICATES = "/apis/cert-manager.io/v1"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
_WATCH_S = 240.0
# A kind that is not there yet: its CRD comes with a chart, and wakes whoever waits for it.
_ABSENT_PAUSE_S = 2.0
_RETRY_PAUSE_S = 2.0
# A control plane that has just started answers within seconds.
_START_DEADLINE_S = 120.0
# Several changes at once become one look.
_SETTLE_S = 0.2
_CERTIFICATE_LIFETIME = dt.timedelta(days=90)


class ClusterControllers:
    """What controllers without a pod would do in one cluster: watch its objects and write their results."""

    def __init__(
        self, *, api: ApiClient, argo: ArgoProcesses, events: EventSink, cluster: str, gateway_api: bool = False
    ) -> None:
        """`api` is their own client; it is closed with them. `gateway_api`: register it in Talos' place."""
        self._gateway_api = gateway_api
        self._api, self._argo = api, argo
        self._events, self._cluster = events, cluster
        self._dirty: dict[str, asyncio.Event] = {}
        self._kinds = asyncio.Event()
        self._registered = False
        self._tasks: list[asyncio.Task[None]] = []
        self._authority = _make_authority()

    def start(self) -> None:
        """Begin to watch; returns at once."""
        subjects: Mapping[str, tuple[Callable[[], Awaitable[None]], tuple[str, ...]]] = {
            "argocd": (self._argo_cd, (f"{_ARGO}/deployments", f"{_ARGO}/statefulsets")),
            "network": (
                self._network,
                (_SERVICES, _POOLS, f"{_GATEWAY}/gatewayclasses", f"{_GATEWAY}/gateways", f"{_GATEWAY}/httproutes"),
            ),
            "certificates": (
                self._certificates,
                tuple(f"{_CERTIFICATES}/{plural}" for plural in ("clusterissuers", "issuers", "certificates")),
            ),
            "kinds": (self._operator, (_OPERATORS,)),
            "monitoring": (self._monitoring, tuple(f"{_MONITORING}/{plural}" for plural in _MONITORS)),
            "webhooks": (
                self._webhooks,
                tuple(f"{_WEBHOOKS}/{plural}" for plural in _WEBHOOK_KINDS),
            ),
        }
        for name, (look, paths) in subjects.items():
            self._dirty[name] = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._keep(name, look), name=f"controller of {name}"))
            self._tasks += [asyncio.create_task(self._watch(path, self._dirty[name])) for path in paths]
        self._tasks.append(asyncio.create_task(self._watch_kinds(), name="controller of kinds"))
        if self._gateway_api:
            self._tasks.append(asyncio.create_task(self._extra_manifests(), name="controller of extra manifests"))

    async def stop(self) -> None:
        """Stop watching and stop Argo CD's processes."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._argo.stop()
        await self._api.close()

    def argo_pids(self) -> dict[str, int]:
        """Process ids of Argo CD by program."""
        return self._argo.running

    async def refresh(self) -> None:
        """Let Argo CD compare with Git at once: Applications by annotation, ApplicationSets likewise."""
        for plural, annotations in _REFRESH.items():
            try:
                for item in await self._list(f"{_APPLICATIONS}/{plural}"):
                    path = f"{_APPLICATIONS}/{plural}/{item['metadata']['name']}"
                    await self._api.merge(path, {"metadata": {"annotations": annotations}})
            except ApiError as error:
                self._events.emit("gitops", "refresh-failed", cluster=self._cluster, error=str(error))

    async def _watch(self, path: str, dirty: asyncio.Event) -> None:
        while True:
            try:
                # Without a resource version a watch begins with what is there.
                async for _ in self._api.watch(path, timeout_s=_WATCH_S):
                    dirty.set()
            except ApiError:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._kinds.wait(), _ABSENT_PAUSE_S)
            await asyncio.sleep(_SETTLE_S)

    async def _watch_kinds(self) -> None:
        """Each change of a CRD wakes the watches of kinds that were not there."""
        while True:
            with contextlib.suppress(ApiError):
                async for _ in self._api.watch(_CRDS, timeout_s=_WATCH_S, metadata_only=True):
                    self._kinds.set()
                    self._kinds.clear()
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def _keep(self, name: str, look: Callable[[], Awaitable[None]]) -> None:
        dirty = self._dirty[name]
        while True:
            await dirty.wait()
            dirty.clear()
            try:
                await look()
            except ApiError as error:
                # Somebody else changed it first, or the API server is starting: look again.
                self._events.emit("gitops", "look-failed", cluster=self._cluster, subject=name, error=str(error))
                dirty.set()
                await asyncio.sleep(_RETRY_PAUSE_S)
            await asyncio.sleep(_SETTLE_S)

    async def _argo_cd(self) -> None:
        found = {
            (plural, item["metadata"]["name"]): item
            for plural in ("deployments", "statefulsets")
            for item in await self._list(f"{_ARGO}/{plural}")
            if item["spec"].get("replicas", 1) > 0 and "deletionTimestamp" not in item["metadata"]
        }
        workloads = {key: _variables(item) for key, item in found.items()}
        if workloads:
            await self._ensure_signing_key()
        maps = {item["metadata"]["name"]: item.get("data") or {} for item in await self._list(_ARGO_CONFIG)}
        started = await self._argo.converge(
            workloads,
            parameters=maps.get("argocd-cmd-params-cm", {}),
            settings=maps.get("argocd-cm", {}),
            plugins=await self._plugins(found.get(("deployments", "argocd-repo-server")), maps=maps),
        )
        if started:
            # Errors from before it ran would stand until the next poll.
            await self.refresh()

    async def _plugins(self, repo_server: Document | None, *, maps: Mapping[str, Mapping[str, str]]) -> list[Plugin]:
        if repo_server is None:
            return []
        names = secret_names(repo_server)
        read = {name: await self._api.get(f"/api/v1/namespaces/argocd/secrets/{name}") for name in names}
        mounted = {name: decoded(secret) for name, secret in read.items() if secret}
        return find_plugins(repo_server, maps=maps, secrets=mounted)

    async def _ensure_signing_key(self) -> None:
        """What argocd-server does at its first start; without it the ApplicationSet controller takes no webhooks."""
        secret = await self._api.get(_ARGO_SIGNING)
        if secret and "server.secretkey" not in (secret.get("data") or {}):
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            await self._api.merge(_ARGO_SIGNING, {"data": {"server.secretkey": key}})

    async def _network(self) -> None:
        pools = await self._list(_POOLS)
        services = await self._list(_SERVICES)
        classes, gateways, routes = [
            await self._list(f"{_GATEWAY}/{plural}") for plural in ("gatewayclasses", "gateways", "httproutes")
        ]
        patches = standins.load_balancer_patches(services, gateways, pools)
        await self._send(patches)
        if patches:
            services = await self._list(_SERVICES)
        await self._send(
            standins.gateway_patches(classes, gateways, routes, services=services, pools=pools, now=_now())
        )

    async def _certificates(self) -> None:
        issuers, cluster_issuers, certificates = [
            await self._list(f"{_CERTIFICATES}/{plural}") for plural in ("issuers", "clusterissuers", "certificates")
        ]
        # Lists leave out the kind of their items.
        issuers = [{**item, "kind": "Issuer"} for item in issuers]
        cluster_issuers = [{**item, "kind": "ClusterIssuer"} for item in cluster_issuers]
        await self._send(standins.issuer_patches(issuers, cluster_issuers, now=_now()))
        for certificate in standins.due_certificates(certificates, issuers, cluster_issuers):
            await self._issue(certificate)

    async def _issue(self, certificate: Document) -> None:
        namespace = certificate["metadata"]["namespace"]
        now = dt.datetime.now(dt.UTC)
        secret = _tls_secret(certificate, self._authority, now=now)
        await self._api.apply(f"/api/v1/namespaces/{namespace}/secrets/{secret['metadata']['name']}", secret)
        until = _text(now + _CERTIFICATE_LIFETIME)
        patch = standins.certificate_status(certificate, not_before=_text(now), not_after=until, now=_text(now))
        await self._send([patch])

    async def _operator(self) -> None:
        """What Cilium's operator registers when it starts.

        The real chart has no CRDs of its own; with the stand-in chart every kind is there already. Once, as the
        operator does at its start: a kind that somebody deletes later stays away.
        """
        if self._registered or not any(
            item["metadata"]["name"] == "cilium-operator" for item in await self._list(_OPERATORS)
        ):
            return
        await self._register(gateway_api=False)
        self._registered = True

    async def _extra_manifests(self) -> None:
        """The Gateway API, which real nodes would fetch from the Internet before anything else is installed."""
        await eventually(lambda: self._register(gateway_api=True), deadline_s=_START_DEADLINE_S)

    async def _register(self, *, gateway_api: bool) -> None:
        for kind in registered_kinds(gateway_api=gateway_api):
            if await self._api.create(_CRDS, kind):
                path = f"{_CRDS}/{kind['metadata']['name']}"
                self._events.emit("gitops", "standin", cluster=self._cluster, path=path, simulated=True)

    async def _monitoring(self) -> None:
        for plural in _MONITORS:
            monitors = await self._list(f"{_MONITORING}/{plural}")
            await self._send(standins.monitor_patches(plural, monitors, now=_now()))

    async def _webhooks(self) -> None:
        for plural, kind in _WEBHOOK_KINDS.items():
            for name, body in standins.webhook_bodies(await self._list(f"{_WEBHOOKS}/{plural}")):
                head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
                await self._api.apply(f"{_WEBHOOKS}/{plural}/{name}", {**head, **body})
                self._events.emit("gitops", "webhook-silenced", cluster=self._cluster, name=name, simulated=True)

    async def _list(self, path: str) -> list[dict[str, Any]]:
        listing = await self._api.get(path)
        return list(listing.get("items") or ()) if listing else []

    async def _send(self, patches: list[Patch]) -> None:
        for patch in patches:
            await self._api.merge(patch.path, patch.body)
            self._events.emit("gitops", "standin", cluster=self._cluster, path=patch.path, simulated=True)


_ARGO_SIGNING = "/api/v1/namespaces/argocd/secrets/argocd-secret"
_APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
_REFRESH = {
    "applications": {"argocd.argoproj.io/refresh": "normal"},
    "applicationsets": {"argocd.argoproj.io/application-set-refresh": "true"},
}
_ARGO_CONFIG = "/api/v1/namespaces/argocd/configmaps"
_OPERATORS = "/apis/apps/v1/namespaces/kube-system/deployments"
_OPERATOR_KINDS = Path(__file__).parent / "charts" / "cilium" / "crds" / "crds.yaml"
_MONITORING = "/apis/monitoring.coreos.com/v1"
_MONITORS = ("prometheuses", "alertmanagers")
_WEBHOOK_KINDS = {
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
}


def registered_kinds(*, gateway_api: bool) -> list[dict[str, Any]]:
    """CRDs with schemas that accept anything: the Gateway API's, or those that Cilium's operator registers."""
    kinds = YAML(typ="safe").load_all(_OPERATOR_KINDS.read_text())
    return [kind for kind in kinds if (kind["spec"]["group"] == _GATEWAY_GROUP) == gateway_api]


def fetch_manifest(url: str) -> list[dict[str, Any]] | None:
    """What the lab serves in place of a manifest that nodes fetch from the Internet; None for an unknown one."""
    return registered_kinds(gateway_api=True) if "gateway-api" in url else None


def _variables(workload: Document) -> dict[str, str]:
    """What the workload's own container, the first, is told literally."""
    return container_variables(workload["spec"]["template"]["spec"]["containers"][0])


def _now() -> str:
    return _text(dt.datetime.now(dt.UTC))


def _text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _make_authority() -> tuple[Authority, bytes]:
    """A certificate authority for this run: whatever it signs carries its certificate along."""
    made = trustme.CA(organization_name="InfraFlux lab (simulated)", organization_unit_name="issuer")
    certificate = made.cert_pem.bytes()
    return Authority(KeyPair(certificate=certificate, key=made.private_key_pem.bytes())), certificate


def _tls_secret(certificate: Document, authority: tuple[Authority, bytes], *, now: dt.datetime) -> dict[str, Any]:
    spec, metadata = certificate["spec"], certificate["metadata"]
    names = (*(spec.get("dnsNames") or ()), *(spec.get("ipAddresses") or ()))
    leaf = Leaf(common_name=str(spec.get("commonName") or metadata["name"])[:64], sans=names, server=True)
    issuer, ca = authority
    pair = issuer.issue(leaf, now=now)
    data = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": ca}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": spec["secretName"],
            "namespace": metadata["namespace"],
            "labels": {"infraflux.io/simulated": "true"},
            "annotations": {"cert-manager.io/certificate-name": metadata["name"]},
        },
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
