"""The real Terraform and the real provider make, change and remove machines on the simulated Proxmox."""

from datetime import date
from typing import Any

import pytest

from infraflux.config.outcomes import Done, Noop

from .conftest import Project

pytestmark = [pytest.mark.lab, pytest.mark.tools]


def apply(project: Project, key: str) -> Any:
    machines = project.machines(key)
    plan = machines.plan()
    machines.guard(plan, today=date(2026, 11, 23))
    return machines.apply(plan)


def test_first_light(project: Project) -> None:
    assert isinstance(apply(project, "dev/dev-1"), Done)
    outcome = apply(project, "dev/dev-1")
    assert isinstance(outcome, Noop), outcome
