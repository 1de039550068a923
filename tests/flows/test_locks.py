"""One writer per cluster, on a real Prefect server."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client

from tasks.engine.locks import (
    LEASE_S,
    RENEW_S,
    ClusterBusy,
    Fence,
    Holder,
    Lease,
    LockLost,
    cluster_lock,
    judge_fence,
    may_reclaim,
    read_holder,
    variable_name,
)

pytestmark = pytest.mark.prefect


def lock(cluster: str, directory: Path, name: str = "deploy-dev-dev-1"):  # type: ignore[no-untyped-def]
    return cluster_lock(cluster, directory=directory, flow_run_id=str(uuid4()), flow_run_name=name)


@pytest.mark.parametrize(
    ("now", "refused", "fence"),
    [
        pytest.param(1.0, False, Fence.FRESH, id="just-renewed"),
        pytest.param(RENEW_S + 1, False, Fence.ASK, id="a-renewal-was-missed"),
        pytest.param(600.0, False, Fence.ASK, id="paused-for-ten-minutes"),
        pytest.param(1.0, True, Fence.LOST, id="the-server-said-no"),
    ],
)
def test_judge_fence(now: float, refused: bool, fence: Fence) -> None:
    assert judge_fence(now=now, renewed_at=0.0, refused=refused) is fence


HOLDER = Holder(flow_run_id="r", flow_run_name="n", lease_id="l", host="here", pid=1, started=0.0, since="now")


@pytest.mark.parametrize(
    ("holder", "host", "living", "result"),
    [
        pytest.param(HOLDER, "here", False, True, id="died-here"),
        pytest.param(HOLDER, "here", True, False, id="lives"),
        pytest.param(HOLDER, "elsewhere", False, False, id="nobody-can-tell-from-here"),
        pytest.param(None, "here", False, False, id="nobody-knows-who"),
    ],
)
def test_may_reclaim(holder: Holder | None, host: str, living: bool, result: bool) -> None:
    assert may_reclaim(holder, host=host, holder_alive=living) is result


def test_the_second_run_is_told_who_holds_the_cluster(server: None, tmp_path: Path) -> None:
    with lock("dev/busy", tmp_path, "deploy-dev-busy"):
        for directory in (tmp_path, tmp_path / "other-machine"):
            with pytest.raises(ClusterBusy, match="deploy-dev-busy") as raised, lock("dev/busy", directory):
                pytest.fail("two holders")
            assert raised.value.error_class == "conflict"
    with lock("dev/busy", tmp_path):
        pass


def test_clusters_do_not_wait_for_each_other(server: None, tmp_path: Path) -> None:
    with lock("dev/one", tmp_path), lock("dev/two", tmp_path):
        assert read_holder("dev/one") != read_holder("dev/two")


def test_the_holder_is_forgotten_on_release(server: None, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lock("dev/forget", tmp_path):
        raise RuntimeError
    assert read_holder("dev/forget") is None


def test_a_revoked_lease_stops_the_next_write(server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.engine.locks.RENEW_S", 0.0)
    with lock("dev/lost", tmp_path) as lease:
        lease.check()
        with get_client(sync_client=True) as client:
            client.release_concurrency_slots_with_lease(lease.id)
        with pytest.raises(LockLost, match="ran out"):
            lease.check()
        with pytest.raises(LockLost):
            lease.check()


def test_a_lease_outlives_its_renewals_only_while_they_succeed() -> None:
    calls: list[UUID] = []
    lease = Lease("dev/x", uuid4(), calls.append)
    lease.check()
    assert calls == []
    lease.renew()
    assert calls == [lease.id]
    assert RENEW_S * 3 < LEASE_S


DIE_HOLDING = """
import os, sys
from pathlib import Path
from uuid import uuid4
from tasks.engine.locks import cluster_lock
with cluster_lock("dev/died", directory=Path(sys.argv[1]), flow_run_id=str(uuid4()), flow_run_name="deploy-dev-died"):
    os._exit(9)
"""


def test_the_lock_of_a_killed_holder_is_taken_over_at_once(server: None, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    died = subprocess.run([sys.executable, "-c", DIE_HOLDING, str(tmp_path)], env=environment, check=False)
    assert died.returncode == 9
    holder = read_holder("dev/died")
    assert holder is not None
    with lock("dev/died", tmp_path):
        taken = read_holder("dev/died")
        assert taken is not None
        assert taken.lease_id != holder.lease_id


def test_one_of_many_gets_the_cluster(server: None, tmp_path: Path) -> None:
    inside, outcomes = threading.Semaphore(1), []
    release = threading.Event()

    def contend() -> None:
        try:
            with lock("dev/race", tmp_path):
                assert inside.acquire(blocking=False)
                release.wait(15)
                inside.release()
                outcomes.append("held")
        except ClusterBusy:
            outcomes.append("busy")
            release.set()

    threads = [threading.Thread(target=contend) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The last one may come in once the first has left.
    assert "held" in outcomes
    assert "busy" in outcomes


def test_names_are_ones_that_prefect_allows() -> None:
    assert variable_name("dev/dev-1") == "lock_dev_dev-1"
