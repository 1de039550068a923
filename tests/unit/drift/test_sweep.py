"""What looks of one run share, and when an empty plan is remembered. The stack and Proxmox are fakes."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.specs import make_spec

from infraflux.adapters.terraform.plan import EMPTY_PLAN, Action, Change, PlanSummary
from infraflux.core.errors import Retryable
from infraflux.core.outcomes import Done, Noop
from infraflux.operations.machines_drift import Scene, Sweep, baseline_file, look_at_stack

NOW = datetime(2026, 11, 25, 2, 15, tzinfo=UTC)
SPEC = make_spec(control_planes=1, workers=1)
DRIFTED = PlanSummary(changes=(Change(address="a", type="t", action=Action.UPDATE),))


class FakeStack:
    """A stack whose plans are given beforehand; counts them."""

    label = "dev/dev-1"

    def __init__(self, directory: Path, *, plans: Sequence[PlanSummary] = (), sound: bool = True) -> None:
        self.place = SimpleNamespace(state=directory)
        self.made: list[str] = []
        self.serial = 1
        self._plans, self._sound = list(plans), sound

    def require_sound_state(self) -> str:
        if not self._sound:
            raise Retryable("the state is locked")
        return self.state_text()

    def inputs(self, variables: str) -> str:
        return f"digest of {variables}"

    def state_text(self) -> str:
        return f"serial {self.serial}"

    def plan(self, variables: str, *, deadline_s: float) -> Any:
        self.made.append(variables)
        return SimpleNamespace(summary=self._plans.pop(0) if self._plans else EMPTY_PLAN)


class World(Sweep):
    """A sweep over a Proxmox that answers one list after the other; the last one for ever."""

    def __init__(self, *answers: dict[str, Any], **settings: Any) -> None:
        super().__init__(root=Path(), fleet=None, **{"now": NOW} | settings)  # type: ignore[arg-type]
        self._answers = list(answers)

    def snapshot(self, spec: Any) -> Any:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    fresh = snapshot


def see(answer: Any, _: str | None) -> Scene:
    return Scene(variables="v", objects=answer)


def look(stack: FakeStack, world: World) -> type:
    looked, _ = look_at_stack(stack, see, sweep=world, spec=SPEC)  # type: ignore[arg-type]
    return type(looked.how)


def test_an_empty_plan_is_remembered_until_something_changes(tmp_path: Path) -> None:
    stack, same = FakeStack(tmp_path), {"vm/1": 1}
    assert [look(stack, World(same)) for _ in range(3)] == [Done, Noop, Noop]
    assert look(stack, World({"vm/1": 2})) is Done
    assert look(stack, World({"vm/1": 2})) is Noop
    stack.serial = 2
    assert look(stack, World({"vm/1": 2})) is Done
    assert look(stack, World({"vm/1": 2}, full=True)) is Done
    assert look(stack, World({"vm/1": 2}, now=NOW + timedelta(days=7))) is Done
    assert stack.made == ["v"] * 5


def test_drift_is_planned_every_time(tmp_path: Path) -> None:
    stack = FakeStack(tmp_path, plans=[EMPTY_PLAN, DRIFTED, DRIFTED])
    assert look(stack, World({"vm/1": 1})) is Done
    assert [look(stack, World({"vm/1": 2})) for _ in range(2)] == [Done, Done]
    # It was put right: the world is as it was when the plan was empty.
    assert look(stack, World({"vm/1": 1})) is Noop


def test_what_changes_while_terraform_reads_is_no_baseline(tmp_path: Path) -> None:
    stack = FakeStack(tmp_path)
    assert look(stack, World({"vm/1": 1}, {"vm/1": 1}, {"vm/1": 2})) is Done
    assert not baseline_file(stack).exists()  # type: ignore[arg-type]


def test_policy_may_want_a_plan_every_time(tmp_path: Path) -> None:
    stack, world = FakeStack(tmp_path), World({"vm/1": 1})
    always = SPEC.model_copy(update={"policy": SPEC.policy.model_copy(update={"drift": SPEC.policy.drift.model_copy(
        update={"full_plan_days": 0})})})  # fmt: skip
    for _ in range(2):
        looked, _scene = look_at_stack(stack, see, sweep=world, spec=always)  # type: ignore[arg-type]
        assert isinstance(looked.how, Done)


def test_a_state_that_cannot_be_trusted_is_an_error_whatever_was_known(tmp_path: Path) -> None:
    assert look(FakeStack(tmp_path), World({"vm/1": 1})) is Done
    with pytest.raises(Retryable, match="locked"):
        look(FakeStack(tmp_path, sound=False), World({"vm/1": 1}))


def test_what_is_shared_is_made_once_and_its_error_is_everybodys() -> None:
    world, made = World({}), []
    begun = threading.Barrier(4, timeout=10)

    def make() -> int:
        made.append(1)
        return 7

    def ask(_: int) -> int:
        begun.wait()
        return world.once(("shared", "dev"), make)

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert list(pool.map(ask, range(4))) == [7] * 4
    assert made == [1]

    def fail() -> None:
        made.append(2)
        raise Retryable("no route")

    for _ in range(2):
        with pytest.raises(Retryable, match="no route"):
            world.once(("shared", "prod"), fail)
    assert made == [1, 2]
