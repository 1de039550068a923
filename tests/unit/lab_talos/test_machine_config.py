"""Reading machine configurations: what is accepted, what is refused and why, what the emulator learns."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infraflux_lab.talos.config_loading import ConfigError, parse
from infraflux_lab.talos.machine_config import dump, image_schematic, image_version, merged, needs_reboot

Documents = list[dict[str, Any]]
CANARY = "canary-secret-7c2a"


def test_facts_of_a_control_plane(control_plane: Documents) -> None:
    config = parse(dump(control_plane))
    assert config.control_plane
    assert (config.cluster_id, config.cluster_name) == ("cluster-id", "dev-1")
    assert config.endpoint == "https://10.0.0.10:6443"
    assert config.vip == "10.0.0.10"
    assert config.authority is not None
    assert config.hostname is None
    assert config.taints == ["node-role.kubernetes.io/control-plane=:NoSchedule"]


def test_facts_of_a_worker(worker: Documents) -> None:
    config = parse(dump(worker))
    assert not config.control_plane
    assert config.authority is None
    assert config.taints == []


def test_worker_and_control_plane_of_one_cluster_have_one_fingerprint(
    control_plane: Documents, request: pytest.FixtureRequest
) -> None:
    first = parse(dump(control_plane)).authority_fingerprint
    assert parse(dump(request.getfixturevalue("worker"))).authority_fingerprint == first


def test_documents_beside_v1alpha1_count(control_plane: Documents) -> None:
    control_plane[0]["machine"]["network"] = {}
    control_plane[1] = {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "hostname": "cp-1"}
    control_plane.append({"apiVersion": "v1alpha1", "kind": "Layer2VIPConfig", "name": "10.0.0.20", "link": "eth0"})
    config = parse(dump(control_plane))
    assert (config.hostname, config.vip) == ("cp-1", "10.0.0.20")


def _drop(*path: str) -> Callable[[Documents], None]:
    def change(documents: Documents) -> None:
        section = documents[0]
        for name in path[:-1]:
            section = section[name]
        section.pop(path[-1])

    return change


def _set(value: object, *path: str) -> Callable[[Documents], None]:
    def change(documents: Documents) -> None:
        section = documents[0]
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = value

    return change


def _append(document: dict[str, Any]) -> Callable[[Documents], None]:
    return lambda documents: documents.append(document)


BAD = [
    pytest.param(_drop("machine"), "machine instructions are required", id="no machine"),
    pytest.param(_drop("cluster"), "cluster instructions are required", id="no cluster"),
    pytest.param(_set("v2", "version"), "invalid config version", id="version"),
    pytest.param(_set("boss", "machine", "type"), 'unknown machine type "boss"', id="type"),
    pytest.param(_drop("machine", "ca"), "issuing CA or some accepted CAs are required", id="no ca"),
    pytest.param(_drop("machine", "ca", "key"), "issuing CA key is required for controlplane", id="no ca key"),
    pytest.param(_set("bm90IGEgY2VydA==", "machine", "ca", "crt"), "certificate is invalid (.machine.ca", id="bad crt"),
    pytest.param(_set("%%%", "machine", "ca", "key"), "key is invalid (.machine.ca.key)", id="bad key"),
    pytest.param(_drop("machine", "token"), "trustd token", id="no token"),
    pytest.param(_drop("cluster", "controlPlane"), "controlplane endpoint is required", id="no endpoint"),
    pytest.param(
        _set({"endpoint": "10.0.0.10:6443"}, "cluster", "controlPlane"), "invalid controlplane endpoint", id="endpoint"
    ),
    pytest.param(_drop("cluster", "etcd"), "(.cluster.etcd.ca)", id="no etcd ca"),
    pytest.param(_drop("cluster", "aggregatorCA"), "(.cluster.aggregatorCA)", id="no aggregator ca"),
    pytest.param(_drop("cluster", "serviceAccount"), "(.cluster.serviceAccount)", id="no service account"),
    pytest.param(_set(1, "machine", "kubelt"), "unknown keys found during decoding: machine.kubelt", id="unknown key"),
    pytest.param(_append({"apiVersion": "v1alpha1", "kind": "Nope"}), "not registered", id="unknown kind"),
    pytest.param(_append({"kind": "HostnameConfig"}), "missing apiVersion", id="no apiVersion"),
    pytest.param(
        _append({"apiVersion": "v1alpha1", "kind": "HostnameConfig"}), "duplicate document", id="duplicate document"
    ),
    pytest.param(_append({"name": "x"}), "missing kind", id="no kind"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_refused(control_plane: Documents, change: Callable[[Documents], None], message: str) -> None:
    change(control_plane)
    with pytest.raises(ConfigError) as refused:
        parse(dump(control_plane))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(_set({"ca": {}}, "cluster", "etcd"), "etcd config is only allowed on control plane", id="etcd"),
        pytest.param(
            _set({"interfaces": [{"vip": {"ip": "10.0.0.9"}}]}, "machine", "network"), "virtual (shared) IP", id="vip"
        ),
    ],
)
def test_refused_on_a_worker(worker: Documents, change: Callable[[Documents], None], message: str) -> None:
    change(worker)
    with pytest.raises(ConfigError) as refused:
        parse(dump(worker))
    assert message in str(refused.value)


def test_key_of_another_authority(control_plane: Documents) -> None:
    cluster = control_plane[0]["cluster"]
    control_plane[0]["machine"]["ca"]["key"] = cluster["ca"]["key"]
    with pytest.raises(ConfigError, match=r"key does not belong to the certificate \(\.machine\.ca\)"):
        parse(dump(control_plane))


def test_all_problems_at_once(control_plane: Documents) -> None:
    control_plane[0]["machine"].pop("token")
    control_plane[0]["cluster"].pop("etcd")
    with pytest.raises(ConfigError) as refused:
        parse(dump(control_plane))
    assert str(refused.value).startswith("2 errors occurred:")


def test_messages_and_representations_hold_no_secret(control_plane: Documents) -> None:
    secret = base64.b64encode(CANARY.encode()).decode()
    control_plane[0]["machine"]["token"] = CANARY
    assert CANARY not in repr(parse(dump(control_plane)))
    control_plane[0]["machine"]["ca"]["key"] = secret
    with pytest.raises(ConfigError) as refused:
        parse(dump(control_plane))
    assert secret not in str(refused.value)
    broken = dump(control_plane) + f"\nsecret: [{CANARY}".encode()
    with pytest.raises(ConfigError) as refused:
        parse(broken)
    assert CANARY not in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_politely(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse(data)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(_set(True, "debug"), [], id="debug"),
        pytest.param(_set("other", "cluster", "clusterName"), [], id="cluster section"),
        pytest.param(_set({"a": "b"}, "machine", "nodeLabels"), [], id="labels"),
        pytest.param(_set({"kubePrism": {}, "diskQuotaSupport": True}, "machine", "features"), [], id="kubePrism"),
        pytest.param(_set({"diskQuotaSupport": False}, "machine", "features"), [".machine.features"], id="quota"),
        pytest.param(_set([{"path": "/x"}], "machine", "files"), [".machine.files"], id="files"),
        pytest.param(_set("other.token", "machine", "token"), [".machine.token"], id="token"),
    ],
)
def test_what_needs_a_reboot(
    control_plane: Documents, change: Callable[[Documents], None], expected: list[str]
) -> None:
    before = parse(dump(control_plane))
    change(control_plane)
    assert needs_reboot(before, parse(dump(control_plane))) == expected


def test_merge_patch(control_plane: Documents) -> None:
    config = parse(dump(control_plane))
    changed = parse(merged(config, {"machine": {"nodeLabels": {"a": "b"}, "features": None}}))
    assert changed.labels == {"a": "b"}
    assert "features" not in changed.machine
    assert changed.documents[1] == config.documents[1]
    assert config.labels == {}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/siderolabs/kubelet:v1.36.3", "v1.36.3"),
        ("factory.talos.dev/installer/ab12:v1.13.0-alpha.2@sha256:" + "0" * 64, "v1.13.0-alpha.2"),
        ("local:import/talos-v1.13.9-nocloud-amd64.raw", "v1.13.9"),
        ("https://factory.talos.dev/image/ab/v1.12.4/nocloud-amd64.raw.xz", "v1.12.4"),
        ("local:import/some.img", None),
        ("ghcr.io/x:latest", None),
    ],
)
def test_image_version(image: str, version: str | None) -> None:
    assert image_version(image) == version


def test_image_schematic() -> None:
    schematic = "ab" * 32
    assert image_schematic(f"factory.talos.dev/nocloud-installer/{schematic}:v1.13.9") == schematic
    assert image_schematic(f"local:import/talos-{schematic}-v1.13.9.raw") == schematic
    assert image_schematic(f"x:v1@sha256:{schematic}") is None
