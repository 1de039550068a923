"""The parts of real nodes that need no root: names, images, control groups, what is missing, settings."""

import io
import json
import struct
import tarfile
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from infraflux_lab.contracts import Machine, Nic
from infraflux_lab.state import LabError
from infraflux_lab.talos_real import cgroups, needs, sysctls, tree
from infraflux_lab.talos_real.images import ImageStore, Recipe, write_layer
from infraflux_lab.talos_real.names import answer
from infraflux_lab.talos_real.network import BRIDGE, CARD, NAME_LENGTH, check_address, device_name, device_prefix

GATEWAY = IPv4Address("10.94.1.1")
NAMES = frozenset({"ghcr.io"})
A, AAAA = 1, 28


def query(name: str, *, kind: int = A, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


# Response code and number of answers.
QUESTIONS = {
    "a registry": (query("ghcr.io"), 0, 1),
    "a registry, shouted": (query("GHCR.IO"), 0, 1),
    "a registry's IPv6 address": (query("ghcr.io", kind=AAAA), 0, 0),
    "anything else": (query("example.org"), 3, 0),
}


@pytest.mark.parametrize(("asked", "code", "answers"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_the_name_server_knows_registries_only(asked, code, answers):
    reply = answer(asked, names=NAMES, address=GATEWAY)
    number, flags, questions, count, *_ = struct.unpack_from("!6H", reply)
    assert (number, flags & 0xF, questions, count) == (7, code, 1, answers)
    assert reply.endswith(GATEWAY.packed) is bool(answers)


@pytest.mark.parametrize("noise", [b"", b"\0" * 11, query("ghcr.io")[:-5], query("ghcr.io", flags=0x8180)])
def test_noise_gets_no_reply(noise):
    assert answer(noise, names=NAMES, address=GATEWAY) is None


def recipe(tmp_path: Path) -> Recipe:
    program = tmp_path / "etcd"
    program.write_bytes(b"program")
    return Recipe(
        files={"/usr/local/bin/etcd": program}, texts={"/etc/passwd": "root\n"}, links={"/var/run": "/run"},
        directories=["/tmp"],
    )  # fmt: skip


def test_a_layer_is_the_same_each_time_and_holds_parents_first(tmp_path):
    layers = [io.BytesIO(), io.BytesIO()]
    for layer in layers:
        write_layer(layer, recipe(tmp_path))
        layer.seek(0)
    assert layers[0].getvalue() == layers[1].getvalue()
    with tarfile.open(fileobj=layers[1]) as archive:
        names = archive.getnames()
    wanted = ["etc", "tmp", "usr", "usr/local", "usr/local/bin", "var", "var/run", "etc/passwd", "usr/local/bin/etcd"]
    assert names == wanted


def test_an_image_is_made_once_and_found_by_its_name(tmp_path):
    store, etcd = ImageStore(tmp_path / "images"), recipe(tmp_path)
    assert store.add("registry.k8s.io/etcd:*", etcd)
    assert not ImageStore(tmp_path / "images").add("registry.k8s.io/etcd:*", etcd)
    manifest = json.loads(store.blob(store.manifest("registry.k8s.io/etcd:v3.6.12")).read_text())
    layer = manifest["layers"][0]
    assert store.blob(layer["digest"]).stat().st_size == layer["size"]
    config = json.loads(store.blob(manifest["config"]["digest"]).read_text())
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    assert store.manifest("registry.k8s.io/kube-apiserver:v1.36.3") is None
    assert store.blob("sha256:../../../etc/passwd") is None


HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
MOUNTS = {
    "version 2": ("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", [("/sys/fs/cgroup", "")], 2),
    "both: the controllers are in version 1": (
        HYBRID,
        [("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"), ("/sys/fs/cgroup/systemd", "none,name=systemd")],
        1,
    ),
}


@pytest.mark.parametrize(("mounts", "wanted", "version"), MOUNTS.values(), ids=MOUNTS.keys())
def test_hierarchies_of_control_groups(mounts, wanted, version):
    found = cgroups.hierarchies(mounts)
    assert [(str(one.path), one.options) for one in found] == wanted
    assert cgroups.Groups("lab", found).version == version
    patch = cgroups.kubelet_patch(found)
    assert bool(patch) is (version == 1)
    if patch:
        mounted = [one["destination"] for one in patch["machine"]["kubelet"]["extraMounts"]]
        assert mounted == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/systemd"]


def test_groups_are_limited_and_removed(tmp_path):
    hierarchy = cgroups.Hierarchy(path=tmp_path, options="memory")
    (tmp_path / "lab" / "node").mkdir(parents=True)
    limit = tmp_path / "lab" / "node" / "memory.limit_in_bytes"
    limit.write_text("")
    groups = cgroups.Groups("lab", [hierarchy])
    assert groups.make("node", cores=2, memory_mib=4096) == [str(tmp_path / "lab" / "node")]
    assert limit.read_text() == str(4096 * 1024**2)
    limit.unlink()  # in a real hierarchy it goes with its directory
    groups.remove_all()
    assert groups.left() == []


LDD = """\
	linux-vdso.so.1 (0x00007f17b35d8000)
	libseccomp.so.2 => /lib/x86_64-linux-gnu/libseccomp.so.2 (0x00007f17b35a7000)
	libgone.so => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007f17b35da000)
"""


def test_libraries_that_ldd_names():
    found = [str(path) for path in tree.library_paths(LDD)]
    assert found == ["/lib/x86_64-linux-gnu/libseccomp.so.2", "/lib64/ld-linux-x86-64.so.2"]
    assert tree.library_paths("\tstatically linked\n") == []


def test_a_program_that_trusts_the_lab_keeps_its_length():
    head = tree.BUNDLE_HEAD + b"## about\n" * 40
    program = b"\x7fELF before " + head + tree.BUNDLE_END + b" Public CA"
    made = tree.trusting(program, b"-----BEGIN CERTIFICATE-----\nlab\n-----END CERTIFICATE-----\n")
    assert len(made) == len(program)
    assert made.startswith(b"\x7fELF before -----BEGIN CERTIFICATE-----\nlab\n")
    assert made.endswith(tree.BUNDLE_END + b" Public CA")
    with pytest.raises(LabError, match="another form"):
        tree.trusting(b"\x7fELF without a bundle", b"certificate")


def test_the_path_that_takes_oom_scores_is_as_long_as_the_real_one():
    assert len(tree.OOM_PATH) == len(tree.NO_OOM_PATH)


FINE = needs.Host(
    programs={name: Path("/p") for name in needs.PROGRAMS},
    packaged={name: Path("/p") for name in tree.PACKAGED},
    cni=Path("/usr/lib/cni"),
    tools=tuple(needs.TOOLS),
    capabilities=(1 << 41) - 1,
    file_systems=needs.FILE_SYSTEMS,
    architecture="x86_64",
    cgroups=2,
)
LACKS = {
    "nothing": (FINE, []),
    "root": (replace(FINE, capabilities=0), ["real nodes need root"]),
    "one program": (
        replace(FINE, programs={name: Path("/p") for name in needs.PROGRAMS if name != "machined"}),
        ["not built: machined: infraflux tools install --group talos-real"],
    ),
    "packages": (
        replace(FINE, packaged={}, cni=None, tools=["ip", "ldd"]),
        ["apt-get install busybox-static containernetworking-plugins iptables kmod mount nftables runc util-linux"],
    ),
    "a file system": (replace(FINE, file_systems=["tmpfs", "proc", "sysfs"]), ["lacks the file systems overlay"]),
    "control groups": (replace(FINE, cgroups=0), ["no control groups"]),
    "a known architecture": (replace(FINE, architecture="riscv64"), ["no recipe for riscv64"]),
    "everything": (
        replace(FINE, capabilities=0, programs={}, packaged={}, cgroups=0),
        ["need root", "not built", "apt-get install", "no control groups"],
    ),
}


@pytest.mark.parametrize(("host", "wanted"), LACKS.values(), ids=LACKS.keys())
def test_all_that_is_missing_is_said_at_once(host, wanted):
    found = needs.missing(host)
    assert len(found) == len(wanted)
    assert all(text in line for text, line in zip(wanted, found, strict=True))


def machine(**nic: object) -> Machine:
    card = Nic(mac="BC:24:11:00:00:01", bridge="vmbr0", **nic)
    return Machine(
        environment="dev", vm_id=10011, name="dev-1-cp-1", uuid="", host="h", cores=2, memory_mib=4096, nics=[card]
    )


def test_a_loopback_address_is_refused_with_what_to_change():
    with pytest.raises(LabError, match=r"node_cidr.*clusters/overlays"):
        check_address(machine(address="127.77.1.11").nics[0], machine="dev-1-cp-1")
    assert str(check_address(machine(address="10.94.1.11").nics[0], machine="x")) == "10.94.1.11/24"
    assert check_address(machine().nics[0], machine="x") is None


def test_names_of_devices_fit_and_tell_labs_and_kinds_apart():
    names = {device_name(kind, lab=lab, what=what) for kind in (BRIDGE, CARD) for lab in "ab" for what in "cd"}
    assert len(names) == 8
    assert all(len(name) == NAME_LENGTH for name in names)
    assert device_name(CARD, lab="a", what="c").startswith(device_prefix(CARD, lab="a"))


def test_settings_are_put_back_once_and_a_killed_labs_record_is_kept(tmp_path):
    home, file = tmp_path / "sys", tmp_path / "kept.json"
    setting = home / "kernel" / "panic"
    setting.parent.mkdir(parents=True)
    setting.write_text("1\n")
    sysctls.keep(file, home=home)
    setting.write_text("10\n")
    sysctls.keep(file, home=home)  # the next lab, after a kill: what it finds is not how the machine was
    assert sysctls.put_back(file, home=home) == ["kernel/panic"]
    assert setting.read_text() == "1"
    assert sysctls.put_back(file, home=home) == []
