"""Deciding what to change on the Prefect server."""

import copy
from pathlib import Path
from typing import Any

import pytest

from infraflux.config.environments import Environment
from infraflux.service.sync import Seen, Wanted, covers, load_wanted, plan_sync

DEPLOYMENTS = Path(__file__).parents[3] / "deployments"
ENVIRONMENTS = [Environment("dev", None, ("dev-1",)), Environment("prod", "dev")]


@pytest.fixture
def wanted() -> Wanted:
    return load_wanted(DEPLOYMENTS, pool="infraflux", command="run it", environments=ENVIRONMENTS)


def as_server(wanted: Wanted) -> Seen:
    """What a server that was just synced gives back: ids and defaults added, sets in another order."""
    automations: list[dict[str, Any]] = []
    for number, one in enumerate(copy.deepcopy(list(wanted.automations))):
        found: dict[str, Any] = {**one, "id": f"a{number}", "created": "2026-01-01"}
        found["trigger"] = {**found["trigger"], "id": "t", "within": float(found["trigger"]["within"])}
        found["trigger"]["expect"] = list(reversed(found["trigger"]["expect"]))
        automations.append(found)
    return Seen(
        pool={**wanted.pool, "id": "p", "status": "READY"},
        queues=[{**queue, "id": "q", "priority": 9} for queue in wanted.queues],
        automations=automations,
        limits=[{"name": name, "limit": 1, "active": True, "active_slots": 1} for name in wanted.limits],
    )


def test_an_empty_server_gets_everything_pool_first(wanted: Wanted) -> None:
    calls = plan_sync(wanted, Seen(None, [], [], []))
    assert calls[0].path == "/work_pools/"
    assert {call.method for call in calls} == {"POST"}
    assert len(calls) == 1 + len(wanted.queues) + len(wanted.automations) + 1


def test_the_last_environment_of_the_chain_is_served_first_and_waiting_flows_last(wanted: Wanted) -> None:
    assert [(queue["name"], queue["priority"]) for queue in wanted.queues] == [("prod", 1), ("dev", 2), ("control", 3)]


def test_a_synced_server_gets_nothing(wanted: Wanted) -> None:
    assert plan_sync(wanted, as_server(wanted)) == []


def change(seen: Seen, what: str) -> Seen:
    value = copy.deepcopy(seen.__dict__)
    match what:
        case "command":
            value["pool"]["base_job_template"]["variables"]["properties"]["command"]["default"] = "other"
        case "queue":
            value["queues"][0]["concurrency_limit"] = 99
        case "automation":
            value["automations"][0]["trigger"]["within"] = 90.0
        case "duplicate":
            value["automations"].append({**value["automations"][0], "id": "twin"})
        case "stale":
            value["automations"].append({"name": "infraflux: gone", "id": "old"})
        case "foreign":
            value["automations"].append({"name": "somebody's", "id": "theirs"})
        case "lock":
            value["limits"][0]["limit"] = 5
    return Seen(**value)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param("command", ("PATCH", "/work_pools/infraflux"), id="pool-edited"),
        pytest.param("queue", ("PATCH", "/work_pools/infraflux/queues/prod"), id="queue-edited"),
        pytest.param("automation", ("PUT", "/automations/a0"), id="automation-edited"),
        pytest.param("duplicate", ("DELETE", "/automations/twin"), id="automation-twice"),
        pytest.param("stale", ("DELETE", "/automations/old"), id="automation-no-longer-wanted"),
        pytest.param("foreign", None, id="automation-of-somebody-else"),
        pytest.param("lock", ("PATCH", "/v2/concurrency_limits/cluster:dev:dev-1"), id="lock-that-admits-two"),
    ],
)
def test_one_change_one_call(wanted: Wanted, what: str, expected: tuple[str, str] | None) -> None:
    calls = plan_sync(wanted, change(as_server(wanted), what))
    assert [(call.method, call.path) for call in calls] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("seen", "want", "result"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, True),
        ({"a": 1}, {"b": 1}, False),
        (["x", "y"], ["y", "x"], True),
        ([{"a": 1}], [{"a": 1}, {"a": 2}], False),
        (540.0, 540, True),
        (None, {"a": 1}, False),
        ("1", 1, False),
    ],
)
def test_covers(seen: object, want: object, result: bool) -> None:
    assert covers(seen, want) is result


def test_the_zombie_window_is_three_heartbeats(wanted: Wanted) -> None:
    zombie = next(one for one in wanted.automations if "heartbeat" in one["name"])
    assert zombie["trigger"]["within"] >= 3 * 180
