"""A cluster of one control plane and one worker, all of it real, from blank on."""

from functools import partial

import pytest
from labkit.real_talos import KEY, RealProject, Traces, add_patch, all_ready, changes, traces, until

from infraflux.adapters.talos.facts import NodeState
from infraflux.adapters.talos.seen import look, look_at_etcd
from infraflux.adapters.talos.talosctl import Talosctl, TalosTransient
from infraflux.config.models import Node
from infraflux.core.errors import Permanent
from infraflux.operations.plan.node_decisions import decide_config
from infraflux_lab import lifecycle

pytestmark = [pytest.mark.talos_real, pytest.mark.timeout(1800)]

OVERLAY, BASE = "clusters/overlays/dev/dev-1.yaml", "clusters/base/machines.yaml"
CONTROL_PLANE, WORKER = "dev-1-cp-1", "dev-1-worker-1"


def node(project: RealProject, name: str) -> Node:
    return next(one for one in project.cluster().spec.nodes if one.name == name)


def state(project: RealProject, name: str) -> NodeState:
    return project.cluster().look(node(project, name)).state


def test_status_says_what_is_real_and_what_container_mode_cannot_show(started):
    parts = {part["name"]: part for part in lifecycle.status(started.lab.root)["parts"]}
    assert parts["Talos nodes"]["kind"] == "real"
    assert parts["Talos nodes"]["version"] == "v1.13.9"
    assert parts["node images"]["kind"] == parts["pod network"]["kind"] == "simulated"
    for word in ("installer", "kernel", "disks", "META", "time sync", "UUID", "reboot"):
        assert word in parts["Talos nodes"]["note"]


def test_a_machine_with_power_waits_in_maintenance_with_the_address_and_card_it_was_given(started):
    started.infraflux("machines", "apply", KEY, "--yes")
    bare = started.cluster().workspace.talosctl
    for one in started.cluster().spec.nodes:
        seen = partial(look, one, admin=None, bare=bare)
        until(lambda seen=seen: seen().state is NodeState.MAINTENANCE, what=f"{one.name} in maintenance")
        assert one.mac in seen().macs


def test_from_blank_to_ready(deployed):
    until(lambda: all_ready(deployed), what="both nodes to be Ready")
    by_name = {item["metadata"]["name"]: item for item in deployed.kubectl("get", "nodes")["items"]}
    for name, item in by_name.items():
        info = item["status"]["nodeInfo"]
        assert info["osImage"] == "Talos (v1.13.9)"
        assert info["kubeletVersion"] == "v1.36.3"
        assert info["containerRuntimeVersion"].startswith("containerd://")
        addresses = {one["address"] for one in item["status"]["addresses"] if one["type"] == "InternalIP"}
        assert str(node(deployed, name).address) in addresses
    assert "node-role.kubernetes.io/worker" in by_name[WORKER]["metadata"]["labels"]


def test_everything_is_as_git_has_it(deployed):
    found = deployed.kubectl("get", "applications", "-n", "argocd")["items"]
    states = {one["metadata"]["name"]: one["status"]["sync"]["status"] for one in found}
    assert {"root", "argocd", "cilium", "cert-manager", "monitoring", "apps-hello"} <= set(states)
    assert set(states.values()) == {"Synced"}
    pods = deployed.kubectl("get", "pods", "-n", "argocd")["items"]
    assert {one["status"]["phase"] for one in pods} == {"Running"}


def test_nodes_are_ready_only_once_cilium_is_there(deployed):
    """Before that the kubelet says that there is no CNI configuration."""
    assert len(deployed.events("standin", path="90-lab.conflist")) == len(deployed.cluster().spec.nodes)
    up = deployed.events("cluster-up")[0]["monotonic_s"]
    assert all(one["monotonic_s"] > up for one in deployed.events("standin", path="90-lab.conflist"))


def test_again_nothing_is_done(deployed):
    assert "no changes" in deployed.infraflux("plan", KEY)
    assert f"{KEY}: no changes" in deployed.infraflux("machines", "plan", KEY)
    done = changes(deployed.infraflux("cluster", "bootstrap", KEY))
    assert [line for line in done if "healthy" not in line and not line.startswith("  ")] == []


def test_a_node_that_other_keys_configured_is_locked_and_never_silent(deployed, tmp_path):
    """The answers vary from call to call: broken pipe, reset, certificate required."""
    bare = deployed.cluster().workspace.talosctl
    bare.local("gen", "secrets", "--output-file", tmp_path / "secrets.yaml")
    stranger = tmp_path / "talosconfig"
    words = ["gen", "config", "other", "https://10.0.0.1:6443", "--with-secrets", tmp_path / "secrets.yaml"]
    bare.local(*words, "--output-types", "talosconfig", "--output", stranger)
    admin = Talosctl(binary=bare.binary, cluster=KEY, talosconfig=stranger)
    looks = [look(node(deployed, WORKER), admin=admin, bare=bare) for _ in range(10)]
    assert {seen.state for seen in looks} == {NodeState.LOCKED}
    with pytest.raises(Permanent, match="this cluster's secrets did not make"):
        decide_config(node(deployed, WORKER), looks[0], wanted="", cluster=KEY)


