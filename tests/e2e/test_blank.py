"""Before anything was ever deployed; the first file by name, since it needs a house where nothing is."""

import pytest
from labkit.house import House
from labkit.looks import Look

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]


def test_a_dry_run_shows_the_plan_and_changes_nothing(house: House, dev: Look) -> None:
    house.ask("requests-reset")
    house.completed(house.deploy(dev.key, dry_run=True))
    assert house.writes() == []
    plan = house.artifact("plan-dev-dev-1")["data"]
    assert all(name in plan for name in dev.declared().values())


def test_destroying_what_was_never_made_finds_nothing(house: House, dev: Look) -> None:
    house.ask("requests-reset")
    house.completed(house.deploy(dev.key, flow="destroy", confirm=dev.key))
    assert house.writes() == []
