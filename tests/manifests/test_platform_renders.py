"""Every overlay renders: kustomize for what stands beside the chart, helm for the chart with its two value files."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux.adapters.tools.locate import locate

ROOT = Path(__file__).parents[2]
INFRASTRUCTURE = ROOT / "platform/infrastructure"
CHARTS = ROOT / "lab/src/infraflux_lab/gitops/charts"
COMPONENTS = sorted(path.parent.name for path in INFRASTRUCTURE.glob("*/component.yaml"))
ENVIRONMENTS = ("dev", "staging", "prod")

pytestmark = pytest.mark.tools


def objects(text):
    return [one for one in YAML(typ="safe").load_all(text) if one]


def component(name):
    return YAML(typ="safe").load((INFRASTRUCTURE / name / "component.yaml").read_text())["component"]


def template(name, environment, *extra):
    entry = component(name)
    files = [
        INFRASTRUCTURE / name / "base/values.yaml",
        INFRASTRUCTURE / name / f"overlays/{environment}/values.yaml",
        *extra,
    ]
    argv = [locate("helm"), "template", entry["release"], CHARTS / entry["chart"], "--namespace", entry["namespace"]]
    argv += ["--include-crds", *(word for path in files for word in ("--values", path))]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def build(path):
    return subprocess.run([locate("kustomize"), "build", path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", COMPONENTS)
def test_overlay_renders(name, environment):
    chart = template(name, environment)
    assert chart.returncode == 0, chart.stderr
    beside = build(INFRASTRUCTURE / name / "overlays" / environment)
    assert beside.returncode == 0, beside.stderr
    rendered = objects(chart.stdout) + objects(beside.stdout)
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
    def issuer(environment):
        rendered = objects(build(INFRASTRUCTURE / "cert-manager/overlays" / environment).stdout)
        return next(one for one in rendered if one["kind"] == "ClusterIssuer" and one["metadata"]["name"] == "platform")

    assert "ca" in issuer("dev")["spec"]
    assert "staging" in issuer("staging")["spec"]["acme"]["server"]
    assert "staging" not in issuer("prod")["spec"]["acme"]["server"]
