"""Starting and stopping the daemon from outside."""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from infraflux.core.files import write_whole
from infraflux_lab.control import NotRunning, call
from infraflux_lab.gitops.archives import ChartError, read_archives
from infraflux_lab.spec import load_spec, spec_settings
from infraflux_lab.state import LabError, LabPaths, lab_paths, lock_holder, read_json

# The real programs of a lab cluster, by the names they are pinned under.
PROGRAMS = (
    "argocd", "etcd", "etcdutl", "helm", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kustomize",
    "kwok", "sops", "talosctl", "machined", "kubelet", "containerd", "containerd-shim-runc-v2", "pause",
)  # fmt: skip
# In place of a directory of chart archives: the lab's own.
STAND_INS = Path("stand-ins")
# Bounds for a busy machine; with real Talos the first start copies half a gigabyte of programs into a tree and images,
# and a stop waits for the last process of every node.
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.03
LOG_LINES_SHOWN = 5


def up(
    *,
    spec_path: Path,
    state_dir: Path,
    net: str | None = None,
    latency: Mapping[str, Any] | None = None,
    programs: Mapping[str, Path] | None = None,
    charts: Path | None = None,
    talos: str | None = None,
) -> tuple[bool, dict[str, Any]]:
    """Make the lab run; returns whether it was started now, and its status once everything listens.

    What is named is remembered until the next `up` that names it; `charts` is a directory of chart archives, or
    STAND_INS for the lab's own again; `talos` is `real` or `simulated`. Raises LabError with the daemon's words where
    it does not come up, or where it runs already with other settings.
    """
    paths = lab_paths(state_dir).create()
    wanted = merged_settings(paths, net=net, latency=latency, programs=programs, charts=charts, talos=talos)
    spec = load_spec(spec_path, **spec_settings(wanted))
    running = _status(paths)
    if running:
        now = {"net": running["net"], **running["latency"], "charts": running["charts"], "talos": running["talos"]}
        asked = {"net": spec.net, "profile": spec.latency.profile, "scale": spec.latency.scale, "talos": spec.talos}
        asked["charts"] = str(spec.charts) if spec.charts else None
        if now != asked:
            raise LabError(f"the lab runs with {now}, not {asked}; run `infraflux lab down` first")
        return False, running
    if spec.charts:
        _check_charts(spec_path.resolve().parents[1] / spec.charts)
    remember(paths, wanted)
    process = _spawn(paths, spec_path)
    return True, _wait_listening(paths, process)


def merged_settings(
    paths: LabPaths,
    *,
    net: str | None = None,
    latency: Mapping[str, Any] | None = None,
    programs: Mapping[str, Path] | None = None,
    charts: Path | None = None,
    talos: str | None = None,
) -> dict[str, Any]:
    """What was remembered, with what is named now in its place."""
    named = {
        "net": net,
        "latency": dict(latency) if latency else None,
        "programs": {name: str(path) for name, path in programs.items()} if programs else None,
        "charts": str(charts.resolve()) if charts and charts != STAND_INS else None,
        "talos": talos,
    }
    remembered = read_json(paths.settings, {})
    if charts == STAND_INS:
        remembered.pop("charts", None)
    return {**remembered, **{key: value for key, value in named.items() if value}}


def remember(paths: LabPaths, settings: Mapping[str, Any]) -> None:
    """Keep settings for the daemon and for the next start."""
    write_whole(paths.settings, json.dumps(settings).encode())


def _check_charts(directory: Path) -> None:
    """Before anything is remembered: a wrong directory would be in the way of every later start."""
    try:
        read_archives(directory)
    except ChartError as error:
        raise LabError(str(error)) from None


def _spawn(paths: LabPaths, spec_path: Path) -> int:
    """Start the daemon in a session of its own, so that closing the terminal does not take it along."""
    argv = [sys.executable, "-m", "infraflux_lab.daemon"]
    argv += ["--spec", str(spec_path.resolve()), "--state-dir", str(paths.root)]
    log = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    try:
        return os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setsid=True)
    finally:
        os.close(log)
        os.close(null)


def _wait_listening(paths: LabPaths, process: int) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        status = _status(paths)
        if status:
            return status
        if os.waitpid(process, os.WNOHANG)[0]:
            tail = paths.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            raise LabError("\n".join(["the lab did not start:", *tail]))
        time.sleep(POLL_S)
    raise LabError(f"the lab does not listen after {START_TIMEOUT_S:.0f} s; see {paths.log}")


def _status(paths: LabPaths) -> dict[str, Any] | None:
    try:
        found = call(paths.socket, "status")
    except NotRunning:
        return None
    assert isinstance(found, dict)
    return found


def status(state_dir: Path) -> dict[str, Any] | None:
    """Status of the running lab, with its memory; None where none runs."""
    found = _status(lab_paths(state_dir))
    if found:
        process = psutil.Process(found["process"])
        found["memory_mib"] = round(process.memory_info().rss / 1024**2, 1)
        found["uptime_s"] = round(time.time() - process.create_time(), 1)
    return found


def down(state_dir: Path) -> bool:
    """Stop the lab; its machines come back as they were with the next `up`. False where none ran."""
    paths = lab_paths(state_dir)
    holder = lock_holder(paths.lock)
    if holder is None:
        return False
    with suppress(psutil.NoSuchProcess):  # it ended by itself a moment ago
        process = psutil.Process(holder)
        try:
            call(paths.socket, "stop")
        except NotRunning:
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        # Its end, not only that of its lock: until then its addresses and files are still its own. It stays a zombie
        # where nobody collects orphans, as in many a container.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise LabError(f"the lab (process {holder}) does not stop; see {paths.log}")
            time.sleep(POLL_S)
    return True


def reset(state_dir: Path) -> bool:
    """Stop the lab and remove all it knows: machines, certificates, credentials. False where there was nothing."""
    paths = lab_paths(state_dir)
    if not paths.root.exists():
        return False
    if paths.root.name == "" or not any((paths.lock.exists(), paths.settings.exists())):
        raise LabError(f"{paths.root} does not look like a lab's state directory; nothing removed")
    down(state_dir)
    shutil.rmtree(paths.root)
    return True
