"""Every call is checked before it does anything: names, types, choices, formats, bounds, keys of each bus."""

import re

import pytest
from aiohttp import FormData

from infraflux_lab.proxmox.facts.calls import CALLS
from infraflux_lab.proxmox.facts.check import check_call, check_options
from infraflux_lab.proxmox.facts.options import FAMILIES, OPTIONS
from infraflux_lab.proxmox.simulator import all_routes

from .conftest import ADMIN, SECRET, Pve
from .wrong_calls import WRONG_FORMAT, filled, required, right, wrong_calls

ROUTES = [(method, path) for method, path, _ in all_routes().table]
HEADERS = {"Authorization": f"PVEAPIToken={ADMIN}={SECRET}"}
CONFIG = "/nodes/h1/qemu/100/config"

# By hand, with the words of Proxmox: what people get wrong. (method, path, form, parameter, words)
BY_HAND = {
    "SSD emulation on virtio": ("PUT", CONFIG, {"virtio0": "lvm:1,ssd=1"}, "virtio0", "list property: ssd"),
    "I/O thread on IDE": ("PUT", CONFIG, {"ide0": "lvm:1,iothread=1"}, "ide0", "list property: iothread"),
    "I/O thread on SATA": ("PUT", CONFIG, {"sata0": "lvm:1,iothread=1"}, "sata0", "list property: iothread"),
    "WWN on virtio": ("PUT", CONFIG, {"virtio0": "lvm:1,wwn=0x5000c500a0b1c2d3"}, "virtio0", "list property: wwn"),
    "cache of an EFI disk": ("PUT", CONFIG, {"efidisk0": "lvm:1,cache=none"}, "efidisk0", "list property: cache"),
    "cache mode": ("PUT", CONFIG, {"scsi0": "lvm:1,cache=fast"}, "scsi0", "scsi0.cache: value 'fast' does not have"),
    "firmware": ("PUT", CONFIG, {"bios": "uefi"}, "bios", "value 'uefi' does not have a value in the enumeration"),
    "operating system": ("PUT", CONFIG, {"ostype": "linux"}, "ostype", "in the enumeration"),
    "controller": ("PUT", CONFIG, {"scsihw": "virtio-scsi"}, "scsihw", "in the enumeration"),
    "machine": ("PUT", CONFIG, {"machine": "q36"}, "machine", "machine.type: value does not match the regex pattern"),
    "display": (
        "PUT",
        CONFIG,
        {"vga": "virtio,memory=1024"},
        "vga",
        "vga.memory: value must have a maximum",
    ),
    "agent": ("PUT", CONFIG, {"agent": "enabled=maybe"}, "agent", "agent.enabled: type check ('boolean') failed"),
    "CPU model": ("PUT", CONFIG, {"cpu": "pentium9"}, "cpu", "Built-in cputype 'pentium9' is not defined"),
    "own CPU model": ("PUT", CONFIG, {"cpu": "custom-fast"}, "cpu", "Custom cputype 'fast' not found"),
    "CPU flag": ("PUT", CONFIG, {"cpu": "host,flags=+avx512f"}, "cpu", "must be a subset of"),
    "CPU weight": ("PUT", CONFIG, {"cpuunits": "300000"}, "cpuunits", "value must have a maximum value of 262144"),
    "memory": ("PUT", CONFIG, {"memory": "8"}, "memory", "memory.current: value must have a minimum value of 16"),
    "a word for a boolean": ("PUT", CONFIG, {"onboot": "true"}, "onboot", "type check ('boolean') failed - got 'true'"),
    "boot order": ("PUT", CONFIG, {"boot": "order=floppy0"}, "boot", "invalid boot device 'floppy0'"),
    "start order": ("PUT", CONFIG, {"startup": "first"}, "startup", "unable to parse startup options"),
    "VLAN": ("PUT", CONFIG, {"net0": "virtio,tag=5000"}, "net0", "net0.tag: value must have a maximum value of 4094"),
    "card twice": ("PUT", CONFIG, {"net0": "virtio,model=e1000"}, "net0", "duplicate key"),
    "address without prefix": ("PUT", CONFIG, {"ipconfig0": "ip=192.0.2.1"}, "ipconfig0", "ipv4 network configuration"),
    "gateway alone": ("PUT", CONFIG, {"ipconfig0": "gw=192.0.2.1"}, "ipconfig0", "missing property required by"),
    "index with a zero": ("PUT", CONFIG, {"net00": "virtio"}, "net00", "property is not defined in schema"),
    "in a task": ("POST", CONFIG, {"cores": "none"}, "cores", "type check ('integer') failed - got 'none'"),
    "guest id": ("POST", "/nodes/h1/qemu", {"vmid": "99"}, "vmid", "value does not look like a valid VM ID"),
    "guest id in the path": ("GET", "/nodes/h1/qemu/7/config", {}, "vmid", "value does not look like a valid VM ID"),
    "no guest id": ("POST", "/nodes/h1/qemu", {"name": "a"}, "vmid", "property is missing and it is not optional"),
    "pool": ("POST", "/pools", {"poolid": "a", "comments": "b"}, "comments", "property is not defined in schema"),
    "power": ("POST", "/nodes/h1/qemu/100/status/stop", {"forceStop": "1"}, "forceStop", "not defined in schema"),
    "restarts": ("POST", "/cluster/ha/resources", {"sid": "100", "max_restart": "abc"}, "max_restart", "('integer')"),
    "failback": ("POST", "/cluster/ha/resources", {"sid": "100", "failback": "maybe"}, "failback", "('boolean')"),
    "limit": ("GET", "/nodes/h1/tasks", {"limit": "abc"}, "limit", "type check ('integer') failed - got 'abc'"),
    "checksum without its kind": (
        "POST",
        "/nodes/h1/storage/local/download-url",
        {"url": "http://x/y.raw", "content": "import", "filename": "y.raw", "checksum": "00"},
        "checksum-algorithm",
        "missing property required by 'checksum'",
    ),
    "size of a disk": ("PUT", "/nodes/h1/qemu/100/resize", {"disk": "scsi0", "size": "8 GB"}, "size", "regex pattern"),
    "disk": ("PUT", "/nodes/h1/qemu/100/resize", {"disk": "scsi40", "size": "8G"}, "disk", "regex pattern"),
    "conflict with the path": ("PUT", CONFIG, {"vmid": "101", "cores": "1"}, "vmid", "duplicate parameter"),
}


