"""destroy/dev: the typed name or nothing; then all of ours goes and nothing of others."""

import pytest
from labkit.house import House
from labkit.looks import Look

pytestmark = [pytest.mark.lab, pytest.mark.tools, pytest.mark.prefect]


def test_a_wrong_confirmation_is_refused(house: House, dev: Look, deployed_dev: str) -> None:
    house.ask("requests-reset")
    found = house.ended(house.deploy(dev.key, flow="destroy", confirm="dev-1"))
    assert found["state"]["type"] == "FAILED"
    assert "the confirmation is 'dev-1', not 'dev/dev-1'" in found["state"]["message"]
    assert house.writes() == []
    dev.stands()


def test_all_of_ours_goes_and_nothing_of_others(house: House, dev: Look, deployed_dev: str) -> None:
    tags = {"300": "infraflux;infraflux-dev-dev-1", "301": "somebody-elses"}
    for vm_id, tag in tags.items():
        params = {"vm": vm_id, "host": "pve-dev-1", "name": f"vm-{vm_id}", "tags": tag}
        house.ask("act", action="create-vm", environment="dev", params=params)
    others = {key: Look(house, key).machines() for key in ("staging/staging-1", "prod/prod-1")}
    run = house.deploy_by_cli(dev.key, flow="destroy", confirm=dev.key)
    assert house.completed(run)["name"] == "destroy-dev-dev-1"
    assert dev.machines() == {301: "vm-301"}
    volumes = [row["volid"] for host in ("pve-dev-1", "pve-dev-2") for row in images(dev, host)]
    assert [one for one in volumes if "vm-301-" not in one] == []
    assert {key: Look(house, key).machines() for key in others} == others
    assert not (dev.directory / "kubeconfig").exists()
    assert house.event("infraflux.cluster.destroyed", run)["payload"]["cluster"] == "dev-1"


def images(dev: Look, host: str) -> list[dict[str, str]]:
    """Disks of machines on a host."""
    found: list[dict[str, str]] = dev.proxmox().nodes(host).storage("local-lvm").content.get(content="images")
    return found


def test_destroying_again_finds_nothing(house: House, dev: Look) -> None:
    house.ask("requests-reset")
    house.completed(house.deploy(dev.key, flow="destroy", confirm=dev.key))
    assert house.writes() == []
