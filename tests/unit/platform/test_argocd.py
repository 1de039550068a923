"""Waiting for Argo CD: what is read from its objects, and when a failure is one."""

import pytest
from fakes.clock import FakeClock

from infraflux.adapters.argocd.client import (
    API,
    REFRESH,
    REFRESH_SET,
    ArgoCd,
    HandoffDegraded,
    HandoffSlow,
    read_application,
    read_application_set,
)
from infraflux.adapters.kubernetes.client import KindMissing


def application(name, sync="Synced", health="Healthy", **status):
    status = {"sync": {"status": sync}, "health": {"status": health}, **status}
    return {"apiVersion": API, "kind": "Application", "metadata": {"name": name}, "status": status}


def application_set(name, *conditions):
    return {
        "apiVersion": API,
        "kind": "ApplicationSet",
        "metadata": {"name": name},
        "status": {"conditions": conditions},
    }


CURRENT = {"type": "ResourcesUpToDate", "status": "True"}
BAD = {"type": "ErrorOccurred", "status": "True", "message": "repository not found"}


class FakeKubernetes:
    """Plays one list of documents after the other; the last one stays."""

    def __init__(self, *rounds):
        self.rounds = list(rounds)
        self.annotated = []

    def list_objects(self, api_version, kind, *, namespace):
        if kind == "ApplicationSet":
            self.now = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
        return [one for one in self.now if one["kind"] == kind]

    def annotate(self, ref, annotations):
        self.annotated.append((ref.kind, ref.name, annotations))

    def read(self, ref):
        return {
            "metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "cilium:apps/DaemonSet:kube-system/cilium"}}
        }


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (application("a"), ("Synced", "Healthy", "")),
        (
            application("a", conditions=[{"type": "ComparisonError", "message": "no repo"}]),
            ("Synced", "Degraded", "no repo"),
        ),
        (
            application("a", sync="OutOfSync", operationState={"phase": "Failed", "message": "sync failed"}),
            ("OutOfSync", "Degraded", "sync failed"),
        ),
        (
            application(
                "a",
                health="Degraded",
                resources=[
                    {
                        "kind": "Deployment",
                        "namespace": "x",
                        "name": "y",
                        "health": {"status": "Degraded", "message": "crash"},
                    }
                ],
            ),
            ("Synced", "Degraded", "Deployment x/y is Degraded: crash"),
        ),
        (
            application(
                "a", sync="OutOfSync", operationState={"phase": "Running", "message": "refused. Retrying attempt #2"}
            ),
            ("OutOfSync", "Degraded", "refused. Retrying attempt #2"),
        ),
        ({"metadata": {"name": "new"}, "kind": "Application"}, ("Unknown", "Unknown", "")),
    ],
)
def test_an_application_is_reduced_to_what_counts(document, wanted):
    found = read_application(document)
    assert (found.sync, found.health, found.message) == wanted


def test_an_application_set_with_an_error_is_degraded():
    found = read_application_set(application_set("s", CURRENT, BAD))
    assert (found.done, found.message) == (False, "repository not found")
    assert read_application_set(application_set("s", CURRENT)).done


def test_waits_until_the_root_and_all_others_are_done():
    early = [application("root", sync="OutOfSync")]
    late = [application("root"), application("cilium"), application_set("s", CURRENT)]
    clock, lines = FakeClock(), []
    seen = ArgoCd(FakeKubernetes(early, early, late)).wait_until_synced(clock=clock, deadline_s=60, log=lines.append)
    assert [one.name for one in seen] == ["root", "cilium", "s"]
    assert len(lines) == 4, "each change is told once"


def test_applications_without_a_root_are_not_enough():
    with pytest.raises(HandoffSlow, match=r"last seen: Application other is Synced/Progressing"):
        ArgoCd(FakeKubernetes([application("other", health="Progressing")])).wait_until_synced(
            clock=FakeClock(), deadline_s=10
        )


def test_a_lasting_error_ends_the_wait_and_names_its_set():
    clock = FakeClock()
    broken = [application("root", sync="OutOfSync", health="Degraded"), application_set("applications", BAD)]
    with pytest.raises(
        HandoffDegraded, match="ApplicationSet applications is OutOfSync/Degraded: repository not found"
    ):
        ArgoCd(FakeKubernetes(broken), cluster="dev/dev-1").wait_until_synced(
            clock=clock, deadline_s=600, degraded_deadline_s=30
        )
    assert 30 <= clock.now < 60


def test_whatever_fails_is_named_once_one_has_failed_for_long():
    first, both = [application_set("a", BAD)], [application_set("a", BAD), application_set("late", BAD)]
    rounds = [[application("root"), *failing] for failing in (*[first] * 20, both)]
    with pytest.raises(HandoffDegraded, match=r"ApplicationSet a .*ApplicationSet late"):
        ArgoCd(FakeKubernetes(*rounds)).wait_until_synced(clock=FakeClock(), deadline_s=600, degraded_deadline_s=15)


def test_an_error_that_passes_does_not_end_the_wait():
    broken, well = (
        [application("root"), application_set("s", BAD)],
        [application("root"), application_set("s", CURRENT)],
    )
    rounds = [broken] * 5 + [well]
    ArgoCd(FakeKubernetes(*rounds)).wait_until_synced(clock=FakeClock(), deadline_s=600, degraded_deadline_s=30)


def test_refresh_is_an_annotation_on_each_and_hard_where_something_is_wrong():
    kubernetes = FakeKubernetes([application("root", sync="Unknown"), application("a"), application_set("s", CURRENT)])
    argocd = ArgoCd(kubernetes)
    argocd.refresh(argocd.read())
    assert ("Application", "root", {"argocd.argoproj.io/refresh": "hard"}) in kubernetes.annotated
    assert ("Application", "a", {"argocd.argoproj.io/refresh": "normal"}) in kubernetes.annotated
    assert ("ApplicationSet", "s", {"argocd.argoproj.io/application-set-refresh": "true"}) in kubernetes.annotated


