"""Every component renders in every environment, with overlays or without: helm for the chart, kustomize beside it."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import locate
from infraflux.operations.chart_check import kustomization_of, values_of

ROOT = Path(__file__).parents[2]
INFRASTRUCTURE = ROOT / "platform/infrastructure"
CHARTS = ROOT / "lab/src/infraflux_lab/gitops/charts"
COMPONENTS = sorted(path.parent.name for path in INFRASTRUCTURE.glob("*/component.yaml"))
ENVIRONMENTS = (*sorted(path.stem for path in (ROOT / "config/environments").glob("*.yaml")), "without-overlays")

pytestmark = pytest.mark.tools


def objects(text):
    return [one for one in YAML(typ="safe").load_all(text) if one]


def component(name):
    return YAML(typ="safe").load((INFRASTRUCTURE / name / "component.yaml").read_text())["component"]


def template(name, environment, *extra):
    entry = component(name)
    files = [*values_of(INFRASTRUCTURE / name, environment), *extra]
    argv = [locate("helm"), "template", entry["release"], CHARTS / entry["chart"], "--namespace", entry["namespace"]]
    argv += ["--include-crds", *(word for path in files for word in ("--values", path))]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def beside(name, environment):
    """What stands beside the chart."""
    with kustomization_of(INFRASTRUCTURE / name, environment) as directory:
        return build(directory)


def build(path):
    return subprocess.run([locate("kustomize"), "build", path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", COMPONENTS)
def test_overlay_renders(name, environment):
    chart = template(name, environment)
    assert chart.returncode == 0, chart.stderr
    own = beside(name, environment)
    assert own.returncode == 0, own.stderr
    rendered = objects(chart.stdout) + objects(own.stdout)
    keys = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered]
    assert len(keys) == len(set(keys)), "two sources of one Application render the same object"
    assert any(one["kind"] in {"Deployment", "DaemonSet"} for one in rendered)


@pytest.mark.parametrize("name", COMPONENTS)
def test_typo_in_a_value_is_refused(name, tmp_path):
    typo = tmp_path / "typo.yaml"
    typo.write_text("replicaCuont: 3\n")
    refused = template(name, "dev", typo)
    assert refused.returncode != 0
    assert "replicaCuont" in refused.stderr


def test_environments_differ_only_where_overlays_say_so():
    """Cilium of staging and prod is byte for byte the same: what passes in staging passes in prod."""
    assert template("cilium", "staging").stdout == template("cilium", "prod").stdout
    assert template("cilium", "dev").stdout != template("cilium", "prod").stdout


def test_bootstrap_is_three_stages_and_the_applications():
    rendered = objects(build(ROOT / "platform/bootstrap").stdout)
    waves = {
        one["metadata"]["name"]: int(one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for one in rendered
    }
    assert {one["kind"] for one in rendered} == {"ApplicationSet"}
    assert waves == {
        "platform-network": 10,
        "platform-foundation": 10,
        "platform-services": 20,
        "applications": 30,
        "applications-charts": 30,
    }


def test_carried_manifests_are_rendered_as_they_are(tmp_path):
    values = tmp_path / "values.json"
    values.write_text('{"manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]}')
    argv = [locate("helm"), "template", "x", ROOT / "platform/charts/cluster-manifests", "--values", values]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert objects(done.stdout) == [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]


def test_issuers_differ_by_environment():
    def issuers(environment):
        rendered = objects(beside("cert-manager", environment).stdout)
        return {one["metadata"]["name"]: one["spec"] for one in rendered if one["kind"] == "ClusterIssuer"}

    for environment in ("dev", "without-overlays"):
        assert issuers(environment) == {"platform-root": {"selfSigned": {}}, "platform": issuers("dev")["platform"]}
    assert issuers("dev")["platform"] == {"ca": {"secretName": "platform-root"}}
    for environment, server in (("staging", "acme-staging-v02"), ("prod", "acme-v02")):
        (only,) = issuers(environment).values()
        assert list(only) == ["acme"]
        assert server in only["acme"]["server"]
