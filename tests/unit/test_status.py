"""A row of the fleet says what is there against what is declared, and never calls silence healthy."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.specs import make_spec

from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.talos.facts import NodeSeen, NodeState
from infraflux.core.paths import ProjectPaths
from infraflux.operations.status import judge_machines, judge_talos, read_last_drift, read_status, show_age

SPEC = make_spec(control_planes=1, workers=1)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def guest(vm_id: int, *, running: bool = True, tags: tuple[str, ...] = ("infraflux-dev-dev-1",)) -> Guest:
    return Guest(vm_id=vm_id, name="n", host="pve-1", running=running, tags=frozenset(tags))


MACHINES = {
    "all run": ([guest(10011), guest(10021)], "2/2 running", True),
    "one off": ([guest(10011), guest(10021, running=False)], "1/2 running", False),
    "one missing": ([guest(10011)], "1/2 running", False),
    "somebody else's": ([guest(10011), guest(10021, tags=("other",))], "1/2 running", False),
    "a stray of ours": ([guest(10011), guest(10021), guest(10099)], "2/2 running", True),
}


@pytest.mark.parametrize(("guests", "text", "ok"), MACHINES.values(), ids=MACHINES.keys())
def test_machines(guests: list[Guest], text: str, ok: bool):
    cell = judge_machines(SPEC, guests)
    assert (cell.text, cell.ok) == (text, ok)


def seen(version: str, state: NodeState = NodeState.RUNNING) -> NodeSeen:
    return NodeSeen(name="n", address="a", state=state, version=version)


@pytest.mark.parametrize(
    ("nodes", "text", "ok"),
    [
        ([seen("v1.13.9"), seen("v1.13.9")], "2/2 v1.13.9", True),
        ([seen("v1.13.9"), seen("v1.13.8")], "2/2 v1.13.8 v1.13.9", False),
        ([seen("v1.13.9"), seen("", NodeState.SILENT)], "1/2 v1.13.9", False),
        ([seen("", NodeState.MAINTENANCE), seen("", NodeState.SILENT)], "0/2", False),
    ],
)
def test_talos(nodes: list[NodeSeen], text: str, ok: bool):
    cell = judge_talos(SPEC, nodes)
    assert (cell.text, cell.ok) == (text, ok)


@pytest.mark.parametrize(
    ("age", "text"), [({"minutes": 7}, "7m"), ({"hours": 5, "minutes": 12}, "5h12m"), ({"days": 3, "hours": 4}, "3d4h")]
)
def test_age(age: dict, text: str):
    assert show_age(timedelta(**age)) == text


def test_last_drift_is_shown_with_its_age(tmp_path: Path):
    assert read_last_drift(tmp_path, SPEC, now=NOW) == "never"
    path = ProjectPaths(tmp_path).last_drift("dev", "dev-1")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"verdict": "clean", "at": (NOW - timedelta(hours=2)).isoformat()}))
    assert read_last_drift(tmp_path, SPEC, now=NOW) == "clean 2h0m ago"


def test_cluster_that_never_was_and_an_api_without_token_are_not_healthy(tmp_path: Path):
    [row] = read_status([SPEC], root=tmp_path, now=NOW)
    assert (row.machines, row.talos, row.healthy) == ("no answer (config)", "-", False)
