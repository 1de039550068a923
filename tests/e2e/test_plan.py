"""What a person approves is everything that the run does, and a run reads its files once."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labkit.house import House, until
from labkit.looks import Look
from ruamel.yaml import YAML

from infraflux.adapters.talos.documents import parse_documents
from infraflux.service.trigger import answer

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]

PROD = "prod/prod-1"
SYSCTL = {"machine": {"sysctls": {"vm.swappiness": "1"}}}
ARGUMENT = {"machine": {"kubelet": {"extraArgs": {"v": "4"}}}}
SYSCTL_FIELD = "v1alpha1.machine.sysctls.vm.swappiness: (absent) → 1"
ARGUMENT_FIELD = "v1alpha1.machine.kubelet.extraArgs.v: (absent) → 4"


def commit(house: House, environment: str, **patches: Any) -> None:
    """Give every node of an environment these patches of its machine config, and commit."""
    path, yaml = house.root / f"config/environments/{environment}.yaml", YAML()
    document = yaml.load(path)
    document["talos"] = {"patches": {"all": [{"name": name, "content": one} for name, one in patches.items()]}}
    yaml.dump(document, path)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", house.root, *who, "commit", "-qam", f"Patch {environment}"], check=True)


def asked(house: House, run: str) -> str:
    """What the approval form of a run says, once it waits for an answer."""
    until(lambda: house.state(run) == "PAUSED", what=f"the question of {run}")
    keys = house.read(run)["state"]["state_details"]["run_input_keyset"]
    return str(house.api.get(f"/flow_runs/{run}/input/{keys['description']}"))


def digest(text: str) -> str:
    found = re.search(r"[Pp]lan `?([0-9a-f]{12})", text)
    assert found, text
    return found.group(1)


def configs(look: Look) -> dict[str, Any]:
    """The machine config of each node, as Talos has it."""
    words = ("--talosconfig", look.directory / "talosconfig", "get", "machineconfig", "v1alpha1", "--output", "json")
    found = {}
    for node in look.spec.nodes:
        said = look.house.tool("talosctl", *words, "--nodes", str(node.address), "--endpoints", str(node.address))
        found[node.name] = parse_documents(json.loads(said)["spec"])["v1alpha1"]["machine"]
    return found


@pytest.fixture(scope="module")
def prod(house: House) -> Look:
    """prod as it is declared: by an earlier test, or made now."""
    if house.api.find("/artifacts/cluster-prod-prod-1/latest") is None:
        run = house.deploy(PROD)
        asked(house, run)
        answer(house.api, run, approve=True, approver="ann", comment="the first one")
        house.completed(run)
    return Look(house, PROD)


def test_what_disturbs_is_seen_before_it_is_approved_and_done(house: House, prod: Look) -> None:
    names = {node.name for node in prod.spec.nodes}
    commit(house, "prod", sysctl=SYSCTL)
    first = house.deploy(PROD)
    form, artifact = asked(house, first), house.artifact("plan-prod-prod-1")["data"]
    for text in (form, artifact):
        assert "Disturbs nothing that runs" in text
        assert text.count(SYSCTL_FIELD) == len(names)
        for name in names:
            assert f"| none | {name} | config | machine config, 1 field: applied while the node runs |" in text
    assert digest(form) == digest(artifact)

    commit(house, "prod", sysctl=SYSCTL, argument=ARGUMENT)
    said = house.infraflux("deploy", PROD, "--dry-run")
    lines = "\n".join(" ".join(line.split()) for line in said.splitlines())
    assert lines.count(SYSCTL_FIELD) == lines.count(ARGUMENT_FIELD) == len(names), said
    shown = house.artifact("plan-prod-prod-1")["data"]
    assert "Worst disruption: service restart" in shown
    for name in names:
        assert f"| service restart | {name} | config | machine config, 2 fields: kubelet restarts |" in shown
    assert digest(shown) != digest(form)

    # The first run was asked about another plan than the one it would now make.
    answer(house.api, first, approve=True, approver="ann", comment="too late")
    ended = house.ended(first)
    assert ended["state"]["type"] == "FAILED"
    assert "the plan changed since approval was asked for" in ended["state"]["message"]

    assert all("sysctls" not in one for one in configs(prod).values())
    second = house.deploy(PROD)
    assert digest(asked(house, second)) == digest(shown)
    answer(house.api, second, approve=True, approver="ann", comment="looks right")
    house.completed(second)
    for config in configs(prod).values():
        assert config["sysctls"]["vm.swappiness"] == "1"
        assert config["kubelet"]["extraArgs"]["v"] == "4"


WATCHED = """
import json, sys
seen = {"loads": [], "programs": []}
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("config/environments/dev.yaml"):
        seen["loads"].append(str(arguments[0]))
    elif event == "subprocess.Popen":
        seen["programs"].append([str(word) for word in arguments[1]])
sys.addaudithook(watch)
from infraflux.cli.main import main
target = sys.argv.pop(1)
try:
    main()
finally:
    open(target, "w").write(json.dumps(seen))
"""
"""The command line with every file that Python opens and every program that it starts noted down."""


@pytest.fixture
def slow_preflight(house: House) -> Iterator[None]:
    """The first stage after the files were read takes its time."""
    house.ask("fault-add", kind="http-slow", environment="dev", target="GET /*", times=1, params={"seconds": "6"})
    yield
    house.ask("fault-clear")


def test_a_run_reads_its_files_once_and_a_commit_in_its_middle_reaches_the_next(
    house: House,
    dev: Look,
    deployed_dev: str,
    slow_preflight: None,
    tmp_path: Path,
) -> None:
    commit(house, "dev", sysctl=SYSCTL)
    before = house.call("git", "rev-parse", "HEAD").strip()
    argv = [sys.executable, "-c", WATCHED, str(tmp_path / "seen.json"), "deploy", dev.key, "--local"]
    out = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=house.root, env=house.environ(), stdout=out, stderr=subprocess.STDOUT, text=True
    ) as run:
        said = committed_at(run, "── preflight", lambda: commit(house, "dev", sysctl=SYSCTL, argument=ARGUMENT))
    assert run.returncode == 0, said
    assert f"acting for {before[:12]}" in said
    for config in configs(dev).values():
        assert config["sysctls"]["vm.swappiness"] == "1"
        assert "extraArgs" not in config["kubelet"]
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert [path for path in seen["loads"] if "/.infraflux/trees/" in path] == [
        str(house.root / f".infraflux/trees/{before[:20]}/config/environments/dev.yaml")
    ]
    # The command line looks once itself, to know the deployment.
    assert len(seen["loads"]) == 2
    # Talos makes the configs of each role once, and Terraform plans what is shared and what is the cluster's once.
    made = [Path(argv[argv.index("-o") + 1]) for argv in seen["programs"] if {"gen", "config"} <= set(argv)]
    ours = sorted(path.name for path in made if path.is_relative_to(dev.directory))
    assert ours == ["controlplane.yaml", "worker.yaml"]
    assert count(seen["programs"], "terraform", "plan") == 2


def committed_at(run: subprocess.Popen[str], mark: str, act: Any) -> str:
    """Everything that a run prints; does something once when it has come to a stage."""
    assert run.stdout is not None
    lines = []
    for line in run.stdout:
        lines.append(line)
        if mark in line and act is not None:
            act()
            act = None
    assert act is None, f"never came to {mark}:\n{''.join(lines)}"
    return "".join(lines)


def count(programs: list[list[str]], name: str, command: str) -> int:
    """How often a program was started with this command."""
    return sum(any(Path(word).name == name for word in argv) and command in argv for argv in programs)
