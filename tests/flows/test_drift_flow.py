"""The drift flow on a real Prefect server: states, events, artifacts, notification, repair, and nights that overlap."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, LogFilter, LogFilterFlowRunId
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter
from ruamel.yaml import YAML

from flows.deploy import deploy
from flows.drift import drift
from infraflux.adapters.git_head import read_head
from infraflux.core.locks import one_at_a_time
from infraflux.drift.findings import ClusterDrift, DriftClass, Finding, Layer, Owner
from tasks.engine.locks import cluster_lock

pytestmark = pytest.mark.prefect

SHIPPED = Path(__file__).parents[2]
SECRET = "hook-4f1d7c"
FINDING = Finding(
    layer=Layer.MACHINES,
    object="dev-1-worker-1",
    field="cpu[0].cores",
    wanted="2",
    seen="4",
    drift_class=DriftClass.REPAIRABLE,
    owner=Owner.TERRAFORM,
)


@dataclass
class Hook:
    """A webhook: what was posted to it, and the status it answers."""

    url: str
    status: int = 200
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.posted.append((self.path, json.loads(body)))
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Hook(f"http://127.0.0.1:{server.server_port}/{SECRET}")
    monkeypatch.setenv("DRIFT_HOOK", made.url)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configuration in files of its own, as the working directory."""
    root = tmp_path / "project"
    for name in ("config", "clusters"):
        shutil.copytree(SHIPPED / name, root / name)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def repository(copied: Path) -> Path:
    """A clean commit whose dev tells a webhook and repairs what is repairable."""
    yaml, path = YAML(), copied / "config/environments/dev.yaml"
    document = yaml.load(path)
    document["policy"]["drift"] = {"fix": "repairable", "notify_url": "env:DRIFT_HOOK"}
    yaml.dump(document, path)
    (copied / ".gitignore").write_text(".infraflux/\n")
    git = ["git", "-C", str(copied), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *words], check=True)
    return copied


def seen(root: Path, cluster: str, *findings: Finding, **changes: Any) -> ClusterDrift:
    return ClusterDrift(
        cluster=cluster, at=datetime.now(UTC), commit=read_head(root).commit, findings=findings, **changes
    )


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> list[ClusterDrift]:
    """What the next look finds."""
    reports: list[ClusterDrift] = []
    monkeypatch.setattr("tasks.drift.check_fleet", lambda *_, **__: list(reports))
    return reports


@pytest.fixture
def client(server: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as made:
        yield made


def run(**parameters: Any) -> Any:
    return drift(**parameters, return_state=True)


def logs(client: SyncPrefectClient, state: Any) -> str:
    """The log of a run, once its last line has arrived."""
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = client.read_logs(wanted, limit=200)
        # A task ends with the same words.
        if any("Finished in state" in one.message and one.task_run_id is None for one in found):
            break
        time.sleep(0.3)
    return "\n".join(one.message for one in found)


def events(client: SyncPrefectClient, since: datetime, count: int) -> dict[str, dict[str, Any]]:
    """Our events since then: name and payload by resource."""
    wanted = EventFilter(occurred=EventOccurredFilter(since=since), event=EventNameFilter(prefix=["infraflux.drift."]))
    deadline = time.monotonic() + 20
    found: list[Any] = []
    while time.monotonic() < deadline and len(found) < count:
        time.sleep(0.3)
        found = client.read_events(wanted, limit=50).events
    return {one.resource.id: {"event": one.event, **one.payload} for one in found}


def artifacts(client: SyncPrefectClient, key: str) -> list[Any]:
    return client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))


