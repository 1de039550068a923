"""Every kind of drift, injected and undone one after the other on real clusters of the lab, and what a look costs them.

One world, in the order of the file. What a kind has to be called stands in labkit/drift_kinds*.py.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from labkit.drift_kinds import CP, DEV_WORKER_VM, MACHINES, TALOS, WORKER, Kind
from labkit.drift_kinds_cluster import GITOPS, KUBERNETES, NODE
from labkit.drift_world import DEV, STAGING, World

from infraflux.core.locks import lock_file
from infraflux.core.paths import ProjectPaths
from infraflux.drift.findings import ClusterDrift, DriftClass, DriftVerdict, Layer
from infraflux.operations.drift_fleet import check_fleet

from .conftest import Tally

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.timeout(900)]

KINDS = (*MACHINES, *TALOS, *KUBERNETES, *GITOPS)
NOTICED_WITHIN_S = 60.0
DEV_POLICY = "config/environments/dev.yaml"


def by_cluster(reports: list[ClusterDrift]) -> dict[str, ClusterDrift]:
    return {report.cluster: report for report in reports}


def command(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """`infraflux WORDS` in the project, as a user calls it."""
    argv = [sys.executable, "-m", "infraflux.cli.main", *words]
    # Nobody's service listens there, so `--local` brings a server of its own.
    env = os.environ | {"INFRAFLUX_PORT": str(free_port())}
    return subprocess.run(argv, cwd=world.root, env=env, capture_output=True, text=True, timeout=400, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_is_said_of_an_untouched_fleet_and_looking_at_it_changes_nothing(world: World) -> None:
    """Counted where the calls arrive: at Proxmox, at every machine's Talos, at the API server."""
    world.project.ask("requests-reset")
    line = len(world.audit_lines())

    reports = by_cluster(check_fleet(world.root))

    requests = world.project.ask("requests")
    assert [row for row in requests if row["mutating"]] == []
    assert {row["method"] for row in requests} == {"GET", "gRPC"}
    assert world.writes_of_admin(line) == []
    assert any('"username":"admin"' in text for text in world.audit_lines()[line:])

    assert (reports[DEV].verdict, reports[DEV].findings) == (DriftVerdict.CLEAN, ())
    # Its machines are all it has: what nobody can read is never called clean.
    assert (reports[STAGING].verdict, reports[STAGING].findings) == (DriftVerdict.UNKNOWN, ())
    assert [text.partition(":")[0] for text in reports[STAGING].unknown] == ["talos", "kubernetes", "gitops"]
    assert reports["prod/prod-1"].skipped == "it was never deployed: no machine carries its tag"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.layer}: {kind.name}")
def test_each_kind_is_found_in_its_layer_and_called_what_it_is(world: World, kind: Kind, tally: Tally) -> None:
    kind.inject(world)
    try:
        report = look_for(world, kind)
    finally:
        kind.undo(world)
    missed, extra = kind.judge(report)
    tally.kinds += 1
    tally.injected += len(kind.told)
    tally.found += len(kind.told) - len(missed)
    tally.said += len(report.findings)
    assert missed == []
    assert extra == []
    assert bool(report.unknown) is bool(kind.unknown)
    assert kind.unknown in " ".join(report.unknown)


def look_for(world: World, kind: Kind) -> ClusterDrift:
    """One look; where a control loop has to notice first, the first one that says all of it and nothing else."""
    deadline = time.monotonic() + NOTICED_WITHIN_S
    while True:
        report = world.look(kind.cluster, layers=[kind.layer], now=kind.now(world))
        if not kind.slow or not any(kind.judge(report)) or time.monotonic() > deadline:
            return report
        time.sleep(0.5)


def test_recall_and_precision(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\n{tally.kinds} kinds of drift, {tally.injected} differences injected, {tally.said} said: "
            f"recall {tally.recall:.2f}, precision {tally.precision:.2f}\n"
        )
    assert (tally.recall, tally.precision) == (1.0, 1.0)
    assert len(KINDS) >= 25


def test_all_of_it_is_undone(world: World) -> None:
    world.until(lambda: world.look(DEV).verdict is DriftVerdict.CLEAN, what="a clean dev")
    assert world.look(STAGING, layers=[Layer.MACHINES]).verdict is DriftVerdict.CLEAN


@contextmanager
def one_change_per_layer(world: World) -> Iterator[None]:
    """Somebody was busy last night."""
    world.act("edit-vm", vm=str(DEV_WORKER_VM), cores="4")
    world.edit_config(WORKER, {"machine": {"sysctls": {"vm.swappiness": "1"}}})
    world.patch(f"{NODE}/{CP}", {"spec": {"unschedulable": True}})
    world.patch("/api/v1/namespaces/apps/configmaps/infraflux-facts", {"data": {"domain": "example.org"}})
    try:
        yield
    finally:
        world.act("edit-vm", vm=str(DEV_WORKER_VM), cores="2")
        world.edit_config(WORKER, {"machine": {"sysctls": None}})
        world.patch(f"{NODE}/{CP}", {"spec": {"unschedulable": None}})
        world.hand_off()


