"""Promotions on a real repository: the pin looked at before it is written, written through Git, and the way back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.projects import commit_all, git, make_project

from infraflux.adapters.git_repo import GitRepo
from infraflux.config.load import Fleet
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done, Noop
from infraflux.delivery.pipeline import Deploy, Pin, Refused, Wait
from infraflux.delivery.promotion import Rollback, hold_after_rollback
from infraflux.delivery.records import Promoted, Verified
from infraflux.delivery.release import Release
from infraflux.drift.findings import ClusterDrift, DriftClass, Finding, Layer, Owner
from infraflux.operations.delivery import breaks_verification, record_looks, revoke
from infraflux.operations.promotion import (
    look_at_promotion,
    look_at_rollback,
    pinned_text,
    read_pipeline,
    with_pin,
    write_pin,
)
from infraflux.operations.releases import DeliveryLedger, cut_release

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def talos(root: Path, version: str, kubernetes: str = "v1.36.3") -> None:
    path = root / "config" / "defaults" / "versions.yaml"
    path.write_text(f"versions:\n  talos: {version}\n  kubernetes: {kubernetes}\n")
    commit_all(root, f"Talos {version}")


def cut(root: Path, version: str, *, at: datetime = MONDAY, kubernetes: str = "v1.36.3") -> Release:
    talos(root, version, kubernetes)
    return cut_release(root, environment="dev", now=at, commit_it=True)[0]


def prove(root: Path, release: Release, *clusters: str, at: datetime = MONDAY) -> None:
    records = [Verified(digest=release.digest, release=release.name, cluster=key, at=at) for key in clusters]
    DeliveryLedger(root).add(*records)


def look(root: Path, environment: str = "staging", *, at: datetime = MONDAY + timedelta(hours=2), **asked):
    return look_at_promotion(root, environment, automatic=True, now=at, **asked)


def pin(root: Path, release: Release, environment: str = "staging"):
    return write_pin(root, look(root, environment, release=release.name), release, reason="a test")


def test_a_proved_release_may_go_on_after_its_soak_time(project: Path):
    release = cut(project, "v1.13.8")
    assert isinstance(look(project).step, Refused)
    prove(project, release, "dev/dev-1")
    assert isinstance(look(project).step, Pin)
    soaking = look(project, at=MONDAY + timedelta(minutes=10)).step
    assert isinstance(soaking, Wait)
    assert (soaking.gate, soaking.opens_at) == ("soak", MONDAY + timedelta(hours=1))


def test_the_pin_is_one_commit_of_one_line(project: Path):
    release = cut(project, "v1.13.8")
    talos(project, "v1.13.9")
    before = git(project, "rev-parse", "HEAD")
    written = pin(project, release)
    assert git(project, "rev-parse", "HEAD") == written.commit
    assert git(project, "diff", "--numstat", before, "HEAD") == "1\t0\tconfig/environments/staging.yaml"
    assert git(project, "log", "-1", "--format=%s") == "Pin staging to r1"
    assert git(project, "status", "--porcelain") == ""
    fleet = Fleet.load(project)
    assert [fleet.cluster(key).versions.talos for key in ("dev/dev-1", "staging/staging-1")] == ["v1.13.9", "v1.13.8"]


def test_a_second_pin_changes_the_line(project: Path):
    pin(project, cut(project, "v1.13.8"))
    pin(project, cut(project, "v1.13.9", at=MONDAY + timedelta(minutes=1)))
    text = (project / "config" / "environments" / "staging.yaml").read_text()
    assert [line for line in text.splitlines() if line.startswith("release:")] == ["release: r2"]


def test_a_pin_for_review_is_a_branch_and_nothing_else(project: Path):
    edit(project / "config/environments/staging.yaml", "mode: auto", "mode: auto\n    write: branch")
    release = cut(project, "v1.13.8")
    before = git(project, "rev-parse", "HEAD")
    written = pin(project, release)
    assert written.branch == "promote/staging-r1"
    assert git(project, "rev-parse", "HEAD") == before
    assert "release: r1" in git(project, "show", "promote/staging-r1:config/environments/staging.yaml")
    git(project, "merge", "--quiet", "--ff-only", written.branch)
    assert isinstance(look(project).step, Deploy)


def test_a_pin_is_pushed_before_the_checkout_moves(project: Path, tmp_path: Path):
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", str(remote))
    git(project, "remote", "add", "origin", str(remote))
    edit(project / "config/environments/staging.yaml", "mode: auto", "mode: auto\n    remote: origin")
    release = cut(project, "v1.13.8")
    written = pin(project, release)
    assert git(remote, "rev-parse", "main") == written.commit
    # Somebody else pushed: the remote refuses, and nothing of the new pin is left here.
    other = GitRepo(project).commit_files({"other.txt": "x"}, message="Somebody else")
    git(project, "push", "-q", "origin", f"{other}:refs/heads/main")
    second = cut(project, "v1.13.9", at=MONDAY + timedelta(minutes=1))
    before = git(project, "rev-parse", "HEAD")
    with pytest.raises(Permanent, match="git push failed"):
        pin(project, second)
    assert git(project, "rev-parse", "HEAD") == before


def test_a_file_with_changes_of_its_own_is_left_alone(project: Path):
    release = cut(project, "v1.13.8")
    path = project / "config" / "environments" / "staging.yaml"
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(Permanent, match=r"staging.yaml has changes that are not committed"):
        pin(project, release)


@pytest.mark.parametrize("text", ["{policy: {}}\n", "- a\n", "a: [\n"])
def test_a_file_that_takes_no_line_is_refused(text: str):
    with pytest.raises(Permanent, match="cannot be given"):
        pinned_text(text, "r1", file="staging.yaml")


def test_the_configuration_can_be_read_as_it_would_be_with_the_pin(project: Path):
    release = cut(project, "v1.13.8")
    fleet = Fleet.load(project, instead=with_pin(project, "staging", release.name))
    assert fleet.cluster("staging/staging-1").release == "r1"
    assert Fleet.load(project).cluster("staging/staging-1").release is None
    assert git(project, "status", "--porcelain") == ""


def test_a_release_that_breaks_the_configuration_is_refused_before_it_is_written(project: Path):
    """The release's Talos does not run the Kubernetes that staging's own file asks for."""
    release = cut(project, "v1.12.3", kubernetes="v1.35.1")
    prove(project, release, "dev/dev-1")
    talos(project, "v1.13.9")
    path = project / "clusters" / "overlays" / "staging" / "staging-1.yaml"
    path.write_text(path.read_text() + "versions:\n  kubernetes: v1.36.3\n")
    step = look(project, release="r1").step
    assert isinstance(step, Refused)
    assert (step.gate, "Talos v1.12.3 does not run v1.36.3" in step.reason) == ("matrix", True)


def test_what_is_pinned_and_not_deployed_comes_before_anything_newer(project: Path):
    first = cut(project, "v1.13.8")
    pin(project, first)
    second = cut(project, "v1.13.9", at=MONDAY + timedelta(minutes=1))
    prove(project, second, "dev/dev-1")
    found = look(project)
    assert found.step == Deploy(found.release, ("staging/staging-1",))
    assert found.release.name == "r1"
    prove(project, first, "staging/staging-1")
    assert look(project).release.name == "r2"


def test_automation_does_not_stay_with_a_release_that_failed(project: Path):
    first = cut(project, "v1.13.8")
    pin(project, first)
    second = cut(project, "v1.13.9", at=MONDAY + timedelta(minutes=1))
    prove(project, second, "dev/dev-1")
    failed = Promoted(digest=first.digest, release="r1", environment="staging", state="failed", at=MONDAY)
    DeliveryLedger(project).add(failed)
    assert look(project).release.name == "r2"
    by_hand = look_at_promotion(project, "staging", now=MONDAY + timedelta(hours=2))
    assert by_hand.step == Deploy(first, ("staging/staging-1",))


def rolled_forward(project: Path) -> tuple[Release, Release]:
    """Staging ran r1 and runs r2."""
    first = cut(project, "v1.13.8")
    second = cut(project, "v1.13.9", at=MONDAY + timedelta(minutes=1))
    pin(project, second)
    prove(project, first, "dev/dev-1", "staging/staging-1")
    prove(project, second, "dev/dev-1", "staging/staging-1", at=MONDAY + timedelta(minutes=5))
    return first, second


def test_rollback_goes_to_what_was_verified_there_and_goes_on_after_a_crash(project: Path):
    first, second = rolled_forward(project)
    seen, back = look_at_rollback(project, "staging")
    assert isinstance(back, Rollback)
    assert (seen.current.name, back.to.name) == ("r2", "r1")
    at = MONDAY + timedelta(minutes=10)
    ledger = DeliveryLedger(project)
    ledger.add(hold_after_rollback("staging", at=at, from_release=second.name))
    pin(project, back.to)
    ledger.add(Promoted(digest=first.digest, release="r1", environment="staging", state="pinned", at=at))
    assert look_at_rollback(project, "staging")[1] == Deploy(first, ("staging/staging-1",))
    prove(project, first, "staging/staging-1", at=at)
    step = look(project).step
    assert isinstance(step, Wait | Noop)
    assert not isinstance(step, Pin)


def test_an_environment_without_a_pin_has_no_way_back(project: Path):
    with pytest.raises(Permanent, match="pins no release"):
        look_at_rollback(project, "staging")


def finding(drift_class: DriftClass) -> Finding:
    return Finding(
        layer=Layer.TALOS,
        object="n",
        field="f",
        wanted="a",
        seen="b",
        drift_class=drift_class,
        owner=Owner.TALOSCTL,
    )


def report(*classes: DriftClass, **changes) -> ClusterDrift:
    return ClusterDrift(cluster="dev/dev-1", at=MONDAY, findings=tuple(map(finding, classes)), **changes)


@pytest.mark.parametrize(
    ("seen", "broken"),
    [
        (report(), False),
        (report(DriftClass.HARMLESS), False),
        (report(DriftClass.EXPECTED), False),
        (report(DriftClass.HARMLESS, DriftClass.REPAIRABLE), True),
        (report(DriftClass.DANGEROUS), True),
        (report(DriftClass.DANGEROUS, unknown=("no answer",)), False),
        (report(skipped="held"), False),
    ],
)
def test_which_looks_break_a_verification(seen: ClusterDrift, broken: bool):
    assert breaks_verification(seen) is broken


def test_a_changed_cluster_no_longer_proves_its_release(project: Path):
    release = cut(project, "v1.13.8")
    prove(project, release, "dev/dev-1")
    (line,) = record_looks(project, [report(DriftClass.REPAIRABLE)])
    assert "dev/dev-1 is no longer verified with r1" in line
    assert isinstance(look(project).step, Refused)
    assert record_looks(project, [report(DriftClass.REPAIRABLE)]) == []


def test_a_failed_deploy_takes_only_the_last_verification_back(project: Path):
    first, second = rolled_forward(project)
    assert isinstance(revoke("staging/staging-1", root=project, why="run x"), Done)
    ledger = DeliveryLedger(project).read()
    assert ledger.was_verified(first.digest, "staging/staging-1")
    assert not ledger.was_verified(second.digest, "staging/staging-1")


def test_the_pipeline_of_the_shipped_fleet(project: Path):
    release = cut(project, "v1.13.8")
    prove(project, release, "dev/dev-1")
    dev, staging, prod = read_pipeline(project, now=MONDAY + timedelta(minutes=30))
    assert (dev.environment, dev.verified, dev.candidate) == ("dev", {"dev/dev-1": "r1"}, "")
    assert (staging.candidate, staging.step.gate, staging.pins) == ("r1", "soak", "")
    assert (prod.candidate, prod.step.gate) == ("r1", "upstream")
    assert [gate.name for gate in staging.gates][:3] == ["upstream", "soak", "freeze"]
