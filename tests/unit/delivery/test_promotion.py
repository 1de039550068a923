"""Each gate stops what it is for, in order, and says when it opens."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from fakes.releases import cut_of
from fakes.specs import make_spec

from infraflux.config.models.policy import Policy, Promotion, Window
from infraflux.config.windows import is_inside, next_opening
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Noop
from infraflux.delivery.promotion import GateState, Question, decide_rollback, judge
from infraflux.delivery.records import Hold, Ledger, Promoted, Verified, parse_record
from infraflux.delivery.release import Release

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday


def release(name: str, *, talos: str = "v1.13.9", kubernetes: str = "v1.36.3", at: datetime = NOON) -> Release:
    spec = make_spec(versions={"talos": talos, "kubernetes": kubernetes})
    return cut_of([spec], name=name, at=at)


R1, R2 = release("r1", talos="v1.13.8", at=NOON - timedelta(days=9)), release("r2")


def verified(one: Release = R2, *, cluster: str = "dev/dev-1", ago_h: float = 2, ok: bool = True) -> Verified:
    at = NOON - timedelta(hours=ago_h)
    return Verified(digest=one.digest, release=one.name, cluster=cluster, at=at, ok=ok)


def ask(*records, promotion: dict | None = None, **changes):
    policy = Policy(promotion=Promotion(**({"source": "dev", "mode": "auto", "soak_s": 3600} | (promotion or {}))))
    defaults = {
        "release": R2,
        "current": R1,
        "target": "staging",
        "upstream_clusters": ("dev/dev-1",),
        "policy": policy,
        "ledger": Ledger(records),
        "now": NOON,
        "automatic": True,
    }
    return judge(Question(**(defaults | changes)))


def test_verified_soaked_and_in_order_is_open():
    verdict = ask(verified())
    assert verdict.open
    assert [gate.name for gate in verdict.gates] == [
        *("upstream", "soak", "freeze", "window", "hold", "mode", "parity", "matrix", "reversibility"),
    ]
    assert [change.path for change in verdict.changes] == ["versions.talos"]


def test_same_content_again_is_nothing_to_do():
    assert isinstance(ask(verified(), current=release("r7")), Noop)


WINDOW = {"name": "night", "days": ["mon"], "start": "22:00", "end": "04:00"}
BLOCKED = {
    "unverified": ([], {}, "upstream", GateState.REFUSE, "r2 is not verified on dev/dev-1"),
    "another content verified": ([verified(R1)], {}, "upstream", GateState.REFUSE, "not verified"),
    "one cluster missing": (
        [verified()],
        {"upstream_clusters": ("dev/dev-1", "dev/dev-2")},
        "upstream",
        GateState.REFUSE,
        "dev/dev-2",
    ),
    "verification revoked": (
        [verified(), verified(ago_h=1, ok=False)],
        {},
        "upstream",
        GateState.REFUSE,
        "not verified",
    ),
    "no upstream cluster": ([], {"upstream_clusters": ()}, "upstream", GateState.REFUSE, "no cluster"),
    "soaking": ([verified(ago_h=0.5)], {}, "soak", GateState.WAIT, "0:30:00 of 1:00:00 are left"),
    "frozen": ([verified()], {"promotion": {"freeze": True}}, "freeze", GateState.WAIT, "freeze is on"),
    "outside the window": ([verified()], {"promotion": {"windows": [WINDOW]}}, "window", GateState.WAIT, "22:00 UTC"),
    "held": (
        [verified(), Hold(environment="staging", at=NOON, reason="rolled back from r3")],
        {},
        "hold",
        GateState.WAIT,
        "rolled back from r3",
    ),
    "manual only": ([verified()], {"promotion": {"mode": "manual"}}, "mode", GateState.WAIT, "by hand"),
    "parity": ([verified()], {"parity_problems": ("ntp differs",)}, "parity", GateState.REFUSE, "ntp differs"),
    "matrix": ([verified()], {"matrix_problems": ("Cilium too old",)}, "matrix", GateState.REFUSE, "Cilium too old"),
}


@pytest.mark.parametrize(("records", "changes", "gate", "state", "words"), BLOCKED.values(), ids=BLOCKED.keys())
def test_a_closed_gate_is_named(records: list, changes: dict, gate: str, state: GateState, words: str):
    blocking = ask(*records, **changes).blocking
    assert (blocking.name, blocking.state) == (gate, state)
    assert words in blocking.reason


def test_waiting_gates_say_when_they_open():
    assert ask(verified(ago_h=0.5)).blocking.opens_at == NOON + timedelta(minutes=30)
    assert ask(verified(), promotion={"windows": [WINDOW]}).blocking.opens_at == NOON.replace(hour=22)


def test_a_verification_after_a_failure_starts_the_soak_anew():
    records = [verified(ago_h=9), verified(ago_h=8, ok=False), verified(ago_h=0.5)]
    assert ask(*records).blocking.name == "soak"


def test_a_person_passes_hold_and_manual_mode_but_no_verification():
    hold = Hold(environment="staging", at=NOON, reason="rolled back")
    assert ask(verified(), hold, promotion={"mode": "manual"}, automatic=False).open
    assert ask(hold, automatic=False).blocking.name == "upstream"


def test_released_hold_is_open_again():
    hold = Hold(environment="staging", at=NOON, reason="rolled back")
    assert ask(verified(), hold, hold.model_copy(update={"released": True})).open


def test_no_way_back_is_told_and_does_not_block():
    verdict = ask(verified(), current=release("r0", kubernetes="v1.35.5"))
    assert verdict.open
    assert "no way back for versions.kubernetes v1.35.5 -> v1.36.3" in verdict.gates[-1].reason


@pytest.mark.parametrize(
    ("moment", "inside"),
    [("2026-11-23T22:00", True), ("2026-11-24T03:59", True), ("2026-11-24T04:00", False), ("2026-11-24T22:30", False)],
)
def test_a_window_past_midnight_belongs_to_its_first_day(moment: str, inside: bool):
    assert is_inside(Window(**WINDOW), datetime.fromisoformat(moment).replace(tzinfo=UTC)) is inside


def test_windows_follow_their_own_clock_over_daylight_saving():
    window = Window(name="day", days=("sun",), start="09:00", end="10:00", timezone="Europe/Berlin")
    before, after = datetime(2026, 10, 18, 7, 30, tzinfo=UTC), datetime(2026, 10, 25, 8, 30, tzinfo=UTC)
    assert is_inside(window, before)
    assert is_inside(window, after)
    assert not is_inside(window, datetime(2026, 10, 25, 7, 30, tzinfo=UTC))


def test_next_opening_is_the_earliest_of_all_windows():
    late = Window(name="late", days=("mon",), start="22:00", end="23:00")
    assert next_opening([Window(name="wed", days=("wed",), start="01:00", end="02:00"), late], NOON) == NOON.replace(
        hour=22
    )


def rollback(current: Release, *records):
    releases = [R1, R2, release("r3", kubernetes="v1.37.0", at=NOON + timedelta(days=1))]
    return decide_rollback(
        target="staging", clusters=["staging/s-1"], current=current, releases=releases, ledger=Ledger(records)
    )


def test_rollback_goes_to_the_newest_verified_there():
    found = rollback(R2, verified(R1, cluster="staging/s-1"), verified(R2, cluster="staging/s-1"))
    assert found.to.name == "r1"
    assert [change.after for change in found.changes] == ["v1.13.8"]


def test_rollback_over_a_kubernetes_minor_is_refused_with_the_reason():
    current = release("r3", kubernetes="v1.37.0", at=NOON + timedelta(days=1))
    with pytest.raises(Permanent, match="does not go back a minor"):
        rollback(current, verified(R2, cluster="staging/s-1"))


@pytest.mark.parametrize(
    "records", [[], [verified(R1, cluster="dev/dev-1")], [verified(R1, cluster="staging/s-1", ok=False)]]
)
def test_rollback_without_a_verified_release_is_refused(records: list):
    with pytest.raises(Permanent, match="no other release was ever verified there"):
        rollback(R2, *records)


def test_a_record_of_before_there_were_branches_is_read():
    document = {"kind": "promoted", "digest": R2.digest, "release": "r2", "environment": "staging"}
    line = json.dumps({**document, "state": "pinned", "at": NOON.isoformat(), "detail": "promote/staging-r2"})
    found = parse_record(line)
    assert (found.branch, found.detail) == ("promote/staging-r2", "")


def test_records_round_trip():
    promoted = Promoted(digest=R2.digest, release="r2", environment="staging", state="asked", at=NOON)
    for record in (verified(), promoted, Hold(environment="prod", at=NOON, reason="x")):
        assert parse_record(record.model_dump_json()) == record
