"""`prefect deployment run deploy/dev`, and what a person finds afterwards."""

import re

import pytest
from labkit.canaries import of_api
from labkit.house import House, until
from labkit.looks import Look

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]

WRITING = (
    *("Talos secrets", "apply", "upgrade Talos", "first control plane", "etcd", "kubeconfig"),
    *("join nodes", "label nodes", "Cilium", "Argo CD", "handoff"),
)


def outcomes(timeline: str) -> dict[str, str]:
    """What each stage said, from the last table of a timeline."""
    table = timeline.partition("## Stages")[2]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines() if line[:2] == "| "]
    return {row[0]: row[-1] for row in rows}


def test_the_cluster_stands(deployed_dev: str, dev: Look) -> None:
    dev.stands()


def test_the_run_says_what_it_is(house: House, deployed_dev: str) -> None:
    run = house.read(deployed_dev)
    assert run["name"] == "deploy-dev-dev-1"
    assert run["parameters"]["cluster"] == "dev-1"
    tasks = [row["name"] for row in house.pages("/task_runs/filter", {"flow_runs": {"id": {"any_": [deployed_dev]}}})]
    wanted = ("load and validate configuration", "run preflight checks", "plan cluster", "apply machines")
    for name in (*wanted, "bootstrap etcd"):
        assert any(task.startswith(name) for task in tasks), tasks


def test_the_commit_is_recorded(house: House, deployed_dev: str) -> None:
    commit = house.call("git", "rev-parse", "HEAD").strip()
    assert f"acting for {commit[:12]}" in house.log(deployed_dev)
    assert commit in house.artifact("cluster-dev-dev-1")["data"]


@pytest.mark.parametrize("kind", ["plan", "timeline", "cluster", "progress"])
def test_the_artifact_is_there(house: House, deployed_dev: str, kind: str) -> None:
    found = house.artifact(f"{kind}-dev-dev-1")
    assert found["flow_run_id"] == deployed_dev
    assert found["data"]


@pytest.mark.parametrize("name", ["infraflux.cluster.verified", "infraflux.cluster.deployed"])
def test_the_event_is_there(house: House, deployed_dev: str, name: str) -> None:
    event = house.event(name, deployed_dev)
    assert event["resource"]["prefect.resource.id"] == "infraflux.cluster.dev.dev-1"
    payload = event["payload"]
    assert (payload["env"], payload["cluster"]) == ("dev", "dev-1")
    assert re.fullmatch("[0-9a-f]{40}", payload["git_sha"])
    assert re.fullmatch("[0-9a-f]{64}", payload["plan_digest"])


def test_a_second_deploy_changes_nothing(house: House, dev: Look, deployed_dev: str) -> None:
    house.ask("requests-reset")
    house.completed(house.deploy(dev.key))
    assert house.writes() == []
    said = outcomes(house.artifact("timeline-dev-dev-1")["data"])
    assert set(WRITING) <= set(said)
    for stage in WRITING:
        assert re.match(r"nothing to do|\d+ with nothing to do", said[stage]), f"{stage}: {said[stage]}"


def test_what_the_ui_shows_has_no_traceback(house: House, deployed_dev: str) -> None:
    shown = "\n".join(text for _what, text in of_api(house) if deployed_dev in text)
    assert "Traceback" not in shown
    assert "Traceback" not in house.log(deployed_dev)


def test_the_nightly_look_is_scheduled(house: House, deployed_dev: str) -> None:
    """The server's scheduler works, which nobody else would notice before the first night."""
    nightly = house.api.get("/deployments/name/drift/nightly")["id"]
    body = {"deployments": {"id": {"any_": [nightly]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    until(lambda: house.api.post("/flow_runs/filter", body), what="a scheduled look", patience_s=120)
