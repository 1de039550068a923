"""The parts of the lab meet: power in Proxmox opens and closes the Talos port of a machine."""

import socket
import time

import pytest
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

from .conftest import Lab

pytestmark = pytest.mark.lab
TALOS_PORT = 50000
PATIENCE_S = 20.0


def wait(client: ProxmoxAPI, upid: str) -> None:
    status = Tasks.blocking_status(client, upid, timeout=20, polling_interval=0.05)
    assert status is not None
    assert status["exitstatus"] == "OK"


def listens(address: str) -> bool:
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((address, TALOS_PORT)) == 0


def comes_to(address: str, *, open_: bool) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if listens(address) is open_:
            return True
        time.sleep(0.05)
    return False


def test_power_reaches_the_guest(lab: Lab) -> None:
    client, address = lab.client(), f"{lab.net}.1.199"
    node = client.nodes("pve-dev-1")
    url = lab.image_url()
    wait(client, node.storage("local")("download-url").post(url=url, content="import", filename="talos-v1.13.9.raw"))
    wait(
        client,
        node.qemu.post(
            vmid=9300,
            name="guest",
            memory=2048,
            scsi0="local-lvm:0,import-from=local:import/talos-v1.13.9.raw",
            ide2="local-lvm:cloudinit",
            ipconfig0=f"ip={address}/24,gw={lab.net}.1.1",
            net0="virtio,bridge=vmbr0",
        ),
    )
    assert not listens(address)
    wait(client, node.qemu(9300).status.start.post())
    assert comes_to(address, open_=True)
    wait(client, node.qemu(9300).status.stop.post())
    assert comes_to(address, open_=False)
    wait(client, node.qemu(9300).status.start.post())
    assert comes_to(address, open_=True)
    lab.fault("host-offline", target="pve-dev-1")
    assert comes_to(address, open_=False)
    lab.ask("fault-clear")
    lab.act("delete-vm", vm="9300")
    assert comes_to(address, open_=False)
    assert lab.events(kind="observer-failed") == []
