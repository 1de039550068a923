"""`infraflux machines` as a user types it, on the lab."""

import subprocess
import sys
from typing import Any

import pytest

from .conftest import Project

pytestmark = [pytest.mark.lab, pytest.mark.tools]


def infraflux(project: Project, *arguments: str, code: int = 0) -> str:
    """Output of both streams; the exit code is as it must be, and no mistake shows a traceback."""
    argv = [sys.executable, "-m", "infraflux.cli.main", "machines", *arguments]
    done = subprocess.run(argv, cwd=project.root, capture_output=True, text=True, timeout=240, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    assert "Traceback" not in text
    assert project.token("dev") not in text
    return " ".join(text.split())


def test_from_nothing_to_two_machines_and_back(project: Project) -> None:
    plan = infraflux(project, "plan", "dev/dev-1")
    for part in ("create", "dev-1-cp-1", "dev-1-worker-1", "3 to create", "2 to create"):
        assert part in plan
    assert project.writes() == 0

    assert "applied in" in infraflux(project, "apply", "dev/dev-1")
    assert project.vms("dev", 1) == {10011: "dev-1-cp-1", 10021: "dev-1-worker-1"}
    project.ask("requests-reset")
    again = infraflux(project, "apply", "dev/dev-1")
    assert again.startswith("dev/dev-1: no changes")
    assert "Simulated" in again
    assert project.writes() == 0
    assert "dev/dev-1 has no orphans" in infraflux(project, "orphans", "dev/dev-1")
    state = infraflux(project, "state", "dev/dev-1")
    assert "dev-1-cp-1 VM 10011 on pve-dev-1" in state

    refused = infraflux(project, "destroy", "dev/dev-1", code=1)
    assert "infraflux machines destroy dev/dev-1 --confirm dev/dev-1" in refused
    assert len(project.vms("dev", 1)) == 2
    assert "2 to destroy" in infraflux(project, "destroy", "dev/dev-1", "--confirm", "dev/dev-1")
    assert project.vms("dev", 1) == {}
    assert "nothing to do" in infraflux(project, "destroy", "dev/dev-1", "--confirm", "dev/dev-1")


def test_a_plan_that_ends_machines_needs_a_yes(project: Project) -> None:
    def count(number: int) -> Any:
        return lambda document: document["node_pools"][1].update(count=number)

    overlay = "clusters/overlays/dev/dev-1.yaml"
    project.edit(overlay, count(2))
    infraflux(project, "apply", "dev/dev-1")
    project.edit(overlay, count(1))
    assert "there is no terminal to ask at" in infraflux(project, "apply", "dev/dev-1", code=1)
    assert len(project.vms("dev", 1)) == 3
    infraflux(project, "apply", "dev/dev-1", "--yes")
    assert project.vms("dev", 1) == {10011: "dev-1-cp-1", 10021: "dev-1-worker-1"}


def test_a_stray_machine_is_removed_by_name_only(project: Project) -> None:
    project.act("create-vm", vm="300", host="pve-dev-1", name="stray", tags="infraflux-dev-dev-1")
    assert "--remove stray" in infraflux(project, "orphans", "dev/dev-1")
    assert "there are: stray" in infraflux(project, "orphans", "dev/dev-1", "--remove", "other", code=1)
    infraflux(project, "orphans", "dev/dev-1", "--remove", "stray")
    assert project.vms("dev", 1) == {}


def test_mistakes_say_what_to_do(project: Project) -> None:
    assert "did you mean dev/dev-1?" in infraflux(project, "plan", "dev/dev-11", code=1)
    protected = infraflux(project, "destroy", "prod/prod-1", "--confirm", "prod/prod-1", code=1)
    assert "deletion_protection" in protected