@pytest.mark.parametrize(("method", "path", "form", "parameter", "words"), BY_HAND.values(), ids=BY_HAND)
def test_what_people_get_wrong(
    pve: Pve, method: str, path: str, form: dict[str, str], parameter: str, words: str
) -> None:
    pve.guest()
    before = pve.config()
    answer = pve.call(method, path, **form)
    assert (answer.status, answer.reason) == (400, "Parameter verification failed.")
    assert words in answer.errors[parameter]
    assert pve.config() == before
    assert len(pve.sim.cluster.guests) == 1


def test_every_call_has_its_row() -> None:
    rows = {f"{method} {re.sub(r':[^}]*', '', path)}" for method, path in ROUTES}
    assert rows <= set(CALLS)


def test_wrong_calls_are_refused(pve: Pve) -> None:
    wrong = list(wrong_calls(ROUTES))
    assert len(wrong) > 1500
    passed = []
    for call in wrong:
        answer = pve.call(call.method, call.path, **call.form)
        if answer.status != 400 or call.parameter not in answer.errors:
            passed.append(f"{call.name}: {answer.status} {answer.reason} {dict(answer.errors)}")
    assert passed == []
    assert pve.sim.cluster.guests == {}


def test_right_calls_pass_the_checker() -> None:
    for method, route in ROUTES:
        facts = CALLS[f"{method} {re.sub(r':[^}]*', '', route)}"]
        assert check_call(facts, path={}, form=required(facts)) == {}, (method, filled(route))


