"""Up, down, reset, and being killed."""

import os
import signal
import ssl
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from infraflux_lab import lifecycle
from infraflux_lab.gitops.archives import STANDIN_CHARTS, package_chart
from infraflux_lab.state import LabError, lab_paths

from .conftest import SPEC, Lab

pytestmark = pytest.mark.lab


def test_up_twice_is_one_process(lab: Lab) -> None:
    first = lifecycle.status(lab.paths.root)
    started, second = lifecycle.up(spec_path=SPEC, state_dir=lab.paths.root)
    assert first is not None
    assert not started
    assert second["process"] == first["process"]


def test_up_with_other_settings_is_refused_while_it_runs(lab: Lab) -> None:
    with pytest.raises(LabError, match="infraflux lab down"):
        lifecycle.up(spec_path=SPEC, state_dir=lab.paths.root, latency={"profile": "real"})


def test_settings_stay_over_a_restart(lab: Lab, net: str) -> None:
    before = lifecycle.status(lab.paths.root)
    assert before is not None
    process = psutil.Process(before["process"])
    assert lifecycle.down(lab.paths.root)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert lifecycle.status(lab.paths.root) is None
    _, status = lifecycle.up(spec_path=SPEC, state_dir=lab.paths.root)
    assert status["net"] == net


def test_charts_of_the_users_stay_over_a_restart_and_go_when_told(lab: Lab, tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    charts.mkdir()
    (charts / "cilium-9.9.9.tgz").write_bytes(package_chart(STANDIN_CHARTS / "cilium").data)
    with pytest.raises(LabError, match="infraflux lab down"):
        lifecycle.up(spec_path=SPEC, state_dir=lab.paths.root, charts=charts)

    def kinds(**settings: Path) -> dict[str, str]:
        lifecycle.down(lab.paths.root)
        _, status = lifecycle.up(spec_path=SPEC, state_dir=lab.paths.root, **settings)
        return {part["name"]: part["kind"] for part in status["parts"] if part["name"].startswith("chart ")}

    for found in (kinds(charts=charts), kinds()):
        assert (found["chart cilium"], found["chart argo-cd"]) == ("real", "simulated")
    assert kinds(charts=lifecycle.STAND_INS)["chart cilium"] == "simulated"


def test_a_directory_without_charts_is_one_line(tmp_path: Path, net: str) -> None:
    with pytest.raises(LabError, match="no chart archives"):
        lifecycle.up(spec_path=SPEC, state_dir=tmp_path / "lab", net=net, charts=tmp_path)
    assert not lab_paths(tmp_path / "lab").settings.exists(), "a mistake is not remembered"


def test_a_second_lab_on_the_same_addresses_says_which(lab: Lab, tmp_path: Path, net: str) -> None:
    with pytest.raises(LabError, match=rf"{net}\.0\.3.*in use"):
        lifecycle.up(spec_path=SPEC, state_dir=tmp_path / "second", net=net)
    assert lifecycle.status(tmp_path / "second") is None


def test_machines_survive_a_kill(lab: Lab) -> None:
    client = lab.client()
    client.pools.post(poolid="kept")
    lab.act("create-vm", vm="9100", name="kept", scsi0="local-lvm:5")
    lab.act("start-vm", vm="9100")
    lab.fault("slow-task", target="9999", times=3)
    status = lifecycle.status(lab.paths.root)
    assert status is not None
    os.kill(status["process"], signal.SIGKILL)
    psutil.wait_procs([psutil.Process(status["process"])] if psutil.pid_exists(status["process"]) else [], timeout=10)

    started, _ = lifecycle.up(spec_path=SPEC, state_dir=lab.paths.root)

    assert started
    guest = client.nodes("pve-dev-1").qemu(9100).status.current.get()
    assert (guest["name"], guest["status"]) == ("kept", "running")
    assert [pool["poolid"] for pool in client.pools.get()] == ["kept"]
    assert [fault["target"] for fault in lab.ask("fault-list")] == ["dev/9999"]
    assert len(lab.events(kind="powered-on", machine="dev/9100")) == 2


def test_nothing_is_open_to_others(lab: Lab) -> None:
    everything = [lab.paths.root, *lab.paths.root.rglob("*")]
    open_ = {path.name for path in everything if stat.S_IMODE(path.stat().st_mode) & 0o077}
    certificates = {path.name for path in everything if path.suffix == ".crt"}
    assert open_ <= certificates
    assert {stat.S_IMODE(path.stat().st_mode) for path in lab.paths.credentials.iterdir()} == {0o600}


def test_secrets_are_nowhere_but_in_their_files(lab: Lab) -> None:
    lab.client().version.get()
    secret = lab.secret
    holders = [path for path in lab.paths.root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    status = lifecycle.status(lab.paths.root)
    assert status is not None
    assert holders == [lab.paths.credentials / "dev.token"]
    assert secret not in " ".join(psutil.Process(status["process"]).cmdline())


def test_the_certificate_is_good_for_the_address_and_nothing_else_is_trusted(lab: Lab) -> None:
    trusted = ssl.create_default_context(cafile=str(lab.paths.ca_certificate))
    trusted.minimum_version = ssl.TLSVersion.TLSv1_3
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        opener.open(f"{lab.endpoint}/api2/json/version", timeout=10)


def test_reset_refuses_a_directory_that_is_no_lab(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(LabError, match="nothing removed"):
        lifecycle.reset(tmp_path)
    assert (tmp_path / "precious").exists()


def test_the_command_line_shows_parts_as_simulated(lab: Lab) -> None:
    command = [sys.executable, "-m", "infraflux.cli.main", "lab"]
    environment = {**os.environ, "INFRAFLUX_LAB_STATE_DIR": str(lab.paths.root), "COLUMNS": "200"}
    status = subprocess.run([*command, "status"], env=environment, capture_output=True, text=True, check=True)
    assert "Proxmox VE API (dev)" in status.stdout
    assert "simulated" in status.stdout

    subprocess.run([*command, "down"], env=environment, check=True, capture_output=True)
    gone = subprocess.run([*command, "status"], env=environment, capture_output=True, text=True, check=False)
    assert gone.returncode == 1
    assert "infraflux lab up" in gone.stdout
    fault = subprocess.run(
        [*command, "fault", "add", "slow-task"], env=environment, capture_output=True, text=True, check=False
    )
    assert fault.returncode == 1
    assert "not running" in fault.stderr
    assert "Traceback" not in fault.stderr
