"""Hooks in the plan: shown and bound to the approval, and only where something else is done."""

from typing import Any

import pytest
from fakes.specs import make_spec

from infraflux.config.models import ClusterSpec
from infraflux.config.models.hooks import HookStage
from infraflux.operations.destruction import Destruction, plan_destruction
from infraflux.operations.plan.actions import BootstrapEtcd, RunHook
from infraflux.operations.plan.hooks import run_hook, with_hooks

CHANGE = BootstrapEtcd(object="etcd", change="bootstrapped", why="there is none yet")
ORDER = ("after-verify", "before-destroy", "before-apply", "after-apply", "before-plan", "after-destroy")


def spec_with(*stages: str, **more: Any) -> ClusterSpec:
    return make_spec(hooks=[{"name": f"h-{one}", "stage": one, "run": ["bin/do", "it now"], **more} for one in stages])


def test_hooks_stand_where_they_run_and_those_of_other_moments_do_not() -> None:
    found = with_hooks(spec_with(*ORDER), [CHANGE])
    assert [one.object for one in found] == ["h-before-apply", "etcd", "h-after-apply", "h-after-verify"]


def test_a_deploy_that_changes_nothing_runs_none() -> None:
    assert with_hooks(spec_with(*ORDER), []) == ()


def test_hooks_of_one_moment_keep_their_order() -> None:
    hooks = [{"name": name, "stage": "after-apply", "run": ["x"]} for name in ("b", "a", "c")]
    assert [hook.name for hook in make_spec(hooks=hooks).hooks_at(HookStage.AFTER_APPLY)] == ["b", "a", "c"]


@pytest.mark.parametrize(("on_failure", "words"), [("stop", "stops the run"), ("warn", "only warns")])
def test_a_reader_sees_the_command_and_what_its_failure_does(on_failure: str, words: str) -> None:
    action = run_hook(spec_with("after-apply", on_failure=on_failure).hooks[0])
    assert "bin/do 'it now'" in action.change
    assert words in action.why
    assert not action.reversible


@pytest.mark.parametrize(
    "changed", [{"run": ["bin/do", "it", "now"]}, {"timeout_s": 9}, {"on_failure": "warn"}], ids=["run", "time", "fail"]
)
def test_an_approval_is_bound_to_all_of_a_hook(changed: dict[str, Any]) -> None:
    before, after = (run_hook(spec_with("after-apply", **more).hooks[0]) for more in ({}, changed))
    assert isinstance(before, RunHook)
    assert before.canonical() == run_hook(spec_with("after-apply").hooks[0]).canonical()
    assert before.canonical() != after.canonical()


def destruction(spec: ClusterSpec) -> Destruction:
    return plan_destruction(spec, guests=(), known={10011: "dev-1-cp-1"}, shared=0)


def test_a_destroy_shows_its_hooks_and_binds_the_approval_to_them() -> None:
    bare, found = destruction(spec_with()), destruction(spec_with(*ORDER))
    assert [hook.name for hook in found.hooks] == ["h-before-destroy", "h-after-destroy"]
    assert "| run | hook | h-before-destroy | before-destroy: bin/do 'it now' |" in found.markdown
    assert "hook" not in bare.markdown
    assert found.digest != bare.digest
    assert found.digest == destruction(spec_with(*ORDER)).digest
