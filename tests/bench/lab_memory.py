"""Measures one lab cluster of 3+3 nodes: seconds to a ready API server and to all nodes Ready, resident memory after.

Prints one JSON object. Run: `uv run python tests/bench/lab_memory.py`. Aim: at most 700 MiB.
"""

import asyncio
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import locate
from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes import KubernetesLab
from infraflux_lab.kubernetes.programs import PROGRAMS

NET = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}.85"
SETTLE_S = 30.0
MIB = 2**20


CNI: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "cni", "namespace": "kube-system"},
    "spec": {
        "selector": {"matchLabels": {"app": "cni"}},
        "template": {
            "metadata": {"labels": {"app": "cni"}},
            "spec": {
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "cni", "image": "example.org/cni:1"}],
                "volumes": [{"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}}],
            },
        },
    },
}


class Silent:
    """Neither log nor latency."""

    def emit(self, source: str, kind: str, **fields: Any) -> None:
        return

    async def sleep(self, phase: str) -> None:
        return


def generate_config(directory: Path) -> dict[str, Any]:
    """A control plane's machine config from the real talosctl."""
    argv = [locate("talosctl"), "gen", "config", "bench", f"https://{NET}.10:6443", "--output", directory]
    subprocess.run([str(part) for part in argv], check=True, capture_output=True)
    documents = YAML(typ="safe").load_all((directory / "controlplane.yaml").read_text())
    return next(document for document in documents if "machine" in document)


def node(number: int) -> NodeFacts:
    """The first three are control planes."""
    return NodeFacts(
        name=f"n{number}",
        address=f"{NET}.{10 + number}",
        control_plane=number <= 3,
        machine_key=f"bench/{number}",
        cores=2,
        memory_mib=4096,
        kubelet_version="v1.36.3",
    )


async def until_ready(lab: KubernetesLab, nodes: int) -> None:
    """Return when as many nodes are Ready."""
    argv = [locate("kubectl"), f"--kubeconfig={lab.clusters()[0].kubeconfig}", "wait", "nodes", "--all"]
    argv += ["--for=condition=Ready", "--timeout=120s"]
    process = await asyncio.create_subprocess_exec(*map(str, argv), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.decode().count("condition met") == nodes


async def measure(directory: Path) -> dict[str, Any]:
    """Start, wait, measure, stop."""
    config = generate_config(directory / "talos")
    cluster_id = config["cluster"]["id"]
    binaries = {name: locate(name) for name in PROGRAMS}
    lab = KubernetesLab(state_dir=directory / "lab", binaries=binaries, events=Silent(), latency=Silent())
    await lab.open()
    began = time.monotonic()
    try:
        await lab.start(cluster_id, config, node(1), new=True)
        api_s = time.monotonic() - began
        for number in range(1, 7):
            await lab.node_up(cluster_id, node(number))
        await lab.apply_manifests(cluster_id, [CNI])
        await until_ready(lab, 6)
        nodes_s = time.monotonic() - began
        await asyncio.sleep(SETTLE_S)
        rss = {name: round(psutil.Process(pid).memory_info().rss / MIB) for name, pid in lab.pids(cluster_id).items()}
        began = time.monotonic()
    finally:
        await lab.close()
    return {
        "api_ready_s": round(api_s, 2),
        "nodes_ready_s": round(nodes_s, 2),
        "stop_s": round(time.monotonic() - began, 2),
        "rss_mib": {**rss, "total": sum(rss.values())},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(asyncio.run(measure(Path(scratch)))))
