"""After everything else ran: no secret is where it does not belong. Late by name, since it looks back."""

import pytest
from labkit.canaries import CommandLines, holds, secrets_of, texts
from labkit.house import House

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]

OF_USERS = ("age/", "service/", "clusters/")
KEYS = ("dev/dev-1", "staging/staging-1", "prod/prod-1")


@pytest.fixture(scope="module")
def secrets(house: House, deployed_dev: str) -> dict[str, str]:
    """Of every cluster that was deployed by now."""
    state = house.root / ".infraflux" / "secrets"
    found = secrets_of(house, *(key for key in KEYS if (state / f"{key}.talos.age").exists()))
    assert len(found) >= 20
    return found


def test_no_secret_leaves_its_holders(house: House, secrets: dict[str, str], commands: CommandLines) -> None:
    # What this test itself starts carries nothing either, so every command line counts.
    places = [*texts(house), *(("command line", line) for line in commands.seen)]
    leaks = sorted({f"{what} in {where}" for where, text in places for what, value in secrets.items() if value in text})
    assert leaks == []
    # The search would have found them: each place was really read.
    assert {"log", "artifact", "event", "service/prefect/prefect.db"} <= {where for where, _text in places}
    assert any("terraform" in line for line in commands.seen)


def test_what_holds_a_secret_is_private(house: House, secrets: dict[str, str]) -> None:
    state = house.root / ".infraflux"
    names = [str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()]
    # Of the simulated hardware only what users read: its disks and databases are many and large.
    holders = [state / name for name in names if holds(name) and name.startswith(("lab/credentials/", *OF_USERS))]
    holding = [path for path in holders if any(value in path.read_text() for value in secrets.values())]
    assert len(holding) >= len(OF_USERS)
    assert [path for path in holding if path.stat().st_mode & 0o077] == []


def test_terraform_state_holds_no_secret(house: House, secrets: dict[str, str]) -> None:
    states = list((house.root / ".infraflux" / "terraform").rglob("*.tfstate*"))
    assert states
    for path in states:
        text = path.read_text()
        assert [what for what, value in secrets.items() if value in text] == []
