"""A release walks from dev to prod by events and one person's approval, and staging goes back; nothing is played.

Nine deploys, so it runs with `make test-slow` only; `tests/flows/test_promotion.py` plays the same story every time.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from labkit import browser
from labkit.house import House, until
from labkit.looks import Look

from infraflux.service.trigger import answer, start_run

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1800)]

STAGING, PROD = "staging/staging-1", "prod/prod-1"
OTHER_TALOS = "v1.13.8"
"""The change that is promoted: a version beside the shipped one, so every node is upgraded in place."""


def commit(house: House, message: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", house.root, *who, "commit", "-qam", message], check=True)


def edit(path: Path, pattern: str, new: str) -> None:
    text, count = re.subn(pattern, new, path.read_text(), flags=re.MULTILINE)
    assert count
    path.write_text(text)


def latest(house: House, deployment: str, *, release: str, states: set[str]) -> str | None:
    """The newest run of a deployment for a release, once it is in one of these states."""
    found = house.api.get(f"/deployments/name/{deployment}")["id"]
    body = {"deployments": {"id": {"any_": [found]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 20}
    mine = [run for run in house.api.post("/flow_runs/filter", body) if run["parameters"].get("release") == release]
    done = [run for run in mine if run["state"]["name"] in states]
    return str(done[0]["id"]) if done else None


def promoted(house: House, environment: str, *, release: str) -> str:
    """The run that an event started and that brought the release there."""
    deployment = f"promote/{environment}"
    return until(
        lambda: latest(house, deployment, release=release, states={"Completed"}), what=f"{deployment} {release}"
    )


def talos(house: House, key: str) -> str:
    """`2/2 v1.13.9`: what runs on the nodes of a cluster."""
    (row,) = json.loads(house.infraflux("status", key, "-o", "json"))
    return str(row["talos"])


def start(house: House, deployment: str, **parameters: Any) -> str:
    return start_run(house.api, deployment, name=deployment.replace("/", "-"), parameters=parameters)


def approve(house: House, run: str, *, release: str, shots: Path) -> None:
    """In the UI, where there is a browser."""
    if browser.missing():
        answer(house.api, run, approve=True, approver="ann", comment="looks right")
        return
    with browser.browser() as ui:
        ui.open(house.service.settings.url)
        ui.log_in(house.service.credentials().auth_string)
        try:
            asked = ui.resume(house.page(run), decision="approve", approver="ann", comment="looks right")
        except Exception:
            ui.shot(shots / "failed.png")
            raise
    assert asked.preset == "reject"
    for words in (release, "Gates", PROD):
        assert words in asked.text


@pytest.fixture(scope="module")
def proved(house: House, deployed_dev: str) -> House:
    """What the clusters run is r1, and dev proved it; nothing has to be waited for between environments."""
    environments = house.root / "config" / "environments"
    edit(environments / "staging.yaml", r"soak_s: \d+", "soak_s: 0")
    edit(environments / "prod.yaml", r"soak_s: \d+", "soak_s: 0")
    edit(environments / "prod.yaml", r"^    windows:\n(^      .*\n)+", "")
    commit(house, "No waiting between environments")
    house.infraflux("release", "cut", "--commit")
    house.completed(house.deploy("dev/dev-1"))
    return house


def test_a_release_walks_to_prod_and_staging_goes_back(proved: House, tmp_path: Path) -> None:
    house = proved
    promoted(house, "staging", release="r1")
    assert house.spec(STAGING).release == "r1"
    # Prod is asked about r1 too, and one question at a time is open: it is answered before the next release comes.
    first = until(lambda: latest(house, "promote/prod", release="r1", states={"Suspended"}), what="the question on r1")
    answer(house.api, first, approve=False, approver="ann", comment="the next one")
    assert house.ended(first)["state"]["type"] == "FAILED"

    edit(house.root / "config" / "defaults" / "versions.yaml", r"talos: v\S+", f"talos: {OTHER_TALOS}")
    commit(house, f"Talos {OTHER_TALOS}")
    house.infraflux("release", "cut", "--commit")
    house.completed(house.deploy("dev/dev-1"))
    promoted(house, "staging", release="r2")
    Look(house, STAGING).stands()
    assert talos(house, STAGING).endswith(f" {OTHER_TALOS}")

    asking = until(
        lambda: latest(house, "promote/prod", release="r2", states={"Suspended"}), what="the question on prod"
    )
    assert house.spec(PROD).release is None
    text = house.artifact("promotion-prod")["data"]
    assert "### Gates" in text
    assert f"### {PROD}" in text
    approve(house, asking, release="r2", shots=tmp_path)
    house.completed(asking)
    assert talos(house, PROD).endswith(f" {OTHER_TALOS}")
    said = house.event("infraflux.promotion.completed", asking)["payload"]
    assert (said["release"], said["env"]) == ("r2", "prod")

    house.completed(start(house, "rollback/staging", reason="a test"))
    assert house.spec(STAGING).release == "r1"
    assert OTHER_TALOS not in talos(house, STAGING)
    assert house.spec(PROD).release == "r2"
    again = house.completed(start(house, "promote/staging", automatic=True))
    assert again["state"]["name"] in ("NothingToPromote", "Waiting")
    said = house.infraflux("promotion", "status")
    assert "automatic promotion is held" in said
