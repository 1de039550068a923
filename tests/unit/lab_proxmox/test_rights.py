"""What each option needs, what only root may do, and what becomes of privileges on their way to a token."""

from collections.abc import Mapping

import pytest

from infraflux_lab.proxmox.accounts import Account, AclEntry, ApiToken, Directory, Role, UserGroup, directory_of
from infraflux_lab.proxmox.errors import PveError
from infraflux_lab.proxmox.rights import Need, needs
from infraflux_lab.spec import EnvironmentSpec

from .conftest import READER, SPEC, Pve

CONFIG = "/nodes/h1/qemu/100/config"
NEEDS = {
    "cores": ("4", [("", "VM.Config.CPU")]),
    "numa0": ("cpus=0", [("", "VM.Config.CPU")]),
    "balloon": ("0", [("", "VM.Config.Memory")]),
    "machine": ("q35", [("", "VM.Config.HWType")]),
    "bios": ("ovmf", [("", "VM.Config.Options")]),
    "boot": ("order=scsi0", [("", "VM.Config.Disk")]),
    "scsi0": ("lvm:1", [("", "VM.Config.Disk")]),
    "efidisk0": ("lvm:1", [("", "VM.Config.Disk")]),
    "ide0": ("local:iso/x.iso,media=cdrom", [("", "VM.Config.CDROM")]),
    "ide2": ("lvm:cloudinit,media=cdrom", [("", "VM.Config.Cloudinit"), ("", "VM.Config.CDROM")]),
    "net0": ("virtio", [("", "VM.Config.Network")]),
    "ipconfig0": ("ip=dhcp", [("", "VM.Config.Cloudinit|VM.Config.Network")]),
    "startup": ("order=1", [("", "VM.Config.Options"), ("/", "Sys.Modify")]),
    "freeze": ("1", [("", "VM.PowerMgmt")]),
    "serial0": ("socket", [("", "VM.Config.HWType")]),
    "usb0": ("spice", [("", "VM.Config.HWType")]),
    "usb1": ("mapping=stick", [("", "VM.Config.HWType"), ("/mapping/usb/stick", "Mapping.Use")]),
    "hostpci0": ("mapping=gpu,pcie=1", [("/mapping/pci/gpu", "Mapping.Use"), ("", "VM.Config.HWType")]),
    "virtiofs0": ("shared", [("", "VM.Config.Disk"), ("/mapping/dir/shared", "Mapping.Use")]),
    "rng0": ("/dev/hwrng", [("", "VM.Config.HWType"), ("/mapping/hwrng", "Mapping.Use")]),
}


@pytest.mark.parametrize("option", NEEDS)
def test_needs(option: str) -> None:
    text, wanted = NEEDS[option]
    assert needs(option, text) == [Need(path=path, privileges=tuple(names.split("|"))) for path, names in wanted]


ROOT_ONLY = {
    "raw device": ("hostpci0", "0000:02:00.0", "only root can set 'hostpci0' config for non-mapped devices"),
    "real USB device": ("usb0", "host=1234:5678", "only root can set 'usb0' config for real devices"),
    "real serial port": ("serial0", "/dev/ttyS0", "only root can modify 'serial0' config for real devices"),
    "parallel port": ("parallel0", "/dev/parport0", "only root can set 'parallel0' config"),
    "arguments of QEMU": ("args", "-no-reboot", "only root can set 'args' config"),
    "hook script": ("hookscript", "local:snippets/x.sh", "only root can set 'hookscript' config"),
    "huge pages": ("hugepages", "2", "only root can set 'hugepages' config"),
    "affinity": ("affinity", "0-1", "only root can set 'affinity' config"),
    "lock": ("lock", "backup", "only root can set 'lock' config"),
    "a path of the host": ("scsi3", "/dev/sdb", "Only root can pass arbitrary filesystem paths."),
}


@pytest.mark.parametrize(("option", "text", "words"), ROOT_ONLY.values(), ids=ROOT_ONLY)
def test_only_root_may(pve: Pve, option: str, text: str, words: str) -> None:
    pve.guest()
    before = pve.config()
    answer = pve.call("PUT", CONFIG, **{option: text})
    assert (answer.status, answer.reason) == (500, words), "a plain die of Proxmox is a 500"
    assert pve.config() == before
    if option not in ("scsi3", "lock"):
        assert pve.as_root("PUT", CONFIG, **{option: text}).status == 200
        assert pve.call("PUT", CONFIG, delete=option).status == 500


