"""What the API server answers becomes an outcome or an error with a class."""

import json

import pytest
from fakes.clock import FakeClock

from infraflux.adapters.kubernetes.client import Answer, FieldConflict, KindMissing, Kubernetes
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.core.errors import ErrorClass, Permanent, Retryable
from infraflux.core.outcomes import Done, Noop

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"x": "1"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n"}, "data": {"x": "Y2FuYXJ5"}}
API_V1 = {
    "resources": [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
        {"name": "namespaces/status", "kind": "Namespace", "namespaced": False},
    ]
}


class FakeServer:
    """Stores what is applied; `answer` replaces the reply to the next write."""

    def __init__(self, *stored, answer=None):
        self.objects = {self.path(one): one for one in stored}
        self.answer = answer
        self.requests = []

    @staticmethod
    def path(one):
        plural = {"ConfigMap": "configmaps", "Secret": "secrets"}[one["kind"]]
        return f"/api/v1/namespaces/{one['metadata']['namespace']}/{plural}/{one['metadata']['name']}"

    def request(self, method, path, *, body=None, content_type=""):
        self.requests.append((method, path, content_type))
        bare = path.split("?")[0]
        if bare == "/api/v1":
            return Answer(200, API_V1)
        if bare.startswith("/apis/"):
            return Answer(404, {})
        if method == "GET":
            return Answer(200, self.objects[bare]) if bare in self.objects else Answer(404, {})
        if self.answer:
            return self.answer
        version = str(len(self.requests))
        stored = json.loads(body)
        stored["metadata"] = {**stored["metadata"], "resourceVersion": version}
        if "dryRun" not in path:
            self.objects[bare] = stored
        return Answer(200, stored)


def test_apply_creates_then_finds_nothing_to_do():
    server = FakeServer()
    kubernetes = Kubernetes(server)
    assert kubernetes.apply(CONFIG_MAP) == Done("create ConfigMap n/a")
    assert kubernetes.apply(CONFIG_MAP) == Noop("ConfigMap n/a is as wanted")
    assert kubernetes.apply({**CONFIG_MAP, "data": {"x": "2"}}) == Done("change ConfigMap n/a")
    method, path, content_type = server.requests[-1]
    assert (method, content_type) == ("PATCH", "application/apply-patch+yaml")
    assert "fieldManager=infraflux" in path


def test_dry_run_stores_nothing():
    server = FakeServer()
    assert Kubernetes(server).apply(CONFIG_MAP, dry_run=True) == Done("would create ConfigMap n/a")
    assert server.objects == {}


@pytest.mark.parametrize(
    ("status", "body", "kind", "error_class"),
    [
        (403, {"message": "no"}, Permanent, ErrorClass.USER),
        (409, {"reason": "Conflict", "message": "conflict with kubectl"}, FieldConflict, ErrorClass.CONFLICT),
        (422, {"message": "bad"}, Permanent, ErrorClass.CONFIG),
        (500, {"message": "failed calling webhook"}, Retryable, ErrorClass.TRANSIENT),
        (503, {}, Retryable, ErrorClass.TRANSIENT),
    ],
)
def test_refusals_have_a_class(status, body, kind, error_class):
    with pytest.raises(kind) as caught:
        Kubernetes(FakeServer(answer=Answer(status, body)), cluster="dev/dev-1").apply(CONFIG_MAP)
    assert (caught.value.error_class, caught.value.cluster) == (error_class, "dev/dev-1")


def test_a_refused_secret_is_never_quoted():
    answer = Answer(422, {"reason": "Invalid", "message": "data.x: Y2FuYXJ5 is wrong"})
    with pytest.raises(Permanent) as caught:
        Kubernetes(FakeServer(answer=answer)).apply(SECRET)
    assert "Y2FuYXJ5" not in str(caught.value)
    assert "Invalid" in str(caught.value)


def test_a_missing_kind_reads_as_nothing_and_cannot_be_applied():
    kubernetes = Kubernetes(FakeServer())
    ref = Ref(api_version="argoproj.io/v1alpha1", kind="Application", namespace="argocd", name="root")
    assert kubernetes.read(ref) is None
    assert kubernetes.list_objects("argoproj.io/v1alpha1", "Application") == []
    with pytest.raises(KindMissing, match="CRD"):
        kubernetes.require_kind(ref)


def test_delete_says_when_there_was_nothing():
    missing = Ref(api_version="v1", kind="Secret", namespace="n", name="gone")
    assert Kubernetes(FakeServer()).delete(missing) == Noop("Secret n/gone does not exist")


def test_a_busy_server_is_asked_again_after_the_time_it_names():
    clock = FakeClock()
    busy = Answer(429, {"details": {"retryAfterSeconds": 3}})
    server = FakeServer(answer=busy)
    clock.on_sleep = lambda now: setattr(server, "answer", None)
    assert Kubernetes(server, clock=clock).apply(CONFIG_MAP) == Done("create ConfigMap n/a")
    assert clock.slept == [3.0]
