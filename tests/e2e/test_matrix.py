"""Every stage of a deploy with every victim: `make test-slow`. One cluster from blank per victim."""

import os
import time
from pathlib import Path

import pytest
from labkit.deaths import VICTIMS, StagePassed, is_over, kill, meet
from labkit.house import House, until
from labkit.looks import Look

from flows.deploy import PLANNED

pytestmark = [pytest.mark.slow, pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect, pytest.mark.timeout(3600)]

STAGES = {victim: ("apply",) if victim == "terraform" else PLANNED for victim in VICTIMS} | {
    "terraform": ("plan", "apply")
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_in_every_stage_from_blank(house: House, dev: Look, victim: str) -> None:
    house.completed(house.deploy(dev.key, flow="destroy", confirm=dev.key))
    made, bootstraps = len(dev.creations()), dev.bootstraps()
    rows = []
    for stage in STAGES[victim]:
        until(lambda: house.service.status().healthy, what="the server")
        run = house.deploy(dev.key)
        try:
            meeting = meet(house, run, stage, program="terraform" if victim == "terraform" else "")
        except StagePassed as passed:
            rows.append((victim, stage, str(passed).splitlines()[0], 0.0))
            continue
        kill(house, meeting, victim)
        killed = time.monotonic()
        until(lambda: house.service.status().healthy, what="the server")
        state = is_over(house, meeting)
        rows.append((victim, stage, state, time.monotonic() - killed))
        house.no_strays()
    tell(rows)
    house.completed(house.deploy(dev.key))
    assert len(dev.creations()) - made == len(dev.declared())
    assert dev.bootstraps() - bootstraps == 1
    assert dev.machines() == dev.declared()
    assert dev.etcd() == {node.name for node in dev.spec.control_planes}


def tell(rows: list[tuple[str, str, str, float]]) -> None:
    """Append the results to the file that INFRAFLUX_MATRIX names, where it names one."""
    if name := os.environ.get("INFRAFLUX_MATRIX"):
        with Path(name).open("a") as file:
            file.writelines(f"| {victim} | {stage} | {state} | {s:.0f} |\n" for victim, stage, state, s in rows)