def test_a_change_in_each_layer_shows_in_one_report(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with one_change_per_layer(world):
        checked = command(world, "drift", "check", DEV)
        as_json = command(world, "drift", "show", DEV, "-o", "json")
        shown = command(world, "drift", "show", DEV)
        refused = command(world, "drift", "fix", DEV)
    assert checked.returncode == 3, checked.stderr
    [report] = json.loads(as_json.stdout)
    assert [(one["layer"], one["object"], one["class"]) for one in report["findings"]] == [
        ("machines", WORKER, "repairable"),
        ("talos", WORKER, "repairable"),
        ("kubernetes", f"Node {CP}", "dangerous"),
        ("gitops", "ConfigMap apps/infraflux-facts", "repairable"),
    ]
    assert report["findings"][3]["note"].endswith("changed by kubectl-edit")
    assert "simulated" in checked.stdout.lower()
    assert "## Last " in shown.stdout
    assert refused.returncode == 1
    assert f"Node {CP} schedulable is dangerous" in " ".join(refused.stderr.split())
    with capsys.disabled():
        sys.stdout.write(f"\n{checked.stdout}\n")


def commit_policy(world: World, message: str, **drift: Any) -> None:
    world.project.edit(DEV_POLICY, lambda it: it["policy"].update(drift=drift))
    world.commit(message)


def test_an_ignore_rule_holds_until_its_day_and_then_the_finding_is_back(world: World) -> None:
    now = datetime.now(UTC)
    expires = now.date() + timedelta(days=3)
    rule = {
        "name": "load-test",
        "layer": "machines",
        "object": f"{WORKER}*",
        "field": "cpu*",
        "owner": "ann",
        "reason": "load test of the shop",
        "expires": expires,
    }
    commit_policy(world, "ignore", ignore=[rule])
    world.act("edit-vm", vm=str(DEV_WORKER_VM), cores="4")
    try:
        today, then = (world.look(layers=[Layer.MACHINES], now=at) for at in (now, now + timedelta(days=3)))
    finally:
        world.act("edit-vm", vm=str(DEV_WORKER_VM), cores="2")
    assert (today.verdict, today.findings[0].ignored_by) == (DriftVerdict.CLEAN, "load-test")
    assert "by ann: load test of the shop" in today.findings[0].note
    assert (then.verdict, then.findings[0].ignored_by) == (DriftVerdict.DRIFTED, "")
    assert then.findings[0].note == f"the ignore rule load-test expired on {expires}"


def test_an_endpoint_that_is_down_is_unknown_and_stops_neither_layers_nor_clusters(world: World) -> None:
    world.project.fault("http-500", environment="dev", target="GET /*", times=0)
    try:
        reports = by_cluster(check_fleet(world.root, [DEV, STAGING]))
    finally:
        world.project.ask("fault-clear", id=None)
    assert reports[DEV].verdict is DriftVerdict.UNKNOWN
    assert [text.partition(":")[0] for text in reports[DEV].unknown] == ["machines"]
    assert not any(text.startswith("machines") for text in reports[STAGING].unknown)


def test_a_node_that_is_off_is_said_by_proxmox_and_unknown_to_talos(world: World) -> None:
    world.act("stop-vm", vm=str(DEV_WORKER_VM))
    try:
        report = world.look(layers=[Layer.MACHINES, Layer.TALOS])
    finally:
        world.act("start-vm", vm=str(DEV_WORKER_VM))
    assert [(one.object, one.field, one.drift_class) for one in report.findings] == [
        (WORKER, "power", DriftClass.REPAIRABLE)
    ]
    assert report.verdict is DriftVerdict.UNKNOWN
    assert [text.startswith(f"talos: {WORKER}") for text in report.unknown] == [True]
    world.until(lambda: world.look(layers=[Layer.TALOS]).verdict is DriftVerdict.CLEAN, what="the node")


def test_a_cluster_that_a_run_holds_is_skipped_with_the_reason(world: World) -> None:
    path = lock_file(ProjectPaths(world.root).state / "locks", DEV)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        world.project.ask("requests-reset")
        held = check_fleet(world.root, [DEV, STAGING], layers=[Layer.MACHINES])
        asked = {row["environment"] for row in world.project.ask("requests")}
    assert [(one.verdict, one.skipped) for one in held] == [
        (DriftVerdict.SKIPPED, "a run on this machine holds it"),
        (DriftVerdict.CLEAN, ""),
    ]
    assert asked == {"staging"}


def test_repair_is_a_deploy_that_the_policy_allows(world: World) -> None:
    commit_policy(world, "repair by itself", fix="repairable")
    world.act("edit-vm", vm=str(DEV_WORKER_VM), cores="4")
    assert command(world, "drift", "check", DEV).returncode == 3
    # What was found of another commit is no evidence.
    (world.root / "NOTES").write_text("changed\n")
    world.commit("something else")
    stale = command(world, "drift", "fix", DEV, "--local")
    assert "the report is of commit" in " ".join(stale.stderr.split())
    assert command(world, "drift", "check", DEV).returncode == 3

    fixed = command(world, "drift", "fix", DEV, "--local")

    assert fixed.returncode == 0, fixed.stderr[-3000:]
    assert f"{WORKER} cpu[0].cores: 4 -> 2" in fixed.stdout
    assert world.config(DEV_WORKER_VM, DEV)["cores"] == 2
    again = command(world, "drift", "check", DEV)
    assert again.returncode == 0, again.stdout
    assert "has no drift" in " ".join(command(world, "drift", "fix", DEV, "--local").stderr.split())
