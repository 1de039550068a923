"""Answers for what real pods would do: a status for the kinds whose controllers only pretend to run."""

import json
import threading
from typing import Any

from infraflux.adapters.kubernetes import ClientTransport, Kubernetes, Ref
from infraflux.config.errors import InfrafluxError

WHEN = "2026-01-01T00:00:00Z"


def condition(kind: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": "Simulated", "message": "simulated", "lastTransitionTime": WHEN}


def status_of(document: dict[str, Any]) -> dict[str, Any]:
    kind = document["kind"]
    if kind == "HTTPRoute":
        parents = [{"parentRef": one, "conditions": [condition("Accepted")]} for one in document["spec"]["parentRefs"]]
        return {"parents": parents}
    names = {"GatewayClass": ["Accepted"], "Gateway": ["Accepted", "Programmed"]}
    return {"conditions": [condition(name) for name in names.get(kind, ["Ready"])]}


KINDS = (
    ("gateway.networking.k8s.io/v1", "GatewayClass"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("cert-manager.io/v1", "Certificate"),
)


class StandIn:
    """Looks every half second until it is stopped."""

    def __init__(self, kubeconfig: Any) -> None:
        self._transport = ClientTransport(kubeconfig)
        self._kubernetes = Kubernetes(self._transport)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._kubernetes.close()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            for api_version, kind in KINDS:
                try:
                    self._answer(api_version, kind)
                except InfrafluxError:
                    continue

    def _answer(self, api_version: str, kind: str) -> None:
        for one in self._kubernetes.list_objects(api_version, kind):
            if not one.get("status"):
                path = self._kubernetes._path(Ref.of(one)) + "/status"
                body = json.dumps({"status": status_of(one)})
                self._transport.request("PATCH", path, body=body, content_type="application/merge-patch+json")
