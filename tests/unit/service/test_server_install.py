"""What `deployments/server` says is true of this repository: paths, commands, user, port."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from commandline import problems_of
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

from infraflux.service.paths import ServicePaths

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deployments/server/infraflux.service"
CONTAINERFILE = (ROOT / "deployments/server/Containerfile").read_text()
HOME = Path("/opt/infraflux")
PROGRAM = str(HOME / ".venv/bin/infraflux")


@pytest.fixture
def unit() -> dict[str, str]:
    parser = RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


@pytest.mark.parametrize("key", ["ExecStart", "ExecStop"])
def test_the_unit_calls_commands_that_exist(unit: dict[str, str], key: str):
    program, *words = unit[key].split()
    assert program == PROGRAM
    assert problems_of(words) == []


def test_the_unit_knows_the_pid_file_of_supervisord(unit: dict[str, str]):
    assert unit["Type"] == "forking"
    assert Path(unit["PIDFile"]) == ServicePaths(HOME).supervisor_pid
    assert Path(unit["WorkingDirectory"]) == HOME


def test_systemd_takes_the_unit(tmp_path: Path):
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        pytest.skip("systemd-analyze is not installed here")
    # It looks whether programs exist, and the unit is for another machine: one that exists takes their place.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run([systemd, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_has_the_python_that_the_project_asks_for():
    found = re.search(r"python:(\d+\.\d+)", CONTAINERFILE)
    wanted = re.search(r'requires-python = "([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert found
    assert wanted
    assert SpecifierSet(wanted.group(1)).contains(found.group(1))


def test_the_image_starts_a_script_that_is_there_and_may_run():
    found = re.search(r'^CMD \["([^"]+)"\]$', CONTAINERFILE, re.MULTILINE)
    assert found
    assert (ROOT / found.group(1)).stat().st_mode & 0o111
    assert f"ENV PATH={HOME}/.venv/bin:$PATH" in CONTAINERFILE
    assert f"WORKDIR {HOME}\n" in CONTAINERFILE


def test_the_volumes_hold_state_and_programs_and_belong_to_the_user():
    volumes = re.search(r"^VOLUME (.+)$", CONTAINERFILE, re.MULTILINE)
    assert volumes
    assert volumes.group(1).split() == [str(ServicePaths(HOME).state), "/home/infraflux/.cache"]
    assert CONTAINERFILE.index("USER infraflux") < CONTAINERFILE.index("--mode 0700 .infraflux /home/infraflux/.cache")
    for volume in volumes.group(1).split():
        assert f":{volume}" in CONTAINERFILE.partition("FROM")[0], "the command above the image mounts it"


def test_a_server_on_loopback_is_reached_through_the_hosts_network():
    settings = YAML(typ="safe").load(ROOT / "deployments/service.yaml")
    assert settings["server"]["host"] == "127.0.0.1"
    assert "--network host" in CONTAINERFILE.partition("FROM")[0]


def test_the_image_takes_no_state_and_no_secret_along():
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".infraflux", ".env", ".venv", ".uv"} <= ignored
