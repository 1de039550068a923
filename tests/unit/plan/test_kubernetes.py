"""Kubernetes versions: which step brings what runs to what is wanted, and what a machine config keeps until then."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from fakes.plans import Site, machine, spec_of_five, standing, summary

from infraflux.adapters.kubernetes.facts import ManifestChange, RemovedApi, removed_apis
from infraflux.adapters.talos.documents import diff_configs, parse_documents
from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import Permanent
from infraflux.operations.plan.kubernetes import at_version, image_version, images_of, with_running_versions

CP1, CP2, CP3 = (f"dev-1-cp-{number}" for number in (1, 2, 3))
W1, W2 = (f"dev-1-worker-{number}" for number in (1, 2))
PLANES, ALL = (CP1, CP2, CP3), (CP1, CP2, CP3, W1, W2)
PARTS = {"apiServer": "apiserver", "controllerManager": "controller-manager", "scheduler": "scheduler"}
OLD, NEW = "v1.35.4", "v1.36.3"


def put(config: dict[str, Any], *, plane: str = "", kubelet: str = "", parts: tuple[str, ...] = tuple(PARTS)) -> None:
    """Set the images of one machine config."""
    if kubelet:
        config["machine"].setdefault("kubelet", {})["image"] = f"ghcr.io/siderolabs/kubelet:{kubelet}"
    if plane:
        for part in parts:
            config["cluster"].setdefault(part, {})["image"] = f"registry.k8s.io/kube-{PARTS[part]}:{plane}"


def site_of(planes: str = OLD, kubelets: str = OLD, *, wanted: str = NEW, spec: ClusterSpec | None = None) -> Site:
    """A cluster that runs one version, with another wanted."""
    site = standing(spec or spec_of_five(versions={"talos": "v1.13.9", "kubernetes": wanted}))
    for name in site.names():
        plane = "-cp-" in name
        put(site.configs[name], plane=wanted if plane else "", kubelet=wanted)
        put(site.live[name], plane=planes if plane else "", kubelet=kubelets)
        site.nodes[name]["status"]["nodeInfo"] = {"kubeletVersion": kubelets}
    return site


def half_way() -> Site:
    """Killed between the second and the third API server."""
    site = site_of()
    for name in (CP1, CP2):
        put(site.live[name], plane=NEW, parts=("apiServer",))
    return site


def two_kubelets_left() -> Site:
    site = site_of(planes=NEW)
    for name in (CP1, CP2, CP3):
        put(site.live[name], kubelet=NEW)
    return site


def with_sysctl() -> Site:
    """A field and the version change in one commit."""
    site = site_of()
    site.want([W1], "machine.sysctls", {"vm.swappiness": "1"})
    return site


def joining() -> Site:
    """A worker is added in the same commit."""
    site = site_of()
    for found in (site.seen, site.live, site.nodes):
        del found[W2]
    site.machines = summary(machine(W2, Terraform.CREATE))
    return site


def kubelets(*names: str) -> list[tuple[str, str]]:
    return [("kubelet", name) for name in names]


SNAPSHOT, UPGRADE = ("snapshot", "etcd"), ("kubernetes", "control plane")
CASES: dict[str, tuple[Callable[[], Site], list[tuple[str, str]]]] = {
    "one minor up": (site_of, [SNAPSHOT, UPGRADE, *kubelets(*ALL)]),
    "a patch down": (lambda: site_of("v1.36.4", "v1.36.4"), [SNAPSHOT, UPGRADE, *kubelets(*ALL)]),
    "killed between API servers": (half_way, [SNAPSHOT, UPGRADE, *kubelets(*ALL)]),
    "killed between kubelets": (two_kubelets_left, kubelets(W1, W2)),
    "the version that runs": (lambda: site_of(NEW, NEW), []),
    "a field beside it": (with_sysctl, [SNAPSHOT, ("config", W1), UPGRADE, *kubelets(*ALL)]),
    "a worker that joins": (joining, [SNAPSHOT, ("machine", W2), ("config", W2), UPGRADE, *kubelets(*ALL)]),
}


@pytest.mark.parametrize(("make", "expected"), CASES.values(), ids=CASES.keys())
def test_the_actions_in_order(make: Callable[[], Site], expected: list[tuple[str, str]]) -> None:
    assert [(one.kind, one.object) for one in make().plan().actions] == expected


def test_a_machine_config_does_not_carry_the_version() -> None:
    [config] = [one for one in with_sysctl().plan().actions if one.kind == "config"]
    assert [field.path for field in config.fields] == ["v1alpha1.machine.sysctls.vm.swappiness"]


def test_a_node_joins_at_what_runs() -> None:
    [config] = [one for one in joining().plan().actions if one.kind == "config"]
    assert config.change == "first machine config, with Kubernetes v1.35.4, which runs"


def test_a_minor_cannot_be_undone_and_a_patch_can() -> None:
    up = {one.kind: one.reversible for one in site_of().plan().actions}
    patch = {one.kind: one.reversible for one in site_of("v1.36.4", "v1.36.4").plan().actions}
    assert (up["kubernetes"], up["kubelet"]) == (False, False)
    assert (patch["kubernetes"], patch["kubelet"]) == (True, True)


def test_another_version_is_another_plan() -> None:
    assert site_of().plan().digest != site_of(wanted="v1.36.2").plan().digest


def down() -> Site:
    return site_of(NEW, NEW, wanted="v1.35.4")


def skipped() -> Site:
    return site_of("v1.34.1", "v1.34.1")


def kubelets_two_behind() -> Site:
    """The API servers are at the step before; the kubelets are not."""
    return site_of(OLD, "v1.34.1")


def api_servers_ahead() -> Site:
    """Nobody can say it of the kubelets: only the control planes went up already."""
    return site_of(NEW, OLD, wanted=OLD)


def talos_first() -> Site:
    """Talos 1.13 does not run what runs now."""
    return site_of("v1.30.2", "v1.30.2", wanted="v1.31.4")


REFUSED = {
    "down": (down, "Kubernetes would go down from v1.36.3 to v1.35.4"),
    "a minor skipped": (skipped, "Kubernetes would skip from v1.34.1 to v1.36.3"),
    "kubelets two behind": (kubelets_two_behind, "Kubernetes would skip from v1.34.1 to v1.36.3"),
    "down from API servers": (api_servers_ahead, "Kubernetes would go down from v1.36.3 to v1.35.4"),
    "a Talos that does not run what runs": (talos_first, "Talos v1.13.9, which comes first, does not run"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_step_that_nobody_supports_is_refused(make: Callable[[], Site], message: str) -> None:
    with pytest.raises(Permanent, match=message):
        make().plan()


def test_a_silent_control_plane_does_not_hide_the_version_of_the_others() -> None:
    site = site_of()
    site.look(CP1, state=NodeState.SILENT, detail="refused")
    planned = site.plan()
    assert [one.object for one in planned.actions if one.kind == "kubelet"] == list(ALL)
    [config] = [one for one in planned.actions if one.kind == "config"]
    assert "with Kubernetes v1.35.4" in config.change


# APIs that go

NAME = "apiserver_requested_deprecated_apis"
METRICS = f"""\
# HELP {NAME} [STABLE] Gauge of deprecated APIs that have been requested
# TYPE {NAME} gauge
{NAME}{{group="",removed_release="",resource="endpoints",subresource="",version="v1"}} 1
{NAME}{{group="a.k8s.io",removed_release="1.36",resource="flows",subresource="",version="v1beta3"}} 1
{NAME}{{group="b.k8s.io",removed_release="1.38",resource="things",subresource="status",version="v1"}} 1
{NAME}{{group="c.k8s.io",removed_release="1.36",resource="others",subresource="",version="v1"}} 0
"""
FLOWS = RemovedApi(resource="flows.v1beta3.a.k8s.io", removed_in="1.36")
THINGS = RemovedApi(resource="things.v1.b.k8s.io", removed_in="1.38")


def test_an_api_server_says_what_it_was_asked_for() -> None:
    assert list(removed_apis(METRICS)) == [FLOWS, THINGS]


def test_what_the_new_version_lacks_is_named_in_the_plan() -> None:
    site = site_of()
    site.removed_apis = (FLOWS, THINGS, FLOWS)
    plan = site.plan()
    assert [one for one in plan.warnings if "flows" in one or "things" in one] == [
        "flows.v1beta3.a.k8s.io is in use and gone in Kubernetes 1.36: whoever asks for it (the API server's audit log"
        " says who) has to move to another version first"
    ]
    [upgrade] = [one for one in plan.actions if one.kind == "kubernetes"]
    assert "API flows.v1beta3.a.k8s.io: in use → gone in 1.36" in [str(field) for field in upgrade.fields]
    assert plan.digest != site_of().plan().digest


def test_an_api_server_that_could_not_be_asked_is_said() -> None:
    site = site_of()
    site.unasked = (f"{CP2}: timeout",)
    assert any(f"is not known: {CP2}: timeout" in line for line in site.plan().warnings)


# What Talos brings with it

DNS = ManifestChange(
    object="Deployment kube-system/coredns",
    field="spec.template.spec.containers[0].image",
    before="coredns:v1.12.0",
    after="coredns:v1.14.2",
)


def behind(site: Site) -> Site:
    site.manifests = (DNS,)
    return site


def other_manifests() -> Site:
    """The configuration names one more, and Talos does not know it yet."""
    site = site_of(NEW, NEW)
    site.want(list(PLANES), "cluster.extraManifests", ["https://example.org/gateway.yaml"])
    return site


MANIFESTS: dict[str, tuple[Callable[[], Site], list[str]]] = {
    "as the cluster has it": (lambda: site_of(NEW, NEW), []),
    "behind": (lambda: behind(site_of(NEW, NEW)), ["1 object(s) of Talos brought forward"]),
    "brought by the configuration": (other_manifests, ["compared again, and brought forward"]),
    "behind, and Kubernetes goes up": (lambda: behind(site_of()), []),
}


@pytest.mark.parametrize(("make", "expected"), MANIFESTS.values(), ids=MANIFESTS.keys())
def test_bootstrap_manifests_come_forward(make: Callable[[], Site], expected: list[str]) -> None:
    assert [one.change for one in make().plan().actions if one.kind == "manifests"] == expected


@pytest.mark.parametrize("make", [lambda: behind(site_of(NEW, NEW)), lambda: behind(site_of())])
def test_their_diff_is_shown(make: Callable[[], Site]) -> None:
    lines = [str(field) for one in make().plan().actions for field in one.fields]
    assert f"{DNS.object} {DNS.field}: coredns:v1.12.0 → coredns:v1.14.2" in lines


def test_what_is_not_known_of_them_is_said() -> None:
    site = site_of(NEW, NEW)
    site.manifests_unknown = "connection refused"
    assert "what Talos brings with it: not known (connection refused)" in site.plan().later


# Texts


CONFIG = """\
version: v1alpha1
machine:
  type: controlplane
  files:
    - content: |
        first: line
        second
      permissions: 0o644
  kubelet:
    image: ghcr.io/siderolabs/kubelet:v1.36.3
  sysctls:
    vm.swappiness: "010"
