"""The emulator with the real control plane: talosctl health, a snapshot that opens, recovery from it, quorum."""

import asyncio
import json
import re
import subprocess
from time import sleep

import pytest

from infraflux.adapters.tools.locate import locate

pytestmark = [pytest.mark.lab, pytest.mark.tools]


def kubectl(world, tmp_path, *words):
    path = tmp_path / "kubeconfig"
    if not path.exists():
        world.talosctl("kubeconfig", str(path), node=11)
    argv = [str(locate("kubectl")), "--kubeconfig", str(path), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def test_one_control_plane_from_bootstrap_to_recovery(real, tmp_path):
    """A snapshot is taken, something is made, all data is lost, and the snapshot brings back what it held."""
    real.cluster(control_planes=1, workers=1)
    addresses = [real.power.machines[f"test/{number}"].address for number in (11, 21)]
    assert {node["status"]["addresses"][0]["address"] for node in nodes(real, tmp_path)} == set(addresses)

    server = real.talosctl("health", "--wait-timeout=60s", node=11)
    assert "all k8s nodes to report schedulable: OK" in server.text
    members = ("--control-plane-nodes", addresses[0], "--worker-nodes", addresses[1])
    client = real.talosctl("health", "--server=false", "--wait-timeout=60s", *members, node=11)
    assert "waiting for all k8s nodes to report schedulable: OK" in client.text

    snapshot = tmp_path / "etcd.db"
    kubectl(real, tmp_path, "create", "namespace", "before")
    taken = real.talosctl("etcd", "snapshot", str(snapshot), node=11)
    assert "etcd snapshot saved" in taken.text
    kubectl(real, tmp_path, "create", "namespace", "after")

    words = ("reset", "--graceful=false", "--reboot", "--system-labels-to-wipe=EPHEMERAL", "--timeout=50s")
    real.talosctl(*words, node=11)
    real.until(lambda: "etcd-data-gone" in real.log.kinds(), "data lost")
    real.until(lambda: real.stage(11) == "booting", "booted without etcd")
    real.talosctl("bootstrap", "--recover-from", str(snapshot), node=11)
    real.until(lambda: real.ready(11) and real.ready(21), "recovered")
    names = kubectl(real, tmp_path, "get", "namespaces", "-o", "name").split()
    assert "namespace/before" in names
    assert "namespace/after" not in names


def test_without_a_snapshot_the_database_file_brings_the_cluster_back(real, tmp_path):
    """Talos' way out where etcd has no quorum to take a snapshot of: copy the file, and skip its checksum."""
    real.cluster(control_planes=1, workers=0)
    kubectl(real, tmp_path, "create", "namespace", "kept")
    real.talosctl("cp", "/var/lib/etcd/member/snap/db", str(tmp_path / "copied"), node=11)
    words = ("reset", "--graceful=false", "--reboot", "--system-labels-to-wipe=EPHEMERAL", "--timeout=50s")
    real.talosctl(*words, node=11)
    real.until(lambda: "etcd-data-gone" in real.log.kinds(), "data lost")
    real.until(lambda: real.stage(11) == "booting", "booted without etcd")
    database = str(tmp_path / "copied" / "db")
    real.talosctl("bootstrap", "--recover-from", database, "--recover-skip-hash-check", node=11)
    real.until(lambda: real.ready(11), "recovered")
    assert "namespace/kept" in kubectl(real, tmp_path, "get", "namespaces", "-o", "name").split()


def nodes(world, tmp_path):
    return json.loads(kubectl(world, tmp_path, "get", "nodes", "-o", "json"))["items"]


def test_upgrade_drains_the_node_and_gives_it_back(real, tmp_path):
    """talosctl cordons and evicts through the real API, reboots the machine, and lifts the cordon."""
    real.cluster(control_planes=1, workers=1)
    image = f"factory.talos.dev/nocloud-installer/{'cd' * 32}:v1.14.0"
    answer = real.talosctl("upgrade", "--image", image, "--timeout=50s", node=21, endpoint=11)
    assert "upgrade completed" in answer.text
    real.until(lambda: real.ready(21), "ready again")
    (worker,) = [node for node in nodes(real, tmp_path) if node["metadata"]["name"] == "node-21"]
    assert not worker["spec"].get("unschedulable")
    assert worker["status"]["nodeInfo"]["osImage"] == "Talos (v1.14.0)"


def test_the_api_survives_the_death_of_its_home(real, tmp_path):
    real.cluster(control_planes=3, workers=0)
    assert real.talosctl("health", "--wait-timeout=60s", node=12).code == 0
    kubectl(real, tmp_path, "create", "namespace", "kept")
    real.run(real.power.stop("test/11"))
    endpoint = real.power.machines["test/12"].address
    real.until(lambda: real.log.kinds().count("control-plane-started") == 2, "another home")

    async def not_ready() -> None:
        async with asyncio.timeout(60):
            while ready(real, tmp_path, endpoint)["node-11"]:
                await asyncio.sleep(0.5)

    real.run(not_ready())
    listed = kubectl(real, tmp_path, "--server", f"https://{endpoint}:6443", "get", "namespaces", "-o", "name")
    assert "namespace/kept" in listed.split()
    sick = real.talosctl("health", "--wait-timeout=3s", node=12, check=False)
    assert sick.code != 0
    assert "DeadlineExceeded" in sick.text


def test_each_control_plane_has_a_member_of_its_own(real, tmp_path):
    """Three real members: their own status, one leader, which moves when its machine dies; removal and a new one."""
    real.cluster(control_planes=3, workers=0)
    leaders = {leader_of(real, number) for number in (11, 12, 13)}
    assert len(leaders) == 1
    lines = real.talosctl("etcd", "members", node=11).out.splitlines()[1:]
    assert [line.split()[-1] for line in lines] == ["false"] * 3
    ids = {line.split()[2]: line.split()[1] for line in lines}
    (led,) = [name for name, member in ids.items() if member in leaders]
    kubectl(real, tmp_path, "create", "namespace", "kept")

    number = int(led.removeprefix("node-"))
    left = [one for one in (11, 12, 13) if one != number]
    real.run(real.power.delete(f"test/{number}"))
    patiently(lambda: leader_of(real, left[0]) not in {*leaders, ""})
    # For some seconds after a change etcd calls itself unhealthy.
    removal = ("etcd", "remove-member", ids[led])
    patiently(lambda: real.talosctl(*removal, node=left[0], check=False).code == 0)
    real.boot(number)
    real.apply(number, "controlplane")
    real.until(lambda: real.ready(number), "a new member")
    lines = real.talosctl("etcd", "members", node=left[0]).out.splitlines()[1:]
    after = {line.split()[2]: line.split()[1] for line in lines}
    assert set(after) == set(ids)
    assert after[led] != ids[led]


def patiently(holds):
    """Not World.until: what asks the lab by talosctl must not stand in the lab's own loop."""
    assert any(holds() or sleep(1) for _ in range(40))


def leader_of(world, number):
    lines = world.talosctl("etcd", "status", node=number, check=False).out.splitlines()[1:]
    found = re.findall(r"\b[0-9a-f]{16}\b", lines[0]) if lines else []
    return found[1] if len(found) > 1 else ""


def ready(world, tmp_path, endpoint):
    text = kubectl(world, tmp_path, "--server", f"https://{endpoint}:6443", "get", "nodes", "-o", "json")
    return {
        node["metadata"]["name"]: any(
            condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"]["conditions"]
        )
        for node in json.loads(text)["items"]
    }