RIGHT_OPTIONS = {
    "everything the provider sends of a disk": {
        "scsi0": "file=lvm:0,import-from=local:import/t.raw,format=raw,size=10737418240,aio=io_uring,backup=1,"
        "iothread=1,discard=on,cache=none,ssd=1,replicate=1"
    },
    "volume is another name of file": {"scsi0": "volume=lvm:8"},
    "words for booleans inside a property": {"virtio0": "lvm:1,iothread=yes", "agent": "1"},
    "empty drive": {"ide2": "none,media=cdrom"},
    "card": {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=7,mtu=1500,queues=4,trunks=2;3-5"},
    "card the other way": {"net0": "model=virtio,macaddr=BC:24:11:00:00:01"},
    "device": {"hostpci0": "mapping=gpu,pcie=1,rombar=1,x-vga=1", "hostpci1": "0000:02:00.0;0000:02:00.1"},
    "cloud-init": {"ipconfig0": "ip=192.0.2.9/24,gw=192.0.2.1,ip6=auto", "nameserver": "192.0.2.1 192.0.2.2"},
    "CPU": {"cpu": "cputype=host,flags=+aes;-pcid", "numa0": "cpus=0-1;3,memory=1024"},
    "machine": {"machine": "type=q35,viommu=virtio", "smbios1": "uuid=00000000-0000-4000-8000-000000000000"},
    "tags and order": {"tags": "a;b,c d", "startup": "order=1,up=30", "boot": "order=scsi0;net0"},
    "TPM and EFI": {"efidisk0": "lvm:1,efitype=4m,pre-enrolled-keys=1", "tpmstate0": "lvm:1,version=v2.0"},
    "everything last of its family": {"scsi30": "lvm:1", "net31": "virtio", "unused255": "lvm:x", "usb13": "spice"},
}


@pytest.mark.parametrize("form", RIGHT_OPTIONS.values(), ids=RIGHT_OPTIONS)
def test_right_options(form: dict[str, str]) -> None:
    assert check_options(form) == {}


async def _raw(pve: Pve, method: str, path: str, **request: object) -> tuple[int, str | None]:
    async with pve.client.request(method, f"/api2/json{path}", headers=HEADERS, **request) as response:
        return response.status, response.reason


def test_content_of_a_delete_is_refused(pve: Pve) -> None:
    pve.ok("POST", "/pools", poolid="mine")
    found = pve.runner.run(_raw(pve, "DELETE", "/pools", data={"poolid": "mine"}))
    assert found == (501, "Unexpected content for method 'DELETE'")
    assert pve.ok("GET", "/pools") == [{"poolid": "mine"}]


JSON_BODIES = {
    "numbers and booleans": ({"cores": 4, "onboot": True, "name": "j"}, 200),
    "a list": ({"tags": ["a", "b"]}, 200),
    "null is as good as absent": ({"cores": 2, "tags": None}, 200),
    "a list where one value belongs": ({"name": ["a", "b"]}, 400),
    "an object": ({"net0": {"model": "virtio"}}, 400),
    "wrong value": ({"cores": "many"}, 400),
    "no object": ([1], 501),
}


@pytest.mark.parametrize(("body", "status"), JSON_BODIES.values(), ids=JSON_BODIES)
def test_json_bodies(pve: Pve, body: object, status: int) -> None:
    pve.guest()
    assert pve.runner.run(_raw(pve, "PUT", CONFIG, json=body))[0] == status


def test_a_value_twice_is_a_list(pve: Pve) -> None:
    pve.guest()
    data = FormData([("name", "a"), ("name", "b")])
    assert pve.runner.run(_raw(pve, "PUT", CONFIG, data=data))[0] == 400


def test_odd_values_never_reach_the_inside(pve: Pve) -> None:
    """Empty texts, stray commas, bytes that no text has: refused or done, and no mistake of the simulator."""
    pve.guest()
    options = {**OPTIONS, **{f"{name}0": rule for name, (_, rule) in FAMILIES.items()}}
    broken = []
    for option, rule in options.items():
        for text in ("", ",", "=", f"{right(rule, option)},", f",,{right(rule, option)}", "\x00", "\ud7ff", "9" * 30):
            answer = pve.as_root("PUT", CONFIG, **{option: text, "skiplock": 1})
            if "simulator error" in answer.reason:
                broken.append(f"{option}={text!r}: {answer.reason}")
            shown = pve.call("GET", CONFIG, current=1)
            if shown.status != 200:
                broken.append(f"{option}={text!r} cannot be shown: {shown.reason}")
    assert broken == []


def test_no_byte_of_a_value_breaks_the_simulator(pve: Pve) -> None:
    pve.guest()
    statuses = {
        pve.call("PUT", CONFIG, **{name: WRONG_FORMAT}).status for name in ("net0", "scsi0", "cpu", "tags", "name")
    }
    assert statuses == {400}
