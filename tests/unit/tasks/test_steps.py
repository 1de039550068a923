"""The steps of a plan as tasks: one each, named as a person reads them, and each says what it did."""

from typing import Any

import pytest

from infraflux.core.outcomes import Done, Noop
from infraflux.operations import execution
from infraflux.operations.execution import Step
from tasks import steps

TASKS = (*steps.BEFORE_MACHINES, *steps.AFTER_MACHINES)


def test_no_two_steps_share_a_stage_a_name_or_a_task_key() -> None:
    for of in (lambda one: one[0], lambda one: one[1].name, lambda one: one[1].task_key):
        assert len({of(one) for one in TASKS}) == len(TASKS)


def test_a_task_is_described_by_what_it_executes() -> None:
    by_stage = dict(TASKS)
    assert by_stage["etcd"].name == "bootstrap etcd"
    assert by_stage["etcd"].description == execution.bootstrap_etcd.__doc__


@pytest.mark.parametrize(
    ("found", "logged"),
    [
        (Done("made"), ["made"]),
        ({"a": Done("made"), "b": Noop("there")}, ["a: made", "b: nothing to do: there"]),
    ],
)
def test_a_step_says_what_it_did(monkeypatch: pytest.MonkeyPatch, found: Any, logged: list[str]) -> None:
    lines: list[str] = []
    monkeypatch.setattr("tasks.engine.step.log_line", lines.append)
    task = steps.as_task(Step("x", "do x", lambda _opened, _planned: found))
    assert task.fn(opened=None, planned=None) == found
    assert lines == logged
