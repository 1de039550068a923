"""What is wanted and what was seen -> which actions, whom they disturb, and when two plans are the same one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from fakes.plans import Site, actions_of, blank, machine, spec_of_five, standing, summary

from infraflux.adapters.talos.facts import BootstrapMarker, NodeState, SystemImage
from infraflux.adapters.terraform.plan import Action as Terraform
from infraflux.adapters.terraform.plan import Change, DiskLoss
from infraflux.config.models import Role
from infraflux.config.models.policy import Disruption
from infraflux.core.errors import Permanent
from infraflux.core.outcomes import Done
from infraflux.operations.plan.actions import GitChange
from infraflux.operations.plan.decide import plan_cluster

CP1, CP2, CP3 = (f"dev-1-cp-{number}" for number in (1, 2, 3))
W1, W2 = (f"dev-1-worker-{number}" for number in (1, 2))
ROLE = "node-role.kubernetes.io/edge"
REGISTRY = Change(address='proxmox_download_file.image["pve-1"]', type="proxmox_download_file", action=Terraform.CREATE)

Row = tuple[str, str, str]


def config(*names: str, disruption: str = "none") -> list[Row]:
    return [("config", name, disruption) for name in names]


# Sites


def sysctl(value: str = "1", *roles: Role) -> Site:
    site = standing()
    site.want(site.names(*roles), "machine.sysctls", {"vm.swappiness": value})
    return site


def kubelet(value: str = "4") -> Site:
    site = standing()
    site.want([W1, W2], "machine.kubelet", {"extraArgs": {"v": value}})
    return site


def rebooting() -> Site:
    site = sysctl()
    site.reboots = {W1: True, W2: False}
    return site


def seen(name: str, state: NodeState, **changes: str) -> Site:
    site = standing()
    site.look(name, state=state, **changes)
    return site


def another_talos() -> Site:
    site = standing(version="v1.13.8")
    for name in site.names():
        site.configs[name]["machine"]["install"]["image"] = "factory.talos.dev/nocloud-installer/x:v1.13.9"
    return site


def another_schematic() -> Site:
    """An extension was added on a cluster that stands; one worker has it already."""
    site = standing(spec_of_five(image={"schematic": {"extensions": ["siderolabs/iscsi-tools"]}}))
    former = SystemImage(version="v1.13.9", schematic="a" * 64)
    site.images = {name: former for name in site.names() if name != W2}
    return site


def half_upgraded() -> Site:
    site = standing()
    site.look(CP3, version="v1.13.8")
    return site


def labelled() -> Site:
    """A role that the API server lets no worker give itself, missing on one of two."""
    site = standing(spec_with_label())
    site.nodes[W1]["metadata"]["labels"] = {}
    return site


def spec_with_label():
    spec = spec_of_five()
    cp, worker = spec.node_pools
    return spec_of_five(node_pools=[cp, worker.model_copy(update={"labels": {ROLE: ""}})])


def scaled_up() -> Site:
    site = standing()
    for found in (site.seen, site.live, site.nodes):
        del found[W2]
    site.machines = summary(machine(W2, Terraform.CREATE))
    return site


def scaled_down(*changes: Change) -> Site:
    site = standing()
    site.machines = summary(*(changes or [machine("dev-1-worker-3", Terraform.DESTROY, machine_address="10.0.0.23")]))
    for change in changes or [machine("dev-1-worker-3", Terraform.DESTROY)]:
        site.nodes.setdefault(change.node, {"metadata": {"name": change.node}})
    return site


def replaced(name: str, **more: object) -> Site:
    site = standing()
    site.machines = summary(machine(name, Terraform.REPLACE, forced_by=("disk[0].datastore_id",), **more))
    return site


def without_api() -> Site:
    site = standing()
    site.no_platform = "decided when it can be looked at (connection refused)"
    return site


def handoff(*names: str) -> Site:
    site = standing()
    for name in names:
        site.handoff[name] = Done(f"would change {name}")
    return site


def not_installed() -> Site:
    site = standing()
    site.installs["argocd"] = Done("would install argocd")
    return site


def without_etcd(*, marker: BootstrapMarker | None) -> Site:
    site = standing()
    site.members, site.marker = None, marker
    return site


def shared() -> Site:
    site = standing()
    site.shared = summary(REGISTRY)
    return site


BLANK = [
    ("secrets", "Talos secrets bundle", "none"),
    *(("machine", name, "none") for name in (CP1, CP2, CP3, W1, W2)),
    ("values", "platform", "none"),
    *config(CP1),
    ("etcd", "etcd", "none"),
    *config(CP2, CP3, W1, W2),
    ("install", "cilium", "none"),
    ("install", "argocd", "none"),
    ("handoff", "AppProject argocd/platform", "none"),
    ("handoff", "Application argocd/root", "none"),
]

SNAPSHOT = ("snapshot", "etcd", "none")
MANIFESTS = ("manifests", "bootstrap manifests", "none")
CASES: dict[str, tuple[Callable[[], Site], list[Row]]] = {
    "blank": (blank, BLANK),
    "nothing differs": (standing, []),
    "a sysctl on every node": (sysctl, config(CP1, CP2, CP3, W1, W2)),
    "a kubelet argument": (kubelet, config(W1, W2, disruption="service-restart")),
    "a field that one node cannot take at once": (
        rebooting,
        [*config(CP1, CP2, CP3), *config(W1, disruption="node-restart"), *config(W2)],
    ),
    "a silent node": (lambda: seen(W1, NodeState.SILENT, detail="refused"), config(W1)),
    "a wiped node": (lambda: seen(W1, NodeState.MAINTENANCE), config(W1)),
    "another Talos": (
        another_talos,
        [
            SNAPSHOT,
            *(("talos", name, "node-restart") for name in (CP1, CP2, CP3, W1, W2)),
            *config(CP1, CP2, CP3, W1, W2),
            MANIFESTS,
        ],
    ),
    "an extension on nodes that stand": (
        another_schematic,
        [SNAPSHOT, *(("talos", name, "node-restart") for name in (CP1, CP2, CP3, W1))],
    ),
    "an upgrade that stopped half way": (half_upgraded, [SNAPSHOT, ("talos", CP3, "node-restart"), MANIFESTS]),
    "an upgrade of which a worker is left": (lambda: _running("v1.13.8"), [("talos", W1, "node-restart")]),
    "a label": (labelled, [("labels", W1, "none")]),
    "one node more": (scaled_up, [("machine", W2, "none"), *config(W2)]),
    "one node less": (
        scaled_down,
        [("leave", "dev-1-worker-3", "node-leaves"), ("machine", "dev-1-worker-3", "node-leaves")],
    ),
    "a replaced worker": (
        lambda: replaced(W1),
        [("leave", W1, "node-leaves"), ("machine", W1, "node-leaves"), *config(W1)],
    ),
    "a replaced worker with data": (
        lambda: replaced(W1, lost_disks=(DiskLoss(name="data", why="its machine is not kept"),)),
        [("leave", W1, "node-leaves"), ("machine", W1, "data-lost"), *config(W1)],
    ),
    "a replaced control plane": (
        lambda: replaced(CP2),
        [("leave", CP2, "node-leaves"), ("machine", CP2, "node-leaves"), *config(CP2)],
    ),
    "a platform that cannot be looked at": (without_api, []),
    "an object of the handoff": (
        lambda: handoff("AppProject argocd/platform"),
        [("handoff", "AppProject argocd/platform", "none")],
    ),
    "an install that an earlier run did not come to": (not_installed, [("install", "argocd", "none")]),
    "an etcd that nobody bootstrapped": (lambda: without_etcd(marker=None), [("etcd", "etcd", "none")]),
    "an etcd whose bootstrap was not confirmed": (
        lambda: without_etcd(marker=BootstrapMarker(CP2, "abc")),
        [("etcd", "etcd", "none")],
    ),
    "an etcd that does not answer": (lambda: without_etcd(marker=BootstrapMarker(CP1, "abc", confirmed=True)), []),
    "an image that the environment shares": (shared, [("shared", "image pve-1", "none")]),
}


@pytest.mark.parametrize(("make", "expected"), CASES.values(), ids=CASES.keys())
def test_the_actions_in_order(make: Callable[[], Site], expected: list[Row]):
    plan = make().plan()
    assert actions_of(plan) == expected
    assert plan.empty == (not expected)
    assert plan.disruption == max((Disruption(one) for _kind, _object, one in expected), default=Disruption.NONE)


LATER = {
    "a silent node": (CASES["a silent node"][0], ["dev-1-worker-1 does not answer yet (refused)"]),
    "a platform that cannot be looked at": (without_api, ["the platform: decided when it can be looked at"]),
    "an etcd that does not answer": (
        CASES["an etcd that does not answer"][0],
        ["etcd does not answer: the run waits for it, and never bootstraps it a second time"],
    ),
    "a wiped node": (CASES["a wiped node"][0], []),
    "blank": (blank, []),
}


@pytest.mark.parametrize(("make", "expected"), LATER.values(), ids=LATER.keys())
def test_what_cannot_be_decided_yet_is_said(make: Callable[[], Site], expected: list[str]):
    found = make().plan().later
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


def gone_control_planes() -> Site:
    site = without_etcd(marker=BootstrapMarker(CP1, "abc", confirmed=True))
    site.machines = summary(*(machine(name, Terraform.CREATE) for name in (CP1, CP2, CP3)))
    return site


def too_many_leave() -> Site:
    site = replaced(CP2)
    site.look(CP3, state=NodeState.SILENT)
    return site


REFUSED = {
    "a locked node": (lambda: seen(W1, NodeState.LOCKED), "configuration that this cluster's secrets did not make"),
    "a wrong machine": (lambda: seen(W1, NodeState.RUNNING, uuid="0-beef"), "UUID 0-beef answers there"),
    "a skipped minor of Talos": (lambda: _running("v1.11.2"), "Talos"),
    "every control plane gone": (gone_control_planes, "new ones would start an empty cluster"),
    "etcd without its majority": (too_many_leave, "dev-1-cp-2 cannot leave etcd"),
}


def _running(version: str) -> Site:
    site = standing()
    site.look(W1, version=version)
    return site


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_plan_is_refused(make: Callable[[], Site], message: str):
    with pytest.raises(Permanent, match=message):
        make().plan()


def test_a_change_shows_its_fields_and_masks_secrets():
    site = kubelet()
    site.want([W1], "machine.token", "s3cr3t-token")
    (first, _second) = site.plan().actions
    assert [str(one) for one in first.fields] == [
        "v1alpha1.machine.kubelet.extraArgs.v: (absent) → 4",
        "v1alpha1.machine.token: (absent) → ***",
    ]
    assert first.change == "machine config, 2 fields: kubelet restarts"
    assert "s3cr3t" not in repr(site.plan())


def test_an_upgrade_says_what_of_the_image_differs():
    _snapshot, first, *_others = another_schematic().plan().actions
    assert first.change.startswith("schematic aaaaaaaaaaaa → ")
    assert first.change.endswith(", + iscsi-tools")


def test_the_bootstrap_is_repeated_where_it_was_begun():
    (action,) = without_etcd(marker=BootstrapMarker(CP2, "abc")).plan().actions
    assert (action.node, action.reversible, action.why) == (CP2, False, "an earlier call was not confirmed")


# The digest


def told(**changes: object) -> Site:
    """The sysctl plan, with something about it that nothing is done for."""
    site = sysctl()
    for name, value in changes.items():
        setattr(site, name, value)
    return site


def blank_with(**changes: object) -> Site:
    site = blank()
    for name, value in changes.items():
        setattr(site, name, {**getattr(site, name), **value})  # type: ignore[dict-item]
    return site


def another_order() -> Site:
    site = sysctl()
    site.seen = dict(reversed(site.seen.items()))
    site.nodes = dict(reversed(site.nodes.items()))
    return site


SAME = {
    "looked at twice": (sysctl, sysctl),
    "nothing to do, looked at twice": (standing, standing),
    "seen in another order": (sysctl, another_order),
    "another warning": (sysctl, lambda: told(warnings=("a host is full",))),
    "Git changes the platform as well": (sysctl, lambda: told(from_git=(GitChange(component="x", change="y"),))),
    "a silent node says something else": (
        lambda: seen(W1, NodeState.SILENT, detail="refused"),
        lambda: seen(W1, NodeState.SILENT, detail="no route"),
    ),
    "what waits for a config was silent before": (
        lambda: seen(W1, NodeState.SILENT),
        lambda: seen(W1, NodeState.MAINTENANCE),
    ),
    "files of an install that is none": (standing, lambda: _with_components(standing())),
}


def _with_components(site: Site) -> Site:
    site.components = {"cilium": "c2", "argocd": "a2"}
    return site


OTHER = {
    "another value": (sysctl, lambda: sysctl("2")),
    "another field": (sysctl, kubelet),
    "fewer nodes": (sysctl, lambda: sysctl("1", Role.WORKER)),
    "a restart": (sysctl, rebooting),
    "a plan and none": (sysctl, standing),
    "more of Terraform": (sysctl, lambda: told(machines=summary(machine(W2, Terraform.UPDATE)))),
    "more of what is shared": (sysctl, lambda: told(shared=summary(REGISTRY))),
    "a node that went silent": (standing, lambda: seen(W1, NodeState.SILENT)),
    "a label": (standing, labelled),
    "another object of the handoff": (
        lambda: handoff("AppProject argocd/platform"),
        lambda: handoff("Application argocd/root"),
    ),
    "other patches of a blank cluster": (blank, lambda: blank_with(fingerprints={W2: "other"})),
    "other files of a first install": (blank, lambda: blank_with(components={"cilium": "c2"})),
    "a later install from other files": (not_installed, lambda: _with_components(not_installed())),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_the_digest_stays_where_the_same_is_done(one: Callable[[], Site], other: Callable[[], Site]):
    assert one().plan().digest == other().plan().digest


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER.keys())
def test_the_digest_changes_with_what_is_done(one: Callable[[], Site], other: Callable[[], Site]):
    assert one().plan().digest != other().plan().digest


def test_what_is_shared_has_a_digest_of_its_own():
    plain, more = sysctl().plan(), told(shared=summary(REGISTRY)).plan()
    assert (plain.own_digest == more.own_digest, plain.shared_digest == more.shared_digest) == (True, False)


def test_why_a_thing_is_done_is_no_part_of_the_digest():
    plan = sysctl().plan()
    actions = tuple(replace(one, why="another reason") for one in plan.actions)
    assert replace(plan, actions=actions).digest == plan.digest


def test_planning_takes_only_what_it_is_given():
    """Twice from the same values: no clock, no file, no chance."""
    site = another_talos()
    assert site.plan() == site.plan()
    assert plan_cluster.__module__ == "infraflux.operations.plan.decide"
