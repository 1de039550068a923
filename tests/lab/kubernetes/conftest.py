import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import Source, this_machine
from infraflux_lab.contracts import NodeFacts
from infraflux_lab.kubernetes import KubernetesLab

# The third octet sets these tests apart from others that run with the same second one.
NET = f"127.{os.environ.get('INFRAFLUX_TEST_OCTET', '78')}.84"
PROGRAMS = (
    "etcd",
    "etcdutl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "talosctl",
    "kubectl",
)


class Recorded:
    """Events and phases, kept; nothing takes time."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def emit(self, source: str, kind: str, **fields: Any) -> None:
        self.kinds.append(kind)

    async def sleep(self, phase: str) -> None:
        return


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    found = {name: this_machine().find(name) for name in PROGRAMS}
    missing = [name for name, item in found.items() if item.source is Source.MISSING]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; run `infraflux tools install --group test`")
    return {name: item.path for name, item in found.items() if item.path}


@pytest.fixture(scope="session")
def config(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the real talosctl generates."""
    made = tmp_path_factory.mktemp("talos")
    argv = [binaries["talosctl"], "gen", "config", "lab", f"https://{NET}.10:6443", "--output", made]
    subprocess.run([str(part) for part in argv], check=True, capture_output=True)
    documents = YAML(typ="safe").load_all((made / "controlplane.yaml").read_text())
    return next(document for document in documents if "machine" in document)


@pytest.fixture
async def lab(binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[KubernetesLab]:
    made = KubernetesLab(state_dir=tmp_path / "lab", binaries=binaries, events=Recorded(), latency=Recorded())
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def node() -> Any:
    def make(number: int, *, control_plane: bool = True, vm: int | None = None, version: str = "v1.36.3") -> NodeFacts:
        return NodeFacts(
            name=f"n{number}",
            address=f"{NET}.{10 + number}",
            control_plane=control_plane,
            machine_key=f"dev/{vm or 100 + number}",
            cores=2,
            memory_mib=4096,
            kubelet_version=version,
        )

    return make


@pytest.fixture
def kubectl(binaries: dict[str, Path], tmp_path: Path, config: dict[str, Any]) -> Any:
    async def run(lab: KubernetesLab, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        kubeconfig = lab.clusters()[0].kubeconfig
        process = await asyncio.create_subprocess_exec(
            str(binaries["kubectl"]),
            f"--kubeconfig={kubeconfig}",
            "--request-timeout=10s",
            *arguments,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate((stdin or "").encode())
        if check and process.returncode:
            raise AssertionError(output.decode())
        return output.decode()

    return run
