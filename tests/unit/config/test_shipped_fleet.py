"""The configuration in this repository is right."""

from pathlib import Path

import pytest

from infraflux.config.load import Fleet, load_cluster
from infraflux.core.errors import Permanent

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet.load(ROOT)


@pytest.mark.parametrize(
    ("key", "control_planes", "workers"), [("dev/dev-1", 1, 1), ("staging/staging-1", 3, 2), ("prod/prod-1", 3, 3)]
)
def test_each_environment_has_its_cluster(fleet, key, control_planes, workers):
    spec = fleet.cluster(key)
    assert (len(spec.control_planes), len(spec.workers)) == (control_planes, workers)


def test_control_planes_are_spread_over_the_hosts(fleet):
    assert len({node.host for node in fleet.cluster("prod/prod-1").control_planes}) == 3


def test_the_environments_have_their_policies(fleet):
    prod, dev = fleet.cluster("prod/prod-1").policy, fleet.cluster("dev/dev-1").policy
    assert (prod.approval.required, prod.require_clean_git, prod.deletion_protection) == (True, True, True)
    assert (dev.approval.required, dev.allow_single_control_plane) == (False, True)


def test_one_cluster_loads_by_its_key():
    assert load_cluster(ROOT, "dev/dev-1").endpoint == "https://127.77.1.10:6443"


def test_an_unknown_cluster_names_the_nearest():
    with pytest.raises(Permanent, match=r"there is no cluster 'dev/dev-2': did you mean dev/dev-1\?"):
        load_cluster(ROOT, "dev/dev-2")
