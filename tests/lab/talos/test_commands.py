"""One golden answer per command of the real talosctl against a bootstrapped 1+1 cluster."""

import json
import stat

import pytest
from labkit.talos_world import SNAPSHOT
from ruamel.yaml import YAML

pytestmark = [pytest.mark.lab, pytest.mark.tools]

COMMANDS = {
    "version": ["version"],
    "get-members": ["get", "members"],
    "get-disks": ["get", "disks"],
    "get-systemdisk": ["get", "systemdisk"],
    "get-volumestatus": ["get", "volumestatus"],
    "get-extensions": ["get", "extensions"],
    "get-machinestatus": ["get", "machinestatus", "-o", "yaml"],
    "get-staticpods": ["get", "staticpodstatus"],
    "get-services": ["get", "services"],
    "get-info": ["get", "info"],
    "get-rd": ["get", "rd"],
    "service": ["service"],
    "service-etcd": ["service", "etcd"],
    "memory": ["memory"],
    "etcd-members": ["etcd", "members"],
    "etcd-status": ["etcd", "status"],
    "etcd-alarm": ["etcd", "alarm", "list"],
}


@pytest.fixture
def cluster(world):
    world.cluster(control_planes=1, workers=1)
    return world


def test_commands(cluster, golden):
    """All in one cluster, for the sake of time; each is compared for itself."""
    wrong = []
    for name, words in COMMANDS.items():
        try:
            golden(name, cluster.talosctl(*words, node=11).text.replace(_cluster_id(cluster), "<cluster-id>"))
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


def _cluster_id(world) -> str:
    return YAML(typ="safe").load((world.generated / "secrets.yaml").read_text())["cluster"]["id"]


def test_get_machineconfig(cluster):
    """Byte for byte what was applied, as `v1alpha1` and as `persistent`."""
    text = cluster.talosctl("get", "machineconfig", "v1alpha1", "-o", "json", node=11).out
    resource = json.loads(text)
    assert resource["metadata"]["id"] == "v1alpha1"
    assert resource["spec"] == (cluster.generated / "controlplane.yaml").read_text()
    both = cluster.talosctl("get", "machineconfig", node=11).text
    assert "v1alpha1" in both
    assert "persistent" in both


def test_kubeconfig(cluster, tmp_path):
    path = tmp_path / "kubeconfig"
    cluster.talosctl("kubeconfig", str(path), node=11)
    kubeconfig = YAML(typ="safe").load(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kubeconfig["current-context"] == "admin@lab"
    assert kubeconfig["clusters"][0]["cluster"]["server"].endswith(":6443")


def test_etcd_snapshot_is_streamed(cluster, tmp_path):
    """Whole, chunk after chunk; that a real etcd's snapshot is accepted is shown with the real control plane."""
    path = tmp_path / "etcd.db"
    answer = cluster.talosctl("etcd", "snapshot", str(path), node=11, check=False)
    assert "snapshot" in answer.text
    found = path if path.exists() else path.with_suffix(".db.part")
    assert found.read_bytes() == SNAPSHOT


def test_dry_run_shows_the_difference(cluster, tmp_path):
    path = tmp_path / "changed.yaml"
    text = (cluster.generated / "controlplane.yaml").read_text()
    path.write_text(text.replace("debug: false", "debug: true", 1))
    answer = cluster.talosctl("apply-config", "--dry-run", "--file", str(path), node=11)
    assert "Applied configuration without a reboot (skipped in dry-run)" in answer.text
    assert "-debug: false" in answer.text
    assert "+debug: true" in answer.text


def test_patch_machineconfig(cluster):
    cluster.talosctl("patch", "machineconfig", "--patch", '{"machine":{"nodeLabels":{"tier":"edge"}}}', node=21)
    shown = json.loads(cluster.talosctl("get", "machineconfig", "v1alpha1", "-o", "json", node=21).out)
    assert "tier: edge" in shown["spec"]
    cluster.until(lambda: cluster.kubernetes.only.nodes["node-21"].labels.get("tier") == "edge", "label on the Node")


def test_events_tell_the_boot(cluster):
    seen = cluster.follow("events", "--tail=-1", node=11, until="RUNNING")
    assert "BOOTING" in seen
    assert "ready: true" in seen


def test_watch_a_resource(cluster):
    """The first event is the resource as it is, the next its change."""
    words = ("get", "machineconfig", "v1alpha1", "--watch", "-o", "yaml")
    seen = cluster.follow(
        *words,
        node=21,
        until="tier: core",
        after_start=lambda: cluster.edit(21, {"machine": {"nodeLabels": {"tier": "core"}}}),
    )
    assert seen.count("event: ") == 2


def test_second_bootstrap_is_refused(cluster):
    refused = cluster.talosctl("bootstrap", node=11, check=False)
    assert refused.code != 0
    assert "AlreadyExists" in refused.text
    assert cluster.kubernetes.only.starts == 1


def test_worker_does_what_control_planes_do_not(cluster):
    refused = cluster.talosctl("bootstrap", node=21, check=False)
    assert "only available on control plane nodes" in refused.text
    refused = cluster.talosctl("version", node=11, endpoint=21, check=False)
    assert "no request forwarding" in refused.text


def test_control_plane_forwards_to_many(cluster):
    answer = cluster.talosctl(
        "version", "--nodes", f"{_address(cluster, 11)},{_address(cluster, 21)}", "--endpoints", _address(cluster, 11)
    )
    assert answer.out.count("NODE:") == 2


def _address(world, number):
    return world.power.machines[f"test/{number}"].address


def test_reader_may_look_but_not_touch(cluster, tmp_path):
    reader = tmp_path / "reader"
    cluster.talosctl("config", "new", "--roles", "os:reader", str(reader), node=11)
    assert cluster.talosctl("get", "members", node=11, talosconfig=reader).code == 0
    for words in (["get", "machineconfig"], ["reboot", "--wait=false"], ["kubeconfig", str(tmp_path / "kubeconfig")]):
        refused = cluster.talosctl(*words, node=11, talosconfig=reader, check=False)
        assert refused.code != 0, words
        assert "not authorized" in refused.text, words
