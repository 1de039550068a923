"""Plans, applies and the state around them, with the real program and no provider."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infraflux.adapters.terraform.errors import PlanStale
from infraflux.adapters.terraform.events import EventKind
from infraflux.adapters.terraform.lock import StateLocked
from infraflux.adapters.terraform.plan import EMPTY_PLAN, Action
from infraflux.adapters.terraform.stack import Stack
from infraflux.adapters.terraform.state import StateRefused
from infraflux.core import process
from infraflux.core.errors import InfrafluxError

pytestmark = pytest.mark.tools
CANARY = "canary-77c1"
StackWith = Callable[..., Stack]


def variables(*names: str, wait_s: float = 0) -> str:
    return json.dumps({"nodes": {name: f"value-of-{name}" for name in names}, "wait_s": wait_s})


def started(stack: Stack) -> bool:
    """Whether an apply has begun to make something; the flag is taken away."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for flag in stack.place.state.glob("work/*/terraform/cluster/started"):
            flag.unlink()
            return True
        time.sleep(0.02)
    return False


def test_plan_apply_and_then_nothing(stack_with: StackWith) -> None:
    stack = stack_with()
    plan = stack.plan(variables("a", "b"))
    assert [(change.address, change.action) for change in plan.summary.changes] == [
        ('terraform_data.node["a"]', Action.CREATE),
        ('terraform_data.node["b"]', Action.CREATE),
    ]
    kinds: list[EventKind] = []
    applied = stack.apply(plan, on_event=lambda event: kinds.append(event.kind))
    assert applied.outputs == {"nodes": {"a": "value-of-a", "b": "value-of-b"}}
    assert kinds.count(EventKind.COMPLETED) == 2
    again = stack.plan(variables("a", "b"))
    assert again.summary.empty
    assert again.summary.digest == EMPTY_PLAN.digest


def test_digest_is_the_same_for_the_same_work_and_another_for_other_work(stack_with: StackWith) -> None:
    stack = stack_with()
    first, again, other = (stack.plan(variables(*names)) for names in (("a", "b"), ("b", "a"), ("a",)))
    assert first.summary.digest == again.summary.digest
    assert first.summary.digest != other.summary.digest
    assert stack.reopen(first.run_id).summary == first.summary


def test_everything_on_disk_is_private_and_the_state_has_versions(stack_with: StackWith) -> None:
    stack = stack_with()
    for names in (("a",), ("a", "b")):
        stack.apply(stack.plan(variables(*names)))
    for path in stack.place.state.rglob("*"):
        if "work" not in path.relative_to(stack.place.state).parts:
            assert path.stat().st_mode & 0o077 == 0, path
    serials = [json.loads(path.read_text())["serial"] for path in stack.archive.backups()]
    assert len(serials) == 2
    assert serials == sorted(serials, reverse=True)


def test_a_plan_is_refused_once_the_state_moved_on(stack_with: StackWith) -> None:
    stack = stack_with()
    old = stack.plan(variables("a"))
    stack.apply(stack.plan(variables("a", "b")))
    with pytest.raises(PlanStale, match="plan again"):
        stack.apply(old)


def test_a_plan_file_that_was_exchanged_is_refused(stack_with: StackWith) -> None:
    stack = stack_with()
    plan, other = stack.plan(variables("a")), stack.plan(variables("a", "b"))
    (stack.place.run(plan.run_id) / "plan.tfplan").write_bytes(
        (stack.place.run(other.run_id) / "plan.tfplan").read_bytes()
    )
    for use in (lambda: stack.apply(plan), lambda: stack.reopen(plan.run_id)):
        with pytest.raises(PlanStale):
            use()


def test_two_applies_at_once_have_one_holder(stack_with: StackWith) -> None:
    first, second = stack_with(), stack_with()
    plan, other = first.plan(variables("a", wait_s=3)), second.plan(variables("a", "b"))
    thread = threading.Thread(target=first.apply, args=(plan,))
    thread.start()
    assert started(first)
    with pytest.raises(StateLocked, match="is at work") as locked:
        second.apply(other)
    thread.join()
    assert "@" in locked.value.lock.who
    assert locked.value.retryable
    with pytest.raises(PlanStale):
        second.apply(other)
    assert list((first.state() or pytest.fail("no state")).outputs["nodes"]) == ["a"]


def test_killed_terraform_leaves_a_state_to_go_on_from(stack_with: StackWith) -> None:
    stack = stack_with()
    plan = stack.plan(variables("a", wait_s=60))
    errors: list[InfrafluxError] = []

    def apply() -> None:
        try:
            stack.apply(plan)
        except InfrafluxError as error:
            errors.append(error)

    thread = threading.Thread(target=apply)
    thread.start()
    assert started(stack)
    (child,) = process.live_children()
    os.kill(child.process.pid, signal.SIGKILL)
    thread.join()
    assert len(errors) == 1
    assert not process.live_children()
    stack.apply(stack.plan(variables("a")))
    assert stack.plan(variables("a")).summary.empty


def test_cancelled_apply_saves_its_state_and_leaves_nothing_running(stack_with: StackWith) -> None:
    stack = stack_with()
    plan = stack.plan(variables("a", wait_s=60))

    def stop(_: object) -> None:
        if started(stack):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack.apply(plan, on_event=lambda event: stop(event) if event.kind is EventKind.STARTED else None)
    assert not process.live_children()
    summary = stack.plan(variables("a")).summary
    # What was begun is recorded as tainted: never a false "no changes".
    assert [change.action for change in summary.changes] in ([Action.REPLACE], [Action.CREATE])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text(path.read_text()[:100]), "damaged"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_text(path.read_text().replace('"serial": ', '"serial": 0')), "serial 0"),
        (lambda path: path.write_text(path.read_text().replace('"lineage": "', '"lineage": "f')), "lineage"),
    ],
    ids=["cut-off", "missing", "older", "other-lineage"],
)
def test_a_state_that_went_back_is_refused_and_restored(
    stack_with: StackWith, damage: Callable[[Path], object], message: str
) -> None:
    stack = stack_with()
    stack.apply(stack.plan(variables("a")))
    text = stack.place.local_state.read_text()
    if message == "serial 0":
        text_0 = json.dumps({**json.loads(text), "serial": 0})
        stack.place.local_state.write_text(text_0)
    else:
        damage(stack.place.local_state)
    with pytest.raises(StateRefused, match=message):
        stack.plan(variables("a"))
    stack.restore()
    assert stack.plan(variables("a")).summary.empty


def test_a_state_that_could_not_be_written_is_pushed_later(stack_with: StackWith, state_server: Any) -> None:
    stack = stack_with(env=state_server.env)
    plan = stack.plan(variables("a"))
    state_server.refuse_writes = True
    with pytest.raises(Exception, match=r"(?i)state"):
        stack.apply(plan)
    kept = stack.place.state / "errored.tfstate"
    assert kept.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Exception, match=r"(?i)state"):
        stack.plan(variables("a"))
    state_server.refuse_writes = False
    assert stack.plan(variables("a")).summary.empty
    assert not kept.exists()


def test_a_lock_whose_holder_is_unknown_is_kept(stack_with: StackWith, state_server: Any) -> None:
    stack = stack_with(env=state_server.env)
    state_server.lock = json.dumps({"ID": "f00d-1", "Who": "root@elsewhere"}).encode()
    with pytest.raises(StateLocked, match=r"lock f00d-1.*unknown machine"):
        stack.plan(variables("a"))
    assert state_server.lock is not None


def test_a_secret_of_the_environment_is_nowhere(stack_with: StackWith) -> None:
    stack = stack_with(env={"TOKEN": f"user!id={CANARY}"}, secret_values=[CANARY])
    main = stack.place.source / "cluster" / "main.tf"
    main.write_text(main.read_text().replace("sleep ${var.wait_s}", "echo it is $TOKEN"))
    heard: list[str] = []
    stack.apply(stack.plan(variables("a")), on_event=lambda event: heard.append(event.message))
    assert any("it is" in line for line in heard)
    assert not any(CANARY in line for line in heard)
    for path in stack.place.state.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_a_mistake_in_the_configuration_is_one_clear_error(stack_with: StackWith) -> None:
    stack = stack_with()
    main = stack.place.source / "cluster" / "main.tf"
    main.write_text(main.read_text().replace("each.value", "each.valu"))
    with pytest.raises(Exception, match=r"valu") as raised:
        stack.plan(variables("a"))
    assert "dev/dev-1" in str(raised.value)
