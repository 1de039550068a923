"""The Kubernetes API of one cluster: reads, server-side apply as field manager `infraflux`, dry runs.

Plain requests over the official client's connection: its generated models drop what they do not know, and its dynamic
client reads every API group before the first answer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import urllib3
from kubernetes import client, config

from infraflux.adapters.kubernetes.facts import FIELD_MANAGER, Manifest, Ref
from infraflux.core.clock import Clock, SystemClock
from infraflux.core.errors import ErrorClass, InfrafluxError, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop, Outcome

REQUEST_TIMEOUT_S = 30.0
BUSY_TRIES = 10


class KindMissing(Retryable):
    """The API server does not know the kind (yet): its CRD or aggregated API is not there."""


class FieldConflict(Permanent):
    """Somebody else owns a field that was to be applied."""

    default_class = ErrorClass.CONFLICT


@dataclass(frozen=True)
class Answer:
    status: int
    body: Manifest


class Transport(Protocol):
    """One HTTP request; raises Retryable when the server cannot be reached."""

    def request(self, method: str, path: str, *, body: str | None = None, content_type: str = "") -> Answer: ...


class ClientTransport:
    """The official client's connection pool, TLS and credentials."""

    def __init__(self, kubeconfig: Path, *, timeout_s: float = REQUEST_TIMEOUT_S, server: str = "") -> None:
        """`server` is asked in place of the kubeconfig's own: one API server of several."""
        self._timeout_s = timeout_s
        settings = client.Configuration()
        try:
            config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)
        except Exception as error:  # the client lets every error of its YAML reader through
            raise Permanent(
                f"{kubeconfig} is no usable kubeconfig ({type(error).__name__})",
                stage="kubernetes",
                next_step="fetch a fresh one with `infraflux cluster kubeconfig`",
            ) from error
        settings.retries = False
        self._api = client.ApiClient(settings)
        self.server: str = server or settings.host

    def request(self, method: str, path: str, *, body: str | None = None, content_type: str = "") -> Answer:
        status, data = self._exchange(method, path, body=body, content_type=content_type or "application/json")
        try:
            parsed = json.loads(data or b"{}")
        except ValueError:
            parsed = {"message": data[:200].decode(errors="replace")}
        return Answer(status, parsed if isinstance(parsed, dict) else {"message": str(parsed)})

    def text(self, path: str) -> str:
        """What the API server says there as text. Raises Retryable where it says something else than 200."""
        status, data = self._exchange("GET", path, content_type="")
        if status != HTTPStatus.OK:
            raise Retryable(f"{self.server}{path} answers {status}", stage="kubernetes")
        return data.decode(errors="replace")

    def _exchange(self, method: str, path: str, *, body: str | None = None, content_type: str) -> tuple[int, bytes]:
        headers: dict[str, str] = {
            "Content-Type": content_type,
            "Accept": (content_type and "application/json") or "*/*",
        }
        token = self._api.configuration.get_api_key_with_prefix("authorization")
        if token:
            headers["Authorization"] = token
        pool = self._api.rest_client.pool_manager
        try:
            reply = pool.request(
                method, self.server + path, body=body, headers=headers, timeout=self._timeout_s, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise Retryable(
                f"the Kubernetes API {self.server} does not answer: {type(error).__name__}",
                stage="kubernetes",
                next_step="check the node and the virtual IP with `infraflux status`",
            ) from error
        return reply.status, reply.data

    def close(self) -> None:
        self._api.rest_client.pool_manager.clear()


@dataclass
class Kubernetes:
    """One cluster's API. `cluster` names it in errors."""

    transport: Transport
    cluster: str = ""
    clock: Clock = field(default_factory=SystemClock, repr=False)
    _resources: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict, repr=False)

    @classmethod
    def from_kubeconfig(cls, path: Path, *, cluster: str = "", timeout_s: float = REQUEST_TIMEOUT_S) -> "Kubernetes":
        return cls(ClientTransport(path, timeout_s=timeout_s), cluster=cluster)

    def close(self) -> None:
        close = getattr(self.transport, "close", None)
        if close:
            close()

    def read(self, ref: Ref) -> Manifest | None:
        """The object, or None where it, or its kind, does not exist."""
        try:
            path = self._path(ref)
        except KindMissing:
            return None
        answer = self._send("GET", path)
        return None if answer.status == HTTPStatus.NOT_FOUND else self._require(answer, f"reading {ref}")

    def list_objects(
        self, api_version: str, kind: str, *, namespace: str | None = None, label_selector: str = ""
    ) -> list[Manifest]:
        """All objects of a kind; empty where the kind does not exist."""
        try:
            path = self._collection(api_version, kind, namespace)
        except KindMissing:
            return []
        query = f"?labelSelector={quote(label_selector)}" if label_selector else ""
        answer = self._require(self._send("GET", path + query), f"listing {kind}")
        return [{"apiVersion": api_version, "kind": kind, **one} for one in answer.get("items") or []]

    def apply(
        self, manifest: Manifest, *, dry_run: bool = False, force: bool = False, manager: str = FIELD_MANAGER
    ) -> Outcome:
        """Server-side apply; Noop where the API server found nothing to change. `manager` owns the fields.

        Raises FieldConflict where another manager owns a field (unless `force`), KindMissing where the CRD is not
        there, Permanent where the API server refuses the object.
        """
        ref = Ref.of(manifest)
        before = self.read(ref)
        query = f"?fieldManager={manager}&force={str(force).lower()}&fieldValidation=Strict"
        answer = self._send(
            "PATCH",
            self._path(ref) + query + ("&dryRun=All" if dry_run else ""),
            body=json.dumps(manifest),
            content_type="application/apply-patch+yaml",
        )
        after = self._require(_silenced(answer) if ref.kind == "Secret" else answer, f"applying {ref}")
        if before and _same(before, after):
            return Noop(f"{ref} is as wanted")
        verb = "would " if dry_run else ""
        return Done(f"{verb}{'change' if before else 'create'} {ref}")

    def preview(self, manifest: Manifest, *, manager: str) -> tuple[Manifest | None, Manifest]:
        """The object as it is (None where it is absent) and as a server-side apply by `manager` would leave it.

        Takes over what others own, as that apply would. Raises KindMissing where the CRD is not there.
        """
        ref = Ref.of(manifest)
        path = self._path(ref)
        before = self.read(ref)
        answer = self._send(
            "PATCH",
            f"{path}?fieldManager={manager}&force=true&dryRun=All",
            body=json.dumps(manifest),
            content_type="application/apply-patch+yaml",
        )
        return before, self._require(_silenced(answer) if ref.kind == "Secret" else answer, f"previewing {ref}")

    def annotate(self, ref: Ref, annotations: Mapping[str, str]) -> None:
        """Merge annotations into an object that somebody else owns."""
        self.merge(ref, {"metadata": {"annotations": dict(annotations)}})

    def merge(self, ref: Ref, body: Mapping[str, Any]) -> None:
        """Merge a JSON merge patch (RFC 7396) into an object that somebody else owns.

        Raises FieldConflict where `body` names a resourceVersion that is no longer the newest.
        """
        path = f"{self._path(ref)}?fieldManager={FIELD_MANAGER}"
        answer = self._send("PATCH", path, body=json.dumps(body), content_type="application/merge-patch+json")
        self._require(answer, f"changing {ref}")

    def drop_finalizers(self, ref: Ref) -> None:
        """Let an object go whose finalizers nobody will serve any more; nothing happens where it is gone already."""
        body = json.dumps({"metadata": {"finalizers": None}})
        answer = self._send("PATCH", self._path(ref), body=body, content_type="application/merge-patch+json")
        if answer.status != HTTPStatus.NOT_FOUND:
            self._require(answer, f"dropping finalizers of {ref}")

    def delete(self, ref: Ref, *, orphan: bool = False) -> Outcome:
        """Delete; Noop where it does not exist. `orphan` leaves what the object owns."""
        if self.read(ref) is None:
            return Noop(f"{ref} does not exist")
        path = self._path(ref) + ("?propagationPolicy=Orphan" if orphan else "")
        answer = self._send("DELETE", path)
        if answer.status != HTTPStatus.NOT_FOUND:
            self._require(answer, f"deleting {ref}")
        return Done(f"deleted {ref}")

    def require_kind(self, ref: Ref) -> None:
        """Raises KindMissing until the API server serves the kind of `ref`."""
        self._resource(ref.api_version, ref.kind)

    def _path(self, ref: Ref) -> str:
        return f"{self._collection(ref.api_version, ref.kind, ref.namespace)}/{quote(ref.name, safe='')}"

    def _collection(self, api_version: str, kind: str, namespace: str | None) -> str:
        plural, namespaced = self._resource(api_version, kind)
        where = f"/namespaces/{quote(namespace, safe='')}" if namespaced and namespace else ""
        return f"{_root(api_version)}{where}/{plural}"

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        key = (api_version, kind)
        if key not in self._resources:
            answer = self._send("GET", _root(api_version))
            known = (
                []
                if answer.status == HTTPStatus.NOT_FOUND
                else self._require(answer, f"reading API {api_version}")["resources"]
            )
            self._resources |= {
                (api_version, one["kind"]): (one["name"], one["namespaced"]) for one in known if "/" not in one["name"]
            }
        if key not in self._resources:
            raise KindMissing(
                f"the API server knows no {kind} of {api_version}",
                cluster=self.cluster,
                stage="kubernetes",
                next_step="install what brings its CRD first",
            )
        return self._resources[key]

    def _send(self, method: str, path: str, *, body: str | None = None, content_type: str = "") -> Answer:
        """One request, again where the server asks for that: it does while it opens the storage of a new CRD."""
        for _ in range(BUSY_TRIES):
            answer = self.transport.request(method, path, body=body, content_type=content_type)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            self.clock.sleep(float((answer.body.get("details") or {}).get("retryAfterSeconds") or 1))
        return answer

    def _require(self, answer: Answer, doing: str) -> Manifest:
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return answer.body
        raise _error(answer, doing).located(cluster=self.cluster, stage="kubernetes")