cluster:
  apiServer:
    image: mirror.example:5000/k8s/kube-apiserver:v1.36.3
  scheduler: {}
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: off
hostname: cp-1
"""


def test_the_rest_of_a_config_keeps_its_meaning() -> None:
    live = CONFIG.replace("v1.36.3", "v1.35.4")
    held = with_running_versions(CONFIG, live)
    assert diff_configs(held, live) == []
    before, after = parse_documents(CONFIG), deepcopy(parse_documents(held))
    after["v1alpha1"]["machine"]["kubelet"]["image"] = before["v1alpha1"]["machine"]["kubelet"]["image"]
    after["v1alpha1"]["cluster"]["apiServer"]["image"] = before["v1alpha1"]["cluster"]["apiServer"]["image"]
    assert after == before
    assert with_running_versions(CONFIG, CONFIG) is CONFIG
    assert with_running_versions(CONFIG, "") is CONFIG


def test_another_registry_of_the_same_version_is_a_field_like_others() -> None:
    live = CONFIG.replace("mirror.example:5000/k8s/", "registry.k8s.io/")
    assert with_running_versions(CONFIG, live) is CONFIG


def test_a_config_at_another_version_keeps_its_registries() -> None:
    moved = images_of(at_version(CONFIG, "v1.35.4"))
    assert moved == {
        "machine.kubelet.image": "ghcr.io/siderolabs/kubelet:v1.35.4",
        "cluster.apiServer.image": "mirror.example:5000/k8s/kube-apiserver:v1.35.4",
    }
    assert at_version(CONFIG, "") is CONFIG


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/siderolabs/kubelet:v1.36.3", "v1.36.3"),
        ("ghcr.io/siderolabs/kubelet:v1.36.3-slim", "v1.36.3"),
        ("mirror:5000/kubelet:v1.36.3@sha256:abc", "v1.36.3"),
        ("mirror:5000/kubelet", ""),
    ],
)
def test_the_version_of_an_image(image: str, version: str) -> None:
    assert image_version(image) == version