def test_a_mapped_device_needs_the_mapping(pve: Pve) -> None:
    pve.guest()
    answer = pve.call("PUT", CONFIG, hostpci0="mapping=gpu")
    assert (answer.status, answer.reason) == (403, "Permission check failed (/mapping/pci/gpu, Mapping.Use)")
    assert (
        pve.as_root("PUT", "/access/acl", path="/mapping/pci/gpu", roles="PVEMappingUser", users="t@pve").status == 200
    )
    assert pve.call("PUT", CONFIG, hostpci0="mapping=gpu").status == 403, "the token has it not"
    granted = pve.as_root("PUT", "/access/acl", path="/mapping/pci/gpu", roles="PVEMappingUser", tokens="t@pve!admin")
    assert granted.status == 200
    assert pve.call("PUT", CONFIG, hostpci0="mapping=gpu").status == 200
    assert pve.call("PUT", CONFIG, hostpci1="mapping=gpu,romfile=x.rom").errors == {
        "hostpci1": "only root@pam can set 'romfile' option"
    }


def test_a_copy_needs_the_devices_of_the_original(pve: Pve) -> None:
    pve.guest()
    assert pve.as_root("PUT", CONFIG, hostpci0="0000:02:00.0").status == 200
    answer = pve.call("POST", "/nodes/h1/qemu/100/clone", newid=200)
    assert answer.reason == "only root can set 'hostpci0' config for non-mapped devices"
    assert list(pve.sim.cluster.guests) == [100]
    assert pve.as_root("POST", "/nodes/h1/qemu/100/clone", newid=200).status == 200


def test_options_that_root_alone_may_give(pve: Pve) -> None:
    pve.guest()
    answer = pve.call("PUT", CONFIG, cores=2, skiplock=1)
    assert answer.errors == {"skiplock": "Only root may use this option."}


def directory() -> Directory:
    """A user in a group, with tokens, and entries on several levels."""
    found = Directory()
    for record in (
        Account(id="u@pve", groups=["ops"]),
        UserGroup(id="ops"),
        ApiToken(id="u@pve!own", privsep=1),
        ApiToken(id="u@pve!all", privsep=0),
        Role(id="Half", privileges=["VM.Audit", "Sys.Audit"]),
        AclEntry(path="/", type="group", who="ops", role="PVEAuditor"),
        AclEntry(path="/vms", type="user", who="u@pve", role="PVEVMUser"),
        AclEntry(path="/vms/101", type="user", who="u@pve", role="NoAccess"),
        AclEntry(path="/nodes", type="group", who="ops", role="Half", propagate=0),
        AclEntry(path="/pool/p", type="user", who="u@pve", role="PVEVMAdmin"),
        AclEntry(path="/", type="token", who="u@pve!own", role="Half"),
    ):
        found.add(record)
    return found


PRIVILEGES: Mapping[str, tuple[str, str, list[str], set[str], set[str]]] = {
    "of a group, from above": ("u@pve", "/storage/x", [], {"Datastore.Audit"}, {"VM.PowerMgmt"}),
    "a deeper entry replaces": ("u@pve", "/vms/100", [], {"VM.PowerMgmt", "VM.Audit"}, {"Datastore.Audit", "VM.Clone"}),
    "nothing below NoAccess": ("u@pve", "/vms/101", [], set(), {"VM.Audit"}),
    "nor from a pool": ("u@pve", "/vms/101", ["p"], set(), {"VM.Audit"}),
    "a pool adds": ("u@pve", "/vms/100", ["p"], {"VM.Clone", "VM.PowerMgmt"}, {"Sys.Audit"}),
    "an entry that does not propagate": ("u@pve", "/nodes", [], {"VM.Audit", "Sys.Audit"}, {"Datastore.Audit"}),
    "and below it": ("u@pve", "/nodes/h1", [], {"Datastore.Audit"}, {"VM.PowerMgmt"}),
    "a separated token has the intersection": (
        "u@pve!own",
        "/vms/100",
        [],
        {"VM.Audit"},
        {"Sys.Audit", "VM.PowerMgmt"},
    ),
    "where its user has nothing, nor has it": ("u@pve!own", "/vms/101", [], set(), {"VM.Audit"}),
    "a token without separation has its user's": ("u@pve!all", "/vms/100", [], {"VM.PowerMgmt"}, {"VM.Clone"}),
    "root has all": ("root@pam", "/vms/101", [], {"Sys.PowerMgmt", "Permissions.Modify"}, set()),
    "a stranger has nothing": ("x@pve", "/", [], set(), {"VM.Audit"}),
}


@pytest.mark.parametrize(("who", "path", "pools", "has", "lacks"), PRIVILEGES.values(), ids=PRIVILEGES)
def test_privileges(who: str, path: str, pools: list[str], has: set[str], lacks: set[str]) -> None:
    found = directory().privileges(who, path, pools=pools)
    assert has <= found
    assert not lacks & found


