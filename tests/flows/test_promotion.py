"""The story of a release, dev to prod and back, on a real Prefect server and a real repository, by a clock of its own.

What needs machines is played: plans are empty, and a deploy records what it would prove. `tests/e2e` has the real ones.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes.projects import commit_all, git, make_project
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State

from flows.promote import promote
from flows.rollback import rollback
from infraflux.config.load import Fleet
from infraflux.config.models.policy import Approval
from infraflux.delivery.records import Hold, Promoted, Verified
from infraflux.delivery.release import Release
from infraflux.operations.releases import DeliveryLedger, cut_release
from tasks import promotion
from tasks.engine.approval import Agreed, Question, Rejected
from tasks.engine.children import ChildEnded
from tasks.engine.locks import cluster_lock

pytestmark = pytest.mark.prefect

MONDAY = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@dataclass
class World:
    """A project, a clock, and machines that are only played."""

    root: Path
    now: datetime = MONDAY
    deploys: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def pass_time(self, **by: float) -> None:
        self.now += timedelta(**by)

    def cut(self, talos: str) -> Release:
        path = self.root / "config" / "defaults" / "versions.yaml"
        path.write_text(f"versions:\n  talos: {talos}\n  kubernetes: v1.36.3\n")
        commit_all(self.root, f"Talos {talos}")
        return cut_release(self.root, environment="dev", now=self.now, commit_it=True)[0]

    def verify(self, release: Release, cluster: str) -> None:
        record = Verified(digest=release.digest, release=release.name, cluster=cluster, at=self.now)
        DeliveryLedger(self.root).add(record)

    def run_child(self, deployment: str, *, name: str, parameters: dict[str, Any], tag: str) -> ChildEnded:
        environment = deployment.partition("/")[2]
        key = f"{environment}/{parameters['cluster']}"
        self.deploys.append(key)
        if key in self.failing:
            return ChildEnded("run-x", "FAILED", "no quorum")
        spec = Fleet.load(self.root).cluster(key)
        release = promotion.look_at_promotion(self.root, environment, release=str(spec.release)).release
        assert release is not None
        self.verify(release, key)
        return ChildEnded("run-x", "COMPLETED", "")

    def approve(self, *, question: Question, rules: Approval, **_rest: Any) -> Agreed:
        if not rules.required:
            return Agreed("no approval needed")
        self.asked.append(question.markdown)
        if self.answers.pop(0) == "reject":
            raise Rejected("rejected by ann: not today", stage="approve")
        return Agreed("approved by ann", "ann")

    def pins(self, environment: str) -> str | None:
        return Fleet.load(self.root).of(environment)[0].release

    def states(self, environment: str) -> list[str]:
        records = DeliveryLedger(self.root).read().records
        return [one.state for one in records if isinstance(one, Promoted) and one.environment == environment]


@pytest.fixture
def world(server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(make_project(tmp_path / "project"))
    monkeypatch.chdir(made.root)
    monkeypatch.setattr(promotion, "now", lambda: made.now)
    monkeypatch.setattr(promotion, "run_child", made.run_child)
    monkeypatch.setattr(promotion, "approve", made.approve)
    monkeypatch.setattr(promotion, "plan_promotion", lambda *_args, **_kwargs: [])
    return made


def run(monkeypatch: pytest.MonkeyPatch, environment: str, flow: Any = promote, **parameters: Any) -> State[Any]:
    monkeypatch.setenv("INFRAFLUX_ENVIRONMENT", environment)
    state: State[Any] = flow(**parameters, return_state=True)
    return state


def test_a_release_walks_to_prod_and_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.cut("v1.13.8")
    assert run(monkeypatch, "staging", automatic=True).name == "NotReady"
    world.verify(first, "dev/dev-1")

    waiting = run(monkeypatch, "staging", automatic=True, release="r1")
    assert (waiting.name, world.pins("staging")) == ("Waiting", None)
    assert "waits (soak): 1:00:00 of 1:00:00 are left" in str(waiting.message)

    world.pass_time(hours=1)
    done = run(monkeypatch, "staging", automatic=True, release="r1")
    assert (done.name, world.pins("staging"), world.deploys) == ("Completed", "r1", ["staging/staging-1"])
    assert world.states("staging") == ["pinned", "deployed"]
    # The event comes twice.
    assert run(monkeypatch, "staging", automatic=True, release="r1").name == "NothingToPromote"
    assert world.deploys == ["staging/staging-1"]

    assert "waits (soak)" in str(run(monkeypatch, "prod", automatic=True).message)
    world.pass_time(hours=24)
    world.answers = ["reject", "approve"]
    assert run(monkeypatch, "prod", automatic=True).is_failed()
    assert world.pins("prod") is None
    assert "rejected" in str(run(monkeypatch, "prod", automatic=True).message)  # automation lets it rest
    assert run(monkeypatch, "prod", reason="ann said so").is_completed()
    assert world.pins("prod") == "r1"
    assert "| versions.talos |" not in world.asked[-1]
    assert "### Gates" in world.asked[-1]

    second = world.cut("v1.13.9")
    world.verify(second, "dev/dev-1")
    world.pass_time(hours=1)
    assert run(monkeypatch, "staging", automatic=True).is_completed()
    assert world.pins("staging") == "r2"

    back = run(monkeypatch, "staging", rollback, reason="latency doubled")
    assert (back.name, world.pins("staging")) == ("Completed", "r1")
    assert DeliveryLedger(world.root).read().hold_on("staging") is not None
    assert world.deploys[-1] == "staging/staging-1"
    resting = run(monkeypatch, "staging", automatic=True)
    assert (resting.name, world.pins("staging")) == ("NothingToPromote", "r1")
    third = world.cut("v1.13.7")
    world.verify(third, "dev/dev-1")
    world.pass_time(hours=1)
    assert "held since" in str(run(monkeypatch, "staging", automatic=True).message)
    DeliveryLedger(world.root).add(Hold(environment="staging", at=world.now, reason="looked into", released=True))
    assert run(monkeypatch, "staging", automatic=True).is_completed()
    assert world.pins("staging") == "r3"
    assert git(world.root, "status", "--porcelain") == ""


def test_a_failed_deploy_is_left_to_a_person(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.verify(world.cut("v1.13.8"), "dev/dev-1")
    world.pass_time(hours=1)
    world.failing = {"staging/staging-1"}
    failed = run(monkeypatch, "staging", automatic=True)
    assert failed.is_failed()
    assert "no quorum" in str(failed.message)
    assert run(monkeypatch, "staging", automatic=True).name == "NotReady"
    world.failing = set()
    assert run(monkeypatch, "staging").is_completed()
    assert world.states("staging") == ["pinned", "failed", "deployed"]


def test_a_run_that_died_after_the_pin_is_taken_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.verify(world.cut("v1.13.8"), "dev/dev-1")
    world.pass_time(hours=1)

    def die(*_args: Any, **_kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "run_child", die)
        with pytest.raises(KeyboardInterrupt):
            run(monkeypatch, "staging", automatic=True)
    assert (world.pins("staging"), world.states("staging")) == ("r1", ["pinned"])
    assert run(monkeypatch, "staging", automatic=True).is_completed()
    assert world.states("staging") == ["pinned", "deployed"]
    assert git(world.root, "log", "--format=%s").count("Pin staging") == 1


def test_a_second_promotion_waits_for_its_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = world.root / ".infraflux" / "locks"
    lock = cluster_lock("promotion/staging", directory=locks, flow_run_id=str(uuid4()), flow_run_name="promote-staging")
    with lock:
        waiting = run(monkeypatch, "staging", automatic=True)
    assert waiting.name == "Waiting"
    assert "promotion/staging is busy: held by promote-staging" in str(waiting.message)
    assert world.deploys == []


@pytest.mark.parametrize("answer", ["reject", "approve"])
def test_a_release_that_waited_behind_a_question_is_taken_up(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    again: list[tuple[str, dict[str, Any]]] = []

    def look_again(_run: Any, release: str, **how: Any) -> str:
        turn = cluster_lock(
            "promotion/prod", directory=world.root / ".infraflux/locks", flow_run_id=str(uuid4()), flow_run_name="next"
        )
        with turn:  # free for the run that is asked for
            again.append((release, how))
        return ""

    monkeypatch.setattr(promotion, "look_again", look_again)
    first = world.cut("v1.13.8")
    world.verify(first, "staging/staging-1")
    world.pass_time(hours=24)
    second = world.cut("v1.13.9")

    def answer_late(**question: Any) -> Agreed:
        world.verify(second, "staging/staging-1")
        world.pass_time(hours=24)
        return world.approve(**question)

    monkeypatch.setattr(promotion, "approve", answer_late)
    world.answers = [answer]
    run(monkeypatch, "prod", automatic=True, release=first.name)
    assert again == [(second.name, {"at": world.now, "automatic": True})]


def test_a_refused_wish_of_a_person_fails_and_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cut("v1.13.8")
    refused = run(monkeypatch, "staging", release="r1")
    assert refused.is_failed()
    assert "r1 is not verified on dev/dev-1" in str(refused.message)


def test_the_pipeline_is_an_artifact(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.verify(world.cut("v1.13.8"), "dev/dev-1")
    world.pass_time(hours=1)
    assert run(monkeypatch, "staging", automatic=True).is_completed()
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["promotion-pipeline"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    assert any("**staging** (r1)" in str(artifact.data) for artifact in found)
