"""The hooks of a run as actions of its plan, so that whoever approves it sees them. Pure."""

import hashlib
from collections.abc import Sequence

from infraflux.config.models import ClusterSpec
from infraflux.config.models.hooks import Hook, HookStage
from infraflux.operations.plan.actions import Action, RunHook


def with_hooks(spec: ClusterSpec, actions: Sequence[Action]) -> tuple[Action, ...]:
    """The actions between the hooks of a deploy. A deploy that changes nothing runs none."""
    if not actions:
        return ()
    before, after, verified = (
        [run_hook(hook) for hook in spec.hooks_at(stage)]
        for stage in (HookStage.BEFORE_APPLY, HookStage.AFTER_APPLY, HookStage.AFTER_VERIFY)
    )
    return (*before, *actions, *after, *verified)


def run_hook(hook: Hook) -> RunHook:
    """One hook as an action. Nobody knows what a command does, so nobody can promise that it can be undone."""
    return RunHook(
        object=hook.name,
        change=f"runs `{hook.command}`",
        why=f"declared for {hook.stage}; a failure {'stops the run' if hook.on_failure == 'stop' else 'only warns'}",
        reversible=False,
        fingerprint=fingerprint(hook),
        hook=hook,
    )


def fingerprint(hook: Hook) -> str:
    """Equal for hooks that do the same at the same moment."""
    return hashlib.sha256(hook.model_dump_json().encode()).hexdigest()
