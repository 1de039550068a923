"""The end of the cluster and of the lab: nothing of it is left. The last file: the others need what it removes."""

import pytest
from labkit.real_talos import KEY, Traces, changes, traces

from infraflux_lab import lifecycle

pytestmark = [pytest.mark.talos_real, pytest.mark.timeout(900)]


def test_destroyed_machines_leave_no_disks(deployed):
    deployed.infraflux("machines", "destroy", KEY, "--confirm", KEY)
    assert not list((deployed.layout.home / "machines").iterdir())
    assert changes(deployed.infraflux("machines", "orphans", KEY)) == [f"{KEY} has no orphans"]


def test_in_the_end_the_machine_is_as_it_was(deployed, before: Traces):
    lifecycle.reset(deployed.lab.root)
    assert traces(deployed.layout) == before
