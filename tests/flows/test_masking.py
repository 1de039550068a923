"""No secret in logs, states, artifacts, events or the database."""

import logging
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.exceptions import TerminationSignal
from prefect.logging.handlers import APILogWorker

from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.outcomes import Done, Noop
from tasks.engine import masking
from tasks.engine.artifacts import publish
from tasks.engine.context import running
from tasks.engine.events import ClusterEvent, emit, payload, resource
from tasks.engine.masking import add_secrets, is_expected, masked, masked_error
from tasks.engine.stages import Recipe, summary
from tasks.engine.step import step

CANARY = "canary-3f9c1d-secret"


@pytest.fixture(autouse=True)
def _fresh_mask(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = logging.getLogRecordFactory()
    monkeypatch.setattr("tasks.engine.masking._known", type(masking._known)())
    yield
    logging.setLogRecordFactory(before)


def test_short_values_do_not_mask_words() -> None:
    add_secrets({"dev", CANARY})
    assert masked(f"dev {CANARY}") == "dev ***"


def test_an_error_is_masked_and_located() -> None:
    add_secrets({CANARY})
    error = masked_error(Permanent(f"token {CANARY} refused", stage="plan"), cluster="dev/dev-1")
    assert CANARY not in str(error)
    assert str(error).startswith("[dev/dev-1 plan] token *** refused")
    foreign = masked_error(ValueError(f"bad {CANARY}"), cluster="dev/dev-1")
    assert CANARY not in str(foreign)
    assert "ValueError" in str(foreign)
    clean = ValueError("clean")
    assert masked_error(clean, cluster="c") is clean


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Permanent("typo"), True),
        (Permanent("defect", error_class=ErrorClass.INTERNAL), False),
        (ValueError("defect"), False),
        (TerminationSignal(signal=15), True),
        (None, False),
    ],
)
def test_only_defects_get_a_traceback(error: BaseException | None, expected: bool) -> None:
    assert is_expected(error) is expected


@step("leak", retries=0)
def leak(*, cluster: str) -> str:
    get_run_logger().info("%s has %s", cluster, CANARY)
    get_run_logger().warning("bytes %r", CANARY.encode())
    raise Permanent(f"refused {CANARY}", stage="leak")


@flow(name="leaky")
def leaky(cluster: str) -> None:
    with running(cluster) as run:
        add_secrets({CANARY})
        publish("plan", cluster=run.cluster, markdown=f"# plan with {CANARY}", description="test")
        emit(ClusterEvent.VERIFIED, cluster=run.cluster, facts={"git_sha": "abc"})
        leak(cluster=run.cluster)


def database_files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.prefect
def test_a_leaking_flow_leaves_no_canary_anywhere(server: None, project: Path) -> None:
    from prefect.settings import PREFECT_HOME, PREFECT_SERVER_DATABASE_CONNECTION_URL  # noqa: PLC0415

    state = leaky("dev/dev-1", return_state=True)
    assert state.is_failed()
    assert CANARY not in str(state.message)
    assert list((project / ".infraflux" / "runs").iterdir()) == []
    APILogWorker.drain_all(timeout=10)
    with get_client(sync_client=True) as client:
        # Of this run alone: other tests of the same server may have said more than one page holds.
        mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
        logs = client.read_logs(log_filter=mine, limit=200)
    text = "\n".join(log.message for log in logs)
    assert "dev/dev-1 has ***" in text
    assert CANARY not in text
    url = str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value())
    database = Path(url.split("///", 1)[1]) if "///" in url else None
    searched = database_files(PREFECT_HOME.value())
    searched += list(database.parent.glob(f"{database.name}*")) if database else []
    assert searched
    assert [path for path in searched if CANARY.encode() in path.read_bytes()] == []


def test_events_are_flat_and_named() -> None:
    assert resource("dev/dev-1")["prefect.resource.id"] == "infraflux.cluster.dev.dev-1"
    said = payload("dev/dev-1", {"git_sha": "abc"}, flow_run_id="r")
    assert said == {"schema": 1, "cluster": "dev-1", "env": "dev", "flow_run_id": "r", "git_sha": "abc"}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"a": Noop("there"), "b": Done("made b")}, "1 done, 1 with nothing to do"),
        ({"a": Noop("there")}, "1 with nothing to do"),
        (Noop("there"), "nothing to do: there"),
        ("wrote kubeconfig", "wrote kubeconfig"),
        (None, ""),
    ],
)
def test_summary(result: Any, text: str) -> None:
    assert summary(result) == text


def test_no_stage_changes_anything_without_the_lock() -> None:
    with pytest.raises(Permanent, match="without the lock"):
        Recipe(run=None, report=None).fence()  # type: ignore[arg-type]