def test_state_events_and_artifacts_say_what_was_seen(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook
) -> None:
    began = datetime.now(UTC)
    look[:] = [
        seen(repository, "dev/dev-1", FINDING),
        seen(repository, "staging/staging-1", unknown=("proxmox: refused",)),
        seen(repository, "prod/prod-1"),
    ]
    state = run()
    assert (state.name, state.type.value) == ("DriftFound", "COMPLETED")
    told = events(client, began, 3)
    assert {name: one["event"] for name, one in told.items()} == {
        "infraflux.cluster.dev.dev-1": "infraflux.drift.detected",
        "infraflux.cluster.staging.staging-1": "infraflux.drift.unknown",
        "infraflux.cluster.prod.prod-1": "infraflux.drift.clean",
    }
    assert told["infraflux.cluster.dev.dev-1"]["findings"] == 1
    [report] = artifacts(client, "drift-dev-dev-1")
    assert "| machines | dev-1-worker-1 | cpu[0].cores | 2 | 4 | repairable | terraform |" in report.data
    rows = json.loads(artifacts(client, "drift-fleet")[-1].data)
    assert [(row["cluster"], row["unread"]) for row in rows] == [
        ("dev/dev-1", 0),
        ("prod/prod-1", 0),
        ("staging/staging-1", 1),
    ]


def test_the_next_look_adds_to_the_history_and_keeps_the_others_in_the_table(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook
) -> None:
    before = len(artifacts(client, "drift-prod-prod-1"))
    look[:] = [seen(repository, "dev/dev-1"), seen(repository, "prod/prod-1", FINDING)]
    assert run().name == "DriftFound"
    look[:] = [seen(repository, "prod/prod-1")]
    assert run(cluster="prod/prod-1").name == "Completed"
    history = artifacts(client, "drift-prod-prod-1")
    assert len(history) == before + 2
    newest = max(history, key=lambda one: one.created)
    assert "bar [1, 0]" in newest.data
    rows = json.loads(max(artifacts(client, "drift-fleet"), key=lambda one: one.created).data)
    assert [row["cluster"] for row in rows] == ["dev/dev-1", "prod/prod-1"]


def test_the_webhook_gets_one_message_and_its_url_stays_secret(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook
) -> None:
    look[:] = [seen(repository, "dev/dev-1", FINDING, simulated=True), seen(repository, "prod/prod-1", FINDING)]
    state = run()
    # prod names no channel.
    [(path, payload)] = hook.posted
    assert path == f"/{SECRET}"
    assert set(payload) == {"text"}
    assert "dev/dev-1: drifted: 1 repairable" in payload["text"]
    assert "(Simulated: " in payload["text"]
    assert "prod-1" not in payload["text"]
    assert SECRET not in logs(client, state) + str(state.message)


@pytest.mark.parametrize("status", [404, 500])
def test_a_webhook_that_refuses_is_logged_and_fails_nothing(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook, status: int
) -> None:
    hook.status = status
    look[:] = [seen(repository, "dev/dev-1", FINDING)]
    state = run()
    assert state.name == "DriftFound"
    text = logs(client, state)
    assert "not notified: 127.0.0.1" in text
    assert f"HTTP {status}" in text
    assert SECRET not in text


def test_nothing_to_tell_posts_nothing(repository: Path, server: None, look: list[ClusterDrift], hook: Hook) -> None:
    look[:] = [seen(repository, "dev/dev-1")]
    assert run().name == "Completed"
    assert hook.posted == []


def test_endpoints_that_are_down_make_the_run_unknown_and_each_cluster_says_so(
    client: SyncPrefectClient, copied: Path
) -> None:
    """Nothing is faked here: there are no credentials and nobody listens."""
    state = run()
    assert state.name == "DriftUnknown"
    assert [part.partition(":")[0] for part in state.message.split("; ")] == [
        "dev/dev-1",
        "prod/prod-1",
        "staging/staging-1",
    ]
    assert state.message.count("1 unread") == 3


