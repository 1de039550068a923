"""Kubernetes N-1 → N on three and two, by the real talosctl, while a client writes: nothing confirmed is lost."""

import json
import sys
from collections.abc import Iterator

import pytest
from labkit.standing_site import Site, standing_site
from labkit.writer import Writer

from infraflux.config.models import Role
from infraflux.core.errors import Permanent, Retryable
from infraflux.operations.plan.actions import UpgradeKubernetes

pytestmark = [pytest.mark.lab, pytest.mark.tools]

OLD, NEW = "v1.35.4", "v1.36.3"
STATIC = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Deployed at the version before."""

    def behind(site: Site) -> None:
        site.edit(lambda it: it.setdefault("versions", {}).update(kubernetes=OLD))

    with standing_site(tmp_path_factory.mktemp("kubernetes") / "project", before=behind) as made:
        yield made


def declare(site: Site, version: str) -> None:
    site.edit(lambda it: it["versions"].update(kubernetes=version))


def kubelets(site: Site) -> set[str]:
    return {one["status"]["nodeInfo"]["kubeletVersion"] for one in site.objects("nodes")}


def images(site: Site) -> dict[str, set[str]]:
    """Versions of the control plane's pods, by component, as Kubernetes shows them."""
    found: dict[str, set[str]] = {}
    for pod in site.objects("pods", "-n", "kube-system", "-l", "tier=control-plane"):
        image = pod["spec"]["containers"][0]["image"]
        found.setdefault(pod["metadata"]["labels"]["k8s-app"], set()).add(image.rpartition(":")[2])
    return found


def test_it_begins_at_the_version_before(site: Site) -> None:
    assert kubelets(site) == {OLD}
    assert images(site) == {name: {OLD} for name in STATIC}


def test_a_step_that_nobody_supports_is_refused_by_the_plan(site: Site) -> None:
    try:
        declare(site, "v1.34.2")
        with pytest.raises(Permanent, match=r"down from v1\.35\.4 to v1\.34\.2"):
            site.plan()
    finally:
        declare(site, OLD)


def test_an_image_that_cannot_be_pulled_changes_nothing(site: Site) -> None:
    declare(site, NEW)
    site.project.fault("image-missing", target=site.nodes[4].name, times=1)
    last = site.nodes[4].name
    with pytest.raises(Retryable, match=rf"{last} cannot pull .*not found") as stopped:
        site.deploy()
    assert str(stopped.value).count("cannot pull") == 1
    assert kubelets(site) == {OLD}
    assert images(site) == {name: {OLD} for name in STATIC}


def test_one_minor_up_while_a_client_writes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    declare(site, NEW)
    planned = site.plan().plan
    assert [one.kind for one in planned.actions if one.kind not in ("install", "handoff")] == [
        *("snapshot", "kubernetes"),
        *["kubelet"] * 5,
    ]
    [action] = planned.of(UpgradeKubernetes)
    assert action.change.startswith(f"Kubernetes {OLD} → {NEW}")
    with Writer(site.directory / "kubeconfig") as writer:
        site.deploy()
    assert writer.lost() == []
    assert len(writer.acknowledged) > 50
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(writer.acknowledged)} writes confirmed, 0 lost, {writer.failed} refused or unanswered,"
            f" longest gap {writer.longest_gap_s:.1f} s\n"
        )

    assert kubelets(site) == {NEW}
    assert images(site) == {name: {NEW} for name in STATIC}
    assert not any(one["spec"].get("unschedulable") for one in site.objects("nodes"))
    for node in site.nodes:
        live = site.talosctl(node, "get", "machineconfig", "v1alpha1", "-o", "json")
        assert f"ghcr.io/siderolabs/kubelet:{NEW}" in json.loads(live)["spec"]
    assert site.rows("snapshot", "kubernetes", "kubelet", "config", "talos") == []


def test_talosctl_did_the_control_plane_and_pulled_first(site: Site) -> None:
    """From the lab's log of the deploy before: pulls before any change, one node after the other."""
    events = site.project.events()
    pulls = [(at, one) for at, one in enumerate(events) if one["kind"] == "image-pulled" and one["image"].endswith(NEW)]
    applied = [at for at, one in enumerate(events) if one["kind"] == "config-applied" and at > pulls[0][0]]
    first = {(one["name"], one["image"].rpartition("/")[2].partition(":")[0]) for at, one in pulls if at < applied[0]}
    assert {name for name, image in first if image == "kubelet"} == {node.name for node in site.nodes}
    restarted = [one["name"] for one in events if one["kind"] == "kubelet-restarted"]
    planes = [node.name for node in site.nodes if node.role is Role.CONTROL_PLANE]
    assert {name for name, image in first if image in STATIC} == set(planes)
    assert sorted(restarted[:3]) == planes
    assert len(restarted) == 5


def test_the_snapshot_is_private(site: Site) -> None:
    found = sorted((site.directory / "snapshots").iterdir())
    assert found
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert all(path.stat().st_size % 512 == 32 for path in found)


def test_a_worker_that_joins_a_cluster_behind_joins_at_its_version_and_goes_up_with_it(site: Site) -> None:
    """A patch version back, and one worker more, in one commit."""
    declare(site, "v1.36.2")
    site.edit(lambda it: it["node_pools"][1].update(count=3))
    [joins] = [one for one in site.plan().plan.actions if one.kind == "config"]
    assert joins.change == f"first machine config, with Kubernetes {NEW}, which runs"
    site.deploy()
    assert kubelets(site) == {"v1.36.2"}
    assert len(site.objects("nodes")) == 6
    assert site.rows("snapshot", "kubernetes", "kubelet", "config", "talos") == []
