"""A full plan is spared only where nothing that it follows from has changed; every other case says why it is made."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infraflux.drift.quick import Baseline, Evidence, evidence_of, why_full

NOW = datetime(2026, 11, 25, 2, 15, tzinfo=UTC)
WEEK = timedelta(days=7)
OBJECTS: dict[str, Any] = {"vm/1": {"cores": 2, "tags": "a;b"}, "vm/2": None, "rule/x": {"strict": 1}}


def seen(**changes: Any) -> Evidence:
    return evidence_of(**{"inputs": "i", "state": '{"serial": 1}', "objects": OBJECTS} | changes)


def objects(**changes: Any) -> Evidence:
    return seen(objects=OBJECTS | {name.replace("_", "/"): value for name, value in changes.items()})


CASES = {
    "nothing changed": (seen(), ""),
    "fields in another order": (objects(vm_1={"tags": "a;b", "cores": 2}), ""),
    "configuration": (seen(inputs="j"), "the configuration has changed"),
    "state": (seen(state='{"serial": 2}'), "the state has changed"),
    "state lost": (seen(state=None), "the state has changed"),
    "a field": (objects(vm_1={"cores": 4, "tags": "a;b"}), "differently on vm/1"),
    "a type": (objects(vm_1={"cores": "2", "tags": "a;b"}), "differently on vm/1"),
    "a field more": (objects(vm_1={"cores": 2, "tags": "a;b", "new": 1}), "differently on vm/1"),
    "an object came": (objects(vm_2={}), "differently on vm/2"),
    "an object went": (objects(vm_1=None), "differently on vm/1"),
    "an object nobody knew": (objects(vm_3=None), "differently on vm/3"),
    "an object nobody asks for any more": (seen(objects={"vm/1": OBJECTS["vm/1"]}), "on rule/x, vm/2"),
    "many": (seen(objects={}) , "on rule/x, vm/1, vm/2"),
    "more than are named": (objects(vm_1=0, vm_2=0, vm_3=0, vm_4=0), "vm/1, vm/2, vm/3 and 1 more"),
}  # fmt: skip


@pytest.mark.parametrize(("evidence", "reason"), CASES.values(), ids=CASES.keys())
def test_why(evidence: Evidence, reason: str) -> None:
    baseline = Baseline(at=NOW - timedelta(days=1), evidence=seen())
    found = why_full(baseline, evidence, now=NOW, max_age=WEEK)
    assert reason in found
    assert bool(found) is bool(reason)


AGES = {
    "just now": (timedelta(0), WEEK, False),
    "three days": (timedelta(days=3), WEEK, False),
    "a week": (timedelta(days=7), WEEK, True),
    "of the future": (timedelta(days=-1), WEEK, True),
    "always planned": (timedelta(0), timedelta(0), True),
}


@pytest.mark.parametrize(("age", "max_age", "full"), AGES.values(), ids=AGES.keys())
def test_an_old_plan_is_not_believed(age: timedelta, max_age: timedelta, full: bool) -> None:
    baseline = Baseline(at=NOW - age, evidence=seen())
    assert bool(why_full(baseline, seen(), now=NOW, max_age=max_age)) is full


def test_stacks_come_due_on_different_days_and_none_after_the_bound() -> None:
    def days_until_due(stack: str) -> int:
        baseline = Baseline(at=NOW, evidence=seen())
        return next(
            day
            for day in range(9)
            if why_full(baseline, seen(), now=NOW + day * timedelta(days=1), max_age=WEEK, stack=stack)
        )

    due = [days_until_due(f"dev/dev-{number}") for number in range(60)]
    assert set(due) == {4, 5, 6, 7}


def test_without_a_clean_plan_there_is_nothing_to_compare_with() -> None:
    assert why_full(None, seen(), now=NOW, max_age=WEEK) == "no full plan was empty yet"


def test_a_baseline_is_kept_as_text() -> None:
    baseline = Baseline(at=NOW, evidence=seen())
    assert Baseline.model_validate_json(baseline.model_dump_json()) == baseline