# what lab.yaml says of a token: what the token may do on / then
SPECIFIED: Mapping[str, tuple[dict[str, object], set[str]]] = {
    "its user limits nothing": ({"privileges": {"/": ["VM.Audit", "Sys.Audit"]}}, {"VM.Audit", "Sys.Audit"}),
    "its user has less": (
        {"privileges": {"/": ["VM.Audit", "Sys.Audit"]}, "user_privileges": {"/": ["VM.Audit"]}},
        {"VM.Audit"},
    ),
    "without separation": (
        {"privileges": {"/": ["Sys.Audit"]}, "privsep": False, "user_privileges": {"/": ["VM.Audit"]}},
        {"VM.Audit"},
    ),
}


@pytest.mark.parametrize(("said", "has"), SPECIFIED.values(), ids=SPECIFIED)
def test_a_token_of_the_specification(said: dict[str, object], has: set[str]) -> None:
    spec = EnvironmentSpec.model_validate({**SPEC, "tokens": [{"id": "u@pve!xx", **said}]})
    assert directory_of(spec).privileges("u@pve!xx", "/") == has


def test_an_option_nobody_knows_is_for_root() -> None:
    with pytest.raises(PveError, match="only root can set"):
        needs("vmgenid", "1")


def test_a_token_made_as_with_pveum(pve: Pve) -> None:
    for method, path, form in (
        ("POST", "/access/roles", {"roleid": "Machines", "privs": "VM.Audit VM.PowerMgmt"}),
        ("POST", "/access/groups", {"groupid": "ops"}),
        ("POST", "/access/users", {"userid": "infra@pve", "groups": "ops"}),
        ("PUT", "/access/acl", {"path": "/vms", "roles": "Machines", "groups": "ops"}),
    ):
        assert pve.as_root(method, path, **form).status == 200, path
    made = pve.as_root("POST", "/access/users/infra@pve/token/lab").data
    assert made["full-tokenid"] == "infra@pve!lab"
    token = {"token": "infra@pve!lab", "secret": made["value"]}
    pve.guest()
    start = "/nodes/h1/qemu/100/status/start"
    assert pve.call("POST", start, **token).status == 403, (
        "a separated token has what both have, and it has nothing yet"
    )
    pve.as_root("PUT", "/access/acl", path="/vms", roles="Machines", tokens="infra@pve!lab")
    assert pve.call("POST", start, **token).status == 200
    pve.reopen()
    assert pve.call("GET", "/access/permissions", **token).data["/vms"] == {"VM.Audit": 1, "VM.PowerMgmt": 1}
    pve.as_root("PUT", "/access/acl", path="/vms", roles="Machines", groups="ops", delete=1)
    assert pve.call("POST", start, **token).status == 403, "its user lost them"
    assert pve.as_root("DELETE", "/access/users/infra@pve").status == 200
    assert pve.call("GET", "/version", **token).status == 401


def test_a_token_lasts_as_long_as_said(pve: Pve) -> None:
    pve.as_root("POST", "/access/users", userid="a@pve")
    made = pve.as_root("POST", "/access/users/a@pve/token/old", expire=1).data
    assert pve.call("GET", "/version", token="a@pve!old", secret=made["value"]).reason == "token 'old' access expired"
    made = pve.as_root("POST", "/access/users/a@pve/token/new").data
    pve.as_root("PUT", "/access/users/a@pve", enable=0)
    assert pve.call("GET", "/version", token="a@pve!new", secret=made["value"]).reason == "user 'a@pve' is disabled"


REFUSED = {
    "user twice": ("POST", "/access/users", {"userid": "t@pve"}, "already exists"),
    "unknown group": ("POST", "/access/users", {"userid": "b@pve", "groups": "nobody"}, "no such group 'nobody'"),
    "token of nobody": ("POST", "/access/users/b@pve/token/tok", {}, "no such user ('b@pve')"),
    "token twice": ("POST", "/access/users/t@pve/token/admin", {}, "Parameter verification failed."),
    "unknown role": ("PUT", "/access/acl", {"path": "/", "roles": "No", "users": "t@pve"}, "role 'No' does not exist"),
    "entry of nobody": ("PUT", "/access/acl", {"path": "/", "roles": "PVEAdmin"}, "Parameter verification failed."),
    "no such path": (
        "PUT",
        "/access/acl",
        {"path": "/vm", "roles": "PVEAdmin", "users": "t@pve"},
        "verification failed",
    ),
    "role of Proxmox": ("PUT", "/access/roles/PVEAdmin", {"privs": "VM.Audit"}, "cannot be modified"),
    "role twice": ("POST", "/access/roles", {"roleid": "PVEAdmin"}, "already exists"),
    "group twice": ("DELETE", "/access/groups/nobody", {}, "group 'nobody' does not exist"),
}


@pytest.mark.parametrize(("method", "path", "form", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(pve: Pve, method: str, path: str, form: dict[str, str], words: str) -> None:
    answer = pve.as_root(method, path, **form)
    assert answer.status >= 400
    assert words in answer.reason
    assert pve.call(method, path, token=READER, **form).status == 403, (
        "and nothing of it is for a token without the privilege"
    )
