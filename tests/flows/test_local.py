"""`--local` where no service runs: the flow in the caller's process, told to a server that ends with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infraflux.config.models.policy import Approval, Disruption
from infraflux.core.errors import Permanent
from tasks.engine import approval
from tasks.engine.approval import Question

pytestmark = pytest.mark.prefect

SHIPPED = Path(__file__).parents[2]
STALE = "# Written by `infraflux service up`\nPREFECT_API_URL=http://127.0.0.1:9/api\nPREFECT_API_AUTH_STRING=a:b\n"
"""What a service leaves that was stopped."""


@pytest.mark.timeout(300)
def test_a_flow_runs_without_a_service_and_leaves_nothing_running(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("config", "clusters", "deployments", "platform", "terraform"):
        shutil.copytree(SHIPPED / name, project / name)
    shutil.copy(SHIPPED / "prefect.yaml", project)
    (project / ".env").write_text(STALE)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "INFRAFLUX_"))}
    done = subprocess.run(
        # Refused by the first stage: this directory is no commit, and prod accepts committed changes only.
        [sys.executable, "-m", "infraflux.cli.main", "deploy", "prod/prod-1", "--local"],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "error: [prod/prod-1 load] the working tree is at" in said
    assert "── load" in said
    assert "Traceback" not in said
    assert "EventsWorker" not in said
    assert "Error logging to API" not in said
    assert (project / ".infraflux" / "local" / "prefect.db").exists()
    assert list((project / ".infraflux" / "runs").iterdir()) == []
    left = [one.pid for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(project)]
    assert left == []


def test_a_run_that_nobody_could_resume_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "asked_digest", lambda: "")
    question = Question(digest="d1", summary="", changes=1, ends=0, disruption=Disruption.NONE, markdown="")
    rules = Approval(required=True, timeout_s=60)
    with pytest.raises(Permanent, match=r"approval.*without --local"):
        approval.approve(cluster="prod/prod-1", question=question, rules=rules, auto_approve=True)
