"""What cannot change on a cluster that stands is refused by the plan, all of it at once, with the real way."""

from copy import deepcopy

import pytest
from fakes.plans import Site, standing

from infraflux.core.errors import ErrorClass, Permanent


def changed(path: str, before: object, after: object) -> Site:
    """Every node runs with one value and is wanted with another."""
    site = standing()
    site.want(site.names(), path, before)
    site.live = deepcopy(site.configs)
    site.want(site.names(), path, after)
    return site


OTHER = ["10.2.0.0/16"]
FIXED = {
    "pod range": (
        "cluster.network.podSubnets",
        ["10.1.0.0/16"],
        ["10.2.0.0/16"],
        "podSubnets.*keep the ranges",
        "second",
    ),
    "service range": (
        "cluster.network.serviceSubnets",
        ["10.1.0.0/16"],
        ["10.2.0.0/16"],
        "keep their addresses",
        "second",
    ),
    "cluster domain": ("cluster.network.dnsDomain", "cluster.local", "home.arpa", "dnsDomain: cluster.local", "second"),
    "name": ("cluster.clusterName", "dev-1", "dev-2", "clusterName: dev-1 → dev-2", "second cluster"),
    "identity": ("cluster.id", "abc", "def", "drawn once", "secrets bundle"),
    "install disk": ("machine.install.disk", "/dev/sda", "/dev/vda", "the disk it was installed on", "one by one"),
}


@pytest.mark.parametrize(("path", "before", "after", "message", "way"), FIXED.values(), ids=FIXED.keys())
def test_a_fixed_field_is_refused_once_with_the_way(path, before, after, message, way):
    with pytest.raises(Permanent, match=message) as caught:
        changed(path, before, after).plan()
    assert caught.value.error_class is ErrorClass.CONFIG
    assert way in caught.value.next_step
    assert caught.value.message.count("  - ") == 1


def running(version: str, wanted: str = "v1.36.3") -> Site:
    site = standing()
    versions = site.spec.versions.model_copy(update={"kubernetes": wanted})
    site.spec = site.spec.model_copy(update={"versions": versions})
    for live in site.nodes.values():
        live["status"]["nodeInfo"] = {"kubeletVersion": version}
    return site


STEPS = {
    "a patch up": ("v1.36.1", "v1.36.3", None),
    "a patch down": ("v1.36.3", "v1.36.1", None),
    "a minor up": ("v1.35.4", "v1.36.3", None),
    "a minor down": ("v1.36.3", "v1.35.4", "Kubernetes would go down from v1.36.3 to v1.35.4"),
    "a skip": ("v1.33.1", "v1.36.3", "Kubernetes would skip from v1.33.1 to v1.36.3"),
}


@pytest.mark.parametrize(("before", "after", "message"), STEPS.values(), ids=STEPS.keys())
def test_kubernetes_goes_one_minor_at_a_time_from_what_runs(before, after, message):
    site = running(before, after)
    if message is None:
        site.plan()
        return
    with pytest.raises(Permanent, match=message):
        site.plan()


def test_everything_that_is_refused_is_told_at_once():
    site = running("v1.33.1")
    site.want(site.names(), "cluster.clusterName", "other")
    with pytest.raises(Permanent) as caught:
        site.plan()
    assert caught.value.message.count("  - ") == 2


def test_a_node_that_is_new_may_be_made_with_any_value():
    site = changed("machine.install.disk", "/dev/sda", "/dev/vda")
    site.live = {}
    site.seen = {}
    site.nodes = {}
    site.plan()
