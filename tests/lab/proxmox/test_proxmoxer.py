"""proxmoxer, as the preflight uses it: read only."""

import pytest
from proxmoxer import ProxmoxAPI
from proxmoxer.core import AuthenticationError, ResourceException
from proxmoxer.tools import Tasks

from .conftest import Lab

pytestmark = pytest.mark.lab


def test_reads_for_a_preflight(lab: Lab) -> None:
    client = lab.client()
    lab.ask("requests-reset")
    assert client.version.get()["release"] == "9.1"
    assert "VM.Allocate" in client.access.permissions.get()["/vms"]
    assert [node["status"] for node in client.nodes.get()] == ["online", "online"]
    status = client.nodes("pve-dev-1").status.get()
    assert (status["cpuinfo"]["cpus"], status["memory"]["total"]) == (16, 64 * 1024**3)
    assert [row["iface"] for row in client.nodes("pve-dev-1").network.get(type="bridge")] == ["vmbr0"]
    storages = {row["storage"]: row for row in client.nodes("pve-dev-1").storage.get()}
    assert storages["local-lvm"]["content"] == "images,rootdir"
    assert storages["local"]["avail"] == 200 * 1024**3
    assert client.cluster.status.get()[0]["quorate"] == 1
    assert client.cluster.resources.get(type="vm") == []
    assert client.cluster.tasks.get() == []
    assert client.cluster.nextid.get() == "100"
    assert lab.writes() == 0


def test_password_login(lab: Lab) -> None:
    password = (lab.paths.credentials / "dev.root-password").read_text().strip()
    client = ProxmoxAPI(
        f"{lab.net}.1.2:8006", user="root@pam", password=password, verify_ssl=str(lab.paths.ca_certificate)
    )
    client.pools.post(poolid="by-ticket")
    assert client.pools.get() == [{"poolid": "by-ticket"}]
    with pytest.raises(AuthenticationError):
        ProxmoxAPI(f"{lab.net}.1.2:8006", user="root@pam", password="x", verify_ssl=str(lab.paths.ca_certificate))


def test_image_from_the_factory(lab: Lab) -> None:
    client = lab.client()
    url = lab.image_url()
    metadata = client.nodes("pve-dev-1")("query-url-metadata").get(url=url)
    upid = (
        client.nodes("pve-dev-1").storage("local")("download-url").post(url=url, content="import", filename="talos.raw")
    )
    Tasks.blocking_status(client, upid, timeout=10, polling_interval=0.05)
    listed = client.nodes("pve-dev-1").storage("local").content.get(content="import")
    assert [(row["volid"], row["size"]) for row in listed] == [("local:import/talos.raw", metadata["size"])]
    again = (
        client.nodes("pve-dev-1").storage("local")("download-url").post(url=url, content="import", filename="talos.raw")
    )
    status = Tasks.blocking_status(client, again, timeout=10, polling_interval=0.05)
    assert status is not None
    assert status["exitstatus"] == "refusing to override existing file '/var/lib/vz/import/talos.raw'"


def test_an_image_of_a_schematic_that_nobody_posted_is_not_there(lab: Lab) -> None:
    node = lab.client().nodes("pve-dev-1")
    url = f"{lab.factory}/image/{'a' * 64}/v1.13.9/nocloud-amd64.raw"
    with pytest.raises(ResourceException, match="404 Not Found"):
        node("query-url-metadata").get(url=url)
    upid = node.storage("local")("download-url").post(url=url, content="import", filename="talos.raw")
    status = Tasks.blocking_status(lab.client(), upid, timeout=10, polling_interval=0.05)
    assert status is not None
    assert status["exitstatus"] == "download failed: HTTP 404 Not Found"
    assert node.storage("local").content.get(content="import") == []


def test_wrong_token_says_so(lab: Lab) -> None:
    client = ProxmoxAPI(
        f"{lab.net}.1.2:8006",
        user="infraflux@pve",
        token_name="dev",
        token_value="wrong",
        verify_ssl=str(lab.paths.ca_certificate),
    )
    with pytest.raises(ResourceException, match="invalid token value!"):
        client.version.get()


def test_offline_host(lab: Lab) -> None:
    client = lab.client()
    lab.act("create-vm", vm="9200", host="pve-dev-2")
    lab.act("start-vm", vm="9200")
    lab.fault("host-offline", target="pve-dev-2")
    assert [node["status"] for node in client.nodes.get()] == ["online", "offline"]
    assert [row["status"] for row in client.cluster.resources.get(type="vm")] == ["unknown"]
    with pytest.raises(ResourceException, match="No route to host"):
        client.nodes("pve-dev-2").status.get()
    lab.ask("fault-clear")
    assert client.nodes("pve-dev-2").status.get()["uptime"] > 0
