"""The real control plane, asked by the real kubectl."""

import asyncio
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

from infraflux_lab.kubernetes import KubernetesLab
from infraflux_lab.kubernetes.etcd import EtcdError, check_snapshot
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

    with pytest.raises(FileExistsError):
        await lab.start(cluster_id, config, node(1), new=True)
    await lab.start(cluster_id, config, node(1), new=False)
    await _nodes_become(kubectl, lab, "n1=True n2=True n3=True")

    # What Talos' health checks read: pods by label, all on the node, all Ready.
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        await kubectl(
            lab,
            "wait",
            "pod",
            "-n",
            "kube-system",
            "-l",
            f"k8s-app={component}",
            "--for=condition=Ready",
            "--timeout=9s",
        )
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
    assert "proxmox://dev/999" in await kubectl(lab, "get", "node", "n3", "-o", "yaml")

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


async def test_data_survives_kills_and_moves_with_its_home(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    await lab.start(cluster_id, config, node(1), new=True)
    await lab.node_up(cluster_id, node(1))
    await lab.node_up(cluster_id, node(2))
    await kubectl(lab, "create", "configmap", "kept", "--from-literal=a=b")

    killed = lab.pids(cluster_id)
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    async def all_again() -> bool:
        pids = lab.pids(cluster_id)
        return len(pids) == len(killed) and not set(pids.values()) & set(killed.values())

    await _until(all_again)
    await _nodes_become(kubectl, lab, "n1=True n2=True")

    # The first node is lost; its data moves to the next control plane.
    await lab.node_down(cluster_id, "n1")
    await lab.start(cluster_id, config, node(2), new=False)
    await lab.node_up(cluster_id, node(2))

    assert lab.clusters()[0].server == f"https://{node(2).address}:6443"
    assert "kept" in await kubectl(lab, "get", "configmaps")
    await _nodes_become(kubectl, lab, "n1=False n2=True")

    pids = list(lab.pids(cluster_id).values())
    await lab.stop(cluster_id)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert lab.has_data(cluster_id)
    with pytest.raises(EtcdError):
        await lab.etcd_status(cluster_id)


async def test_a_snapshot_brings_a_lost_cluster_back(
    lab: KubernetesLab, config: dict[str, Any], node: Any, kubectl: Kubectl
) -> None:
    cluster_id = config["cluster"]["id"]
    await lab.start(cluster_id, config, node(1), new=True)
    await kubectl(lab, "create", "configmap", "kept", "--from-literal=a=b")
    await kubectl(lab, "create", "secret", "generic", "hidden", "--from-literal=a=CANARY-PLAIN")
    facts = await lab.etcd_status(cluster_id)
    assert facts.leader == facts.member_id
    assert facts.db_size_bytes >= facts.db_size_in_use_bytes > 0

    snapshot = b"".join([chunk async for chunk in lab.etcd_snapshot(cluster_id)])
    check_snapshot(snapshot)
    assert b"CANARY-PLAIN" not in snapshot, "Secrets are encrypted at rest"
    await lab.remove(cluster_id)
    with pytest.raises(EtcdError):
        await lab.recover(cluster_id, config, node(1), snapshot[:-1])

    await lab.recover(cluster_id, config, node(1), snapshot)

    assert "kept" in await kubectl(lab, "get", "configmaps")
    assert "hidden" in await kubectl(lab, "get", "secret", "hidden")
    with pytest.raises(FileExistsError):
        await lab.recover(cluster_id, config, node(1), snapshot)
