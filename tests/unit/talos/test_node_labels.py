"""Labels and taints of Nodes: what is written, what is taken away, and what is left to others."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from fakes.clock import FakeClock
from fakes.specs import make_spec

from infraflux.adapters.kubernetes.client import FieldConflict
from infraflux.core.errors import Retryable
from infraflux.core.outcomes import Done, Noop
from infraflux.operations import node_labels
from infraflux.operations.node_labels import reconcile_labels
from infraflux.operations.plan.node_labels import ANNOTATION, FORMER_ANNOTATION, LabelChange, plan_labels

GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
OTHERS = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2026-11-28T00:00:00Z"}
ROLE = "node-role.kubernetes.io/worker"


def spec(*, labels=None, taints=(), **changes):
    document = make_spec(control_planes=1, workers=1).model_dump(mode="json")
    [pool] = [one for one in document["node_pools"] if one["role"] == "worker"]
    pool |= {"labels": labels or {}, "taints": list(taints)}
    return make_spec(node_pools=document["node_pools"], **changes)


def worker(**pool):
    [node] = spec(**pool).workers
    return node


def live(*, labels=None, taints=(), ours=None, name="dev-1-worker-1"):
    annotations = {ANNOTATION: json.dumps(ours)} if ours else {}
    metadata = {"name": name, "labels": labels or {}, "annotations": annotations, "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"taints": list(taints)}}


OURS = {"labels": [ROLE], "taints": ["gpu:NoSchedule"]}
CHANGES = {
    "a taint of a new pool": (
        worker(taints=[GPU]),
        live(taints=[OTHERS]),
        {"taints": [OTHERS, GPU]},
        ["taint gpu=yes:NoSchedule"],
    ),
    "a taint with another value": (
        worker(taints=[GPU]),
        live(taints=[GPU | {"value": "no"}, OTHERS], ours=OURS | {"labels": []}),
        {"taints": [GPU, OTHERS]},
        ["taint gpu=yes:NoSchedule"],
    ),
    "a taint with a value that is declared without": (
        worker(taints=[{"key": "gpu", "effect": "NoSchedule"}]),
        live(taints=[GPU], ours=OURS | {"labels": []}),
        {"taints": [{"key": "gpu", "effect": "NoSchedule"}]},
        ["taint gpu:NoSchedule"],
    ),
    "a taint no longer declared": (
        worker(),
        live(taints=[GPU, OTHERS], ours=OURS | {"labels": []}),
        {"taints": [OTHERS]},
        ["taint gpu:NoSchedule removed"],
    ),
    "a label that the node may not write": (
        worker(labels={ROLE: ""}),
        live(),
        {"labels": {ROLE: ""}},
        [f"label {ROLE}"],
    ),
    "a label that the node wrote otherwise": (
        worker(labels={"tier": "edge"}),
        live(labels={"tier": "core"}),
        {"labels": {"tier": "edge"}},
        ["label tier=edge"],
    ),
    "a label no longer declared": (
        worker(),
        live(labels={ROLE: "", "tier": "core"}, ours=OURS | {"taints": []}),
        {"labels": {ROLE: None}},
        [f"label {ROLE} removed"],
    ),
}
LEFT_ALONE = {
    "nothing declared": (worker(), live(labels={"tier": "core"}, taints=[OTHERS])),
    "a taint that somebody added": (worker(), live(taints=[GPU])),
    "as declared": (
        worker(labels={ROLE: "", "tier": "edge"}, taints=[GPU]),
        live(labels={ROLE: "", "tier": "edge", "more": "x"}, taints=[GPU | {"timeAdded": "x"}, OTHERS], ours=OURS),
    ),
}


@pytest.mark.parametrize(("node", "seen", "wanted", "said"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_declared_is_written_and_what_was_ours_is_taken_away(node, seen, wanted, said):
    plan = plan_labels(node, seen)
    assert isinstance(plan, LabelChange)
    assert {**plan.body.get("spec", {}), **{k: v for k, v in plan.body["metadata"].items() if k == "labels"}} == wanted
    assert list(plan.changes) == said
    assert plan.body["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize(("node", "seen"), LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_labels_and_taints_of_others_are_left_alone(node, seen):
    assert isinstance(plan_labels(node, seen), Noop)


def test_what_the_node_registered_with_is_recorded_so_that_it_can_be_taken_away_later():
    node = worker(labels={ROLE: "", "tier": "edge"}, taints=[GPU])
    plan = plan_labels(node, live(labels={ROLE: "", "tier": "edge"}, taints=[GPU]))
    assert plan.body["metadata"]["annotations"][ANNOTATION] == json.dumps(OURS), "tier is the node's own"
    assert str(plan) == "dev-1-worker-1: what it registered with is recorded as ours"


def as_recorded_before(seen):
    annotations = seen["metadata"]["annotations"]
    annotations[FORMER_ANNOTATION] = annotations.pop(ANNOTATION)
    return seen


def test_the_former_annotation_is_read_and_stays_where_nothing_changes():
    seen = live(labels={ROLE: ""}, taints=[GPU, OTHERS], ours=OURS)
    assert isinstance(plan_labels(worker(labels={ROLE: ""}, taints=[GPU]), as_recorded_before(seen)), Noop)


def test_the_former_annotation_is_read_and_goes_with_the_next_change():
    plan = plan_labels(worker(labels={ROLE: ""}), as_recorded_before(live(labels={ROLE: ""}, taints=[GPU], ours=OURS)))
    assert plan.body["spec"] == {"taints": []}, "the taint was recorded as ours"
    assert plan.body["metadata"]["annotations"] == {
        ANNOTATION: json.dumps(OURS | {"taints": []}),
        FORMER_ANNOTATION: None,
    }


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '"text"', "null"])
def test_a_spoilt_annotation_is_written_anew(text):
    seen = live(taints=[GPU])
    seen["metadata"]["annotations"] = {ANNOTATION: text}
    assert plan_labels(worker(taints=[GPU]), seen).body["metadata"]["annotations"][ANNOTATION]


class FakeKubernetes:
    """Nodes that register one look after the other; the first `conflicts` merges meet a newer version."""

    def __init__(self, *looks, conflicts=0):
        self.looks, self.conflicts, self.merged = list(looks), conflicts, []

    def list_objects(self, _api_version, _kind):
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return look

    def merge(self, ref, _body):
        if self.conflicts:
            self.conflicts -= 1
            raise FieldConflict("the object has been modified")
        self.merged.append(ref.name)

    def close(self):
        pass


@contextmanager
def answering(monkeypatch, kubernetes):
    reader = SimpleNamespace(from_kubeconfig=lambda *_args, **_more: kubernetes)
    with monkeypatch.context() as patch:
        patch.setattr(node_labels, "Kubernetes", reader)
        yield


def run(monkeypatch, kubernetes, **pool):
    workspace = SimpleNamespace(kubeconfig="unused")
    cluster = SimpleNamespace(spec=spec(**pool), workspace=workspace, clock=FakeClock(), poll_s=0.5)
    with answering(monkeypatch, kubernetes):
        return reconcile_labels(cluster)


def test_a_node_that_changes_meanwhile_is_looked_at_again(monkeypatch):
    kubernetes = FakeKubernetes([live()], conflicts=3)
    outcomes = run(monkeypatch, kubernetes, taints=[GPU])
    assert kubernetes.merged == ["dev-1-worker-1"]
    assert isinstance(outcomes["dev-1-worker-1"], Done)


def test_a_node_that_registers_late_is_waited_for(monkeypatch):
    kubernetes = FakeKubernetes([], [], [live()])
    assert isinstance(run(monkeypatch, kubernetes, taints=[GPU])["dev-1-worker-1"], Done)


def test_nodes_with_nothing_declared_are_not_waited_for(monkeypatch):
    assert all(isinstance(one, Noop) for one in run(monkeypatch, FakeKubernetes([])).values())


def test_a_node_that_never_registers_is_named(monkeypatch):
    with pytest.raises(Retryable, match="dev-1-worker-1"):
        run(monkeypatch, FakeKubernetes([]), taints=[GPU])


# What the Kubernetes adapter said while a real control plane started: etcd ran, the API server did not listen yet.
NOT_YET = Retryable("the Kubernetes API https://10.94.1.10:6443 does not answer: NewConnectionError")


def test_an_api_server_that_does_not_listen_yet_is_waited_for(monkeypatch):
    kubernetes = FakeKubernetes(NOT_YET, NOT_YET, [live()])
    assert isinstance(run(monkeypatch, kubernetes, taints=[GPU])["dev-1-worker-1"], Done)


def test_an_api_server_that_never_answers_is_quoted(monkeypatch):
    with pytest.raises(Retryable, match="does not answer: NewConnectionError"):
        run(monkeypatch, FakeKubernetes(NOT_YET), taints=[GPU])