def test_what_argo_cd_never_looked_at_is_not_asked_to_look_again():
    new = {"kind": "Application", "metadata": {"name": "root"}, "spec": {}}
    kubernetes = FakeKubernetes([new, application_set("s"), application("a")])
    argocd = ArgoCd(kubernetes)
    argocd.refresh(argocd.read())
    assert [name for _, name, _ in kubernetes.annotated] == ["a"]
    argocd.refresh(argocd.read(), hard=False)
    assert [name for _, name, _ in kubernetes.annotated] == ["a", "root", "a", "s"], "one that stands still is asked"


SOURCES = [{"repoURL": "https://charts.example", "chart": "a"}, {"repoURL": "https://git.example/platform"}]


def at(revisions, *, compared=SOURCES, **status):
    document = application("a", **status)
    document["spec"] = {"sources": SOURCES}
    document["status"]["sync"] |= {"revisions": revisions, "comparedTo": {"sources": compared}}
    return document


@pytest.mark.parametrize(
    ("document", "asked"),
    [
        pytest.param(at(["1.2.3", "c0ffee"]), False, id="in sync with the commit"),
        pytest.param(at(["1.2.3", "bad"]), True, id="in sync with another commit"),
        pytest.param(at(["1.2.3", "c0ffee"], health="Progressing"), True, id="on its way"),
        pytest.param(at(["1.2.3", "c0ffee"], compared=SOURCES[1:]), True, id="told other sources since"),
        pytest.param(application_set("a", CURRENT), True, id="a generator, which has no revision"),
    ],
)
def test_what_stands_at_the_commit_is_not_asked_again(document, asked):
    kubernetes = FakeKubernetes([document])
    argocd = ArgoCd(kubernetes)
    argocd.refresh(argocd.read(), commit="c0ffee")
    assert bool(kubernetes.annotated) is asked


def test_refresh_passes_over_one_that_went_since_it_was_seen():
    class Fleeting(FakeKubernetes):
        def annotate(self, ref, annotations):
            if ref.name == "gone":
                raise KindMissing("not found")
            super().annotate(ref, annotations)

    kubernetes = Fleeting([application("gone"), application("root")])
    argocd = ArgoCd(kubernetes)
    argocd.refresh(argocd.read())
    assert [name for _, name, _ in kubernetes.annotated] == ["root"]


def test_owner_is_who_tracks_the_object():
    assert ArgoCd(FakeKubernetes([])).owns(None) == "cilium"


def test_what_was_said_before_a_refresh_does_not_count():
    stale = application("root")
    stale["metadata"]["annotations"] = {REFRESH: "hard"}
    clock = FakeClock()
    ArgoCd(FakeKubernetes([stale], [stale], [application("root")])).wait_until_synced(clock=clock, deadline_s=60)
    assert clock.now > 0


def test_a_sync_that_stands_still_is_looked_at_again():
    waiting = application("cert-manager", sync="OutOfSync", operationState={"phase": "Running", "message": "waits"})
    moving = [
        application("root", sync="OutOfSync", operationState={"phase": "Running", "message": f"wave {number}"})
        for number in range(24)
    ]
    kubernetes = FakeKubernetes(*([waiting, one] for one in moving), [application("root")])
    ArgoCd(kubernetes).wait_until_synced(clock=FakeClock(), deadline_s=60)
    assert kubernetes.annotated == [("Application", "cert-manager", {REFRESH: "normal"})]


def test_a_set_that_had_an_error_is_looked_at_again():
    broken, well = [application("root"), application_set("s", BAD)], [application("root")]
    kubernetes = FakeKubernetes(*[broken] * 24, well)
    ArgoCd(kubernetes).wait_until_synced(clock=FakeClock(), deadline_s=60, degraded_deadline_s=30)
    assert kubernetes.annotated == [("ApplicationSet", "s", {REFRESH_SET: "true"})]


@pytest.mark.parametrize(
    "said",
    [
        "Failed to load live state: the server was unable to return a response: context deadline exceeded",
        "Timeout: request did not complete within requested timeout - context canceled",
        "rpc error: code = DeadlineExceeded desc = stream terminated",
    ],
)
def test_a_look_that_timed_out_is_no_verdict(said):
    late = application("a", sync="Unknown", conditions=[{"type": "ComparisonError", "message": said}])
    found = read_application(late)
    assert (found.done, found.failed, found.message) == (False, False, said)


def test_a_rollout_past_its_own_deadline_is_a_verdict():
    said = 'Deployment "web" exceeded its progress deadline'
    resource = {"kind": "Deployment", "name": "web", "health": {"status": "Degraded", "message": said}}
    assert read_application(application("a", health="Degraded", resources=[resource])).failed


def test_looks_that_time_out_until_the_deadline_end_as_slow_by_name():
    said = "request did not complete within requested timeout"
    late = application("root", sync="Unknown", conditions=[{"type": "ComparisonError", "message": said}])
    kubernetes = FakeKubernetes([late])
    with pytest.raises(HandoffSlow, match=f"Application root is .*{said}"):
        ArgoCd(kubernetes).wait_until_synced(clock=FakeClock(), deadline_s=300, degraded_deadline_s=30)


def test_what_is_being_deleted_is_neither_done_nor_failed():
    going = application("a", conditions=[{"type": "ComparisonError", "message": "app path does not exist"}])
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = read_application(going)
    assert (found.done, found.failed, found.message) == (False, False, "being deleted")
