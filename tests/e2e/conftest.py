"""One house for the whole session: a checkout, the lab and the service, as `infraflux up` makes them."""

import os
from collections.abc import Iterator

import pytest
from labkit.canaries import CommandLines
from labkit.house import House, set_up, tear_down
from labkit.looks import Look

from infraflux.adapters.tools.locate import Source, this_machine


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandLines]:
    """Command lines of every process of this machine, from the first start on."""
    with CommandLines() as sampled:
        yield sampled


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, commands: CommandLines) -> Iterator[House]:
    installed = this_machine()
    wanted = [pin.name for pin in installed.pins.select(group="up")]
    if missing := [name for name in wanted if installed.find(name).source is Source.MISSING]:
        pytest.skip(f"not built: {', '.join(missing)}; run `infraflux tools install --group test`")
    net = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}"
    made = set_up(tmp_path_factory.mktemp("house") / "project", net=net)
    try:
        yield made
        made.no_strays()
    finally:
        tear_down(made)


@pytest.fixture(scope="session")
def dev(house: House) -> Look:
    return Look(house, "dev/dev-1")


@pytest.fixture(scope="session")
def deployed_dev(house: House, dev: Look) -> str:
    """The run that brought dev to its configuration, started as docs/quick-start.md says."""
    run = house.deploy_by_cli(dev.key)
    house.completed(run)
    return run
