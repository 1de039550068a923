"""Calls that ordinary clients make beside those of the provider."""

from hashlib import sha256
from io import BytesIO

import pytest
from aiohttp import FormData

from infraflux_lab.proxmox.images import qcow2_header

from .conftest import ADMIN, SECRET, Answer, Pve

GIB = 1024**3
GUEST = "/nodes/h1/qemu/100"

INDICES = (
    "/access", "/cluster", "/cluster/config/nodes", "/cluster/mapping", "/nodes/h1", "/nodes/h1/capabilities",
    "/nodes/h1/capabilities/qemu", "/nodes/h1/capabilities/qemu/cpu", "/nodes/h1/capabilities/qemu/machines",
    "/nodes/h1/hardware", "/nodes/h1/storage/local", GUEST, f"{GUEST}/status", f"{GUEST}/agent", f"{GUEST}/snapshot",
    f"{GUEST}/pending",
)  # fmt: skip


@pytest.mark.parametrize("path", INDICES)
def test_indices(pve: Pve, path: str) -> None:
    pve.guest()
    assert len(pve.ok("GET", path)) > 0


def test_what_clients_look_for_in_a_host(pve: Pve) -> None:
    status = pve.ok("GET", "/nodes/h1/status")
    assert status["boot-info"]["mode"] == "efi"
    assert status["current-kernel"]["machine"] == "x86_64"
    addresses = [row["address"] for row in pve.ok("GET", "/nodes/h1/network") if "address" in row]
    assert addresses == ["127.0.0.1"], "clients take the host's address from here"
    assert pve.ok("GET", "/nodes/h1/network/vmbr0")["bridge_ports"] == "nic0"
    assert {row["type"] for row in pve.ok("GET", "/nodes/h1/network", type="any_bridge")} == {"bridge"}
    assert pve.ok("GET", "/nodes/h1/lxc") == []
    assert "dns1" in pve.ok("GET", "/nodes/h1/dns")


def test_where_a_storage_lies(pve: Pve) -> None:
    assert pve.ok("GET", "/storage/local")["path"] == "/var/lib/vz"
    assert "path" not in pve.ok("GET", "/storage/lvm")
    assert [row["storage"] for row in pve.ok("GET", "/storage", type="lvmthin")] == ["lvm", "lvm2"]


def test_devices(pve: Pve) -> None:
    assert [row["id"] for row in pve.ok("GET", "/nodes/h1/hardware/pci")] == ["0000:02:00.0"]
    every = pve.ok("GET", "/nodes/h1/hardware/pci", **{"pci-class-blacklist": ""})
    assert [row["id"] for row in every] == ["0000:00:00.0", "0000:02:00.0"]
    entry = "node=h1,path=0000:02:00.0,id=10de:2204"
    assert pve.call("POST", "/cluster/mapping/pci", id="gpu", map=entry).status == 403
    wrong = pve.as_root("POST", "/cluster/mapping/pci", id="gpu", map="node=h1,path=2")
    assert "map[0].path: value does not match the regex pattern" in wrong.errors["map"]
    assert pve.as_root("POST", "/cluster/mapping/pci", id="gpu", map=entry).status == 200
    assert pve.ok("GET", "/cluster/mapping/pci") == [], "a token sees what it may use"
    [seen] = pve.as_root("GET", "/cluster/mapping/pci", **{"check-node": "h2"}).data
    assert seen["checks"] == [{"severity": "warning", "message": "No mapping for node h2."}]
    pve.reopen()
    assert pve.as_root("GET", "/cluster/mapping/pci/gpu").data["map"] == [entry]
    assert pve.as_root("DELETE", "/cluster/mapping/pci/gpu").status == 200
    assert pve.as_root("GET", "/cluster/mapping/pci").data == []


