"""Plugins beside the repo server: what their pod would mount becomes files, and paths lead there."""

import re
from base64 import b64encode
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux_lab.gitops.argocd import ArgoSite
from infraflux_lab.gitops.plugins import decoded, find_plugins, mount, plugin_program, secret_names

ROOT = Path(__file__).parents[3]
SIDECAR = {
    "name": "sops",
    "command": ["/var/run/argocd/argocd-cmp-server"],
    "env": [{"name": "KEY", "value": "/sops-age/keys.txt"}, {"name": "OTHER", "value": "/elsewhere"}],
    "volumeMounts": [
        {"name": "plugin", "mountPath": "/home/argocd/cmp-server/config/plugin.yaml", "subPath": "sops.yaml"},
        {"name": "key", "mountPath": "/sops-age"},
        {"name": "tmp", "mountPath": "/tmp"},
    ],
}
MAPS = {"argocd-cmp-cm": {"sops.yaml": "kind: ConfigManagementPlugin\n", "other.yaml": ""}}
SECRETS = {"sops-age": {"keys.txt": "AGE-SECRET-KEY-CANARY"}}


def workload(*containers):
    volumes = [
        {"name": "plugin", "configMap": {"name": "argocd-cmp-cm"}},
        {"name": "key", "secret": {"secretName": "sops-age"}},
        {"name": "unrelated", "secret": {"secretName": "tls"}},
        {"name": "tmp", "emptyDir": {"medium": "Memory"}},
    ]
    pod = {"containers": [{"name": "repo-server"}, *containers], "volumes": volumes}
    return {"spec": {"template": {"spec": pod}}}


@pytest.fixture
def site(tmp_path):
    return ArgoSite(root=tmp_path / "argocd", home="127.78.1.11", kubeconfig=tmp_path / "kubeconfig", binaries={})


def test_a_sidecar_that_runs_the_plugin_server_is_one():
    (plugin,) = find_plugins(workload(SIDECAR, {"name": "proxy", "command": ["envoy"]}), maps=MAPS, secrets=SECRETS)
    assert plugin.name == "sops"
    assert plugin.files == {
        "/home/argocd/cmp-server/config/plugin.yaml": "kind: ConfigManagementPlugin\n",
        "/sops-age/keys.txt": "AGE-SECRET-KEY-CANARY",
    }
    assert "CANARY" not in repr(plugin)


def test_only_secrets_that_a_plugin_mounts_are_asked_for():
    assert secret_names(workload(SIDECAR)) == ["sops-age"]
    assert secret_names(workload()) == []


@pytest.mark.parametrize(
    ("maps", "secrets"),
    [(MAPS, {}), ({}, SECRETS), ({"argocd-cmp-cm": {}}, SECRETS)],
    ids=["secret-missing", "map-missing", "key-missing"],
)
def test_a_pod_that_could_not_mount_runs_nothing(maps, secrets):
    assert find_plugins(workload(SIDECAR), maps=maps, secrets=secrets) == []


def test_files_are_private_and_paths_lead_to_them(site):
    (plugin,) = find_plugins(workload(SIDECAR), maps=MAPS, secrets=SECRETS)
    mount([plugin], site)
    program = plugin_program(plugin, site)
    key = Path(program.environment["KEY"])
    assert key.read_text() == "AGE-SECRET-KEY-CANARY"
    assert key.stat().st_mode & 0o777 == 0o600
    assert program.environment["OTHER"] == "/elsewhere"
    (directory,) = [word.split("=", 1)[1] for word in program.argv if word.startswith("--config-dir-path=")]
    assert (Path(directory) / "plugin.yaml").read_text() == "kind: ConfigManagementPlugin\n"


def test_another_key_is_another_program_and_the_old_key_goes(site):
    (old,) = find_plugins(workload(SIDECAR), maps=MAPS, secrets=SECRETS)
    (new,) = find_plugins(workload(SIDECAR), maps=MAPS, secrets={"sops-age": {"keys.txt": "another"}})
    assert plugin_program(old, site) != plugin_program(new, site)
    mount([old], site)
    mount([new], site)
    assert not [path for path in site.root.rglob("*") if path.is_file() and "CANARY" in path.read_text()]
    mount([], site)
    assert not [path for path in site.root.rglob("*") if path.is_file()]


def test_a_secret_is_read_as_the_api_server_has_it():
    assert decoded({"data": {"keys.txt": b64encode(b"key").decode()}}) == {"keys.txt": "key"}
    assert decoded({}) == {}


def test_the_pods_image_and_the_labs_program_are_one_version():
    pins = YAML(typ="safe").load((ROOT / "tools/pins.yaml").read_text())["programs"]
    variables = (ROOT / "terraform/modules/argocd-bootstrap/variables.tf").read_text()
    found = re.search(r'"ghcr\.io/getsops/sops:v([^-"]+)', variables)
    assert found is not None
    assert found.group(1) == pins["sops"]["version"]
