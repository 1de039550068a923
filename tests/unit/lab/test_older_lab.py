"""What a lab finds that an older one left."""

from pathlib import Path

import pytest

from infraflux_lab.compose import refuse_older_clusters
from infraflux_lab.state import LabError


def test_clusters_of_one_etcd_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cluster" / "etcd" / "member").mkdir(parents=True)
    with pytest.raises(LabError, match="infraflux lab reset"):
        refuse_older_clusters(tmp_path)


@pytest.mark.parametrize("place", ["", "cluster/members/dev%2F11/data/member", "cluster/pki"])
def test_anything_else_is_fine(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    refuse_older_clusters(tmp_path)
