"""One cluster of three and two for all tests here: each leaves it whole."""

from collections.abc import Iterator

import pytest
from labkit.standing_site import Site, standing_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with standing_site(tmp_path_factory.mktemp("upgrades") / "project") as made:
        yield made
