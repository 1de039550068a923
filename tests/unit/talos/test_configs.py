"""Machine configs by the real talosctl: valid, byte-stable, comparable, and masked wherever people see them."""

from pathlib import Path

import pytest
from fakes.specs import make_spec

from infraflux.adapters.secrets.bundle import SecretsBundle
from infraflux.adapters.talos.configs import generate_configs, generate_secrets, generate_talosconfig
from infraflux.adapters.talos.documents import diff_configs, mask_config, parse_documents
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.adapters.tools.locate import locate
from infraflux.core.errors import Permanent
from infraflux.render.talos import render_patches

pytestmark = pytest.mark.tools


@pytest.fixture(scope="module")
def talosctl() -> Talosctl:
    return Talosctl(binary=locate("talosctl"), cluster="dev/dev-1")


@pytest.fixture(scope="module")
def bundle(talosctl: Talosctl, tmp_path_factory: pytest.TempPathFactory) -> SecretsBundle:
    return SecretsBundle(generate_secrets(talosctl, talos_version="v1.13.9", workdir=tmp_path_factory.mktemp("s")))


def configs(talosctl: Talosctl, bundle: SecretsBundle, workdir: Path, **changes):
    spec = make_spec(control_planes=3, workers=2, **changes)
    patches = render_patches(spec, root=workdir)
    return generate_configs(spec, talosctl=talosctl, bundle=bundle, patches=patches, workdir=workdir).by_node


