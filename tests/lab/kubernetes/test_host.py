"""The real control plane, asked by the real kubectl."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest
from labkit.cni import CNI_TEXT

from infraflux_lab.contracts import EtcdError, EtcdMembers, NodeFacts
from infraflux_lab.kubernetes import KubernetesLab
from infraflux_lab.kubernetes.etcd import check_snapshot
from infraflux_lab.kubernetes.settings import read_settings

pytestmark = [pytest.mark.anyio, pytest.mark.lab, pytest.mark.tools]

Kubectl = Callable[..., Awaitable[str]]
READY = "jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=='Ready')].status} {end}"


async def _until(attempt: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await attempt():
            await asyncio.sleep(0.2)


async def _nodes_become(kubectl: Kubectl, lab: KubernetesLab, wanted: str) -> None:
    async def same() -> bool:
        # A server that was killed refuses until it listens again, and once more if its etcd was later than it.
        return (await kubectl(lab, "get", "nodes", "-o", READY, check=False)).split() == wanted.split()

    await _until(same)


async def test_a_cluster_from_bootstrap_to_removal(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    with pytest.raises(FileNotFoundError):
        await lab.start(cluster_id, config, node(1), new=False)

    await lab.start(cluster_id, config, node(1), new=True)
    for each in (node(1), node(2), node(3, control_plane=False)):
        await lab.node_up(cluster_id, each)
    vip = config["cluster"]["controlPlane"]["endpoint"].removeprefix("https://").removesuffix(":6443")
    await lab.set_vip(cluster_id, vip)
    await _nodes_become(kubectl, lab, "n1=False n2=False n3=False")
    assert "cni plugin not initialized" in await kubectl(lab, "get", "nodes", "-o", "yaml")
    await kubectl(lab, "apply", "-f", "-", stdin=CNI_TEXT)

    with pytest.raises(FileExistsError):
        await lab.start(cluster_id, config, node(1), new=True)
    await lab.start(cluster_id, config, node(1), new=False)
    await _nodes_become(kubectl, lab, "n1=True n2=True n3=True")

    # What Talos' health checks read: pods by label, all on the node, all Ready.
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        selector = ("pod", "-n", "kube-system", "-l", f"k8s-app={component}")
        await kubectl(lab, "wait", *selector, "--for=condition=Ready", "--timeout=9s")
    wide = await kubectl(lab, "get", "nodes", "-o", "wide")
    assert node(2).address in wide
    # Every control plane and the virtual IP lead to the one API server, whose certificate holds for all of them.
    for address in (vip, node(2).address):
        context = ssl.create_default_context(cadata=read_settings(config).ca.certificate.decode())

        async def answers(address: str = address, context: ssl.SSLContext = context) -> bool:
            try:
                _, writer = await asyncio.open_connection(address, 6443, ssl=context)
            except ssl.SSLCertVerificationError:
                return False
            writer.close()
            return True

        await _until(answers)

    await lab.node_down(cluster_id, "n3")
    await _nodes_become(kubectl, lab, "n1=True n2=True n3=False")
    await lab.node_up(cluster_id, node(3, control_plane=False, vm=999))
    await _nodes_become(kubectl, lab, "n1=True n2=True n3=True")
    # A mirror pod is what a drain leaves alone.
    annotations = "jsonpath={.items[*].metadata.annotations.kubernetes\\.io/config\\.source}"
    static = await kubectl(lab, "get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-apiserver", "-o", annotations)
    assert static.split() == ["file", "file"]

    # The CNI goes, and with it what kubelets call Ready.
    await kubectl(lab, "delete", "daemonset", "-n", "kube-system", "test-cni")
    await _nodes_become(kubectl, lab, "n1=False n2=False n3=False")

    await lab.remove(cluster_id)
    assert not lab.has_data(cluster_id)
    assert lab.clusters() == []


async def test_a_deployment_runs_and_follows_its_node(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    await lab.start(cluster_id, config, node(1), new=True)
    await lab.node_up(cluster_id, node(1))
    await lab.node_up(cluster_id, node(3, control_plane=False))
    await kubectl(lab, "apply", "-f", "-", stdin=CNI_TEXT)

    await kubectl(lab, "create", "deployment", "web", "--image=example.org/web:1", "--replicas=2")
    await kubectl(lab, "rollout", "status", "deployment/web", "--timeout=60s")
    await kubectl(lab, "create", "job", "once", "--image=example.org/job:1")
    await kubectl(lab, "wait", "job/once", "--for=condition=Complete", "--timeout=60s")

    placed = await kubectl(lab, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert placed.split() == ["n3", "n3"], "the control plane is tainted"

    # The node goes and comes back within the eviction time: its pods are not ready, then they are again.
    await lab.node_down(cluster_id, "n3")
    await kubectl(lab, "wait", "deployment/web", "--for=condition=Available=False", "--timeout=60s")
    await lab.node_up(cluster_id, node(3, control_plane=False))
    await kubectl(lab, "rollout", "status", "deployment/web", "--timeout=60s")


def _failing(kind: str, name: str) -> str:
    """A workload whose pods fail in one of the lab's ways."""
    template = {
        "metadata": {"labels": {"app": name}, "annotations": {"lab.infraflux.io/fails": kind}},
        "spec": {"containers": [{"name": "c", "image": "example.org/none:1"}]},
    }
    if kind == "exit":
        template["spec"]["restartPolicy"] = "Never"
        spec: dict[str, Any] = {"template": template, "backoffLimit": 0}
        return json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