def test_a_cluster_that_a_run_holds_is_skipped_with_its_name_and_the_others_are_looked_at(
    client: SyncPrefectClient, copied: Path, tmp_path: Path
) -> None:
    """Held on another machine: this one's lock files show nothing, the server does."""
    elsewhere = tmp_path / "elsewhere"
    with cluster_lock("dev/dev-1", directory=elsewhere, flow_run_id=str(uuid4()), flow_run_name="deploy-dev-dev-1"):
        state = run()
    assert "dev/dev-1: skipped: held by deploy-dev-dev-1 (run " in state.message
    assert state.message.count("unknown: 1 unread") == 2
    # Given back, it is looked at again.
    assert run().message.count("unknown: 1 unread") == 3


def test_a_night_that_meets_the_night_before_is_passed_over_with_the_reason(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook
) -> None:
    began = datetime.now(UTC)
    look[:] = [seen(repository, "dev/dev-1", FINDING)]
    with one_at_a_time(repository / ".infraflux/locks", "drift--fleet", who="last night (run 7)") as busy:
        assert busy == ""
        state = run()
        # Another question is another piece of work.
        assert run(cluster="dev").name == "DriftFound"
    assert (state.name, state.is_completed()) == ("DriftSkipped", True)
    assert "last night (run 7)" in state.message
    told = events(client, began, 2)
    assert told["infraflux.drift.fleet"]["event"] == "infraflux.drift.skipped"
    assert run().name == "DriftFound"


def register(client: SyncPrefectClient, environment: str, cluster: str) -> UUID:
    """The deployment `deploy/<env>` without anybody who would run it."""
    return client.create_deployment(client.create_flow(deploy), environment, parameters={"cluster": cluster})


def started(client: SyncPrefectClient, deployment: UUID) -> list[Any]:
    return [one for one in client.read_flow_runs(limit=200) if one.deployment_id == deployment]


def test_repair_starts_the_deployment_where_the_policy_covers_all_that_was_found(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook
) -> None:
    dev, staging = register(client, "dev", "dev-1"), register(client, "staging", "staging-1")
    look[:] = [seen(repository, "dev/dev-1", FINDING), seen(repository, "staging/staging-1", FINDING)]
    assert run().name == "DriftFound"
    assert started(client, dev) == []

    message = run(fix=True).message

    [deployed] = started(client, dev)
    assert deployed.parameters == {"cluster": "dev-1", "reason": "drift: dev-1-worker-1 cpu[0].cores"}
    assert "drift-fix" in deployed.tags
    assert "dev/dev-1: repair: started deploy/dev" in message
    assert "staging/staging-1: repair: nothing to do: policy.drift.fix is none" in message
    assert started(client, staging) == []
    # The next night finds it waiting, for a worker or for an approval, and starts no second one.
    assert f"(run {deployed.id}) is Scheduled already" in run(fix=True).message
    assert len(started(client, dev)) == 1


REFUSED = {
    "dangerous": ({"drift_class": DriftClass.DANGEROUS}, {}, "is dangerous"),
    "another commit": ({}, {"commit": "0" * 40}, "the report is of commit 000000000000"),
}


@pytest.mark.parametrize(("finding", "report", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_repair_is_refused_with_the_reason(
    client: SyncPrefectClient,
    repository: Path,
    look: list[ClusterDrift],
    hook: Hook,
    finding: dict[str, Any],
    report: dict[str, Any],
    words: str,
) -> None:
    deployment = register(client, "dev", "dev-1")
    before = len(started(client, deployment))
    look[:] = [replace(seen(repository, "dev/dev-1", replace(FINDING, **finding)), **report)]
    assert words in run(fix=True).message
    assert len(started(client, deployment)) == before


def test_repair_from_a_working_tree_that_no_commit_describes_is_refused(
    client: SyncPrefectClient, repository: Path, look: list[ClusterDrift], hook: Hook
) -> None:
    register(client, "dev", "dev-1")
    look[:] = [seen(repository, "dev/dev-1", FINDING)]
    (repository / "stray.txt").touch()
    assert "the configuration of none" in run(fix=True).message
