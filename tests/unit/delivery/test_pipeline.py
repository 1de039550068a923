"""Whatever happened before, the next step of a promotion is one and the same: doubled events, restarts, two at once."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes.releases import cut_of
from fakes.specs import make_spec

from infraflux.config.models.policy import Policy, Promotion
from infraflux.core.outcomes import Noop
from infraflux.delivery.pipeline import Deploy, Pin, Refused, Wait, choose_release, next_step
from infraflux.delivery.promotion import Question
from infraflux.delivery.records import Approved, Hold, Ledger, Promoted, Verified
from infraflux.delivery.release import Release
from infraflux.delivery.text import PipelineStage, describe, pipeline_markdown

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
UP, TARGET = ("dev/dev-1",), ("staging/s-1", "staging/s-2")


def release(name: str, talos: str, *, days: int) -> Release:
    spec = make_spec(versions={"talos": talos, "kubernetes": "v1.36.3"})
    return cut_of([spec], name=name, at=NOON - timedelta(days=days))


R1, R2, R3 = release("r1", "v1.13.7", days=9), release("r2", "v1.13.8", days=5), release("r3", "v1.13.9", days=1)


def verified(one: Release, cluster: str, *, ok: bool = True, hours_ago: float = 3) -> Verified:
    at = NOON - timedelta(hours=hours_ago)
    return Verified(digest=one.digest, release=one.name, cluster=cluster, at=at, ok=ok)


def promoted(one: Release, state: str, *, by: str = "run-1", minutes_ago: float = 10, **more: str) -> Promoted:
    return Promoted(
        digest=one.digest,
        release=one.name,
        environment="staging",
        state=state,
        at=NOON - timedelta(minutes=minutes_ago),
        by=by,
        **more,
    )


PROVED = verified(R2, UP[0])


def step(*records, current: Release | None = R1, automatic: bool = True, run: str = "run-2", one: Release = R2):
    question = Question(
        release=one,
        current=current,
        target="staging",
        upstream_clusters=UP,
        policy=Policy(promotion=Promotion(source="dev", mode="auto")),
        ledger=Ledger(records),
        now=NOON,
        automatic=automatic,
    )
    return next_step(question, target_clusters=TARGET, run=run)


STEPS = {
    "proved and nothing else": ([PROVED], {}, Pin, ""),
    "not proved": ([], {}, Refused, "not verified on dev/dev-1"),
    "pinned by a run that was killed": ([PROVED, promoted(R2, "pinned")], {"current": R2}, Deploy, "staging/s-1"),
    "doubled event after it was deployed": (
        [PROVED, *(verified(R2, key) for key in TARGET)],
        {"current": R2},
        Noop,
        "every cluster of it is verified",
    ),
    "one cluster is still to follow": (
        [PROVED, verified(R2, TARGET[0])],
        {"current": R2},
        Deploy,
        "staging/s-2",
    ),
    "gone back to what was verified before": (
        [PROVED, *(verified(R1, key, hours_ago=9) for key in TARGET), *(verified(R2, key) for key in TARGET)],
        {"current": R1, "one": R1},
        Deploy,
        "staging/s-1",
    ),
    "failed, and an event comes": (
        [PROVED, promoted(R2, "failed", detail="no quorum")],
        {"current": R2},
        Refused,
        "no quorum",
    ),
    "failed, and a person comes": (
        [PROVED, promoted(R2, "failed", detail="no quorum")],
        {"current": R2, "automatic": False},
        Deploy,
        "staging/s-1",
    ),
    "rejected, and an event comes": ([PROVED, promoted(R2, "rejected", detail="not now")], {}, Noop, "not now"),
    "rejected, and a person comes": ([PROVED, promoted(R2, "rejected")], {"automatic": False}, Pin, ""),
    "rolled back from it": ([PROVED, promoted(R2, "rolled-back")], {}, Noop, "rolled back from r2"),
    "on a branch for review": (
        [PROVED, promoted(R2, "pinned", branch="promote/staging-r2")],
        {},
        Wait,
        "waits to be merged",
    ),
    "somebody is asked": ([PROVED, promoted(R2, "asked")], {}, Wait, "waits for a decision"),
    "somebody is asked about another one": ([PROVED, promoted(R1, "asked")], {}, Wait, "r1 waits for a decision"),
    "this very run asked": ([PROVED, promoted(R2, "asked", by="run-2")], {}, Pin, ""),
    "nobody answered in time": ([PROVED, promoted(R2, "asked", minutes_ago=61)], {}, Pin, ""),
    "held after a rollback": (
        [PROVED, Hold(environment="staging", at=NOON, reason="rolled back from r3")],
        {},
        Wait,
        "rolled back from r3",
    ),
}


@pytest.mark.parametrize(("records", "situation", "kind", "words"), STEPS.values(), ids=STEPS.keys())
def test_next_step(records: list, situation: dict, kind: type, words: str):
    found = step(*records, **situation)
    assert isinstance(found, kind), found
    assert words in describe(found)


def choose(*records, current: Release | None = R1, releases=(R1, R2, R3)):
    return choose_release(releases, current=current, upstream_clusters=UP, ledger=Ledger(records))


CHOICES = {
    "the newest that is proved": ([verified(R2, UP[0]), verified(R3, UP[0])], {}, "r3"),
    "not one that is only newer": ([verified(R2, UP[0])], {}, "r2"),
    "nothing proved: the newest, so that its gate says why": ([], {}, "r3"),
    "taken back": ([verified(R3, UP[0]), verified(R3, UP[0], ok=False), verified(R2, UP[0])], {}, "r2"),
    "nothing newer": ([verified(R3, UP[0])], {"current": R3}, "nothing is newer than r3"),
    "never backwards": ([verified(R1, UP[0])], {"current": R2, "releases": (R1, R2)}, "nothing is newer than r2"),
    "nothing cut": ([], {"current": None, "releases": ()}, "no release was cut yet"),
}


@pytest.mark.parametrize(("records", "situation", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_choose_release(records: list, situation: dict, expected: str):
    found = choose(*records, **situation)
    assert (found.reason if isinstance(found, Noop) else found.name) == expected


def test_a_cluster_stands_verified_with_what_it_ran_last():
    ledger = Ledger([verified(R1, "a/b", hours_ago=9), verified(R2, "a/b")])
    assert ledger.standing("a/b").release == "r2"
    assert (ledger.runs(R1.digest, "a/b"), ledger.runs(R2.digest, "a/b")) == (False, True)
    assert ledger.was_verified(R1.digest, "a/b")
    taken_back = Ledger((*ledger.records, verified(R2, "a/b", ok=False)))
    assert taken_back.standing("a/b") is None
    assert taken_back.was_verified(R1.digest, "a/b")


def approved(**changes) -> Approved:
    facts = {"cluster": "prod/p", "plan": "p1", "shared": "s1", "by": "ann", "at": NOON}
    return Approved(**(facts | changes))


@pytest.mark.parametrize(
    ("record", "asked", "found"),
    [
        (approved(), {}, True),
        (approved(plan="p2"), {}, False),
        (approved(shared="s2"), {}, False),
        (approved(shared="s2"), {"shared": None}, True),
        (approved(cluster="prod/q"), {}, False),
        (approved(at=NOON - timedelta(hours=2)), {}, False),
    ],
    ids=["this plan", "another plan", "another shared plan", "shared part is done", "another cluster", "too old"],
)
def test_an_approval_is_of_one_plan(record: Approved, asked: dict, found: bool):
    wanted = {"plan": "p1", "shared": "s1", "since": NOON - timedelta(hours=1)} | asked
    assert bool(Ledger([record]).approval_of("prod/p", **wanted)) is found


def test_the_pipeline_in_markdown():
    verdict = step(PROVED).verdict
    stages = [
        PipelineStage(
            environment="dev",
            source=None,
            pins="",
            verified={"dev/dev-1": "r2"},
            candidate="",
            step=Noop("follows the checkout"),
        ),
        PipelineStage(
            environment="staging",
            source="dev",
            pins="r1",
            verified={"staging/s-1": "r1", "staging/s-2": ""},
            candidate="r2",
            step=Wait("soak", "0:30:00 of 1:00:00 are left", NOON),
            gates=verdict.gates,
            last="last: r1 deployed 2026-11-20 10:00",
        ),
    ]
    text = pipeline_markdown(stages)
    assert "**dev** (follows the checkout) → **staging** (r1)" in text
    assert "| staging | r1 | s-1: r1, s-2: - | r2 | waits (soak): 0:30:00 of 1:00:00 are left; opens 2026-11-23" in text
    assert "### Gates of staging for r2" in text
    assert "last: r1 deployed" in text