def test_labels_and_taints_arrive(deployed):
    def declare(overlay):
        [pool] = [one for one in overlay["node_pools"] if one["name"] == "worker"]
        pool["labels"] = {"tier": "edge"}
        pool["taints"] = [{"key": "dedicated", "value": "edge", "effect": "NoSchedule"}]

    deployed.edit(OVERLAY, declare)
    deployed.infraflux("cluster", "bootstrap", KEY)
    worker = until(
        lambda: next((one for one in deployed.kubectl("get", "nodes", "-l", "tier=edge")["items"]), None),
        what="the label on the Node",
    )
    assert {"key": "dedicated", "value": "edge", "effect": "NoSchedule"} in worker["spec"]["taints"]


def test_a_live_change_takes_effect_without_a_restart(deployed):
    boots = len(deployed.events("booting"))
    setting = {"machine": {"sysctls": {"net.ipv4.tcp_keepalive_intvl": "61"}}}
    deployed.edit(OVERLAY, lambda overlay: add_patch(overlay, "keepalive", setting))
    deployed.infraflux("cluster", "bootstrap", KEY)
    path = "/proc/sys/net/ipv4/tcp_keepalive_intvl"
    for one in deployed.cluster().spec.nodes:
        read = partial(deployed.talosctl, "read", path, node=str(one.address))
        until(lambda read=read: read().strip() == "61", what=f"the setting on {one.name}")
    assert len(deployed.events("booting")) == boots


def test_a_change_that_wants_a_restart_restarts_the_node_once(deployed):
    """`machine.env` is none of the fields that CanApplyImmediate of Talos' runtime lists."""
    boots = len(deployed.events("booting"))
    variable = {"machine": {"env": {"INFRAFLUX_LAB": "1"}}}
    deployed.edit(OVERLAY, lambda overlay: add_patch(overlay, "variable", variable, scope="worker"))
    deployed.infraflux("cluster", "bootstrap", KEY)
    assert [event["name"] for event in deployed.events("booting")[boots:]] == [WORKER]
    until(lambda: all_ready(deployed), what="the worker to be Ready again")


def test_container_mode_refuses_a_reboot_over_the_api(deployed):
    """So a restart is shown by a change that wants one, and by power."""
    with pytest.raises(TalosTransient, match="not supported in container mode"):
        deployed.talosctl("reboot", "--wait=false", node=str(node(deployed, WORKER).address))


def test_a_node_that_lost_power_is_silent_and_comes_back(deployed):
    vm_id = node(deployed, CONTROL_PLANE).vm_id
    deployed.act("stop-vm", vm=str(vm_id))
    assert state(deployed, CONTROL_PLANE) is NodeState.SILENT
    deployed.switch_on(vm_id)
    deployed.infraflux("cluster", "health", KEY)
    etcd = look_at_etcd(deployed.cluster().spec.control_planes, admin=deployed.cluster().admin)
    assert [member.hostname for member in etcd.members] == [CONTROL_PLANE]


def test_a_snapshot_of_etcd_is_one(deployed, tmp_path):
    file = tmp_path / "etcd.snapshot"
    deployed.talosctl("etcd", "snapshot", str(file), node=str(node(deployed, CONTROL_PLANE).address))
    # Page 0 of a bolt file is a meta page; its magic number: internal/common/types.go of go.etcd.io/bbolt.
    assert file.read_bytes()[16:20] == (0xED0CDAED).to_bytes(4, "little")


def test_a_killed_lab_leaves_nothing_and_its_nodes_come_back(deployed, before: Traces):
    deployed.kill()
    until(lambda: traces(deployed.layout) == before, what="everything to be gone", patience_s=60)
    deployed.up()
    deployed.infraflux("cluster", "health", KEY)
    until(lambda: all_ready(deployed), what="both nodes to be Ready again")


def test_a_stopped_lab_leaves_nothing(deployed, before: Traces):
    lifecycle.down(deployed.lab.root)
    assert traces(deployed.layout) == before
    deployed.up()
    deployed.infraflux("cluster", "health", KEY)


def test_a_reset_machine_waits_in_maintenance_again(deployed):
    """Container mode only switches off; the lab does the wipe."""
    worker = node(deployed, WORKER)
    deployed.talosctl("reset", "--graceful=false", "--reboot=false", "--wait=false", node=str(worker.address))
    until(lambda: deployed.events("wiped"), what="the wipe")
    deployed.switch_on(worker.vm_id)
    until(lambda: state(deployed, WORKER) is NodeState.MAINTENANCE, what="maintenance mode")
    deployed.infraflux("cluster", "bootstrap", KEY)
    until(lambda: all_ready(deployed), what="the worker to join again")
