"""Encrypted Secrets: the plugin beside the repo server, from Terraform's values through the chart to what it runs."""

import json
import os
import subprocess

import pytest
from fakes.specs import make_spec
from labkit.bundles import ROOT, compute_bundle
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import locate

BASE = ROOT / "platform/infrastructure/argocd/base/values.yaml"
CHART = ROOT / "lab/src/infraflux_lab/gitops/charts/argo-cd"
SCRIPT = ROOT / "terraform/modules/argocd-bootstrap/sops-generate.sh"

pytestmark = pytest.mark.tools


@pytest.fixture(scope="module")
def render(tmp_path_factory):
    """What the chart makes with the values of a cluster, by kind and name."""

    def rendered(management):
        workdir = tmp_path_factory.mktemp("bundle")
        urls = {"platform": {"url": "https://g/p.git"}, "application": {"url": "https://g/a.git"}}
        spec = make_spec(gitops=urls | {"secret_management": management})
        generated = workdir / "generated.json"
        generated.write_text(json.dumps(compute_bundle(spec, workdir).values["argocd"]))
        argv = [locate("helm"), "template", "argocd", CHART, "--namespace", "argocd", "-f", BASE, "-f", generated]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        objects = [one for one in YAML(typ="safe").load_all(done.stdout) if one]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}

    return rendered


@pytest.fixture(scope="module")
def sops(render):
    return render("sops-age")


def repo_server(objects):
    return objects["Deployment", "argocd-repo-server"]["spec"]["template"]["spec"]


def test_nothing_of_it_without_sops_age(render):
    objects = render("none")
    assert ("ConfigMap", "argocd-cmp-cm") not in objects
    assert len(repo_server(objects)["containers"]) == 1
    assert [one["name"] for one in repo_server(objects)["initContainers"]] == ["copyutil"], "which the chart always has"


def test_the_sidecar_has_the_key_the_program_and_the_plugin(sops):
    pod = repo_server(sops)
    main, sidecar = pod["containers"]
    assert sidecar["image"] == main["image"], "the chart resolved the template"
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert {one["name"] for one in sidecar["volumeMounts"]} <= set(volumes)
    assert volumes["sops-age"]["secret"]["secretName"] == "sops-age"
    assert volumes["sops-tmp"]["emptyDir"] == {"medium": "Memory"}
    mounted = {one["name"]: one["mountPath"] for one in sidecar["volumeMounts"]}
    assert sidecar["env"][0]["value"] == f"{mounted['sops-age']}/keys.txt"
    names = [one["name"] for one in (*pod["containers"], *pod["initContainers"])]
    assert len(names) == len(set(names)), "a pod refuses a name twice"


def test_the_plugin_runs_the_script(sops):
    plugin = YAML(typ="safe").load(sops["ConfigMap", "argocd-cmp-cm"]["data"]["sops.yaml"])
    assert plugin["kind"] == "ConfigManagementPlugin"
    assert plugin["spec"]["discover"] == {"find": {"glob": "*.sops.yaml"}}
    assert plugin["spec"]["generate"]["args"] == [SCRIPT.read_text()]


def test_the_script_opens_every_encrypted_file_and_builds(tmp_path):
    """With a `sops` that only says what it was called with; kustomize is the real one."""
    programs, directory = tmp_path / "bin", tmp_path / "apps/clock/dev"
    programs.mkdir()
    directory.mkdir(parents=True)
    fake = programs / "sops"
    fake.write_text('#!/bin/sh\n[ "$1 $2" = "decrypt --in-place" ] && sed -i "s/ENC/open/" "$3"\n')
    fake.chmod(0o755)
    (programs / "kustomize").symlink_to(locate("kustomize"))
    for name in ("first.sops.yaml", "with space.sops.yaml"):
        secret = (
            f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name.split('.', maxsplit=1)[0].replace(' ', '-')}}}\n"
        )
        (directory / name).write_text(secret + "stringData: {password: ENC}\n")
    (directory / "kustomization.yaml").write_text("resources: [first.sops.yaml, 'with space.sops.yaml']\n")
    done = subprocess.run(
        ["sh", "-c", SCRIPT.read_text()],
        cwd=directory,
        env={"PATH": f"{programs}{os.pathsep}/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    made = {one["metadata"]["name"]: one["stringData"]["password"] for one in YAML(typ="safe").load_all(done.stdout)}
    assert made == {"first": "open", "with-space": "open"}


def test_a_file_that_cannot_be_opened_ends_the_script(tmp_path):
    (tmp_path / "sops").write_text("#!/bin/sh\nexit 128\n")
    (tmp_path / "sops").chmod(0o755)
    (tmp_path / "a.sops.yaml").write_text("")
    env = {"PATH": f"{tmp_path}{os.pathsep}/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", SCRIPT.read_text()], cwd=tmp_path, env=env, check=False, capture_output=True)
    assert done.returncode == 128