def test_pools_by_their_path(pve: Pve) -> None:
    pve.guest()
    pve.ok("POST", "/pools", poolid="mine")
    pve.ok("PUT", "/pools/mine", comment="ours", vms="100", storage="lvm")
    found = pve.ok("GET", "/pools/mine")
    assert (found["comment"], {row["type"] for row in found["members"]}) == ("ours", {"qemu", "storage"})
    assert [row["vmid"] for row in pve.ok("GET", "/pools/mine", type="qemu")["members"]] == [100]
    assert "is not empty" in pve.call("DELETE", "/pools/mine").reason
    pve.ok("PUT", "/pools/mine", vms="100", storage="lvm", delete=1)
    pve.ok("DELETE", "/pools/mine")
    assert pve.call("GET", "/pools/mine").reason == "pool 'mine' does not exist"


def upload(pve: Pve, name: str, body: bytes, /, **fields: str) -> Answer:
    async def send() -> Answer:
        form = FormData()
        for key, value in {"content": "import", **fields}.items():
            form.add_field(key, value)
        form.add_field("filename", BytesIO(body), filename=name, content_type="application/octet-stream")
        headers = {"Authorization": f"PVEAPIToken={ADMIN}={SECRET}"}
        path = "/api2/json/nodes/h1/storage/local/upload"
        async with pve.client.post(path, data=form, headers=headers) as response:
            said = await response.json()
            return Answer(
                status=response.status, reason=response.reason or "", data=said["data"], errors=said.get("errors", {})
            )

    return pve.runner.run(send())


def test_an_upload_of_more_than_a_form_may_hold(pve: Pve) -> None:
    content = qcow2_header(3 * GIB) + bytes(6 * 1024**2)
    for _ in range(2):  # the second one overwrites
        assert pve.end(upload(pve, "t.qcow2", content).data) == "OK"
    [row] = pve.ok("GET", "/nodes/h1/storage/local/content", content="import")
    assert (row["volid"], row["size"]) == ("local:import/t.qcow2", len(content))
    pve.guest(scsi0="lvm:0,import-from=local:import/t.qcow2")
    assert pve.config()["scsi0"] == "lvm:vm-100-disk-0,size=3G"


# file name, content, fields of the form, where the refusal is, words
BROKEN = {
    "zeros": ("t.qcow2", bytes(5 * 1024**2), {}, "task", "failed to query file information with qemu-img"),
    "text as a disk of VMware": ("t.vmdk", b"hello", {}, "task", "failed to query file information with qemu-img"),
    "another checksum": (
        "t.raw",
        b"x",
        {"checksum": "00", "checksum-algorithm": "sha256"},
        "task",
        "checksum mismatch",
    ),
    "extension": ("t.img", b"x", {}, "filename", "invalid filename or wrong extension"),
    "extension of an ISO": ("t.raw", b"x", {"content": "iso"}, "filename", "wrong file extension"),
    "unknown content": ("t.raw", b"x", {"content": "images"}, "content", "in the enumeration"),
    "template where none are kept": ("t.tar.gz", b"x", {"content": "vztmpl"}, "answer", "does not support 'vztmpl'"),
}


