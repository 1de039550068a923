"""What somebody asks a node that stands, by the real talosctl."""

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.tools]


@pytest.fixture
def node(world):
    world.cluster(control_planes=1, workers=0)
    return world


def test_logs_of_a_service_and_messages_of_the_machine(node):
    kubelet = node.talosctl("logs", "kubelet", node=11).out
    assert "service[kubelet](Running)" in kubelet
    assert "service[etcd]" not in kubelet
    messages = node.talosctl("dmesg", node=11).out
    assert "[talos] service[etcd](Preparing)" in messages
    assert "[talos] machine is running" in messages
    unknown = node.talosctl("logs", "nothing", node=11, check=False)
    assert 'log "nothing" was not registered' in unknown.text


def test_the_kubelet_may_be_restarted_and_etcd_may_not(node):
    assert 'Service "kubelet" restarted' in node.talosctl("service", "kubelet", "restart", node=11).text
    refused = node.talosctl("service", "etcd", "restart", node=11, check=False)
    assert "doesn't support restart operation via API" in refused.text


def test_meta_is_kept_and_deleted_once(node):
    node.talosctl("meta", "write", "0x0a", "value", node=11)
    node.restart_lab()
    node.until(lambda: node.ready(11), "ready again")
    node.talosctl("meta", "delete", "0x0a", node=11)
    assert "key not found" in node.talosctl("meta", "delete", "0x0a", node=11, check=False).text


def test_the_time_and_who_would_be_asked(node):
    assert "time.cloudflare.com" in node.talosctl("time", node=11).out
    assert "192.0.2.1" in node.talosctl("time", "--check", "192.0.2.1", node=11).out


def test_a_file_that_is_not_there_is_not_copied(node, tmp_path):
    refused = node.talosctl("cp", "/var/lib/none", str(tmp_path / "out"), node=11, check=False)
    assert "no such file or directory" in refused.text
