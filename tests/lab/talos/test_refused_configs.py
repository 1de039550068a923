"""Configurations that a real node refuses are refused here, in its words; each named by the mistake.

All were accepted by a real `talosctl gen config`'s result without the mistake, which the first test says.
"""

from copy import deepcopy

import pytest
from ruamel.yaml import YAML

from infraflux_lab.talos.machine_config import dump

pytestmark = [pytest.mark.lab, pytest.mark.tools]


def machine(**section):
    return {"machine": section}, []


def network(**section):
    return machine(network=section)


def interface(**section):
    return network(interfaces=[{"interface": "eth0", "addresses": ["10.0.0.5/24"], **section}])


def document(kind, **fields):
    return {}, [{"apiVersion": "v1alpha1", "kind": kind, **fields}]


REFUSED = {
    "host name in two places": (network(hostname="cp-1"), "static hostname is already set in v1alpha1 config"),
    "unknown key inside a section": (machine(kubelet={"bogus": 1}), "unknown keys found during decoding"),
    "unknown key inside a document": (document("ResolverConfig", servers=[]), "unknown keys found during decoding"),
    "address that is no prefix": (interface(addresses=["10.0.0.5/40"]), "invalid CIDR address: 10.0.0.5/40"),
    "gateway that is no address": (
        interface(routes=[{"network": "0.0.0.0/0", "gateway": "10.0.0"}]),
        "[networking.os.device.route[0].gateway]",
    ),
    "route to no network": (
        interface(routes=[{"network": "10.9.0.0/33", "gateway": "10.0.0.1"}]),
        "[networking.os.device.route[0].network]",
    ),
    "VIP that is no address": (interface(vip={"ip": "10.0.0.300"}), "failed to parse"),
    "interface and selector": (
        interface(deviceSelector={"busPath": "0*"}),
        "[networking.os.device.deviceSelector]: config sections are mutually exclusive",
    ),
    "bond of no mode": (interface(bond={"mode": "nope", "interfaces": ["eth1"]}), "invalid bond type nope"),
    "value of another type": (interface(mtu="x"), "cannot construct !!str `x` into int"),
    "VIP document without a link": (document("Layer2VIPConfig", name="10.0.0.9"), "link must be specified"),
    "log destination that is no URL": (
        machine(logging={"destinations": [{"endpoint": "nope", "format": "json_lines"}]}),
        "empty logging endpoint's host",
    ),
    "partitions beyond the whole disk": (
        machine(disks=[{"device": "/dev/sdb", "partitions": [{"mountpoint": "/var/x"}, {"mountpoint": "/var/y"}]}]),
        "set to occupy full disk",
    ),
    "name servers in two places": (
        (network(nameservers=["1.1.1.1"])[0], document("ResolverConfig", nameservers=[{"address": "1.1.1.1"}])[1]),
        "nameservers",
    ),
    "time servers in two places": (
        (machine(time={"servers": ["pool.ntp.org"]})[0], document("TimeSyncConfig", ntp={"servers": ["a.example"]})[1]),
        "time",
    ),
    "label that is none": (machine(nodeLabels={"a b": "c"}), "invalid machine node labels"),
    "taint without effect": (machine(nodeTaints={"gpu": "yes:Sometimes"}), "invalid machine node taints"),
    "CNI by a name Talos does not know": (
        ({"cluster": {"network": {"cni": {"name": "cilium"}}}}, []),
        "cni name should be one of",
    ),
    "volume that Talos does not have": (
        document("VolumeConfig", name="DATA"),
        'only ["STATE" "EPHEMERAL" "IMAGECACHE"] volumes are supported',
    ),
    "user volume without a disk": (document("UserVolumeConfig", name="data"), "disk selector"),
    "kubelet argument Talos keeps": (
        machine(kubelet={"extraConfig": {"port": 10250}}),
        'kubelet configuration field "port" can\'t be overridden',
    ),
    "subnet of no network": (machine(kubelet={"nodeIP": {"validSubnets": ["10.0.0.0/99"]}}), "nodeIP subnet"),
    "Kubernetes newer than this Talos": (
        machine(kubelet={"image": "ghcr.io/siderolabs/kubelet:v1.37.0"}),
        "kubelet image is not valid: version of Kubernetes 1.37.0 is too new to be used with Talos 1.13.9",
    ),
    "Kubernetes older than this Talos": (
        ({"cluster": {"apiServer": {"image": "registry.k8s.io/kube-apiserver:v1.30.4"}}}, []),
        "kube-apiserver image is not valid: version of Kubernetes 1.30.4 is too old to be used with Talos 1.13.9",
    ),
}


def merge(into, patch):
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = deepcopy(value)


@pytest.fixture
def written(generated, tmp_path):
    def write(change):
        patch, more = change
        documents = list(YAML(typ="safe").load_all((generated / "controlplane.yaml").read_text()))
        merge(documents[0], patch)
        path = tmp_path / "config.yaml"
        path.write_bytes(dump([*documents, *more]))
        return str(path)

    return write


def test_the_unchanged_configuration_is_taken(world, written):
    world.boot(11)
    assert world.talosctl("apply-config", "--insecure", "--file", written(({}, [])), node=11).code == 0


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(world, written, change, words):
    world.boot(11)
    refused = world.talosctl("apply-config", "--insecure", "--file", written(change), node=11, check=False)
    assert "rpc error: code = InvalidArgument desc = " in refused.text
    assert words in refused.text
    assert world.stage(11) == "maintenance"


def test_a_patch_of_a_running_node_is_refused_and_changes_nothing(world):
    world.boot(11)
    world.apply(11, "controlplane")
    before = world.talosctl("get", "machineconfig", "v1alpha1", "-o", "yaml", node=11).out
    patch = '{"machine": {"network": {"hostname": "other"}}}'
    refused = world.talosctl("patch", "machineconfig", "--patch", patch, node=11, check=False)
    assert "static hostname is already set in v1alpha1 config" in refused.text
    assert world.talosctl("get", "machineconfig", "v1alpha1", "-o", "yaml", node=11).out == before


def test_warnings_reach_the_user(world, written):
    """Talos' answer carries them: `machine.network` beside the documents that take its place is one."""
    world.boot(11)
    change = machine(install={"extensions": [{"image": "ghcr.io/x/y:v1"}]})
    answer = world.talosctl("apply-config", "--insecure", "--file", written(change), node=11)
    assert "extensions" in answer.text
