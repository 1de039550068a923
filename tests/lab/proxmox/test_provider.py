"""The real bpg/proxmox provider under real Terraform: a client nobody here wrote."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infraflux.adapters.tools.locate import locate, provider_mirror

from .conftest import Lab

pytestmark = [pytest.mark.lab, pytest.mark.tools]
CONFIGURATION = Path(__file__).with_name("machines")
NO_CHANGES, CHANGES = 0, 2


@dataclass(frozen=True, kw_only=True)
class Terraform:
    """Terraform in a directory of its own."""

    directory: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        values = [f"-var={name}={json.dumps(value)}" for name, value in variables.items()]
        return subprocess.run(
            [str(locate("terraform")), *arguments, "-no-color", *values],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def apply(self, **variables: object) -> str:
        done = self.run("apply", "-auto-approve", "-input=false", **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def plan(self, **variables: object) -> tuple[int, str]:
        done = self.run("plan", "-detailed-exitcode", "-input=false", **variables)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def terraform(lab: Lab, tmp_path: Path) -> Terraform:
    directory = tmp_path / "machines"
    shutil.copytree(CONFIGURATION, directory, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    settings = tmp_path / "cli.tfrc"
    settings.write_text(f'provider_installation {{ filesystem_mirror {{ path = "{provider_mirror()}" }} }}\n')
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TF_CLI_CONFIG_FILE": str(settings),
        "CHECKPOINT_DISABLE": "1",
        "SSL_CERT_FILE": str(lab.paths.ca_certificate),
        "NO_PROXY": "127.0.0.0/8",
        "TF_VAR_token": lab.secret,
        "TF_VAR_endpoint": lab.endpoint,
        "TF_VAR_image_url": lab.image_url(),
    }
    found = Terraform(directory=directory, environment=environment)
    assert found.run("init", "-input=false").returncode == 0
    return found


def config(lab: Lab, vm_id: int, host: str) -> dict[str, Any]:
    found = lab.client().nodes(host).qemu(vm_id).config.get()
    assert isinstance(found, dict)
    return found


def test_whole_life_of_machines(lab: Lab, terraform: Terraform) -> None:
    assert "8 added" in terraform.apply()
    assert terraform.plan()[0] == NO_CHANGES

    made = config(lab, 10011, "pve-dev-1")
    assert (made["cores"], made["tags"], made["startup"]) == (2, "control-plane;infraflux-dev-t-1", "order=1,up=5")
    assert made["scsi0"] == (
        "local-lvm:vm-10011-disk-1,aio=io_uring,backup=1,cache=none,discard=on,iothread=1,replicate=1,size=20G,ssd=1"
    )
    assert made["ide2"].startswith("local-lvm:vm-10011-cloudinit,")
    assert made["smbios1"] == "base64=1,uuid=00000000-0000-4000-8000-000000010011"

    terraform.apply(cores=4)
    assert config(lab, 10011, "pve-dev-1")["cores"] == 4
    assert terraform.plan(cores=4)[0] == NO_CHANGES

    terraform.apply(cores=4, disk_gib=40)
    assert "size=40G" in config(lab, 10011, "pve-dev-1")["scsi0"]
    assert terraform.plan(cores=4, disk_gib=40)[0] == NO_CHANGES

    destroyed = terraform.run("destroy", "-auto-approve")
    assert destroyed.returncode == 0, destroyed.stderr
    client = lab.client()
    assert client.cluster.resources.get(type="vm") == []
    assert client.cluster.ha.rules.get() == []
    assert client.cluster.ha.resources.get() == []
    assert client.pools.get() == []
    for host in ("pve-dev-1", "pve-dev-2"):
        assert [client.nodes(host).storage(name).content.get() for name in ("local", "local-lvm")] == [[], []]


def test_a_plan_writes_nothing(lab: Lab, terraform: Terraform) -> None:
    terraform.apply()
    lab.ask("requests-reset")
    assert terraform.plan()[0] == NO_CHANGES
    assert lab.writes() == 0


def test_tags_in_another_order_are_a_trap_that_the_simulator_has_too(terraform: Terraform) -> None:
    tags = ["zulu", "alpha"]
    terraform.apply(tags=tags)
    code, _ = terraform.plan(tags=sorted(tags))
    assert code == NO_CHANGES


def test_moved_by_ha_is_no_replacement(lab: Lab, terraform: Terraform) -> None:
    terraform.apply()
    lab.act("ha-move", vm="10011", host="pve-dev-2")
    code, text = terraform.plan()
    assert code == CHANGES
    assert "0 to add, 1 to change, 0 to destroy" in text
    terraform.apply()
    assert terraform.plan()[0] == NO_CHANGES
    assert lab.client().nodes("pve-dev-1").qemu(10011).status.current.get()["status"] == "running"


def test_edited_and_deleted_behind_its_back(lab: Lab, terraform: Terraform) -> None:
    terraform.apply()
    lab.act("edit-vm", vm="10011", cores="8", tags="stray")
    lab.act("delete-vm", vm="10012")
    code, text = terraform.plan()
    assert code == CHANGES
    assert "8 -> 2" in text
    assert 'proxmox_virtual_environment_vm.node["cp-2"] will be created' in text


def test_lost_reply_leaves_a_machine_that_terraform_does_not_know(lab: Lab, terraform: Terraform) -> None:
    lab.fault("reply-lost", target="POST /nodes/pve-dev-1/qemu")
    assert terraform.run("apply", "-auto-approve").returncode == 1
    assert "10011" not in terraform.run("show").stdout
    assert [row["vmid"] for row in lab.client().cluster.resources.get(type="vm")] == [10011, 10012]

    # The provider repeats a POST that answered 500 and takes "already exists" on the repeat for success.
    terraform.apply()
    assert [row["vmid"] for row in lab.client().cluster.resources.get(type="vm")] == [10011, 10012]


def test_the_provider_takes_over_a_foreign_machine_with_its_id(lab: Lab, terraform: Terraform) -> None:
    """Why a preflight must look for id clashes: the provider does not stop at "already exists"."""
    lab.act("create-vm", vm="10011", name="somebody-elses", scsi0="local-lvm:5")
    terraform.run("apply", "-auto-approve")
    found = config(lab, 10011, "pve-dev-1")
    assert found["name"] == "somebody-elses"
    assert "size=20G" in found["scsi0"]


def test_failing_task_fails_the_apply_with_its_log(lab: Lab, terraform: Terraform) -> None:
    lab.fault("fail-task", target="qmcreate:10011", message="no space on the moon")
    done = terraform.run("apply", "-auto-approve")
    assert done.returncode == 1
    assert "no space on the moon" in done.stderr
    assert [row["vmid"] for row in lab.client().cluster.resources.get(type="vm")] == [10012]
    terraform.apply()
    assert terraform.plan()[0] == NO_CHANGES


def test_warning_does_not_fail_the_apply(lab: Lab, terraform: Terraform) -> None:
    lab.fault("warn-task", target="qmcreate:10011", message="old machine type")
    assert "old machine type" in terraform.apply()
