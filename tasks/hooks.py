"""Hooks: commands of the user's own at set moments of a run, streamed to its log, bounded, and masked like the rest.

prefect-shell runs them. What it does not do itself is done here: it stops at no error unless bash is told to, hands on
the whole environment of the worker (the server's password too), and knows no deadline.
"""

import shlex
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context

from prefect_shell import ShellOperation
from prefect_shell.commands import ShellProcess

from infraflux.config.models import ClusterSpec
from infraflux.config.models.hooks import Hook, HookStage, OnFailure
from infraflux.core.die_with_parent import die_with_parent
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Outcome
from infraflux.core.process import allowed_environment
from infraflux.operations.destruction import Destruction
from infraflux.operations.opening import OpenCluster
from infraflux.operations.plan.actions import RunHook
from infraflux.operations.planning import Planned
from tasks.engine.stages import Recipe
from tasks.engine.step import log_line, log_outcome, step

LAST_WORDS_S = 5.0
"""What a command wrote before it was ended is in the pipe by then; one that left its group may hold that for ever."""


class HookFailed(Permanent):
    """A command of the user's own failed, and is declared to stop the run."""

    default_class = ErrorClass.USER


def hooks_of(spec: ClusterSpec, stage: HookStage, planned: Planned | Destruction | None) -> tuple[Hook, ...]:
    """The hooks that a run starts at this moment (pure): after the plan, those that the plan holds, and no other."""
    if planned is None:
        return spec.hooks_at(stage)
    if isinstance(planned, Destruction):
        return () if planned.empty else tuple(hook for hook in planned.hooks if hook.stage is stage)
    return tuple(one.hook for one in planned.plan.of(RunHook) if one.hook.stage is stage)


def run_hooks(run: Recipe, stage: HookStage, planned: Planned | Destruction | None = None) -> None:
    """Each hook of this moment as a stage of its own; nothing where none is declared."""
    for hook in hooks_of(run.opened.spec, stage, planned):
        run.do(f"{stage}: {hook.name}", run_hook, hook=hook)


@step("run hook", retries=0)
def run_hook(*, opened: OpenCluster, hook: Hook) -> Outcome:
    """Start the command and wait for it. Raises HookFailed where it fails, unless it is declared to warn only."""
    log_line(f"hook {hook.name}: {hook.command}")
    wrong = _run(opened, hook)
    if not wrong:
        return log_outcome(Done(f"hook {hook.name} ran"))
    if hook.on_failure == OnFailure.WARN:
        return log_outcome(Done(f"warning: hook {hook.name} {wrong}; it is declared to warn only"))
    raise HookFailed(
        f"hook {hook.name} {wrong}",
        cluster=opened.key,
        stage=hook.stage,
        next_step="read what it wrote above, put it right and start the run again; it continues from what is there",
    )


def hook_environment(opened: OpenCluster, stage: HookStage) -> dict[str, str]:
    """What a hook is told; docs/operations.md promises these names. Credentials are told as paths."""
    spec, paths = opened.spec, opened.paths
    told = {
        "INFRAFLUX_CLUSTER": spec.key,
        "INFRAFLUX_ENVIRONMENT": spec.environment,
        "INFRAFLUX_STAGE": stage.value,
        "INFRAFLUX_COMMIT": opened.head.commit,
    }
    files = {
        "KUBECONFIG": paths.kubeconfig(spec.environment, spec.name),
        "TALOSCONFIG": paths.talosconfig(spec.environment, spec.name),
    }
    return told | {name: str(path) for name, path in files.items() if path.exists()}


def script_of(argv: Sequence[str], *, keep: Sequence[str]) -> list[str]:
    """The lines of the script that prefect-shell starts (pure): no other variable than `keep`, then the command.

    bash becomes the command, so its exit code and its signals are the command's.
    """
    names = shlex.quote(f" {' '.join(sorted(keep))} ")
    return [
        "set -euo pipefail",
        f"keep={names}",
        # Some variables of bash itself cannot be unset; they say nothing of us.
        'for name in $(compgen -e); do [[ $keep == *" $name "* ]] || unset "$name" 2>/dev/null || true; done',
        f"exec {shlex.join(argv)}",
    ]


def _run(opened: OpenCluster, hook: Hook) -> str:
    """What went wrong, in words that follow its name; empty where nothing did."""
    told = hook_environment(opened, hook.stage)
    try:
        argv = die_with_parent(hook.run, death_signal=signal.SIGTERM, cwd=opened.root)
    except OSError as error:
        return f"cannot be started: {error.filename or hook.run[0]}: {error.strerror}"
    keep = (*allowed_environment(), *told)
    operation = ShellOperation(commands=script_of(argv, keep=keep), env=told, working_dir=opened.root, log_prefix=None)
    # Leaving the block ends the command and its group, whatever the block is left by: a cancelled run too.
    with operation:
        return _wait(operation, hook)


def _wait(operation: ShellOperation, hook: Hook) -> str:
    started = operation.trigger()
    # A thread with this one's context (the log of the task): a wait of prefect-shell itself knows no deadline.
    waiting = threading.Thread(target=copy_context().run, args=(_ended, started), name=f"hook {hook.name}", daemon=True)
    waiting.start()
    waiting.join(timeout=hook.timeout_s)
    if waiting.is_alive():
        operation.close()
        waiting.join(timeout=LAST_WORDS_S)
        return f"did not end within {hook.timeout_s} s and was stopped"
    code = started.return_code
    if code is not None and code < 0:
        return f"was killed by signal {-code}"
    return f"ended with {code}" if code else ""


def _ended(started: ShellProcess) -> None:
    """Stream the output until the command ended; prefect-shell raises for its exit code, which is read afterwards."""
    with suppress(RuntimeError):
        started.wait_for_completion()
