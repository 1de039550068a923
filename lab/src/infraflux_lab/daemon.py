"""The one process of the lab: puts the parts together, runs them, answers the control socket."""

import argparse
import asyncio
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infraflux_lab.compose import compose
from infraflux_lab.control import ControlServer, Operation
from infraflux_lab.events import EventLog
from infraflux_lab.faults import STATES, FaultBook, target_pattern
from infraflux_lab.latency import ProfileLatency
from infraflux_lab.parts import LabContext, Part
from infraflux_lab.pki import ensure_authority
from infraflux_lab.spec import LabSpec, load_spec, spec_settings
from infraflux_lab.state import LabError, LabPaths, acquire_lock, lab_paths, read_json


class LabDaemon:
    """Runs until it is told to stop."""

    def __init__(self, spec: LabSpec, paths: LabPaths, *, project: Path, programs: Mapping[str, Path]) -> None:
        self._spec, self._paths = spec, paths.create()
        self._started = time.monotonic()
        self._lock = acquire_lock(paths.lock)
        self._events = EventLog(paths.events)
        self._faults = FaultBook(paths.faults, self._events)
        latency = ProfileLatency(
            profile=spec.latency.profile, scale=spec.latency.scale, overrides=spec.latency.phases, events=self._events
        )
        context = LabContext(
            spec=spec,
            paths=paths,
            events=self._events,
            faults=self._faults,
            latency=latency,
            authority=ensure_authority(paths),
            project=project,
            programs=programs,
        )
        self._lab = compose(context)
        self._hypervisor, self._parts = self._lab.hypervisor, self._lab.parts
        self._stop = asyncio.Event()
        self._control = ControlServer(paths.socket, self._operations())
        self._listening_after_s = 0.0

    async def run(self) -> None:
        """Start the parts, serve, stop them in reverse order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        started: list[Part] = []
        try:
            for part in self._parts:
                started.append(part)
                await part.start()
            self._listening_after_s = time.monotonic() - self._started
            # Last, because whoever asks the control socket may then rely on everything else.
            await self._control.start()
            self._events.emit("daemon", "listening", process=os.getpid(), after_s=round(self._listening_after_s, 3))
            await self._stop.wait()
        finally:
            await self._control.stop()
            for part in reversed(started):
                await part.stop()
            self._events.emit("daemon", "stopped", process=os.getpid())
            self._events.close()
            self._lock.release()

    def _operations(self) -> Mapping[str, Operation]:
        return {
            "status": self._status,
            "stop": self._stop_now,
            "fault-add": self._fault_add,
            "fault-list": self._fault_list,
            "fault-clear": self._fault_clear,
            "act": self._act,
            "edit-config": self._edit_config,
            "requests": self._requests,
            "requests-reset": self._requests_reset,
        }

    async def _status(self, _request: Mapping[str, Any]) -> Any:
        latency = self._spec.latency
        return {
            "process": os.getpid(),
            "listening_after_s": round(self._listening_after_s, 3),
            "state_dir": str(self._paths.root),
            "net": self._spec.net,
            "talos": self._spec.talos,
            "latency": {"profile": latency.profile, "scale": latency.scale},
            "charts": str(self._spec.charts) if self._spec.charts else None,
            "parts": [dataclasses.asdict(facts) for part in self._parts for facts in part.describe()],
            "faults": len(self._faults.list()),
        }

    async def _stop_now(self, _request: Mapping[str, Any]) -> Any:
        self._stop.set()
        return {"process": os.getpid()}

    async def _fault_add(self, request: Mapping[str, Any]) -> Any:
        kind, times = str(request["kind"]), request.get("times")
        target = target_pattern(environment=request.get("environment"), target=str(request.get("target") or "*"))
        if times is None:
            times = None if kind in STATES else 1
        fault = self._faults.add(kind, target=target, times=times or None, params=request.get("params") or {})
        self._hypervisor.faults_changed()
        return dataclasses.asdict(fault)

    async def _fault_list(self, _request: Mapping[str, Any]) -> Any:
        return [dataclasses.asdict(fault) for fault in self._faults.list()]

    async def _fault_clear(self, request: Mapping[str, Any]) -> Any:
        cleared = self._faults.clear(request.get("id"))
        self._hypervisor.faults_changed()
        return [dataclasses.asdict(fault) for fault in cleared]

    async def _act(self, request: Mapping[str, Any]) -> Any:
        return await self._hypervisor.act(
            str(request["action"]), environment=str(request["environment"]), params=request.get("params") or {}
        )

    async def _edit_config(self, request: Mapping[str, Any]) -> Any:
        machine = str(request["machine"])
        await self._lab.edit_config(machine, request["patch"])
        self._events.emit("actions", "edit-config", machine=machine)
        return {"machine": machine}

    async def _requests(self, _request: Mapping[str, Any]) -> Any:
        return self._events.requests()

    async def _requests_reset(self, _request: Mapping[str, Any]) -> Any:
        self._events.reset_requests()
        return {}


def run_daemon(*, spec_path: Path, state_dir: Path) -> None:
    """Run the lab in this process until SIGTERM, SIGINT or `lab down`; settings of `lab up` apply."""
    # Git, etcd and others write below the state directory too; none of it is for other users.
    os.umask(0o077)
    paths = lab_paths(state_dir).create()
    settings = read_json(paths.settings, {})
    spec = load_spec(spec_path, **spec_settings(settings))
    programs = {name: Path(file) for name, file in settings.get("programs", {}).items()}

    async def main() -> None:
        await LabDaemon(spec, paths, project=spec_path.resolve().parents[1], programs=programs).run()

    asyncio.run(main())


def main() -> None:
    """Entry of the background process."""
    parser = argparse.ArgumentParser(prog="infraflux-lab")
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        run_daemon(spec_path=arguments.spec, state_dir=arguments.state_dir)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
