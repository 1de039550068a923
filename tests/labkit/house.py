"""The whole product in a directory of its own: a checkout with a clean commit, and what `infraflux up` starts in it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from infraflux.adapters.tools.locate import this_machine
from infraflux.config.load import load_cluster
from infraflux.config.models import ClusterSpec
from infraflux.service.api import PrefectApi
from infraflux.service.lifecycle import Service
from infraflux.service.settings import load_settings
from infraflux.service.trigger import start_run
from infraflux_lab import control, lifecycle
from infraflux_lab.events import read_events
from infraflux_lab.state import LabPaths, lab_paths

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
PARTS = ("config", "clusters", "deployments", "examples", "flows", "platform", "tasks", "terraform", "tools")
FILES = ("prefect.yaml", ".gitignore")
SHIPPED_NET = "127.77"
OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
PAGE = 200
PATIENCE_S = 300.0
"""A whole deploy takes some 2 minutes on 2 cores; this is for a machine that does other things too."""


def until(check: Callable[[], T | None], *, what: str, patience_s: float = PATIENCE_S, every_s: float = 0.2) -> T:
    """The first true value of `check`; AssertionError naming `what` when patience ends."""
    deadline = time.monotonic() + patience_s
    while not (value := check()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(every_s)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_out(root: Path, *, net: str) -> None:
    """A checkout with its addresses moved to `net`, everything committed."""
    ignored = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "__pycache__")
    for part in PARTS:
        shutil.copytree(REPOSITORY / part, root / part, ignore=ignored)
    for name in FILES:
        shutil.copy(REPOSITORY / name, root / name)
    for path in (*(root / "config").rglob("*.yaml"), *(root / "clusters").rglob("*.yaml")):
        path.write_text(path.read_text().replace(SHIPPED_NET, net))
    who = {f"GIT_{role}_{part}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    for words in (["init", "--initial-branch=main"], ["add", "--all"], ["commit", "--message", "Set up"]):
        environ = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", "-C", root, *words], check=True, capture_output=True, env=environ)


@dataclass(frozen=True)
class House:
    """A checkout where `infraflux up` was run."""

    root: Path
    net: str
    port: int

    # Programs, as a user calls them

    def environ(self) -> dict[str, str]:
        """The shell of a user: nothing of Prefect in it, since `.env` of the checkout says it all."""
        mine = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "INFRAFLUX_"))}
        return {**mine, "PREFECT_HOME": str(self.root.parent / "home"), "INFRAFLUX_PORT": str(self.port)}

    def call(self, *argv: str | Path, check: bool = True, patience_s: float = PATIENCE_S) -> str:
        """Run a program in the checkout; its output, both streams."""
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=self.root,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=patience_s,
        )
        assert not check or done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def infraflux(self, *words: str, check: bool = True) -> str:
        return self.call(sys.executable, "-m", "infraflux.cli.main", *words, check=check)

    def prefect(self, *words: str, check: bool = True) -> str:
        return self.call(Path(sys.executable).with_name("prefect"), *words, check=check)

    def tool(self, name: str, *words: str | Path, check: bool = True) -> str:
        """One of the pinned outside programs."""
        path = this_machine().find(name).path
        assert path is not None, name
        return self.call(path, *words, check=check, patience_s=60)

    # The service

    @property
    def service(self) -> Service:
        return Service(self.root, load_settings(self.root))

    @property
    def api(self) -> PrefectApi:
        return self.service.api()

    def pid(self, program: str) -> int:
        """The process of one supervised program."""
        return next(one.pid for one in self.service.supervisor.status() if one.name == program)

    # Runs

    def deploy(self, key: str, *, flow: str = "deploy", **parameters: Any) -> str:
        """Start a deployment over the API, as the Run button does; the id of the run."""
        environment, _, name = key.partition("/")
        return start_run(
            self.api,
            f"{flow}/{environment}",
            name=f"{flow}-{environment}-{name}",
            parameters={"cluster": name, **parameters},
        )

    def deploy_by_cli(self, key: str, *, flow: str = "deploy", **parameters: Any) -> str:
        """Start a deployment with Prefect's own command line; the id of the run."""
        environment, _, name = key.partition("/")
        given = {"cluster": name, **parameters}
        words = [word for pair in given.items() for word in ("--param", f"{pair[0]}={json.dumps(pair[1])}")]
        said = self.prefect("deployment", "run", f"{flow}/{environment}", *words)
        found = re.search(r"UUID: ([0-9a-f-]{36})", said)
        assert found, said
        return found.group(1)

    def read(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/flow_runs/{run}")
        return found

    def state(self, run: str) -> str:
        return str(self.read(run)["state"]["type"])

    def ended(self, run: str, *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """The run, once it is over."""

        def over() -> dict[str, Any] | None:
            found = self.read(run)
            return found if found["state"]["type"] in OVER else None

        try:
            return until(over, what=f"the end of {run}", patience_s=patience_s, every_s=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{self.log(run)}") from None

    def completed(self, run: str) -> dict[str, Any]:
        """The run, once it is over; it has to have come to a good end."""
        found = self.ended(run)
        assert found["state"]["type"] == "COMPLETED", f"{found['state']}\n{self.log(run)}"
        return found

    def log(self, run: str) -> str:
        """Every log line of a run."""
        return "\n".join(str(record["message"]) for record in self.pages("/logs/filter", {"logs": of(run)}))

    def pages(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Everything a filter endpoint has, page by page."""
        offset, api = 0, self.api
        while True:
            rows = api.post(path, {**body, "offset": offset, "limit": PAGE})
            yield from rows
            offset += len(rows)
            if len(rows) < PAGE:
                return

    def page(self, run: str) -> str:
        """Where the UI shows a run."""
        return f"{self.service.settings.url}/v2/runs/flow-run/{run}"

    def artifact(self, key: str) -> dict[str, Any]:
        """The newest artifact of a key."""
        found: dict[str, Any] = self.api.get(f"/artifacts/{key}/latest")
        return found

    def event(self, name: str, run: str) -> dict[str, Any]:
        """The one event of this name that a run sent; events arrive some time after the run that sent them ended."""

        def arrived() -> list[dict[str, Any]]:
            rows = self.api.post("/events/filter", {"filter": {"event": {"name": [name]}}, "limit": 50})["events"]
            return [row for row in rows if row["payload"].get("flow_run_id") == run]

        (found,) = until(arrived, what=f"{name} of {run}", patience_s=60)
        return found

    # The lab, asked behind the product's back

    @property
    def lab(self) -> LabPaths:
        return lab_paths(self.root / ".infraflux" / "lab")

    def ask(self, op: str, **fields: Any) -> Any:
        return control.call(self.lab.socket, op, **fields)

    def writes(self) -> list[dict[str, Any]]:
        """Proxmox calls that change something, since the last `requests-reset`."""
        return [row for row in self.ask("requests") if row["mutating"]]

    def lab_events(self, **wanted: Any) -> list[Mapping[str, Any]]:
        return list(read_events(self.lab.events, **wanted))

    def spec(self, key: str) -> ClusterSpec:
        return load_cluster(self.root, key)

    # Processes

    def family(self) -> list[psutil.Process]:
        """Service and lab with everything below them."""
        parents = [self.service.supervisor.process()]
        if found := lifecycle.status(self.lab.root):
            parents.append(psutil.Process(found["process"]))
        return [one for parent in parents if parent for one in (parent, *parent.children(recursive=True))]

    def strays(self) -> list[str]:
        """Processes that work in this checkout and belong to nobody."""
        known = {one.pid for one in (*self.family(), *_this_test())}
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
            line = " ".join(process.info["cmdline"] or [])
            here = str(self.root) in line or str(process.info["cwd"] or "").startswith(str(self.root))
            if here and process.pid not in known:
                found.append(f"{process.pid} {line}")
        return found

    def no_strays(self) -> None:
        """Fails where a process stays that belongs to nobody."""
        until(lambda: not self.strays(), what=f"the end of {self.strays()}", patience_s=60)


def _this_test() -> Sequence[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def of(run: str) -> dict[str, Any]:
    """Prefect's filter for one run."""
    return {"flow_run_id": {"any_": [run]}}


def set_up(root: Path, *, net: str) -> House:
    """Check out and start everything but the first deploy."""
    check_out(root, net=net)
    house = House(root=root, net=net, port=free_port())
    house.infraflux("up", "--no-deploy")
    until(lambda: online(house), what="a worker")
    return house


def online(house: House) -> bool:
    """Whether a worker looks for runs."""
    found = house.api.post("/work_pools/infraflux/workers/filter", {})
    return any(worker["status"] == "ONLINE" for worker in found)


def tear_down(house: House) -> None:
    """Stop everything and forget the lab; nothing may be left running."""
    family = house.family()
    house.infraflux("down")
    lifecycle.reset(house.lab.root)
    _gone, left = psutil.wait_procs(family, timeout=20)
    assert [one.pid for one in left] == []