def test_same_input_same_bytes_and_nothing_left_behind(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    assert configs(talosctl, bundle, tmp_path) == configs(talosctl, bundle, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_node_is_itself(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    spec = make_spec(control_planes=3, workers=2)
    for name, text in configs(talosctl, bundle, tmp_path).items():
        node = spec.node(name)
        documents = parse_documents(text)
        machine = documents["v1alpha1"]["machine"]
        interface = machine["network"]["interfaces"][0]
        assert documents["HostnameConfig"] == {
            "apiVersion": "v1alpha1",
            "kind": "HostnameConfig",
            "auto": "off",
            "hostname": name,
        }
        assert machine["type"] == node.role.machine_type
        assert interface["addresses"] == [f"{node.address}/24"]
        assert interface["deviceSelector"]["hardwareAddr"] == node.mac
        assert ("vip" in interface) == (node in spec.control_planes)


def test_cluster_wide_decisions_are_in_every_config(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    for text in configs(talosctl, bundle, tmp_path).values():
        cluster = parse_documents(text)["v1alpha1"]["cluster"]
        assert cluster["network"]["cni"]["name"] == "none"
        assert cluster["network"]["podSubnets"] == ["10.1.0.0/16"]
        assert cluster["proxy"]["disabled"] is True
        assert cluster["id"] == bundle.cluster_id


NO_LOAD_BALANCER = "node.kubernetes.io/exclude-from-external-load-balancers"
TOPOLOGIES = {
    "workers": (3, 2, None, False, True),
    "workers, and control planes too": (3, 2, True, True, True),
    "control planes only": (3, 0, None, True, False),
    "one machine": (1, 0, True, True, False),
}


@pytest.mark.parametrize(
    ("planes", "workers", "said", "schedulable", "labelled"), TOPOLOGIES.values(), ids=TOPOLOGIES.keys()
)
def test_control_planes_take_workloads_where_nobody_else_does(
    talosctl: Talosctl,
    bundle: SecretsBundle,
    tmp_path: Path,
    planes: int,
    workers: int,
    said: bool | None,
    schedulable: bool,
    labelled: bool,
):
    spec = make_spec(control_planes=planes, workers=workers, talos={"schedule_on_control_planes": said})
    patches = render_patches(spec, root=tmp_path)
    made = generate_configs(spec, talosctl=talosctl, bundle=bundle, patches=patches, workdir=tmp_path).by_node
    main = parse_documents(made["dev-1-cp-1"])["v1alpha1"]
    assert bool(main["cluster"].get("allowSchedulingOnControlPlanes")) is schedulable
    assert (NO_LOAD_BALANCER in main["machine"].get("nodeLabels", {})) is labelled
    assert len(made) == planes + workers


@pytest.mark.parametrize(("mask", "written"), [(24, None), (22, "22")])
def test_the_size_of_pod_blocks_reaches_the_controller_manager(
    talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path, mask: int, written: str | None
):
    network = make_spec().network.model_dump(mode="json") | {"node_cidr_mask_size": mask}
    main = parse_documents(configs(talosctl, bundle, tmp_path, network=network)["dev-1-cp-1"])["v1alpha1"]
    arguments = main["cluster"]["controllerManager"].get("extraArgs") or {}
    assert arguments.get("node-cidr-mask-size") == written


def test_patches_of_the_user_come_last_and_node_patches_win(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    (tmp_path / "role.yaml").write_text("machine: {sysctls: {a: role, b: role}}\n")
    patches = {
        "all": [{"name": "everywhere", "content": {"machine": {"sysctls": {"a": "all", "b": "all", "c": "all"}}}}],
        "worker": [{"name": "by-role", "file": "role.yaml"}],
        "node": [{"name": "one", "node": "dev-1-worker-1", "content": {"machine": {"sysctls": {"a": "node"}}}}],
    }
    found = configs(talosctl, bundle, tmp_path, talos={"patches": patches})
    sysctls = {name: parse_documents(text)["v1alpha1"]["machine"]["sysctls"] for name, text in found.items()}
    assert sysctls["dev-1-worker-1"] == {"a": "node", "b": "role", "c": "all"}
    assert sysctls["dev-1-worker-2"] == {"a": "role", "b": "role", "c": "all"}
    assert sysctls["dev-1-cp-1"] == {"a": "all", "b": "all", "c": "all"}


def test_patch_that_talos_does_not_know_is_refused(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    patches = {"all": [{"name": "typo", "content": {"machine": {"sysctl": {"a": "1"}}}}]}
    with pytest.raises(Permanent, match="sysctl"):
        configs(talosctl, bundle, tmp_path, talos={"patches": patches})
    assert list(tmp_path.iterdir()) == []


def test_difference_names_the_field_and_masks_secrets(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    text = configs(talosctl, bundle, tmp_path)["dev-1-cp-1"]
    other = text.replace("pool", "pool").replace("10.1.0.0/16", "10.2.0.0/16")
    token = parse_documents(text)["v1alpha1"]["machine"]["token"]
    other = other.replace(token, "abcdef.0123456789abcdef")
    changes = [str(change) for change in diff_configs(text, other)]
    assert changes == [
        "v1alpha1.cluster.network.podSubnets[0]: 10.2.0.0/16 -> 10.1.0.0/16",
        "v1alpha1.machine.token: *** -> ***",
    ]


def test_masked_config_shows_no_secret(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    text = configs(talosctl, bundle, tmp_path)["dev-1-cp-1"]
    masked = mask_config(text)
    certificates = {entry["crt"] for entry in bundle.document["certs"].values() if "crt" in entry}
    leaked = [value for value in bundle.sensitive_values() - certificates if value in masked]
    assert leaked == []
    assert "10.1.0.0/16" in masked


def test_talosconfig_speaks_to_the_control_planes(talosctl: Talosctl, bundle: SecretsBundle, tmp_path: Path):
    spec = make_spec(control_planes=3)
    text = generate_talosconfig(
        spec, talosctl=talosctl, bundle=bundle, patches=render_patches(spec, root=tmp_path), workdir=tmp_path
    )
    context = parse_documents(text)["v1alpha1"]["contexts"]["dev-1"]
    assert context["endpoints"] == ["10.0.0.11", "10.0.0.12", "10.0.0.13"]


TAINTED = """\
version: v1alpha1
machine:
  token: secret-word
  kubelet:
    extraConfig:
      registerWithTaints:
        - {key: gpu, effect: NoSchedule}
"""


def test_the_key_of_a_taint_is_no_secret():
    [*changes] = diff_configs(TAINTED, "version: v1alpha1\nmachine: {token: other-word}\n")
    told = {change.path.rpartition(".")[2]: change.wanted for change in changes}
    assert told == {"token": "***", "key": "gpu", "effect": "NoSchedule"}
    assert "gpu" in mask_config(TAINTED)
    assert "secret-word" not in mask_config(TAINTED)
