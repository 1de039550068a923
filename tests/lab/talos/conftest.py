"""A lab of emulated machines around the real talosctl: own power switch, own event log, no latency."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from labkit.talos_world import OCTET, World, address

from infraflux.adapters.tools.locate import locate
from infraflux.core.errors import InfrafluxError
from infraflux_lab.kubernetes import KubernetesLab


@pytest.fixture(scope="session")
def talosctl() -> Path:
    try:
        return locate("talosctl")
    except InfrafluxError as error:
        pytest.skip(f"talosctl is not installed: {error}")


@pytest.fixture(scope="session")
def generated(talosctl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secrets, machine configs and a talosconfig, as the real program makes them."""
    directory = tmp_path_factory.mktemp("generated")
    subprocess.run([talosctl, "gen", "secrets", "-o", directory / "secrets.yaml"], check=True, capture_output=True)
    endpoint = f"https://{address(10)}:6443"
    image = f"factory.talos.dev/nocloud-installer/{'ab' * 32}:v1.13.9"
    argv = [talosctl, "gen", "config", "lab", endpoint, "--with-secrets", directory / "secrets.yaml"]
    vip = {"apiVersion": "v1alpha1", "kind": "Layer2VIPConfig", "name": address(10), "link": "eth0"}
    argv += ["--config-patch-control-plane", json.dumps(vip)]
    argv += ["--install-image", image, "--kubernetes-version", "1.36.3", "--output", directory]
    subprocess.run(argv, check=True, capture_output=True)
    return directory


@pytest.fixture
def world(talosctl: Path, generated: Path, tmp_path: Path) -> Iterator[World]:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    world = World(directory=tmp_path, talosctl=talosctl, generated=generated, loop=loop)
    try:
        world.run(world.lab.start())
        yield world
    finally:
        world.run(world.lab.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


PROGRAMS = ("etcd", "etcdutl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


@pytest.fixture
def real(world: World, tmp_path: Path) -> Iterator[World]:
    """The world of the other tests, with real processes in place of the books."""
    try:
        binaries = {name: locate(name) for name in PROGRAMS}
    except InfrafluxError as error:
        pytest.skip(f"a program is missing: {error}")
    host = KubernetesLab(state_dir=tmp_path / "kubernetes", binaries=binaries, events=world.log, latency=world.latency)
    world.run(world.lab.stop())
    world.kubernetes = host
    world.lab = world.make()
    world.run(host.open())
    world.run(world.lab.start())
    try:
        yield world
    finally:
        world.run(world.lab.stop())
        world.run(host.close())


GOLDEN = Path(__file__).parent / "golden"
# Everything that differs from run to run, and what to show instead.
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\b\d+(ms|s|m\d+s) ago"), "<ago>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"go1\.\d+(\.\d+)?"), "<go>"),
    (re.compile(r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{16}\b|\b0{3,}[0-9a-f]{1,13}\b|\b\d{16}\b"), "<member>"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def normal(text: str) -> str:
    """The same text for every run: addresses of the default octet, no times, no ids, single blanks."""
    text = text.replace(f"127.{OCTET}.", "127.78.")
    for pattern, shown in _VARYING:
        text = pattern.sub(shown, text)
    return text.strip() + "\n"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with the file of this name; INFRAFLUX_UPDATE_GOLDEN=1 writes it instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("INFRAFLUX_UPDATE_GOLDEN"):
            path.write_text(normal(text))
        assert normal(text) == path.read_text()

    return compare
