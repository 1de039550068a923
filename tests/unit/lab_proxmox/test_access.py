"""Who may do what."""

import pytest

from .conftest import ADMIN, READER, Pve

REFUSALS = {
    "create": ("POST", "/nodes/h1/qemu", {"vmid": 200}, "Permission check failed (/vms/200, VM.Allocate)"),
    "processors": ("PUT", "/nodes/h1/qemu/100/config", {"cores": 2}, "(/vms/100, VM.Config.CPU)"),
    "memory": ("PUT", "/nodes/h1/qemu/100/config", {"memory": 512}, "(/vms/100, VM.Config.Memory)"),
    "network": ("PUT", "/nodes/h1/qemu/100/config", {"net0": "virtio"}, "(/vms/100, VM.Config.Network)"),
    "disk": ("PUT", "/nodes/h1/qemu/100/config", {"scsi0": "lvm:1"}, "(/vms/100, VM.Config.Disk)"),
    "cloud-init": (
        "PUT",
        "/nodes/h1/qemu/100/config",
        {"ipconfig0": "ip=dhcp"},
        "(/vms/100, VM.Config.Cloudinit|VM.Config.Network)",
    ),
    "options": ("PUT", "/nodes/h1/qemu/100/config", {"tags": "a"}, "(/vms/100, VM.Config.Options)"),
    "delete": ("DELETE", "/nodes/h1/qemu/100", {}, "(/vms/100, VM.Allocate)"),
    "power": ("POST", "/nodes/h1/qemu/100/status/start", {}, "(/vms/100, VM.PowerMgmt)"),
    "pool": ("POST", "/pools", {"poolid": "p"}, "(/pool/p, Pool.Allocate)"),
    "ha": ("POST", "/cluster/ha/resources", {"sid": "vm:100"}, "(/, Sys.Console)"),
    "storage": ("GET", "/nodes/h1/storage/lvm/content", {}, "(/storage/lvm, Datastore.Audit|Datastore.AllocateSpace)"),
    "download": (
        "POST",
        "/nodes/h1/storage/local/download-url",
        {"url": "http://x/y.raw", "content": "import", "filename": "y.raw"},
        "(/storage/local, Datastore.AllocateTemplate)",
    ),
}


@pytest.mark.parametrize(("method", "path", "form", "text"), REFUSALS.values(), ids=REFUSALS)
def test_refused(pve: Pve, method: str, path: str, form: dict[str, object], text: str) -> None:
    pve.guest()
    before = pve.config()
    answer = pve.call(method, path, token=READER, **form)
    assert answer.status == 403
    assert answer.reason.startswith("Permission check failed ")
    assert text in answer.reason
    assert pve.config() == before


def test_reading_is_allowed(pve: Pve) -> None:
    pve.guest()
    assert pve.call("GET", "/nodes/h1/qemu/100/config", token=READER).status == 200
    assert len(pve.call("GET", "/cluster/resources", token=READER, type="vm").data) == 1


def test_privileges_on_a_pool_reach_its_machines(pve: Pve) -> None:
    pve.ok("POST", "/pools", poolid="mine")
    pve.guest(pool="mine")
    assert pve.call("POST", "/nodes/h1/qemu/100/status/start", token=READER).status == 200


def test_own_permissions(pve: Pve) -> None:
    found = pve.call("GET", "/access/permissions", token=READER).data
    assert found["/vms"] == {"Sys.Audit": 1, "VM.Audit": 1, "VM.Config.CDROM": 1}
    assert found["/pool/mine"] == {"VM.PowerMgmt": 1}, "an entry on a deeper path replaces what comes from above"


def test_unknown_token(pve: Pve) -> None:
    answer = pve.call("GET", "/version", token="t@pve!other")
    assert (answer.status, answer.reason) == (401, "no such token 'other' for user 't@pve'")


def test_no_credentials(pve: Pve) -> None:
    async def bare() -> tuple[int, str | None]:
        async with pve.client.get("/api2/json/version") as response:
            return response.status, response.reason

    assert pve.runner.run(bare()) == (401, "No ticket")


def test_a_ticket_needs_its_csrf_token_to_write(pve: Pve) -> None:
    async def scenario() -> list[int]:
        login = {"username": "root@pam", "password": "toor"}
        async with pve.client.post("/api2/json/access/ticket", data=login) as response:
            ticket = (await response.json())["data"]
        cookie = {"Cookie": f"PVEAuthCookie={ticket['ticket']}"}
        proof = {**cookie, "CSRFPreventionToken": ticket["CSRFPreventionToken"]}
        statuses = []
        for method, headers in (("GET", cookie), ("POST", cookie), ("POST", proof)):
            data = {"poolid": "p"} if method == "POST" else None
            async with pve.client.request(method, "/api2/json/pools", data=data, headers=headers) as response:
                statuses.append(response.status)
        return statuses

    assert pve.runner.run(scenario()) == [200, 401, 200]


def test_tasks_of_others_are_private(pve: Pve) -> None:
    pve.guest()
    upid = pve.power("start")
    row = pve.ok("GET", f"/nodes/h1/tasks/{upid}/status")
    assert (row["user"], row["tokenid"]) == tuple(ADMIN.split("!"))
    assert pve.call("GET", f"/nodes/h1/tasks/{upid}/status", token=READER).status == 200


def test_unknown_calls_are_not_silently_fine(pve: Pve) -> None:
    answer = pve.call("PUT", "/nodes/h1/qemu")
    assert (answer.status, answer.reason) == (501, "Method 'PUT /nodes/h1/qemu' not implemented")


def test_unknown_host(pve: Pve) -> None:
    assert "hostname lookup 'h9' failed" in pve.call("GET", "/nodes/h9/status").reason
