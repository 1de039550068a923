"""Each kind of drift of Argo CD and of our own objects is found with its class; as declared they show none."""

import pytest

from infraflux.adapters.argocd.client import CONTROLLERS
from infraflux.adapters.argocd.facts import Application
from infraflux.drift.findings import DriftClass, Layer, Owner
from infraflux.drift.gitops import (
    LONGEST_SHOWN,
    OwnObject,
    differences,
    find_gitops_drift,
    find_own_object_drift,
    find_silent_controllers,
    shown,
)


def application(sync: str = "Synced", health: str = "Healthy", message: str = "") -> Application:
    return Application(kind="Application", name="cilium", sync=sync, health=health, message=message)


APPLICATIONS = {
    "as wanted": (application(), []),
    "on its way": (application(health="Progressing"), []),
    "out of sync": (application("OutOfSync"), [("sync", DriftClass.REPAIRABLE)]),
    "degraded": (application(health="Degraded", message="pod crashes"), [("health", DriftClass.DANGEROUS)]),
    "both": (application("Unknown", "Missing"), [("sync", DriftClass.REPAIRABLE), ("health", DriftClass.DANGEROUS)]),
}


@pytest.mark.parametrize(("one", "expected"), APPLICATIONS.values(), ids=APPLICATIONS.keys())
def test_application_drift(one: Application, expected: list):
    found = list(find_gitops_drift([one]))
    assert [(finding.field, finding.drift_class) for finding in found] == expected
    assert all(finding.object == "Application cilium" for finding in found)


WANTED = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "facts", "labels": {"a": "1"}},
    "data": {"x": "1"},
}


def own(live: dict | None, wanted: dict = WANTED) -> list:
    return list(find_own_object_drift([OwnObject("ConfigMap apps/facts", wanted, live)]))


def test_own_object_as_applied_shows_nothing_whatever_others_added():
    live = WANTED | {
        "metadata": {"name": "facts", "uid": "7", "labels": {"a": "1", "b": "2"}},
        "data": {"x": "1", "y": "2"},
    }
    assert own(live) == []


@pytest.mark.parametrize(
    ("live", "field", "seen"),
    [
        (None, "existence", "absent"),
        (WANTED | {"data": {"x": "2"}}, "data.x", "2"),
        (WANTED | {"data": {}}, "data.x", "absent"),
        (WANTED | {"metadata": {"name": "facts", "labels": {}}}, "metadata.labels.a", "absent"),
    ],
)
def test_own_object_changed_by_another_manager(live: dict | None, field: str, seen: str):
    [found] = own(live)
    assert (found.field, found.seen, found.layer) == (field, seen, Layer.GITOPS)
    assert "changed by" in found.note


def test_the_note_names_who_wrote_the_field_last():
    entries = [
        {"manager": "kubectl-edit", "time": "2026-11-23T01:00:00Z", "fieldsV1": {"f:data": {"f:x": {}}}},
        {"manager": "kubectl-patch", "time": "2026-11-23T02:00:00Z", "fieldsV1": {"f:data": {"f:x": {}}}},
        {"manager": "argocd-controller", "time": "2026-11-23T03:00:00Z", "fieldsV1": {"f:data": {"f:y": {}}}},
        {"manager": "infraflux", "time": "2026-11-23T04:00:00Z", "fieldsV1": {"f:data": {"f:x": {}}}},
    ]
    [found] = own(WANTED | {"data": {"x": "2"}, "metadata": WANTED["metadata"] | {"managedFields": entries}})
    assert found.note.endswith("changed by kubectl-patch")


PROJECT = {
    "kind": "AppProject",
    "metadata": {"name": "applications", "labels": {}},
    "spec": {"sourceRepos": [], "destinations": [{"namespace": "apps"}]},
}


def test_what_somebody_added_to_a_fence_is_dangerous_because_a_deploy_leaves_it():
    live = PROJECT | {"spec": PROJECT["spec"] | {"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}}
    [found] = own(live, PROJECT)
    assert (found.field, found.wanted, found.drift_class) == (
        "spec.clusterResourceWhitelist",
        "absent",
        DriftClass.DANGEROUS,
    )
    assert "remove it by hand" in found.note


def test_an_empty_list_of_ours_is_a_wish_too():
    [found] = own(PROJECT | {"spec": PROJECT["spec"] | {"sourceRepos": ["*"]}}, PROJECT)
    assert (found.field, found.seen, found.drift_class) == ("spec.sourceRepos", '["*"]', DriftClass.REPAIRABLE)


@pytest.mark.parametrize(
    ("key", "counts"),
    [("values.infraflux.io/cilium", True), ("infraflux.io/contract", True), ("kubectl.io/last-applied", False)],
)
def test_only_annotations_that_argo_reads_as_ours_count(key: str, counts: bool):
    metadata = WANTED["metadata"] | {"annotations": {key: "{}"}}
    assert bool(own(WANTED | {"metadata": metadata})) is counts


def test_a_stopped_controller_is_a_finding_and_makes_the_rest_unknown():
    findings, unknown = find_silent_controllers(CONTROLLERS[:1])
    assert [(one.object, one.drift_class, one.owner) for one in findings] == [
        ("StatefulSet argocd/argocd-application-controller", DriftClass.DANGEROUS, Owner.ARGOCD)
    ]
    assert len(unknown) == 1
    assert find_silent_controllers([]) == ([], [])


def test_long_values_are_cut_and_still_told_apart():
    one, other = shown("a" * 500), shown("a" * 499 + "b")
    assert max(len(one), len(other)) <= LONGEST_SHOWN
    assert one != other


def test_secrets_are_compared_and_never_shown():
    wanted = {"kind": "Secret", "data": {"password": "Y2FuYXJ5"}}
    [found] = own({"kind": "Secret", "data": {"password": "b3RoZXI="}}, wanted)
    assert (found.wanted, found.seen) == ("***", "***")


def test_lists_are_compared_whole():
    assert list(differences({"spec": {"a": [1, 2]}}, {"spec": {"a": [2, 1]}})) == [(("spec", "a"), [1, 2], [2, 1])]


def test_a_secret_of_the_handoff_is_compared_and_never_shown():
    wanted = {"kind": "Secret", "metadata": {"name": "sops-age"}, "data": {"keys.txt": "d2FudGVk"}}
    live = {"metadata": {"name": "sops-age"}, "data": {"keys.txt": "c2Vlbg=="}}
    [found] = find_own_object_drift([OwnObject("Secret argocd/sops-age", wanted, live, owner=Owner.INFRAFLUX)])
    assert (found.field, found.wanted, found.seen) == ("data.keys.txt", "***", "***")
    assert (found.owner, found.drift_class) == (Owner.INFRAFLUX, DriftClass.REPAIRABLE)