def _silenced(answer: Answer) -> Answer:
    """An answer about a Secret without the server's words: they may quote what was sent."""
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    return Answer(
        answer.status, {"message": answer.body.get("reason") or "refused", "reason": answer.body.get("reason")}
    )


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _same(before: Manifest, after: Manifest) -> bool:
    """True where the server changed nothing; field ownership and bookkeeping aside."""
    return _content(before) == _content(after)


def _content(document: Manifest) -> Manifest:
    meta = {
        key: value
        for key, value in document["metadata"].items()
        if key not in {"managedFields", "resourceVersion", "generation"}
    }
    return {**document, "metadata": meta}


def _error(answer: Answer, doing: str) -> InfrafluxError:
    said = str(answer.body.get("message") or f"status {answer.status}")
    text = f"{doing}: {said}"
    match answer.status:
        case 401 | 403:
            return Permanent(text, error_class=ErrorClass.USER, next_step="fetch a fresh kubeconfig")
        case 404:
            return KindMissing(text)
        case 409 if "conflict" in said.lower() and answer.body.get("reason") == "Conflict":
            return FieldConflict(text, next_step="see who owns the field with `kubectl get --show-managed-fields`")
        case 400 | 422:
            return Permanent(text, error_class=ErrorClass.CONFIG, next_step="correct the object")
        case 429 | 500 | 502 | 503 | 504 | 409:
            return Retryable(text)
        case _:
            return Permanent(text, error_class=ErrorClass.INTERNAL)
