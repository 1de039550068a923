"""A deploy of dev from blank, interrupted again and again: every run ends, nothing stays behind, the next one goes on.

Each interruption is met once, at a stage of its own, on one cluster: a run resumes what the one before left, so all of
them together are little more than one deploy. Every stage with every victim: `make test-slow` (test_matrix.py).
"""

from collections.abc import Mapping
from typing import Any

import pytest
from labkit.deaths import Meeting, is_over, kill, meet
from labkit.house import House, until
from labkit.looks import Look

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]


def started(house: House, dev: Look, stage: str, *, program: str = "") -> Meeting:
    return meet(house, house.deploy(dev.key), stage, program=program)


def nothing_stays(house: House) -> None:
    """No process, no lock."""
    house.no_strays()
    limit = house.api.get("/v2/concurrency_limits/cluster:dev:dev-1")
    assert limit["active_slots"] == 0
    assert house.api.find("/variables/name/lock_dev_dev-1") is None


def slow(house: House, task: str) -> None:
    """Let the first two tasks of a kind take their time, so that there is a middle to be met."""
    house.ask("fault-add", kind="slow-task", environment="dev", target=task, times=2, params={"seconds": "3"})


def test_cancelled_in_the_middle_of_an_apply(house: House, dev: Look) -> None:
    slow(house, "download")
    run = house.deploy(dev.key)
    meeting = meet(house, run, "apply", program="terraform", also=lambda: bool(tasks(house, "download")))
    house.api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert is_over(house, meeting) == "CANCELLED"
    nothing_stays(house)


def test_terraform_killed_while_it_makes_machines(house: House, dev: Look) -> None:
    slow(house, "qmcreate")
    made = len(dev.creations())
    run = house.deploy(dev.key)
    meeting = meet(house, run, "apply", program="terraform", also=lambda: len(dev.creations()) > made)
    kill(house, meeting, "terraform")
    assert is_over(house, meeting) == "FAILED"
    message = house.read(run)["state"]["message"]
    assert "terraform apply was killed by signal 9" in message
    assert "Next: run it again" in message
    nothing_stays(house)


def tasks(house: House, kind: str) -> list[Mapping[str, Any]]:
    return house.lab_events(kind="task-started", task=kind)


def test_flow_process_killed_then_the_worker_of_the_next_run(house: House, dev: Look) -> None:
    meeting = started(house, dev, "first control plane")
    kill(house, meeting, "flow")
    # The next run does not wait for the verdict on this one: the lock of a dead holder is free at once.
    following = started(house, dev, "join nodes")
    assert is_over(house, meeting) == "CRASHED"
    kill(house, following, "worker")
    assert is_over(house, following) == "CRASHED"
    said = house.log(following.run)
    assert "the end of the worker; a new run continues from here" in said
    assert "Traceback" not in said


def test_two_at_once_have_one_holder_and_a_killed_server_is_waited_for(house: House, dev: Look) -> None:
    run = house.deploy(dev.key)
    meeting = meet(house, run, "Argo CD")
    second = house.ended(house.deploy(dev.key))
    assert second["state"]["type"] == "FAILED"
    assert f"dev/dev-1 is busy: held by deploy-dev-dev-1 (run {run}" in second["state"]["message"]
    assert house.state(run) == "RUNNING"
    kill(house, meeting, "server")
    until(lambda: house.service.status().healthy, what="the server")
    house.completed(run)
    nothing_stays(house)


def test_after_all_that_the_cluster_stands_once(house: House, dev: Look, deployed_dev: str) -> None:
    dev.stands()
    nothing_stays(house)
    left = [row for row in house.pages("/flow_runs/filter", {}) if row["state"]["type"] in ("RUNNING", "PENDING")]
    assert left == []
