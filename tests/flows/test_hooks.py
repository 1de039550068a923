"""Hooks as runs start them: a real shell, a real Prefect server, the log that a person reads afterwards."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from fakes.specs import make_spec
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State

from infraflux.config.models.hooks import Hook, HookStage, OnFailure
from infraflux.core.paths import ProjectPaths
from infraflux.operations.plan.actions import BootstrapEtcd, ClusterPlan
from infraflux.operations.plan.hooks import with_hooks
from tasks.engine.masking import add_secrets, mask_logs
from tasks.hooks import HookFailed, hook_environment, hooks_of, run_hook, script_of

pytestmark = pytest.mark.prefect

ROOT = Path(__file__).parents[2]


class Opened:
    """What a hook sees of an opened cluster."""

    def __init__(self, root: Path) -> None:
        self.spec = make_spec()
        self.root, self.key = root, self.spec.key
        self.paths = ProjectPaths(root)
        self.head = SimpleNamespace(commit="c0ffee")


def hook(*run: str, **more: Any) -> Hook:
    return Hook.model_validate({"name": "smoke", "stage": "after-verify", "run": run, **more})


def python(code: str, **more: Any) -> Hook:
    return hook(sys.executable, "-c", code, **more)


def ran(opened: Opened, one: Hook) -> tuple[State[Any], str]:
    """How a run of only this hook ended, and its whole log."""

    @flow(name="hooks")
    def only_hook() -> str:
        return str(run_hook(opened=opened, hook=one))  # type: ignore[arg-type]

    mask_logs()
    state: State[Any] = only_hook(return_state=True)
    return state, log_of(state)


def log_of(state: State[Any]) -> str:
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        for _ in range(50):  # the log is sent in the background
            text = "\n".join(log.message for log in client.read_logs(wanted, limit=200))
            if "hook smoke" in text and "Finished in state" in text:
                return text
            time.sleep(0.2)
    return text


@pytest.fixture
def opened(tmp_path: Path, server: None) -> Opened:
    return Opened(tmp_path)


def test_output_of_both_streams_is_in_the_log_and_secrets_are_not(opened: Opened) -> None:
    add_secrets({"hunter2-canary"})
    code = "import sys; print('out hunter2-canary', flush=True); print('err hunter2-canary', file=sys.stderr)"
    state, log = ran(opened, python(code))
    assert state.is_completed()
    assert ("out ***" in log, "err ***" in log, "hunter2" in log) == (True, True, False)


def test_words_reach_the_command_as_they_are(opened: Opened, tmp_path: Path) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "", "*", "--x=1", "${A}", "#", "ä"]
    code = "import json, sys; open('seen', 'w').write(json.dumps(sys.argv[1:]))"
    state, _ = ran(opened, hook(sys.executable, "-c", code, *words))
    assert state.is_completed()
    assert (tmp_path / "seen").read_text() == json.dumps(words)


def test_a_hook_sees_the_promised_variables_and_nothing_of_the_worker(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:password")
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    opened.paths.talosconfig("dev", "dev-1").parent.mkdir(parents=True)
    opened.paths.talosconfig("dev", "dev-1").touch()
    state, _ = ran(opened, python("import os, json; open('seen', 'w').write(json.dumps(dict(os.environ)))"))
    assert state.is_completed()
    seen = json.loads((tmp_path / "seen").read_text())
    assert {name: seen.get(name) for name in hook_environment(opened, HookStage.AFTER_VERIFY)} == {  # type: ignore[arg-type]
        "INFRAFLUX_CLUSTER": "dev/dev-1",
        "INFRAFLUX_ENVIRONMENT": "dev",
        "INFRAFLUX_STAGE": "after-verify",
        "INFRAFLUX_COMMIT": "c0ffee",
        "TALOSCONFIG": str(opened.paths.talosconfig("dev", "dev-1")),
    }
    assert (seen["PATH"], seen["LC_ALL"]) == (os.environ["PATH"], "C.UTF-8")
    assert not {"PREFECT_API_AUTH_STRING", "KUBECONFIG"} & set(seen)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (python("raise SystemExit(3)"), "ended with 3"),
        (python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "was killed by signal 9"),
        (hook("bin/not-there"), "cannot be started: bin/not-there: No such file or directory"),
        (hook("false"), "ended with 1"),
    ],
    ids=["code", "signal", "missing", "false"],
)
def test_a_failure_stops_or_warns_as_declared(opened: Opened, one: Hook, words: str) -> None:
    state, _ = ran(opened, one)
    with pytest.raises(HookFailed, match=f"hook smoke {words}") as failed:
        state.result()
    assert (failed.value.error_class, failed.value.cluster) == ("user", "dev/dev-1")
    state, log = ran(opened, one.model_copy(update={"on_failure": OnFailure.WARN}))
    assert state.is_completed()
    assert f"warning: hook smoke {words}" in log


def test_a_command_that_does_not_end_is_ended_with_all_it_started(opened: Opened, tmp_path: Path) -> None:
    child = "import time; time.sleep(60)"
    code = (
        f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        "print('started', flush=True); open('pid', 'w').write(str(child.pid)); time.sleep(60)"
    )
    began = time.monotonic()
    state, log = ran(opened, python(code, timeout_s=3))
    with pytest.raises(HookFailed, match="did not end within 3 s and was stopped"):
        state.result()
    assert time.monotonic() - began < 40
    assert "started" in log
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_script_keeps_what_it_is_told_to_and_quotes_the_rest() -> None:
    lines = script_of(["a b", "$(rm -rf /)", "it's"], keep=["PATH", "HOME"])
    assert lines[0] == "set -euo pipefail"
    assert lines[1] == "keep=' HOME PATH '"
    assert lines[-1] == """exec 'a b' '$(rm -rf /)' 'it'"'"'s'"""


def test_after_the_plan_only_its_own_hooks_run() -> None:
    spec = make_spec(
        hooks=[{"name": f"h-{one}", "stage": one, "run": ["x"]} for one in ("before-plan", "before-apply")]
    )
    change = BootstrapEtcd(object="etcd", change="bootstrapped", why="there is none yet")

    def planned(*actions: Any) -> Any:
        empty: Any = None
        plan = ClusterPlan(cluster=spec.key, actions=with_hooks(spec, actions), shared=empty, machines=empty)
        return SimpleNamespace(plan=plan)

    assert [one.name for one in hooks_of(spec, HookStage.BEFORE_PLAN, None)] == ["h-before-plan"]
    assert [one.name for one in hooks_of(spec, HookStage.BEFORE_APPLY, planned(change))] == ["h-before-apply"]
    assert hooks_of(spec, HookStage.BEFORE_APPLY, planned()) == ()


KILLED = """
import os, signal, subprocess, sys
from infraflux.core.die_with_parent import die_with_parent
from tasks.hooks import script_of
code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
argv = die_with_parent([sys.executable, "-c", code], death_signal=signal.SIGTERM)
subprocess.run(["bash", "-c", "\\n".join(script_of(argv, keep=["PATH"]))])
"""


def test_a_hook_dies_with_a_run_that_is_killed() -> None:
    argv = [sys.executable, "-c", KILLED]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        hook_process = psutil.Process(int(run.stdout.readline()))
        run.kill()
        _gone, alive = psutil.wait_procs([hook_process], timeout=20)
    assert alive == []