async def test_pods_fail_where_their_annotation_says_so(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    await lab.start(cluster_id, config, node(1), new=True)
    await lab.node_up(cluster_id, node(1))
    await lab.node_up(cluster_id, node(3, control_plane=False))
    await kubectl(lab, "apply", "-f", "-", stdin=CNI_TEXT)
    for kind in ("image", "crash", "readiness", "exit"):
        await kubectl(lab, "apply", "-f", "-", stdin=_failing(kind, kind))
    await kubectl(lab, "wait", "job/exit", "--for=condition=Failed", "--timeout=60s")

    async def says(app: str, path: str, words: str) -> bool:
        output = await kubectl(lab, "get", "pods", "-l", f"app={app}", "-o", f"jsonpath={{.items[*].status.{path}}}")
        return words in output

    waiting = "containerStatuses[*].state.waiting.reason"
    await _until(lambda: says("image", waiting, "ImagePullBackOff"))
    await _until(lambda: says("crash", waiting, "CrashLoopBackOff"))
    await _until(lambda: says("readiness", "phase", "Running"))
    ready = "jsonpath={.items[*].status.readyReplicas}"
    assert (await kubectl(lab, "get", "deployments", "-o", ready)).split() == []


async def test_data_survives_kills_and_its_home_moves_to_another_member(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    etcd = lab.etcd(cluster_id)
    await lab.start(cluster_id, config, node(1), new=True)
    await lab.node_up(cluster_id, node(1))
    await lab.node_up(cluster_id, node(2))
    await _join(etcd, config, node(2), via=node(1))
    await kubectl(lab, "create", "configmap", "kept", "--from-literal=a=b")
    await kubectl(lab, "apply", "-f", "-", stdin=CNI_TEXT)
    await _nodes_become(kubectl, lab, "n1=True n2=True")

    killed = lab.pids(cluster_id)
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    async def all_again() -> bool:
        pids = lab.pids(cluster_id)
        return len(pids) == len(killed) and not set(pids.values()) & set(killed.values())

    await _until(all_again)
    await _nodes_become(kubectl, lab, "n1=True n2=True")

    # The first node goes, and the API moves to the second's member, which holds the same.
    await lab.node_down(cluster_id, "n1")
    await lab.start(cluster_id, config, node(2), new=False)
    await lab.node_up(cluster_id, node(2))
    assert lab.clusters()[0].server == f"https://{node(2).address}:6443"
    assert "kept" in await kubectl(lab, "get", "configmaps")
    await _nodes_become(kubectl, lab, "n1=False n2=True")

    pids = list(lab.pids(cluster_id).values())
    await lab.stop(cluster_id)
    assert etcd.started() == {"dev/101", "dev/102"}, "members run on"
    await lab.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert lab.has_data(cluster_id)
    with pytest.raises(EtcdError):
        await etcd.status("dev/101")


async def _join(etcd: EtcdMembers, config: dict[str, Any], joining: NodeFacts, *, via: NodeFacts) -> int:
    """Add as a learner and promote, each as soon as etcd takes it."""
    added: list[int] = []

    async def add() -> bool:
        with contextlib.suppress(EtcdError):
            added.append(await etcd.join(config, joining, via=via.machine_key))
        return bool(added)

    async def promote() -> bool:
        with contextlib.suppress(EtcdError):
            await etcd.promote(added[0], via=via.machine_key)
            return True
        return False

    await _until(add)
    await _until(promote)
    return added[0]


async def test_members_are_real_and_decide_by_majority(lab: KubernetesLab, config: dict[str, Any], node: Any) -> None:
    """Learner, voter, leader, no leader, removal: what etcd itself says at each step."""
    etcd = lab.etcd(config["cluster"]["id"])
    one, two, three = node(1), node(2), node(3)
    await etcd.found(config, one)
    member_id = await etcd.join(config, two, via=one.machine_key)
    learner = await etcd.status(two.machine_key)
    assert (learner.is_learner, learner.member_id) == (True, member_id)
    with pytest.raises(EtcdError, match="rpc not supported for learner"):
        await etcd.members(two.machine_key)
    with pytest.raises(EtcdError, match=r"too many learner members|unhealthy cluster"):
        await etcd.join(config, three, via=one.machine_key)

    await _promoted(etcd, member_id, via=one)
    third = await _join(etcd, config, three, via=one)
    members = await etcd.members(three.machine_key)
    assert {member.name for member in members} == {"n1", "n2", "n3"}
    assert not any(member.is_learner for member in members)
    leaders = {(await etcd.status(each.machine_key)).leader for each in (one, two, three)}
    assert len(leaders) == 1

    await etcd.defragment(two.machine_key)
    assert await etcd.alarms(two.machine_key) == []
    (leader,) = [each for each in (one, two, three) if (await etcd.status(each.machine_key)).member_id in leaders]
    target = next(member.id for member in members if member.id not in leaders)
    await etcd.move_leader(leader.machine_key, target)
    assert (await etcd.status(one.machine_key)).leader == target

    # Two of three are gone: the third knows no leader and changes nothing.
    await etcd.halt(two.machine_key)
    await etcd.halt(three.machine_key)

    async def leaderless() -> bool:
        return (await etcd.status(one.machine_key)).leader == 0

    await _until(leaderless)
    assert not await etcd.ready(one.machine_key)
    with pytest.raises(EtcdError, match="no leader"):
        await etcd.remove(third, via=one.machine_key)
    await etcd.run(config, two)
    await _until(lambda: etcd.ready(one.machine_key))
    await _removed(etcd, third, via=one)
    assert {member.name for member in await etcd.members(two.machine_key)} == {"n1", "n2"}


async def _promoted(etcd: EtcdMembers, member_id: int, *, via: NodeFacts) -> None:
    async def attempt() -> bool:
        with contextlib.suppress(EtcdError):
            await etcd.promote(member_id, via=via.machine_key)
            return True
        return False

    await _until(attempt)


async def _removed(etcd: EtcdMembers, member_id: int, *, via: NodeFacts) -> None:
    """For some seconds after a change etcd calls itself unhealthy and removes nobody."""

    async def attempt() -> bool:
        with contextlib.suppress(EtcdError):
            await etcd.remove(member_id, via=via.machine_key)
            return True
        return False

    await _until(attempt)


async def test_a_snapshot_brings_a_lost_cluster_back(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    await lab.start(cluster_id, config, node(1), new=True)
    await kubectl(lab, "create", "configmap", "kept", "--from-literal=a=b")
    await kubectl(lab, "create", "secret", "generic", "hidden", "--from-literal=a=CANARY-PLAIN")
    machine = node(1).machine_key
    facts = await lab.etcd(cluster_id).status(machine)
    assert facts.leader == facts.member_id
    assert facts.db_size_bytes >= facts.db_size_in_use_bytes > 0

    snapshot = b"".join([chunk async for chunk in lab.etcd(cluster_id).snapshot(machine)])
    check_snapshot(snapshot)
    assert b"CANARY-PLAIN" not in snapshot, "Secrets are encrypted at rest"
    await lab.remove(cluster_id)
    with pytest.raises(EtcdError):
        await lab.etcd(cluster_id).recover(config, node(1), snapshot[:-1])

    await lab.etcd(cluster_id).recover(config, node(1), snapshot)
    await lab.start(cluster_id, config, node(1), new=False)

    assert "kept" in await kubectl(lab, "get", "configmaps")
    assert "hidden" in await kubectl(lab, "get", "secret", "hidden")
    with pytest.raises(FileExistsError):
        await lab.etcd(cluster_id).recover(config, node(1), snapshot)