@pytest.mark.parametrize(("name", "content", "fields", "where", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_files(pve: Pve, name: str, content: bytes, fields: dict[str, str], where: str, words: str) -> None:
    answer = upload(pve, name, content, **fields)
    said = {
        "task": lambda: pve.end(answer.data),
        "answer": lambda: answer.reason,
    }.get(where, lambda: answer.errors[where])()
    assert words in said
    assert pve.ok("GET", "/nodes/h1/storage/local/content") == []


def test_what_qemu_img_says_is_in_the_log(pve: Pve) -> None:
    upid = upload(pve, "t.qcow2", b"no").data
    pve.end(upid)
    lines = [line["t"] for line in pve.ok("GET", f"/nodes/h1/tasks/{upid}/log")]
    assert "qemu-img: Could not open '/var/lib/vz/import/t.qcow2': Image is not in qcow2 format" in lines


DISKS = {
    "qcow2 on a thin pool": ({"scsi0": "lvm:1,format=qcow2"}, "unsupported format 'qcow2' for storage type lvmthin"),
    "an image that is not there": ({"scsi0": "lvm:0,import-from=local:import/no.raw"}, "does not exist"),
}


@pytest.mark.parametrize(("form", "words"), DISKS.values(), ids=DISKS)
def test_disks_that_cannot_be_made(pve: Pve, form: dict[str, str], words: str) -> None:
    assert words in pve.end(pve.call("POST", "/nodes/h1/qemu", vmid=100, **form).data)
    assert pve.sim.cluster.guests == {}


def test_import_needs_a_disk_without_a_size(pve: Pve) -> None:
    answer = pve.call("POST", "/nodes/h1/qemu", vmid=100, scsi0="lvm:8,import-from=local:import/t.raw")
    assert "'import-from' requires special syntax" in answer.errors["scsi0"]


def test_formats_of_a_directory(pve: Pve) -> None:
    pve.guest(scsi0="files:1,format=qcow2", scsi1="files:1")
    assert pve.volumes("files") == ["files:100/vm-100-disk-0.qcow2", "files:100/vm-100-disk-1.raw"]


DOWNLOADS = {
    "compressed image": ({"content": "import", "filename": "t.raw", "compression": "xz"}, "not supported for import"),
    "unknown compression": ({"content": "iso", "filename": "t.iso", "compression": "xz"}, "no decompression method"),
}


@pytest.mark.parametrize(("form", "words"), DOWNLOADS.values(), ids=DOWNLOADS)
def test_downloads_that_fail_in_their_task(pve: Pve, form: dict[str, str], words: str) -> None:
    upid = pve.call("POST", "/nodes/h1/storage/local/download-url", url="http://127.0.0.1:1/x", **form).data
    assert words in pve.end(upid)


# form of the second download, how its task ends
AGAIN = {
    "without a checksum": ({}, "refusing to override existing file '/var/lib/vz/import/t.raw'"),
    "the same file": ({"checksum-algorithm": "sha256", "checksum": sha256(b"x").hexdigest()}, "OK"),
    "another file": ({"checksum-algorithm": "sha256", "checksum": "00"}, "aborting"),
}


@pytest.mark.parametrize(("form", "words"), AGAIN.values(), ids=AGAIN)
def test_a_download_over_a_file_that_is_there(pve: Pve, form: dict[str, str], words: str) -> None:
    pve.end(upload(pve, "t.raw", b"x").data)
    path = "/nodes/h1/storage/local/download-url"
    upid = pve.call("POST", path, url="http://127.0.0.1:1/x", content="import", filename="t.raw", **form).data
    assert words in pve.end(upid)


def test_the_task_of_a_deletion_has_no_slash(pve: Pve) -> None:
    pve.end(upload(pve, "t.raw", b"x").data)
    upid = pve.ok("DELETE", "/nodes/h1/storage/local/content/import/t.raw")
    assert upid.split(":")[5:7] == ["imgdel", "local"]
    pve.guest(scsi0="lvm:1")
    pve.ok("POST", f"{GUEST}/move_disk", disk="scsi0", storage="lvm2")
    upid = pve.ok("DELETE", "/nodes/h1/storage/lvm/content/lvm:vm-100-disk-0")
    assert upid.split(":")[5:7] == ["imgdel", "100@lvm"]


def test_snapshots(pve: Pve) -> None:
    pve.guest(scsi0="lvm:1", cores=1)
    pve.ok("POST", f"{GUEST}/snapshot", snapname="before", description="as it was")
    pve.ok("PUT", f"{GUEST}/config", cores=2)
    pve.ok("PUT", f"{GUEST}/resize", disk="scsi0", size="2G")
    pve.ok("POST", f"{GUEST}/snapshot", snapname="after")
    rows = pve.ok("GET", f"{GUEST}/snapshot")
    assert [(row["name"], row.get("parent")) for row in rows] == [
        ("before", None), ("after", "before"), ("current", "after"),
    ]  # fmt: skip
    assert pve.config(snapshot="before")["cores"] == 1
    pve.power("start")
    pve.ok("POST", f"{GUEST}/snapshot/before/rollback")
    assert (pve.status(), pve.config()["cores"], pve.config()["scsi0"]) == ("stopped", 1, "lvm:vm-100-disk-0,size=1G")
    pve.reopen()
    pve.ok("DELETE", f"{GUEST}/snapshot/before")
    assert [row["name"] for row in pve.ok("GET", f"{GUEST}/snapshot")] == ["after", "current"]


SNAPSHOTS = {
    "twice": ({"snapname": "before"}, "snapshot name 'before' already used"),
    "reserved name": ({"snapname": "current"}, "unable to use snapshot name 'current' (reserved name)"),
}


@pytest.mark.parametrize(("form", "words"), SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_snapshots_refused(pve: Pve, form: dict[str, str], words: str) -> None:
    pve.guest(scsi0="lvm:1")
    pve.ok("POST", f"{GUEST}/snapshot", snapname="before")
    assert pve.call("POST", f"{GUEST}/snapshot", **form).reason == words
    assert pve.call("POST", f"{GUEST}/snapshot/none/rollback").reason == "snapshot 'none' does not exist"


def test_no_snapshot_of_a_file(pve: Pve) -> None:
    pve.guest(scsi0="files:1")
    assert pve.ok("GET", f"{GUEST}/feature", feature="snapshot")["hasFeature"] == 0
    assert pve.call("POST", f"{GUEST}/snapshot", snapname="before").reason == "snapshot feature is not available"


def test_backup_and_restore(pve: Pve) -> None:
    pve.guest(scsi0="lvm:8", cores=2, name="kept", net0="virtio,bridge=vmbr0")
    pve.power("start")
    assert [row["vmid"] for row in pve.ok("GET", "/cluster/backup-info/not-backed-up")] == [100]
    pve.ok("POST", "/nodes/h1/vzdump", vmid=100, storage="local", mode="snapshot", compress="zstd")
    [backup] = pve.ok("GET", "/nodes/h1/storage/local/content", content="backup")
    assert (backup["vmid"], backup["format"]) == (100, "vma.zst")
    assert pve.ok("GET", "/cluster/backup-info/not-backed-up") == []
    archive = {"archive": backup["volid"]}
    assert "already exists" in pve.call("POST", "/nodes/h1/qemu", vmid=100, **archive).reason
    assert "vm is running" in pve.call("POST", "/nodes/h1/qemu", vmid=100, force=1, **archive).reason
    pve.ok("POST", "/nodes/h1/qemu", vmid=200, unique=1, storage="lvm2", **archive)
    old, new = pve.config(), pve.config(200)
    assert (new["cores"], new["scsi0"]) == (2, "lvm2:vm-200-disk-0,size=8G")
    assert all(old[key] != new[key] for key in ("net0", "smbios1"))
    pve.power("stop")
    pve.ok("PUT", f"{GUEST}/config", cores=4)
    pve.ok("POST", "/nodes/h1/qemu", vmid=100, force=1, **archive)
    assert pve.config()["cores"] == 2
    assert pve.volumes() == ["lvm:vm-100-disk-0"]


def test_backups_refused(pve: Pve) -> None:
    pve.guest()
    assert "content-type 'backup'" in pve.call("POST", "/nodes/h1/vzdump", vmid=100, storage="lvm").reason
    assert pve.call("POST", "/nodes/h1/vzdump", vmid=100, dumpdir="/tmp").errors == {
        "dumpdir": "Only root may set this option."
    }
    assert pve.call("POST", "/nodes/h1/vzdump").status == 400
    pve.ok("POST", "/nodes/h1/vzdump", vmid=100, storage="local", protected=1)
    [backup] = pve.ok("GET", "/nodes/h1/storage/local/content", content="backup")
    path = f"/nodes/h1/storage/local/content/{backup['volid']}"
    assert "can't remove protected archive" in pve.call("DELETE", path).reason
    pve.ok("PUT", path, protected=0, notes="old")
    pve.ok("DELETE", path)
