"""staging from the command line and prod from the UI's Run button, side by side; prod waits for its plan's approval."""

from dataclasses import dataclass
from typing import Any

import pytest
from labkit import browser
from labkit.browser import Asked, Ui
from labkit.house import House, until
from labkit.looks import Look

from infraflux.service.trigger import answer

# Two clusters at once on a machine that does other things too.
pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect, pytest.mark.timeout(1800)]

REASON = "the first prod"


@dataclass(frozen=True)
class Approved:
    """A deploy of prod, and what was seen on the way."""

    run: str
    suspended: dict[str, Any]
    plan: str
    lock_was_free: bool
    asked: Asked | None = None
    clusters: tuple[str, ...] = ()
    page: str = ""


@pytest.fixture(scope="module")
def staging(house: House) -> str:
    """A run of staging, started and left alone."""
    return house.deploy_by_cli("staging/staging-1")


@pytest.fixture(scope="module")
def prod(house: House, staging: str, tmp_path_factory: pytest.TempPathFactory) -> Approved:
    """prod deployed, once: in the UI where there is a browser, else by command line and API."""
    if browser.missing():
        return by_command_line(house)
    with browser.browser() as ui:
        try:
            return by_ui(house, ui)
        except Exception:
            ui.shot(tmp_path_factory.mktemp("ui") / "failed.png")
            raise


def by_command_line(house: House) -> Approved:
    run = house.deploy_by_cli("prod/prod-1", reason=REASON)
    suspended, free = waits(house, run)
    plan = house.artifact("plan-prod-prod-1")["data"]
    answer(house.api, run, approve=True, approver="ann", comment="looks right")
    house.completed(run)
    return Approved(run=run, suspended=suspended, plan=plan, lock_was_free=free)


def by_ui(house: House, ui: Ui) -> Approved:
    """As a person does it."""
    url = house.service.settings.url
    deployment = house.api.get("/deployments/name/deploy/prod")["id"]
    ui.open(url)
    ui.log_in(house.service.credentials().auth_string)
    ui.click("Deployments")
    ui.press(f"//a[contains(@href, '{deployment}')]")
    ui.click("Run")
    ui.click("Custom run")
    clusters = ui.choices("cluster")
    ui.choose("prod-1")
    ui.field("reason").send_keys(REASON)
    ui.click("Submit", within="//form")
    run = until(lambda: newest(house, deployment), what="the run", patience_s=30)
    suspended, free = waits(house, run)
    plan = house.artifact("plan-prod-prod-1")["data"]
    asked = ui.resume(house.page(run), decision="approve", approver="ann", comment="looks right")
    house.completed(run)
    ui.open(house.page(run))
    ui.find("//*[normalize-space()='Completed']")
    return Approved(
        run=run,
        suspended=suspended,
        plan=plan,
        lock_was_free=free,
        asked=asked,
        clusters=clusters,
        page=ui.text,
    )


def newest(house: House, deployment: str) -> str | None:
    body = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    rows = house.api.post("/flow_runs/filter", body)
    return str(rows[0]["id"]) if rows else None


def waits(house: House, run: str) -> tuple[dict[str, Any], bool]:
    """The state of a run that waits for a decision, and whether the cluster's lock is free meanwhile."""
    until(lambda: house.state(run) == "PAUSED", what=f"the question of {run}")
    free = until(
        lambda: house.api.get("/v2/concurrency_limits/cluster:prod:prod-1")["active_slots"] == 0,
        what="the free lock",
        patience_s=30,
    )
    return house.read(run)["state"], free


def test_prod_waited_with_its_plan_and_went_on(house: House, prod: Approved) -> None:
    assert prod.suspended["name"] == "Suspended"
    assert prod.lock_was_free
    for node in house.spec("prod/prod-1").nodes:
        assert node.name in prod.plan
    names = ("infraflux.approval.requested", "infraflux.approval.granted", "infraflux.cluster.deployed")
    asked, granted, deployed = (house.event(name, prod.run) for name in names)
    assert granted["payload"]["approver"] == "ann"
    assert len({one["payload"]["plan_digest"] for one in (asked, granted, deployed)}) == 1
    assert deployed["payload"]["reason"] == REASON


@pytest.mark.browser
def test_the_ui_has_what_a_person_needs(prod: Approved) -> None:
    if why := browser.missing():
        pytest.skip(why)
    assert prod.clusters == ("prod-1",)
    assert prod.asked is not None
    assert prod.asked.preset == "reject"
    assert "prod/prod-1: the environment's policy asks for approval" in prod.asked.text
    assert "deploy-prod-prod-1" in prod.page
    assert "Completed" in prod.page


@pytest.mark.parametrize("key", ["staging/staging-1", "prod/prod-1"])
def test_the_cluster_stands(house: House, staging: str, prod: Approved, key: str) -> None:
    run = staging if key.startswith("staging") else prod.run
    assert house.completed(run)["name"] == f"deploy-{key.replace('/', '-')}"
    Look(house, key).stands()


def test_prod_refuses_what_no_commit_describes(house: House, prod: Approved) -> None:
    note = house.root / "note.txt"
    note.write_text("not committed\n")
    try:
        found = house.ended(house.deploy("prod/prod-1"))
    finally:
        note.unlink()
    assert found["state"]["type"] == "FAILED"
    assert "accepts committed changes only" in found["state"]["message"]


def test_prod_is_not_destroyed_while_its_policy_protects_it(house: House, prod: Approved) -> None:
    found = house.ended(house.deploy("prod/prod-1", flow="destroy", confirm="prod/prod-1"))
    assert found["state"]["type"] == "FAILED"
    Look(house, "prod/prod-1").stands()
