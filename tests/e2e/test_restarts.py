"""The quick start's own example on three control planes and two workers: running nodes get their memory, one after the
other, and a workload with two replicas never has none. Then what interrupts that, and what the next run makes of it."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from labkit.deaths import is_over, kill, meet
from labkit.house import House, until
from labkit.looks import Look
from ruamel.yaml import YAML

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import OUT_OF_SERVICE, Ref
from infraflux.adapters.kubernetes.quantities import mib_of
from infraflux.core.errors import InfrafluxError

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect, pytest.mark.timeout(1200)]

KEY = "staging/staging-1"
TEMPLATE = "clusters/templates/medium.yaml"
SHOP = {"app": "shop"}
SHOP_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": SHOP},
        "template": {
            "metadata": {"labels": SHOP},
            "spec": {"containers": [{"name": "shop", "image": "registry.k8s.io/pause:3.10"}]},
        },
    },
}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": SHOP}},
}


def commit(house: House, path: str, change: Any) -> None:
    """Change one file of the project, and commit."""
    yaml, file = YAML(), house.root / path
    document = yaml.load(file)
    change(document)
    yaml.dump(document, file)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", house.root, *who, "commit", "-qam", f"Change {path}"], check=True)


def sized(**pools: dict[str, int]) -> Any:
    """Give pools other hardware: `sized(worker={"memory_mib": 12288})`."""

    def change(document: Any) -> None:
        for pool in document["node_pools"]:
            pool.update(pools.get(pool["name"], {}))

    return change


@pytest.fixture(scope="module")
def staging(house: House) -> Look:
    look = Look(house, KEY)
    # A shutdown that is ignored should not be waited for as long as on real hardware.
    commit(house, "config/environments/staging.yaml", lambda it: it["policy"].update(rollout={"shutdown_timeout_s": 5}))
    house.completed(house.deploy(KEY))
    with closing(Kubernetes.from_kubeconfig(look.directory / "kubeconfig")) as api:
        api.apply(SHOP_DEPLOYMENT)
        api.apply(BUDGET)
    until(lambda: ready(look) == 2, what="two replicas")
    return look


def ready(look: Look) -> int:
    return int(look.kubectl("get", "deployment", "shop")["status"].get("readyReplicas", 0))


@dataclass
class Witness:
    """Looks all the time, as somebody who has nothing to do with InfraFlux."""

    look: Look
    replicas: list[int] = field(default_factory=list)
    off: list[frozenset[str]] = field(default_factory=list)
    """Machines that were off at the same time."""
    undrained: list[str] = field(default_factory=list)
    """Nodes that were off and not cordoned."""
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        proxmox = self.look.proxmox()
        names = self.look.declared()
        with closing(Kubernetes.from_kubeconfig(self.look.directory / "kubeconfig", timeout_s=3)) as api:
            while not self._over.is_set():
                rows = proxmox.cluster.resources.get(type="vm")
                off = frozenset(names[row["vmid"]] for row in rows if row["status"] != "running")
                self.off.append(off)
                with suppress(InfrafluxError):  # the API server at the virtual address is the one that restarts
                    self._ask(api, off)
                time.sleep(0.05)

    def _ask(self, api: Kubernetes, off: frozenset[str]) -> None:
        shop = api.read(Ref.of(SHOP_DEPLOYMENT))
        assert shop is not None
        self.replicas.append(int(shop["status"].get("availableReplicas", 0)))
        for node in api.list_objects("v1", "Node") if off else ():
            name = node["metadata"]["name"]
            if name in off and not node["spec"].get("unschedulable"):
                self.undrained.append(name)

    def __enter__(self) -> "Witness":
        self._thread = threading.Thread(target=self.watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(30)


def hardware(look: Look) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    """Memory that each machine runs with, what its kubelet counts, and what Proxmox keeps pending."""
    proxmox, nodes = look.proxmox(), look.kubectl("get", "nodes")["items"]
    counted = {one["metadata"]["name"]: one["status"]["capacity"]["memory"] for one in nodes}
    found = {}
    for row in proxmox.cluster.resources.get(type="vm"):
        machine = proxmox.nodes(row["node"]).qemu(row["vmid"])
        waits = tuple(one["key"] for one in machine.pending.get() if "pending" in one or "delete" in one)
        runs = machine.status.current.get()
        found[row["name"]] = (runs["maxmem"] // 1024**2, mib_of(counted[row["name"]]), waits)
    return found


def actions(house: House, kind: str) -> list[dict[str, Any]]:
    said = house.infraflux("plan", KEY, "--output", "json")
    return [one for one in json.loads(said[said.index("{") :])["actions"] if one["kind"] == kind]


def in_service(look: Look) -> None:
    """Every node is Ready, takes pods, and carries no mark of ours."""
    for node in look.kubectl("get", "nodes")["items"]:
        assert not node["spec"].get("unschedulable"), node["metadata"]["name"]
        assert OUT_OF_SERVICE not in node["metadata"].get("annotations", {})
    assert set(look.nodes().values()) == {"True"}


@pytest.fixture
def faults(house: House) -> Iterator[None]:
    yield
    house.ask("fault-clear")


def test_running_nodes_get_their_memory_and_two_replicas_never_become_none(
    house: House, staging: Look, faults: None
) -> None:
    ids, members = staging.machines(), staging.etcd()
    commit(house, TEMPLATE, sized(cp={"memory_mib": 6144}, worker={"memory_mib": 12288}))

    planned = actions(house, "restart node")
    assert [one["node"] for one in planned] == [node.name for node in staging.spec.nodes]
    assert {one["disruption"] for one in planned} == {"node-restart"}
    assert "memory: 8192 → 12288 MiB" in planned[-1]["why"]
    assert "memory: 4096 → 6144 MiB" in planned[0]["why"]

    # A machine of the lab is off for a few milliseconds only, and nobody would see it.
    house.ask("fault-add", kind="slow-task", environment="staging", target="qmstart", times=5, params={"seconds": "2"})
    with Witness(staging) as witness:
        run = house.deploy(KEY)
        house.completed(run)

    for node in staging.spec.nodes:
        assert hardware(staging)[node.name] == (node.memory_mib, node.memory_mib, ()), node.name
    assert min(witness.replicas) >= 1
    assert max(len(off) for off in witness.off) == 1
    assert {name for off in witness.off for name in off} == {node.name for node in staging.spec.nodes}
    assert witness.undrained == []
    assert (staging.machines(), staging.etcd()) == (ids, members)
    in_service(staging)
    said = house.infraflux("plan", KEY)
    assert "No changes" in said, said


def test_a_machine_that_does_not_power_off_stops_the_rest_and_stays_on(
    house: House, staging: Look, faults: None
) -> None:
    first, second = staging.spec.workers
    commit(house, TEMPLATE, sized(worker={"memory_mib": 10240}))
    house.ask(
        "fault-add",
        kind="ignores-shutdown",
        environment="staging",
        target=f"staging/{first.vm_id}",
        times=0,
        params={},
    )
    ended = house.ended(house.deploy(KEY))
    assert ended["state"]["type"] == "FAILED"
    message = ended["state"]["message"]
    assert f"the rollout stopped at {first.name}" in message
    assert "powerdown failed - got timeout" in message
    assert f"{first.name} is out of service" in message
    assert f"not touched: {second.name}" in message
    assert set(staging.nodes().values()) == {"True"}
    assert [one for one in hardware(staging).values() if one[2]] == [(12288, 12288, ("memory",))] * 2

    report = json.loads(house.infraflux("drift", "check", KEY, "-o", "json", check=False))[0]
    told = {(one["object"], one["field"]): one for one in report["findings"]}
    assert "restart node" in told[first.name, "memory in force"]["note"]
    assert "return node" in told[f"Node {first.name}", "schedulable"]["note"]

    house.ask("fault-clear")
    house.completed(house.deploy(KEY))
    assert {hardware(staging)[node.name] for node in staging.spec.workers} == {(10240, 10240, ())}
    in_service(staging)


def test_a_run_killed_while_a_machine_is_off_is_gone_on_with(house: House, staging: Look, faults: None) -> None:
    first = staging.spec.workers[0]
    commit(house, TEMPLATE, sized(worker={"memory_mib": 8192}))
    house.ask("fault-add", kind="slow-task", environment="staging", target="qmstart", times=1, params={"seconds": "8"})
    run = house.deploy(KEY)
    proxmox = staging.proxmox()
    is_off = lambda: any(row["status"] != "running" for row in proxmox.cluster.resources.get(type="vm"))  # noqa: E731
    meeting = meet(house, run, "restart nodes", also=is_off)
    kill(house, meeting, "flow")
    assert is_over(house, meeting) == "CRASHED"
    assert [one["node"] for one in actions(house, "return node")] == [first.name]

    house.completed(house.deploy(KEY))
    assert {hardware(staging)[node.name] for node in staging.spec.workers} == {(8192, 8192, ())}
    in_service(staging)
