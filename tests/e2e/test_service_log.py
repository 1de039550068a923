"""After everything else ran: what the server has to say about it. The last file by name, since it looks back."""

import pytest
from labkit.house import House

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]


def test_no_request_was_refused_for_a_locked_database(house: House, deployed_dev: str) -> None:
    assert "database is locked" not in (house.service.paths.logs / "server.log").read_text()
