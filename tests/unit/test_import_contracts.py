"""Every import contract of pyproject.toml is broken by an import that it forbids, and the pure rooms load no client."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = [
    one["name"] for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]


@dataclass(frozen=True)
class Forbidden:
    """A module that is added to a copy of the house, and what it may not import."""

    contract: str
    """How the contract's name begins."""
    room: str
    """The package that gets the module."""
    imports: str

    @property
    def module(self) -> str:
        return f"{self.room}.forbidden_{re.sub('[^a-z]', '_', self.imports)}"

    def __str__(self) -> str:
        return f"{self.room} imports {self.imports}"


FORBIDDEN = (
    Forbidden("Layers", "infraflux.core", "infraflux.config.load"),
    Forbidden("Layers", "infraflux.config", "infraflux.adapters.git_head"),
    Forbidden("Layers", "infraflux.operations", "tasks.engine.step"),
    Forbidden("Layers", "infraflux.service", "infraflux.operations.opening"),
    Forbidden("Layers", "tasks", "infraflux.cli.main"),
    Forbidden("Tasks import neither adapters nor renders", "tasks.engine", "infraflux.adapters.helm"),
    Forbidden("Tasks import neither adapters nor renders", "flows", "infraflux.render.talos"),
    Forbidden("The pure rooms", "infraflux.render", "kubernetes"),
    Forbidden("The pure rooms", "infraflux.delivery", "infraflux.core.process"),
    Forbidden("The pure rooms", "infraflux.operations.plan", "infraflux.adapters.proxmox.client"),
    Forbidden("The pure rooms", "infraflux.drift", "httpx"),
    Forbidden("Only core.process", "infraflux.adapters.talos", "subprocess"),
    Forbidden("Only core.process", "infraflux_lab.talos", "subprocess"),
    Forbidden("Drift knows nothing of promotion", "infraflux.drift", "infraflux.delivery.records"),
    Forbidden("The lab is an endpoint", "infraflux.adapters", "infraflux_lab.state"),
    Forbidden("The lab imports core only", "infraflux_lab", "infraflux.config.load"),
    Forbidden("The lab imports core only", "infraflux_lab.gitops", "prefect"),
    Forbidden("The core runs without an orchestrator", "infraflux.adapters", "prefect"),
    Forbidden("Flows are independent", "flows", "flows.deploy"),
)


def place(root: Path, module: str) -> Path:
    """Where a module of this name is below a copy of the project."""
    package = module.partition(".")[0]
    base = {"infraflux": "src", "infraflux_lab": "lab/src"}.get(package, ".")
    return (root / base / module.replace(".", "/")).with_suffix(".py")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What lint-imports says of each contract, of a copy with all the forbidden imports."""
    root = tmp_path_factory.mktemp("house")
    for part in ("src", "lab/src", "flows", "tasks"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for one in FORBIDDEN:
        place(root, one.module).write_text(f"import {one.imports}\n")
    path = os.pathsep.join(str(root / part) for part in ("src", "lab/src", "."))
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", root / "pyproject.toml"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout.partition("Broken contracts")[2]
    places = sorted((said.index(f"\n{name}\n"), name) for name in CONTRACTS if f"\n{name}\n" in said)
    ends = [at for at, _name in places[1:]] + [len(said)]
    return {name: said[at:end] for (at, name), end in zip(places, ends, strict=True)}


@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=str)
def test_a_forbidden_import_breaks_its_contract(verdicts: dict[str, str], forbidden: Forbidden):
    (name,) = [one for one in CONTRACTS if one.startswith(forbidden.contract)]
    assert name in verdicts, f"{name} is kept"
    assert f"{forbidden.module} -> {forbidden.imports}" in verdicts[name]


def test_every_contract_has_an_import_that_breaks_it():
    assert [name for name in CONTRACTS if not any(name.startswith(one.contract) for one in FORBIDDEN)] == []


CLIENTS = (
    *("proxmoxer", "kubernetes", "prefect", "requests", "httpx", "urllib3", "python_terraform"),
    "infraflux.core.process",
)
LOADED = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
names = [one.name for one in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
for name in names:
    importlib.import_module(name)
assert names
print(*sorted(sys.modules))
"""


@pytest.mark.parametrize(
    "room", ["infraflux.drift", "infraflux.delivery", "infraflux.render", "infraflux.operations.plan"]
)
def test_a_pure_room_loads_no_client(room: str):
    """In an interpreter of its own: what is really loaded, by whatever way."""
    done = subprocess.run([sys.executable, "-c", LOADED, room], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {f"{room}.{name}" for name in MODULES[room]} <= loaded
    assert sorted(loaded & set(CLIENTS)) == []
    # Of ours none that edges on something outside: facts and what reads texts only.
    assert sorted(one for one in loaded if one.startswith("infraflux.adapters.") and one.endswith(".client")) == []


MODULES = {
    "infraflux.drift": ("findings", "report"),
    "infraflux.delivery": ("pipeline", "release"),
    "infraflux.render": ("talos", "terraform"),
    "infraflux.operations.plan": ("decide", "report", "effects"),
}
"""Some that have to be among them, so that an empty room fails."""
